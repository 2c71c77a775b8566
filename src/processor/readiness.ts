import Type from 'typebox';
import { type Readiness, readyzSchema } from '../http/probe-routes.ts';

/** The state of each dependency, in its own words. */
export type ProcessorDependencies = {
  /** `up`: member of the group. */
  readonly kafka: 'connecting' | 'up' | 'down';
  readonly postgres: 'connecting' | 'up' | 'down';
};

/** Both are needed to store anything. */
export function processorReadiness(dependencies: ProcessorDependencies): Readiness {
  const { kafka, postgres } = dependencies;
  return { status: kafka === 'up' && postgres === 'up' ? 'ready' : 'unavailable', dependencies };
}

const states = ['connecting', 'up', 'down'] as const;

export const processorReadyzSchema = readyzSchema({
  summary: 'Whether events are being stored',
  ready: 'They are.',
  notReady: 'They are not: Kafka or PostgreSQL cannot be used, or the program is about to stop.',
  dependencies: Type.Object({ kafka: Type.Enum([...states]), postgres: Type.Enum([...states]) }),
  examples: {
    ready: { kafka: 'up', postgres: 'up' },
    unavailable: { kafka: 'up', postgres: 'down' },
    leaving: { kafka: 'up', postgres: 'up' },
  },
});
