/** Kafka's settings for a local cluster, by their names in server.properties. */

/** Which roles a node has shows in the ports it has. */
export interface NodePlace {
  readonly nodeId: number;
  readonly port: number | undefined;
  readonly controllerPort: number | undefined;
}

/** What tells one node from another. */
export function nodeProperties(
  { nodeId, port, controllerPort }: NodePlace,
  listeners: readonly string[] = [],
): Record<string, string> {
  const broker = port === undefined ? [] : [`PLAINTEXT://127.0.0.1:${port}`, ...listeners];
  const controller = controllerPort === undefined ? [] : [`CONTROLLER://127.0.0.1:${controllerPort}`];
  const roles = [...(port === undefined ? [] : ['broker']), ...controller.map(() => 'controller')];
  return {
    'node.id': String(nodeId),
    'process.roles': roles.join(','),
    listeners: [...broker, ...controller].join(','),
    ...(port === undefined ? {} : { 'advertised.listeners': broker.join(',') }),
  };
}

/** What all nodes of a cluster share. */
export function clusterProperties(brokers: number, places: readonly NodePlace[]): Record<string, string> {
  const replicationFactor = String(Math.min(3, brokers));
  const inSyncMin = brokers >= 3 ? '2' : '1';
  const voters = places.filter(({ controllerPort }) => controllerPort !== undefined);
  return {
    'controller.quorum.voters': voters
      .map(({ nodeId, controllerPort }) => `${nodeId}@127.0.0.1:${controllerPort}`)
      .join(','),
    'controller.listener.names': 'CONTROLLER',
    'listener.security.protocol.map':
      'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL',
    'inter.broker.listener.name': 'PLAINTEXT',
    'auto.create.topics.enable': 'false',
    'default.replication.factor': replicationFactor,
    'min.insync.replicas': inSyncMin,
    'offsets.topic.replication.factor': replicationFactor,
    'transaction.state.log.replication.factor': replicationFactor,
    'transaction.state.log.min.isr': inSyncMin,
    'share.coordinator.state.topic.replication.factor': replicationFactor,
    'share.coordinator.state.topic.min.isr': inSyncMin,
    // A first consumer would wait for the creation of 50.
    'offsets.topic.num.partitions': '1',
    'transaction.state.log.num.partitions': '1',
    'share.coordinator.state.topic.num.partitions': '1',
    // Consumers of a test join at once.
    'group.initial.rebalance.delay.ms': '0',
    // A killed broker is let in again when its old session is over. With a single one nobody else needs it longer.
    ...(brokers === 1 ? { 'broker.session.timeout.ms': '3000', 'broker.heartbeat.interval.ms': '500' } : {}),
    // The default is half of this heap.
    'log.cleaner.dedupe.buffer.size': '16777216',
  };
}
