import Type from 'typebox';
import type { Authentication } from '../authentication.ts';
import { type Readiness, readyzSchema } from '../http/probe-routes.ts';
import type { KafkaReadiness } from './availability.ts';
import type { RedisState as ConnectionState } from './redis-connection.ts';

/** `off`: nobody is to be notified. */
type RedisState = ConnectionState | 'off';

/** The state of each dependency, in its own words. */
export type IngestDependencies = {
  readonly kafka: KafkaReadiness;
  readonly redis: RedisState;
  /** Where clients have to say who they are: whether that can be checked. */
  readonly authentication?: Authentication['state'];
};

/** Redis is best effort: without it events are stored all the same. */
export function ingestReadiness(dependencies: IngestDependencies): Readiness {
  return { status: statusOf(dependencies), dependencies };
}

function statusOf({ kafka, redis, authentication }: IngestDependencies): Readiness['status'] {
  if (authentication === 'unavailable') return 'unavailable';
  if (kafka !== 'available' && kafka !== 'degraded') return 'unavailable';
  return kafka === 'available' && (redis === 'up' || redis === 'off') ? 'ready' : 'degraded';
}

export const ingestReadyzSchema = readyzSchema({
  summary: 'Whether events can be stored now',
  ready:
    'They can: `ready`, or `degraded` while subscribers on Redis are not told, or some partitions take no events.',
  notReady:
    'They cannot: `unavailable` before the first contact with Kafka, while Kafka takes nothing, and until the keys are known that tokens are checked with, `leaving` when the instance is about to stop.',
  dependencies: Type.Object({
    kafka: Type.Enum(['connecting', 'available', 'degraded', 'unavailable'] satisfies KafkaReadiness[]),
    redis: Type.Enum(['connecting', 'up', 'down', 'closed', 'off'] satisfies RedisState[]),
    authentication: Type.Optional(Type.Enum(['ready', 'unavailable'] satisfies Authentication['state'][])),
  }),
  examples: {
    ready: { kafka: 'available', redis: 'up' },
    degraded: { kafka: 'available', redis: 'down' },
    unavailable: { kafka: 'unavailable', redis: 'up' },
    leaving: { kafka: 'available', redis: 'up' },
  },
});
