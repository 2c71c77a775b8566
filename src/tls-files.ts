import { createSecureContext } from 'node:tls';
import type { Logger } from 'pino';
import { ConfigError } from './config.ts';
import { WatchedFiles } from './watched-files.ts';

/** What one side of TLS shows and trusts, as PEM. */
export interface TlsMaterial {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

export type TlsFiles = WatchedFiles<TlsMaterial>;

/**
 * Certificates and their key, read again when they change: they are renewed while the service runs.
 * @param setting what the settings begin with that name them, `KAFKA_SSL` for `KAFKA_SSL_CA_FILE` and so on
 * @throws ConfigError when they cannot be used
 */
export function openTlsFiles(
  setting: string,
  paths: { readonly [name in keyof TlsMaterial]: string | undefined },
  log: Logger,
  onChange: (material: TlsMaterial) => void = () => {},
): TlsFiles {
  const names = (['ca', 'cert', 'key'] as const).filter((name) => paths[name] !== undefined);
  try {
    return new WatchedFiles({
      paths: names.map((name) => paths[name] as string),
      parse: (texts) => {
        const material: TlsMaterial = Object.fromEntries(names.map((name, index) => [name, texts[index]]));
        createSecureContext(material); // throws when a text is no certificate, or the key is that of another one
        return material;
      },
      onChange: (material) => {
        log.info({ setting }, 'the certificates were read again');
        onChange(material);
      },
      onFault: (reason) =>
        log.error({ setting, reason }, 'the certificates cannot be used; those read before still hold'),
    });
  } catch (error) {
    const { code, message, path } = error as NodeJS.ErrnoException;
    const which = path === undefined ? '' : ` (${path})`;
    throw new ConfigError([
      `${setting}_…_FILE cannot be used: ${path === undefined ? message : code}${which}`,
    ]);
  }
}
