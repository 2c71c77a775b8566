/** Which methods are answered at which path: for 405 and Allow, which Fastify leaves to its users. */
export class PathTable {
  readonly #routes: { segments: string[]; methods: string[] }[] = [];

  /** Adds a route by its pattern: `:name` stands for one segment, `*` at the end for all that follow. */
  add(pattern: string, methods: readonly string[]): void {
    this.#routes.push({ segments: pattern.split('/'), methods: [...methods] });
  }

  /** The methods of a path, OPTIONS included; `undefined`: there is nothing at this path. */
  methodsOf(url: string): string[] | undefined {
    if (url === '*') return ['GET', 'HEAD', 'OPTIONS', 'POST']; // the server as a whole (RFC 9110, 9.3.7)
    // A target may name the server too (RFC 9112, 3.2.2).
    const [encoded = ''] = url.replace(/^https?:\/\/[^/?#]*/i, '').split(/[?#]/, 1);
    const path = decodeURI(encoded).split('/'); // the router has done so too, and refused what cannot be
    const methods = this.#routes.filter((route) => fits(path, route.segments)).flatMap((r) => r.methods);
    return methods.length === 0 ? undefined : [...new Set([...methods, 'OPTIONS'])].toSorted();
  }
}

function fits(path: readonly string[], pattern: readonly string[]): boolean {
  const isOpen = pattern.at(-1) === '*';
  if (isOpen ? path.length < pattern.length : path.length !== pattern.length) return false;
  return pattern.every(
    (segment, index) => segment === '*' || segment.startsWith(':') || segment === path[index],
  );
}
