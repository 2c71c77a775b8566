/**
 * The two modules of kafkajs that are used beside its public API, as far as they are used. kafkajs is pinned to
 * the exact version they were read in, and test/integration/kafka-connection.test.ts notices when they change.
 */
declare module 'kafkajs/src/network/connectionPool.js' {
  import type { ConnectionOptions } from 'node:tls';
  import type { ISocketFactory, Logger, SASLOptions } from 'kafkajs';

  class ConnectionPool {
    constructor(options: {
      host: string;
      port: number;
      ssl: ConnectionOptions | null;
      sasl: SASLOptions | null;
      clientId: string;
      socketFactory: ISocketFactory;
      connectionTimeout: number;
      requestTimeout: number;
      enforceRequestTimeout: boolean;
      logger: Logger;
    });
    /** Its connections, each with the queue that it would send requests through. */
    readonly pool: readonly {
      readonly requestQueue: { destroy(): void };
      /** Milliseconds, as a Long; 0 without end. */
      readonly sessionLifetime: { toString(): string };
    }[];
  }
  // biome-ignore lint/style/noDefaultExport: that is how CommonJS appears here
  export default ConnectionPool;
}

declare module 'kafkajs/src/broker/index.js' {
  import type { Logger } from 'kafkajs';
  import type ConnectionPool from 'kafkajs/src/network/connectionPool.js';

  class Broker {
    constructor(options: { connectionPool: ConnectionPool; logger: Logger; authenticationTimeout: number });
    /** Connects, asks for the API versions, and authenticates. */
    connect(): Promise<void>;
  }
  // biome-ignore lint/style/noDefaultExport: that is how CommonJS appears here
  export default Broker;
}
