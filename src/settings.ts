import { readFileSync } from 'node:fs';
import Type, { type Static, type TObject, type TSchema } from 'typebox';
import { Check, Errors } from 'typebox/value';

/** Settings are environment variables only, read once, as a schema says that describes each of them. */

/** Everything that is wrong with the environment, at once. */
export class ConfigError extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(
      `The configuration has ${problems.length === 1 ? 'a problem' : `${problems.length} problems`}: ${problems.join('; ')}`,
    );
    this.problems = problems;
  }
}

/**
 * Reads what the schema describes. `NAME_FILE` names a file that holds the value of a secret setting `NAME`.
 * @param relations what is wrong between settings that are each as they should be
 * @throws ConfigError with every problem. Values are not repeated in it.
 */
export function readSettings<Schema extends TObject>(
  schema: Schema,
  env: NodeJS.ProcessEnv,
  relations: (config: Static<Schema>) => readonly string[],
): Static<Schema> {
  const problems: string[] = [];
  const values: Record<string, unknown> = {};
  for (const [name, setting] of Object.entries(schema.properties)) {
    const text = textOf(name, setting, env, problems);
    if (text === undefined) {
      if ('default' in setting) values[name] = setting.default;
      else if (mustBeGiven(schema, name, values) && problems.every((problem) => !problem.startsWith(name))) {
        problems.push(`${name} is not set: ${describe(setting)}`);
      }
    } else {
      const value = parse(setting, text);
      if (Check(setting, value)) values[name] = value;
      else problems.push(`${name} ${faultOf(setting, value)}`);
    }
  }
  const config = values as Static<Schema>;
  if (problems.length === 0) problems.push(...relations(config));
  if (problems.length > 0) throw new ConfigError(problems);
  return config;
}

/** Whether a setting must be given: always, or with what an earlier setting is. One with a default need not be. */
export function mustBeGiven(
  schema: TObject,
  name: string,
  values: Readonly<Record<string, unknown>>,
): boolean {
  const setting = schema.properties[name] as TSchema;
  if ('default' in setting) return false;
  if ((schema.required as readonly string[]).includes(name)) return true;
  const { requiredWith = {} } = setting as { readonly requiredWith?: Record<string, readonly string[]> };
  return Object.entries(requiredWith).some(([other, choices]) => choices.includes(String(values[other])));
}

/** Names in the environment that look like settings of a program and are none: most likely typing errors. */
export function unknownSettings(env: NodeJS.ProcessEnv, ...schemas: readonly TObject[]): string[] {
  const known = new Map<string, TSchema>(schemas.flatMap(({ properties }) => Object.entries(properties)));
  const families = new Set([...known.keys()].map(familyOf));
  for (const shared of ['OTEL_', 'LOG_']) families.delete(shared); // others have settings of these, too
  // Kubernetes adds the addresses of services to the environment of every pod.
  const isServiceLink = /_SERVICE_(HOST|PORT)|_PORT(_\d+_(TCP|UDP).*)?$/;
  const isSecretFile = (name: string) => {
    const setting = known.get(name.replace(/_FILE$/, ''));
    return name.endsWith('_FILE') && setting !== undefined && 'secret' in setting;
  };
  return Object.keys(env).filter(
    (name) =>
      families.has(familyOf(name)) && !isServiceLink.test(name) && !known.has(name) && !isSecretFile(name),
  );
}

/** What a name begins with, `KAFKA_` of `KAFKA_TOPIC`; the name itself where it is of one word. */
function familyOf(name: string): string {
  return name.slice(0, name.indexOf('_') + 1) || name;
}

function textOf(
  name: string,
  schema: TSchema,
  env: NodeJS.ProcessEnv,
  problems: string[],
): string | undefined {
  const file = 'secret' in schema ? env[`${name}_FILE`] : undefined;
  if (file === undefined || file === '') return env[name] === '' ? undefined : env[name];
  if (env[name]) {
    problems.push(`${name} and ${name}_FILE are both set`);
    return undefined;
  }
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    problems.push(`${name}_FILE cannot be read (${(error as NodeJS.ErrnoException).code})`);
    return undefined;
  }
}

/** A number or a boolean is written exactly as JSON would; anything else stays text, and the schema refuses it. */
function parse(schema: TSchema, text: string): unknown {
  if (Type.IsInteger(schema)) return /^-?\d{1,15}$/.test(text) ? Number(text) : text;
  if (Type.IsNumber(schema)) return /^\d{1,9}(\.\d{1,9})?$/.test(text) ? Number(text) : text;
  if (Type.IsBoolean(schema)) return text === 'true' ? true : text === 'false' ? false : text;
  return text;
}

function faultOf(schema: TSchema, value: unknown): string {
  if ('enum' in schema) return `must be one of ${(schema.enum as string[]).join(', ')}`;
  if ('pattern' in schema && 'examples' in schema)
    return `must look like ${(schema.examples as string[])[0]}`;
  return [...Errors(schema, value)].map(({ message }) => message).join(' and ');
}

function describe(schema: TSchema): string {
  return 'description' in schema ? String(schema.description) : '';
}
