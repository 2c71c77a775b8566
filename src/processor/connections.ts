import type { Logger } from 'pino';
import { brokerAddresses } from '../config.ts';
import { kafkaClient } from '../kafka/kafka-client.ts';
import { isSecretInClear, saslOptions } from '../kafka/kafka-sasl.ts';
import type { Metrics } from '../metrics.ts';
import { openTogether } from '../open-together.ts';
import { openStore, type Store } from '../store/postgres.ts';
import type { ProcessorConfig } from '../store-config.ts';
import { tlsFilesOf } from '../tls-files.ts';

/** What the settings lead to. Nothing is connected until it is used. */
export interface Connections {
  readonly kafka: ReturnType<typeof kafkaClient>['kafka'];
  readonly store: Store;
  close(): Promise<void>;
}

const STATEMENT_TIMEOUT_MS = 30_000;

/** @throws ConfigError when a file that a setting leads to cannot be used */
export function openConnections(
  config: ProcessorConfig,
  options: {
    readonly applicationName: string;
    readonly storeConnectionsMax: number;
    readonly log: Logger;
    readonly metrics: Pick<Metrics, 'credentialsCurrent' | 'certificateExpires'>;
    /** Whether PostgreSQL answers, whenever that changes. */
    readonly onStoreState?: (isUp: boolean) => void;
  },
): Connections {
  const { applicationName, storeConnectionsMax, log, metrics, onStoreState } = options;
  const files = openTogether((keep) => {
    const filesOf = (setting: 'KAFKA_SSL' | 'POSTGRES_SSL') =>
      config[setting] ? keep(tlsFilesOf(config, setting, { log, metrics })) : undefined;
    return { kafka: filesOf('KAFKA_SSL'), postgres: filesOf('POSTGRES_SSL') };
  });
  const { kafka: kafkaFiles, postgres: postgresFiles } = files;
  const kafkaLog = log.child({ part: 'kafka' });
  if (isSecretInClear(config))
    kafkaLog.warn('KAFKA_SSL is not set: what proves to Kafka who this is goes over the network in clear');
  const { kafka } = kafkaClient({
    brokers: brokerAddresses(config.KAFKA_BROKERS),
    clientId: config.KAFKA_CLIENT_ID,
    log: kafkaLog,
    tls: kafkaFiles && (() => kafkaFiles.value),
    sasl: saslOptions(config),
    staysConnected: true,
  });
  const store = openStore({
    url: config.POSTGRES_URL,
    tls: postgresFiles && (() => postgresFiles.value),
    applicationName,
    connectionsMax: storeConnectionsMax,
    statementTimeoutMs: STATEMENT_TIMEOUT_MS,
    log: log.child({ part: 'postgres' }),
    ...(onStoreState && { onState: onStoreState }),
  });
  const close = async () => {
    files.close();
    await store.close();
  };
  return { kafka, store, close };
}
