import { brokersKilled, logTruncated, partitionsRaised } from './kafka-scenarios.ts';
import { postgresRestart } from './postgres-restart.ts';
import {
  loneProcessorKill,
  processorKill,
  processorPaused,
  rolling,
  termWithout,
} from './processor-scenarios.ts';
import { replay } from './replay.ts';
import type { StoreScenario } from './scenario.ts';
import { throughAllParts } from './through-all-parts.ts';

export const scenarios: readonly StoreScenario[] = [
  processorKill,
  loneProcessorKill,
  postgresRestart,
  partitionsRaised,
  brokersKilled,
  processorPaused,
  replay,
  logTruncated,
  rolling,
  termWithout,
  throughAllParts,
];
