/**
 * How long a client is willing to wait, in milliseconds, by its header `Prefer: wait=N` (RFC 7240, section 4.3).
 * `undefined`: not said, not understood, or longer than `timeoutMs`, which then is what counts.
 */
export function waitPreferenceMs(
  prefer: string | string[] | undefined,
  timeoutMs: number,
): number | undefined {
  const [, seconds] = /^"?([1-9]\d{0,5})"?$/.exec(preferred(prefer, 'wait') ?? '') ?? [];
  const waitMs = Number(seconds) * 1000;
  return waitMs <= timeoutMs ? waitMs : undefined;
}

/** Whether a client wants to hear only of what is not stored, by its header `Prefer: return=minimal` (section 4.2). */
export function prefersMinimal(prefer: string | string[] | undefined): boolean {
  return /^"?minimal"?$/.test(preferred(prefer, 'return') ?? '');
}

/** The value of the first preference of this name. */
function preferred(prefer: string | string[] | undefined, wanted: string): string | undefined {
  if (prefer === undefined) return undefined;
  for (const preference of String(prefer).split(',')) {
    const [name = '', value = ''] = preference.split(';', 1).join('').split('=');
    if (name.trim().toLowerCase() === wanted) return value.trim();
  }
  return undefined;
}
