import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { parse } from 'yaml';

/** The OpenAPI documents as a reader sees them: references followed, and judged by a validator that is not the service's. */

type Named<T> = Readonly<Record<string, T>>;

export interface Media {
  readonly schema: object;
  readonly examples?: Named<{ readonly value: unknown }>;
}

export interface Header {
  readonly required?: boolean;
  readonly schema: { readonly type: string };
  readonly example: unknown;
}

export interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly parameters?: readonly {
    readonly name: string;
    readonly schema: object;
    readonly example: unknown;
  }[];
  readonly requestBody?: { readonly content: Named<Media> };
  readonly responses: Named<{
    readonly description: string;
    readonly headers: Named<Header>;
    /** Absent: there is no body. */
    readonly content?: Named<Media>;
  }>;
}

export interface Specification {
  readonly paths: Named<Named<Operation>>;
  readonly components: { readonly schemas: Named<{ readonly examples?: readonly unknown[] }> };
}

export const PROBLEM = 'application/problem+json';

export interface Document {
  readonly text: string;
  readonly specification: Specification;
  /** Every operation, by its method and path: `POST /v1/events`. */
  readonly operations: ReadonlyMap<string, Operation>;
  /** Holds an answer against what its operation promises, and returns its body. */
  readonly assertPromised: (name: string, answer: Answer) => unknown;
}

/** A document of the folder openapi/. */
export function readDocument(name: string): Document {
  const text = readFileSync(new URL(`../openapi/${name}`, import.meta.url), 'utf8');
  const written = parse(text);
  const specification = followed(written, written) as Specification;
  const operations = new Map<string, Operation>(
    Object.entries(specification.paths).flatMap(([path, ofPath]) =>
      Object.entries(ofPath).map(([method, operation]) => [`${method.toUpperCase()} ${path}`, operation]),
    ),
  );
  const assertPromised: Document['assertPromised'] = (operation, answer) =>
    promisedBody(operation, operations.get(operation), answer);
  return { text, specification, operations, assertPromised };
}

function followed(value: unknown, written: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((each) => followed(each, written));
  const { $ref } = value as { $ref?: string };
  if ($ref === undefined) {
    return Object.fromEntries(
      Object.entries(value).map(([name, member]) => [name, followed(member, written)]),
    );
  }
  const path = $ref.replace(/^#\//, '').split('/');
  const target = path.reduce((at: unknown, name) => (at as Named<unknown> | undefined)?.[name], written);
  assert.ok(target, `${$ref} leads nowhere`);
  return followed(target, written);
}

const ajv = new Ajv2020({ strict: true, strictTypes: false, strictRequired: false, allErrors: true });
addFormats.default(ajv);
ajv.addKeyword('example');
const validators = new Map<object, ValidateFunction>();

export function fits(schema: object, value: unknown): boolean {
  return validatorOf(schema)(value);
}

export function assertFits(schema: object, value: unknown, what: string): void {
  const validate = validatorOf(schema);
  assert.ok(validate(value), `${what}: ${ajv.errorsText(validate.errors)} in ${JSON.stringify(value)}`);
}

function validatorOf(schema: object): ValidateFunction {
  const validate = validators.get(schema) ?? ajv.compile(schema);
  validators.set(schema, validate);
  return validate;
}

/** The codes of the problem documents that a response may carry. */
export function codesOf(operation: Operation): readonly string[] {
  return Object.values(operation.responses).flatMap(({ content }) =>
    Object.keys(content?.[PROBLEM]?.examples ?? {}),
  );
}

export interface Answer {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

function promisedBody(
  name: string,
  operation: Operation | undefined,
  { status, headers, body }: Answer,
): unknown {
  const response = operation?.responses[status];
  assert.ok(response, `${name} has no response ${status}, which is the answer ${body}`);
  const what = `${name} ${status}`;
  for (const [header, { required, schema }] of Object.entries(response.headers)) {
    const value = headers.get(header.toLowerCase());
    if (value === undefined) assert.ok(!required, `${what} has no ${header}`);
    else assertFits(schema, schema.type === 'integer' ? Number(value) : value, `${what} ${header}`);
  }
  if (response.content === undefined) {
    assert.equal(body, '', `${what} has a body`);
    return body;
  }
  const [type = ''] = (headers.get('content-type') ?? '').split(';', 1);
  const media = response.content[type];
  assert.ok(media, `${what} has no content ${type}`);
  const value = type.endsWith('json') ? JSON.parse(body) : body;
  assertFits(media.schema, value, what);
  return value;
}
