import type { TObject } from 'typebox';
import { ConfigSchema } from '../src/config.ts';
import { mustBeGiven } from '../src/settings.ts';
import { ProcessorConfigSchema, QueryConfigSchema } from '../src/store-config.ts';

/** `.env.example` and the tables of settings in README.md and docs/event-store.md, written from the schemas that the programs check. */

interface Setting {
  readonly name: string;
  readonly description: string;
  /** With nothing but defaults beside it. */
  readonly isRequired: boolean;
  readonly isSecret: boolean;
  readonly fallback: string | undefined;
  readonly example: string;
}

const service = settingsOf(ConfigSchema);
const processor = settingsOf(ProcessorConfigSchema);
const query = settingsOf(QueryConfigSchema);

function settingsOf(schema: TObject): readonly Setting[] {
  const entries = Object.entries(schema.properties);
  const defaults = Object.fromEntries(
    entries.map(([name, setting]) => [name, 'default' in setting && setting.default]),
  );
  return entries.map(([name, setting]) => {
    const {
      description,
      default: fallback,
      examples,
      enum: choices,
      minimum,
      secret,
    } = setting as unknown as Record<string, unknown>;
    const example = [fallback, (examples as unknown[])?.[0], (choices as unknown[])?.[0], minimum].find(
      (value) => value !== undefined,
    );
    return {
      name,
      description: String(description),
      isRequired: mustBeGiven(schema, name, defaults),
      isSecret: secret === true,
      fallback: fallback === undefined ? undefined : String(fallback),
      example: String(example),
    };
  });
}

const isKnownTo = (others: readonly Setting[], { name }: Setting) =>
  others.some((other) => other.name === name);

const notSet = (setting: Setting): Setting => ({ ...setting, isRequired: false });

/**
 * What has no default is set; the rest is there to be uncommented. A setting stands where a program has it first: those
 * of the programs around the event store are not needed by the service, so none of theirs is set.
 */
export function envExample(): string {
  return [
    '# The settings of dual-stream, written from the schemas in src/config.ts and src/store-config.ts (npm run generate).',
    ...service.map(exampleOf),
    '# ---- The event processor (docs/event-store.md). It reads what leads to Kafka from above as well.',
    ...processor
      .filter((setting) => !isKnownTo(service, setting))
      .map(notSet)
      .map(exampleOf),
    '# ---- The query API (docs/event-store.md). It reads AUTH_*, TLS_* and POSTGRES_* from above as well.',
    ...query
      .filter((setting) => !isKnownTo([...service, ...processor], setting))
      .map(notSet)
      .map(exampleOf),
  ]
    .join('\n\n')
    .concat('\n');
}

function exampleOf({ name, description, isRequired, isSecret, example }: Setting): string {
  const secret = isSecret ? `# Or ${name}_FILE: a file that holds it.\n` : '';
  return `# ${description}\n${secret}${isRequired ? '' : '# '}${name}=${example}`;
}

export const settingsTable = (): string => tableOf(service);

/** Both programs' tables. What the service has with the same words is named, and not described again. */
export function storeSettings(): string {
  return [
    ['event processor', processor],
    ['query API', query],
  ]
    .map(
      ([program, settings]) =>
        `### Settings of the ${program as string}\n\n${tableOfOwn(settings as readonly Setting[])}`,
    )
    .join('\n');
}

function tableOfOwn(settings: readonly Setting[]): string {
  const isSame = (setting: Setting) =>
    service.some((other) => other.name === setting.name && other.description === setting.description);
  const same = settings.filter(isSame).map(({ name }) => `\`${name}\``);
  return `${tableOf(settings.filter((setting) => !isSame(setting)))}
As [those of the service](../README.md#settings): ${same.join(', ')}.
`;
}

function tableOf(settings: readonly Setting[]): string {
  const rows = settings.map(({ name, description, isRequired, isSecret, fallback }) => {
    const value = isRequired ? '**required**' : fallback === undefined ? 'not set' : `\`${fallback}\``;
    const also = isSecret ? ` Also as \`${name}_FILE\`.` : '';
    return `| \`${name}\` | ${value} | ${description}${also} |\n`;
  });
  return `| name | default | |\n| --- | --- | --- |\n${rows.join('')}`;
}
