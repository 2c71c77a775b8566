import { isDeepStrictEqual } from 'node:util';
import type { FastifyDynamicSwaggerOptions } from '@fastify/swagger';
import { CONTENT_CODINGS } from './content-coding.ts';

type Json = Record<string, unknown>;
type Named<T> = Record<string, T>;
interface Media extends Json {
  examples?: Named<unknown>;
}
interface Operation extends Json {
  requestBody?: { content: Named<Media> };
  responses: Named<Response>;
}
interface Response {
  $ref?: string;
  headers?: Named<Json>;
  content?: Named<Media>;
}
/** How the library puts what a response says of a header. */
interface NamedHeader {
  readonly schema: { readonly isOptional?: boolean };
}
interface Document extends Json {
  components: { schemas: { Event?: { properties: { time: Json } } } } & Named<Json>;
  paths: Named<Named<Operation>>;
}

const HEADERS: Named<Json> = {
  'X-Request-Id': {
    required: true,
    description: "The request's id in the log: the client's own, or a new one.",
    schema: { type: 'string', pattern: '^[A-Za-z0-9_.:-]{1,64}$' },
    example: 'k3x9q2-1f',
  },
  'Retry-After': {
    required: true,
    description: 'Seconds after which to try again.',
    schema: { type: 'integer', minimum: 0 },
    example: 2,
  },
  'WWW-Authenticate': {
    required: true,
    description: 'The scheme that is asked for, and what is wrong with what was given (RFC 6750).',
    schema: { type: 'string' },
    example: 'Bearer realm="dual-stream", error="invalid_token"',
  },
  'RateLimit-Policy': {
    required: true,
    description: 'How many requests (and bytes) a client may use in how many seconds.',
    schema: { type: 'string' },
    example: '"requests";q=1000;w=10',
  },
  RateLimit: {
    required: true,
    description: 'What is left of them, and in how many seconds all of it is there again.',
    schema: { type: 'string' },
    example: '"requests";r=0;t=10',
  },
  Allow: {
    required: true,
    description: 'The methods of this path.',
    schema: { type: 'string' },
    example: 'OPTIONS, POST',
  },
  ETag: {
    required: true,
    description: 'Names exactly these bytes, for If-None-Match (RFC 9110, 8.8.3).',
    schema: { type: 'string', pattern: '^"[A-Za-z0-9_-]{22}"$' },
    example: '"mY3k0Yw1Q5mB2cJtX9aGdA"',
  },
  'Cache-Control': {
    required: true,
    description: 'Clients may keep it and have to ask whether it still holds; nobody in between may keep it.',
    schema: { const: 'private, no-cache' },
    example: 'private, no-cache',
  },
  'Accept-Encoding': {
    description: 'With `unsupported-encoding`: the codings that a body may have (RFC 7694).',
    schema: { const: CONTENT_CODINGS.join(', ') },
    example: CONTENT_CODINGS.join(', '),
  },
  'Preference-Applied': {
    description: 'The preferences of the request that were followed, of `wait=N` and `return=minimal`.',
    schema: {
      type: 'string',
      pattern: '^(wait=[1-9][0-9]{0,5}|return=minimal|wait=[1-9][0-9]{0,5}, return=minimal)$',
    },
    example: 'wait=5',
  },
};

/** Fastify reads no bodies here, so a route names what its own may be in `x-request-body`. */
export const withRequestBody: NonNullable<FastifyDynamicSwaggerOptions['transform']> = ({ schema, url }) => {
  const { 'x-request-body': body, ...rest } = (schema ?? {}) as Json;
  return { url, schema: (body === undefined ? schema : { ...rest, body }) as typeof schema };
};

/**
 * Adds to the document what cannot be said on a route. A response names its headers, and an operation has the examples
 * of its body in `x-request-examples`, by media type. Headers and answers about errors that are the same everywhere become
 * components.
 */
export const finishDocument: NonNullable<FastifyDynamicSwaggerOptions['transformObject']> = (given) => {
  // It is typed for OpenAPI 3.0 also.
  const document = (given as unknown as { openapiObject: Document }).openapiObject;
  const { components } = document;
  // The code looks at the calendar besides the pattern, which is what this format adds to it.
  const { Event } = components.schemas;
  if (Event !== undefined) Event.properties.time.format = 'date-time';
  const shared: Shared = { responses: {}, headers: {}, examples: {} };
  for (const operation of Object.values(document.paths).flatMap(Object.values<Operation>)) {
    moveRequestExamples(operation);
    for (const [status, response] of Object.entries(operation.responses)) {
      response.headers = headersOf(response, shared);
      operation.responses[status] = withSharedProblem(response, shared);
    }
  }
  Object.assign(components, shared);
  return document as never;
};

/** What is written once, by name. */
interface Shared {
  readonly responses: Named<Response>;
  readonly headers: Named<Json>;
  readonly examples: Named<unknown>;
}

function moveRequestExamples(operation: Operation): void {
  for (const [type, examples] of Object.entries(operation['x-request-examples'] ?? {})) {
    const media = operation.requestBody?.content[type];
    if (media !== undefined) media.examples = examples;
  }
  delete operation['x-request-examples'];
}

function headersOf({ headers }: Response, shared: Shared): Named<Json> {
  const named = { 'X-Request-Id': { schema: {} }, ...headers } as Named<NamedHeader>;
  const entries = Object.entries(named).map(([name, { schema }]) => {
    const header = HEADERS[name] as Json;
    if (schema.isOptional) return [name, { ...header, required: false }];
    shared.headers[name] = header;
    return [name, { $ref: `#/components/headers/${name}` }];
  });
  return Object.fromEntries(entries);
}

/** An error has the same example everywhere; a response with nothing but one code is mostly the same, too. */
function withSharedProblem(response: Response, shared: Shared): Response {
  const problem = response.content?.['application/problem+json'];
  if (problem?.examples === undefined) return response;
  Object.assign(shared.examples, problem.examples);
  const codes = Object.keys(problem.examples);
  problem.examples = Object.fromEntries(
    codes.map((code) => [code, { $ref: `#/components/examples/${code}` }]),
  );
  const [code = ''] = codes;
  if (codes.length > 1 || Object.keys(response.content ?? {}).length > 1) return response;
  shared.responses[code] ??= response;
  const isSame = isDeepStrictEqual(response, shared.responses[code]);
  return isSame ? { $ref: `#/components/responses/${code}` } : response;
}
