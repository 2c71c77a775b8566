/** Who may do what: one vocabulary for every program that answers clients, whatever proves who they are. */

export type Action = 'read' | 'write';

/**
 * A scope: `events:write` is for every source type, `events:write:user` for one, `events:write:repo-*` for those that
 * begin so. A source type holds neither a colon nor an asterisk.
 */
export const SCOPE_PATTERN = '^events:(read|write)(:([a-z0-9_-]{1,64}\\*?|\\*))?$';
const SCOPE = new RegExp(SCOPE_PATTERN);

/** Somebody who has proved who they are. */
export class Client {
  /** Unique among the clients of one mode of authentication; not secret. */
  readonly name: string;
  readonly #grants: Readonly<Record<Action, Grant>>;

  /** What is no scope of ours grants nothing: tokens carry those of other services too. */
  constructor(name: string, scopes: readonly string[]) {
    this.name = name;
    this.#grants = { read: grantOf('read', scopes), write: grantOf('write', scopes) };
  }

  /** Whether there is any source type for which it may. */
  mayAtAll(action: Action): boolean {
    const { exact, prefixes } = this.#grants[action];
    return exact.size > 0 || prefixes.length > 0;
  }

  may(action: Action, sourceType: string): boolean {
    const { exact, prefixes } = this.#grants[action];
    return exact.has(sourceType) || prefixes.some((prefix) => sourceType.startsWith(prefix));
  }
}

interface Grant {
  readonly exact: ReadonlySet<string>;
  /** The empty one is that of every source type. */
  readonly prefixes: readonly string[];
}

function grantOf(action: Action, scopes: readonly string[]): Grant {
  const exact = new Set<string>();
  const prefixes: string[] = [];
  for (const scope of scopes) {
    const [, granted, , pattern = '*'] = SCOPE.exec(scope) ?? [];
    if (granted !== action) continue;
    if (pattern.endsWith('*')) prefixes.push(pattern.slice(0, -1));
    else exact.add(pattern);
  }
  return { exact, prefixes };
}
