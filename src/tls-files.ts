import { createPrivateKey, X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import type { Logger } from 'pino';
import type { Metrics } from './metrics.ts';
import { ConfigError } from './settings.ts';
import { WatchedFiles } from './watched-files.ts';

/** What one side of TLS shows and trusts, as PEM. */
export interface TlsMaterial {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

export type TlsFiles = WatchedFiles<TlsMaterial>;

export interface TlsFilesOptions {
  readonly log: Logger;
  readonly metrics: Pick<Metrics, 'credentialsCurrent' | 'certificateExpires'>;
  readonly onChange?: (material: TlsMaterial) => void;
  /** How often the files are looked at. */
  readonly intervalMs?: number;
}

/**
 * Certificates and their key, read again when they change: they are renewed while the service runs.
 * @param setting what the settings begin with that name them, `KAFKA_SSL` for `KAFKA_SSL_CA_FILE` and so on
 * @throws ConfigError when they cannot be used
 */
export function openTlsFiles(
  setting: string,
  paths: { readonly [name in keyof TlsMaterial]: string | undefined },
  { log, metrics, onChange, ...watching }: TlsFilesOptions,
): TlsFiles {
  const took = (material: TlsMaterial) => {
    metrics.credentialsCurrent(setting, true);
    if (material.cert !== undefined) metrics.certificateExpires(setting, expiryOf(material.cert));
  };
  const names = (['ca', 'cert', 'key'] as const).filter((name) => paths[name] !== undefined);
  try {
    const files = new WatchedFiles<TlsMaterial>({
      ...watching,
      paths: names.map((name) => paths[name] as string),
      parse: (texts) => {
        const material: TlsMaterial = Object.fromEntries(names.map((name, index) => [name, texts[index]]));
        checkMaterial(material);
        return material;
      },
      onChange: (material) => {
        log.info({ setting }, 'the certificates were read again');
        took(material);
        onChange?.(material);
      },
      onFault: (reason) => {
        log.error({ setting, reason }, 'the certificates cannot be used; those read before still hold');
        metrics.credentialsCurrent(setting, false);
      },
    });
    if (names.length > 0) took(files.value);
    return files;
  } catch (error) {
    const { code, message, path } = error as NodeJS.ErrnoException;
    const which = path === undefined ? '' : ` (${path})`;
    throw new ConfigError([
      `${setting}_…_FILE cannot be used: ${path === undefined ? message : code}${which}`,
    ]);
  }
}

/** What begins the names of the settings of one connection's TLS. */
export type TlsSetting = 'TLS' | 'KAFKA_SSL' | 'REDIS_TLS' | 'POSTGRES_SSL';

/**
 * The files that a program's settings name, `KAFKA_SSL_CA_FILE` and so on.
 * @throws ConfigError when they cannot be used
 */
export function tlsFilesOf(
  config: Readonly<Record<string, unknown>>,
  setting: TlsSetting,
  options: TlsFilesOptions,
): TlsFiles {
  const path = (name: string) => config[name] as string | undefined;
  const paths = {
    ca: path(setting === 'TLS' ? 'TLS_CLIENT_CA_FILE' : `${setting}_CA_FILE`),
    cert: path(`${setting}_CERT_FILE`),
    key: path(`${setting}_KEY_FILE`),
  };
  return openTlsFiles(setting, paths, options);
}

/**
 * Throws when what should be a certificate is none, or the key is that of another one. OpenSSL alone would pass over an
 * authority that it cannot read, and Node would take an empty text for none at all, and trust its own.
 */
function checkMaterial({ ca, cert, key }: TlsMaterial): void {
  for (const pem of [ca, cert]) if (pem !== undefined) expiryOf(pem);
  if (key !== undefined) createPrivateKey(key);
  createSecureContext({ ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) });
}

/** In milliseconds since 1970. Throws when it is no certificate. */
function expiryOf(pem: string): number {
  return new X509Certificate(pem).validToDate.getTime();
}
