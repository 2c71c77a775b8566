import { ConfigSchema } from '../src/config.ts';
import { mustBeGiven } from '../src/settings.ts';

/** `.env.example` and the README's table of settings, both written from the schema that the service checks. */

interface Setting {
  readonly name: string;
  readonly description: string;
  /** With nothing but defaults beside it. */
  readonly isRequired: boolean;
  readonly isSecret: boolean;
  readonly fallback: string | undefined;
  readonly example: string;
}

const defaults = Object.fromEntries(
  Object.entries(ConfigSchema.properties).map(([name, schema]) => [
    name,
    'default' in schema && schema.default,
  ]),
);

const settings: readonly Setting[] = Object.entries(ConfigSchema.properties).map(([name, schema]) => {
  const {
    description,
    default: fallback,
    examples,
    enum: choices,
    minimum,
    secret,
  } = schema as unknown as Record<string, unknown>;
  const example = [fallback, (examples as unknown[])?.[0], (choices as unknown[])?.[0], minimum].find(
    (value) => value !== undefined,
  );
  return {
    name,
    description: String(description),
    isRequired: mustBeGiven(ConfigSchema, name, defaults),
    isSecret: secret === true,
    fallback: fallback === undefined ? undefined : String(fallback),
    example: String(example),
  };
});

/** What has no default is set; the rest is there to be uncommented. */
export function envExample(): string {
  const blocks = settings.map(({ name, description, isRequired, isSecret, example }) => {
    const secret = isSecret ? `# Or ${name}_FILE: a file that holds it.\n` : '';
    return `# ${description}\n${secret}${isRequired ? '' : '# '}${name}=${example}\n`;
  });
  return `# The settings of dual-stream, written from the schema in src/config.ts (npm run generate).\n\n${blocks.join('\n')}`;
}

export function settingsTable(): string {
  const rows = settings.map(({ name, description, isRequired, isSecret, fallback }) => {
    const value = isRequired ? '**required**' : fallback === undefined ? 'not set' : `\`${fallback}\``;
    const also = isSecret ? ` Also as \`${name}_FILE\`.` : '';
    return `| \`${name}\` | ${value} | ${description}${also} |\n`;
  });
  return `| name | default | |\n| --- | --- | --- |\n${rows.join('')}`;
}
