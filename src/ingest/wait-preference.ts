/**
 * How long a client is willing to wait, in milliseconds, by its header `Prefer: wait=N` (RFC 7240, section 4.3).
 * `undefined`: not said, not understood, or longer than `timeoutMs`, which then is what counts.
 */
export function waitPreferenceMs(
  prefer: string | string[] | undefined,
  timeoutMs: number,
): number | undefined {
  if (prefer === undefined) return undefined;
  for (const preference of String(prefer).split(',')) {
    const [name = '', value = ''] = preference.split(';', 1).join('').split('=');
    if (name.trim().toLowerCase() !== 'wait') continue;
    const [, seconds] = /^"?([1-9]\d{0,5})"?$/.exec(value.trim()) ?? [];
    const waitMs = Number(seconds) * 1000;
    return waitMs <= timeoutMs ? waitMs : undefined;
  }
  return undefined;
}
