import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** See certificates/README.md. */
type Name = 'server' | 'expired' | 'client' | 'expired-client' | 'foreign';

/** The path of a file of that folder. */
export const certificateFile = (file: `${Name}.pem` | `${Name}.key` | 'ca.pem' | 'other-ca.pem') =>
  join(import.meta.dirname, 'certificates', file);

/** A certificate and its key, as text. */
export function certificateOf(name: Name): { readonly cert: string; readonly key: string } {
  return {
    cert: readFileSync(certificateFile(`${name}.pem`), 'utf8'),
    key: readFileSync(certificateFile(`${name}.key`), 'utf8'),
  };
}
