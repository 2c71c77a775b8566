import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import kafkajs, {
  type ISocketFactoryArgs,
  type Kafka,
  type Logger,
  type logCreator,
  type SASLOptions,
} from 'kafkajs';
import type { Logger as PinoLogger } from 'pino';

const { Kafka: KafkaClient, logLevel } = kafkajs;

export interface KafkaSecurity {
  readonly clientId: string;
  /** Asked for each connection, as certificates are renewed; `undefined`: no TLS. */
  readonly tls: (() => ConnectionOptions) | undefined;
  readonly sasl: SASLOptions | undefined;
  /** Where kafkajs writes its own log lines. */
  readonly logger: Logger;
}

/** kafkajs's client, which sends no event of the service; its log lines become ours at level debug. */
export function kafkaClient(options: {
  readonly brokers: readonly { readonly host: string; readonly port: number }[];
  readonly clientId: string;
  readonly log: PinoLogger;
  readonly tls?: KafkaSecurity['tls'];
  readonly sasl?: KafkaSecurity['sasl'];
  /** Whether its connections are kept, rather than used for one reading. */
  readonly staysConnected?: boolean;
}): { kafka: Kafka; security: KafkaSecurity } {
  const { clientId, brokers, log, tls, sasl, staysConnected = false } = options;
  const creator: logCreator =
    () =>
    ({ namespace, log: { message, error } }) =>
      log.debug({ kafkajs: namespace, error }, message);
  const kafka = new KafkaClient({
    clientId,
    ssl: tls !== undefined,
    ...(sasl === undefined ? {} : { sasl }),
    // kafkajs would keep the certificates that it is given here.
    socketFactory: (target) => createSocket({ ...target, ...(tls === undefined ? {} : { ssl: tls() }) }),
    brokers: () => beginningAnywhere(brokers.map(({ host, port }) => `${host}:${port}`)),
    connectionTimeout: 3_000,
    requestTimeout: 5_000,
    retry: { retries: 0 },
    // By default a client for one reading would authenticate again and again where sessions are short.
    ...(!staysConnected && { reauthenticationThreshold: 0 }),
    logLevel: logLevel.INFO,
    logCreator: creator,
  });
  return { kafka, security: { clientId, tls, sasl, logger: kafka.logger() } };
}

/** Each client that is made from it begins with the first one, and without retries tries no other: it may be down. */
function beginningAnywhere(addresses: readonly string[]): string[] {
  const first = Math.floor(Math.random() * addresses.length);
  return [...addresses.slice(first), ...addresses.slice(0, first)];
}

/** As kafkajs's own, but for what kafkajs does not give up. */
export function createSocket({ host, port, ssl, onConnect }: ISocketFactoryArgs): Socket {
  const target = { host, port, noDelay: true, keepAlive: true, keepAliveInitialDelay: 60_000 };
  if (!ssl) return connectTcp(target, onConnect);
  return connectTls({ ...target, ...(isIP(host) ? {} : { servername: host }), ...ssl }, onConnect);
}
