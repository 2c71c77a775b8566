/** How the number of open connections is related to the memory there is, for every program with an API. */
interface ConnectionSettings {
  readonly BUFFER_MAX_BYTES: number;
  readonly TLS_CERT_FILE?: string;
  CONNECTIONS_MAX: number;
}

const BUFFER_BYTES_PER_CONNECTION = 10 * 1024;
const BUFFER_BYTES_PER_TLS_CONNECTION = 100 * 1024;
/** So few connections are allowed with any buffer. */
const CONNECTIONS_FEW = 500;

/**
 * An open connection keeps about 9 KB resident, or with TLS 67 KB and, after a large body, 135 KB. They are not counted
 * in the buffer, but share the memory that promise P3 allows beside it: two bytes for each of its bytes and 48 MB.
 */
function connectionsAllowed({ BUFFER_MAX_BYTES, TLS_CERT_FILE }: ConnectionSettings): number {
  const bytesEach =
    TLS_CERT_FILE === undefined ? BUFFER_BYTES_PER_CONNECTION : BUFFER_BYTES_PER_TLS_CONNECTION;
  return Math.max(CONNECTIONS_FEW, Math.floor(BUFFER_MAX_BYTES / bytesEach));
}

/** What was not set is no more than is allowed. */
export function fitConnections(config: ConnectionSettings, env: NodeJS.ProcessEnv): void {
  if (!env.CONNECTIONS_MAX)
    config.CONNECTIONS_MAX = Math.min(config.CONNECTIONS_MAX, connectionsAllowed(config));
}

export function connectionProblems(config: ConnectionSettings): string[] {
  if (config.CONNECTIONS_MAX <= connectionsAllowed(config)) return [];
  return [
    'CONNECTIONS_MAX must not be more than one for each 10 KiB of BUFFER_MAX_BYTES, with TLS for each 100 KiB (500 are always allowed), or memory passes its bound',
  ];
}
