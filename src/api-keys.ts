import { createHash, randomBytes, randomInt, timingSafeEqual } from 'node:crypto';
import Type, { type Static } from 'typebox';
import { Check, Errors } from 'typebox/value';
import { Client, SCOPE_PATTERN } from './client.ts';

/**
 * API keys: `id.secret`, where the secret has 256 random bits. A file holds them as hashes, which is enough for secrets
 * that nobody can guess, and lets whoever reads the file learn none of them.
 */

const SECRET_BYTES = 32;
const ID_PREFIX = 'ds-';
const ID_RANDOM_LENGTH = 12;
/** Without letters and digits that are taken for one another. */
const ID_ALPHABET = 'abcdefghjkmnpqrstuvwxyz23456789';
/** Longer than any key is; what is longer is not even hashed. */
const CREDENTIAL_LENGTH_MAX = 256;

const ApiKey = Type.Object(
  {
    id: Type.String({ pattern: '^[A-Za-z0-9_-]{1,64}$' }),
    client: Type.String({ pattern: '^[A-Za-z0-9._-]{1,64}$' }),
    hash: Type.String({ pattern: '^sha256:[A-Za-z0-9_-]{43}$' }),
    scopes: Type.Array(Type.String({ pattern: SCOPE_PATTERN }), { minItems: 1 }),
    created: Type.String({ format: 'date-time' }),
    expires: Type.Optional(Type.String({ format: 'date-time' })),
  },
  { additionalProperties: false },
);
export type ApiKey = Static<typeof ApiKey>;

const ApiKeyFile = Type.Object({ keys: Type.Array(ApiKey) }, { additionalProperties: false });

/** The file is not one of keys. The message says where and names no value. */
export class ApiKeyFileError extends Error {
  override name = 'ApiKeyFileError';
}

/** The keys in the text of a file. @throws ApiKeyFileError */
export function readApiKeys(text: string): readonly ApiKey[] {
  let file: unknown;
  try {
    file = JSON.parse(text);
  } catch {
    throw new ApiKeyFileError('it is not JSON');
  }
  if (!Check(ApiKeyFile, file)) {
    const [fault] = Errors(ApiKeyFile, file);
    throw new ApiKeyFileError(`${fault?.instancePath || 'it'} is not as it has to be (${fault?.keyword})`);
  }
  const ids = file.keys.map(({ id }) => id);
  const twice = ids.find((id, index) => ids.indexOf(id) < index);
  if (twice !== undefined) throw new ApiKeyFileError(`the id ${twice} is given twice`);
  return file.keys;
}

/** The text of a file with these keys. */
export function writeApiKeys(keys: readonly ApiKey[]): string {
  return `${JSON.stringify({ keys }, undefined, 2)}\n`;
}

/** A new key, as the file has it, and the credential, which is nowhere else. */
export function makeApiKey(
  of: Pick<ApiKey, 'client' | 'scopes' | 'expires'>,
  now: Date,
): { readonly key: ApiKey; readonly credential: string } {
  const random = Array.from({ length: ID_RANDOM_LENGTH }, () => ID_ALPHABET[randomInt(ID_ALPHABET.length)]);
  const id = `${ID_PREFIX}${random.join('')}`;
  const secret = randomBytes(SECRET_BYTES).toString('base64url');
  const hash = `sha256:${hashOf(secret).toString('base64url')}`;
  return { key: { id, hash, created: now.toISOString(), ...of }, credential: `${id}.${secret}` };
}

/** Finds out whose key a credential is. */
export class ApiKeys {
  readonly #byId: ReadonlyMap<string, KnownKey>;

  constructor(keys: readonly ApiKey[]) {
    this.#byId = new Map(
      keys.map(({ id, client, hash, scopes, expires }) => [
        id,
        {
          client: new Client(client, scopes),
          hash: Buffer.from(hash.slice('sha256:'.length), 'base64url'),
          expiresAt: expires === undefined ? Number.POSITIVE_INFINITY : Date.parse(expires),
        },
      ]),
    );
  }

  get size(): number {
    return this.#byId.size;
  }

  /** `undefined`: it is nobody's, or its time is over. It takes as long to find that out whatever is wrong with it. */
  clientOf(credential: string, nowMs: number): Client | undefined {
    const dot = credential.indexOf('.');
    if (dot < 1 || credential.length > CREDENTIAL_LENGTH_MAX) return undefined;
    const known = this.#byId.get(credential.slice(0, dot));
    const isRight = timingSafeEqual(hashOf(credential.slice(dot + 1)), known?.hash ?? NOBODYS_HASH);
    return isRight && known !== undefined && nowMs < known.expiresAt ? known.client : undefined;
  }
}

interface KnownKey {
  readonly client: Client;
  readonly hash: Buffer;
  readonly expiresAt: number;
}

const NOBODYS_HASH = Buffer.alloc(32);

function hashOf(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}
