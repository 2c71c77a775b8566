import Type from 'typebox';
import type { Authentication } from '../authentication.ts';
import { type Readiness, readyzSchema } from '../http/probe-routes.ts';
import type { StoreState } from './store-watch.ts';

/** The state of each dependency, in its own words. */
export type QueryDependencies = {
  readonly postgres: StoreState;
  /** Where clients have to say who they are: whether that can be checked. */
  readonly authentication?: Authentication['state'];
};

export function queryReadiness(dependencies: QueryDependencies): Readiness {
  const { postgres, authentication } = dependencies;
  const isReady = postgres === 'up' && authentication !== 'unavailable';
  return { status: isReady ? 'ready' : 'unavailable', dependencies };
}

export const queryReadyzSchema = readyzSchema({
  summary: 'Whether events can be read now',
  ready: 'They can.',
  notReady:
    'They cannot: `unavailable` while PostgreSQL does not answer, until the event processor has made the tables of this version, and until the keys are known that tokens are checked with, `leaving` when the instance is about to stop.',
  dependencies: Type.Object({
    postgres: Type.Enum(['connecting', 'up', 'down', 'no-tables'] satisfies StoreState[]),
    authentication: Type.Optional(Type.Enum(['ready', 'unavailable'] satisfies Authentication['state'][])),
  }),
  examples: {
    ready: { postgres: 'up' },
    unavailable: { postgres: 'down' },
    leaving: { postgres: 'up' },
  },
});
