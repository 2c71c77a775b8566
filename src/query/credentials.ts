import type { Logger } from 'pino';
import { type Authentication, openAuthentication } from '../authentication.ts';
import type { Metrics } from '../metrics.ts';
import { openTogether } from '../open-together.ts';
import type { QueryConfig } from '../store-config.ts';
import { type TlsFiles, type TlsMaterial, type TlsSetting, tlsFilesOf } from '../tls-files.ts';

/** What the program shows, what it trusts, and how it finds out who its clients are: all that may change while it runs. */
export interface Credentials {
  /** `undefined`: everybody may read. */
  readonly authentication: Authentication | undefined;
  /** Of the API's port; `undefined`: no TLS. */
  readonly http: TlsFiles | undefined;
  readonly postgres: TlsFiles | undefined;
  close(): void;
}

/**
 * Opens everything that the settings lead to.
 * @throws ConfigError when something cannot be used; nothing is left open then
 */
export function openCredentials(
  config: QueryConfig,
  options: {
    readonly log: Logger;
    readonly metrics: Pick<Metrics, 'credentialsCurrent' | 'certificateExpires' | 'ready'>;
    /** New connections to the API's port should be shown this. */
    readonly onHttpChange: (material: TlsMaterial) => void;
  },
): Credentials {
  const { log, metrics, onHttpChange } = options;
  return openTogether((keep) => {
    const files = (setting: TlsSetting, onChange?: (material: TlsMaterial) => void) =>
      keep(tlsFilesOf(config, setting, { log, metrics, ...(onChange && { onChange }) }));
    return {
      http: config.TLS_CERT_FILE === undefined ? undefined : files('TLS', onHttpChange),
      postgres: config.POSTGRES_SSL ? files('POSTGRES_SSL') : undefined,
      authentication: keep(openAuthentication(config, log.child({ part: 'authentication' }), metrics)),
    };
  });
}
