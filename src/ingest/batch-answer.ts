import { type ErrorCode, errorRow } from '../errors.ts';
import type { Problem } from '../http/problem.ts';
import type { PublishableEvent } from './dual-publisher.ts';
import type { Outcome } from './outcome.ts';

/** One event of a batch, as it was read and as it ended. */
export interface BatchResult {
  /** Its id, where it has a valid one. */
  readonly id: string | undefined;
  readonly outcome: Outcome;
  /** What is wrong with it, where that is known. */
  readonly problem?: Problem;
}

/** A result in an answer, without its id and what is wrong with it. */
const RESULT_BYTES = 192;

/**
 * What the answer to a batch takes while it waits for its client to read it. An id may have 128 characters of any
 * script, and V8 then keeps two bytes for each unit of the whole text.
 */
export function answerBytes(items: readonly (PublishableEvent | Problem)[]): number {
  let bytes = 0;
  for (const item of items) {
    const detail = 'code' in item ? item.errors?.[0]?.detail : undefined;
    bytes += RESULT_BYTES + 2 * ((item.id?.length ?? 0) + (detail?.length ?? 0));
  }
  return bytes;
}

/** The result of an event that was refused before it was published. */
export function refusedResult(problem: Problem): BatchResult {
  return { id: problem.id, outcome: { status: 'refused', code: problem.code }, problem };
}

export function publishedResult({ id }: PublishableEvent, outcome: Outcome): BatchResult {
  return { id, outcome };
}

/** How many events ended with each code that is not success. */
export function failureCounts(results: readonly BatchResult[]): ReadonlyMap<ErrorCode, number> {
  const counts = new Map<ErrorCode, number>();
  for (const { outcome } of results) {
    if ('code' in outcome) counts.set(outcome.code, (counts.get(outcome.code) ?? 0) + 1);
  }
  return counts;
}

/** The status of the whole answer: the first that fits. */
export function batchStatus(results: readonly BatchResult[]): number {
  const has = (status: Outcome['status']) => results.some(({ outcome }) => outcome.status === status);
  if (results.every(({ outcome }) => outcome.status === 'stored')) return 200;
  if (has('stored')) return 207;
  if (has('unknown')) return 504;
  if (has('not_stored')) return 503;
  return results.every(({ outcome }) => 'code' in outcome && outcome.code === 'forbidden') ? 403 : 422;
}

/**
 * The body of the answer: `stored`, `failed`, and a result for each event in the order of the request; with `isMinimal`
 * only for those that are not stored. Written by hand: ten thousand results would hold up the event loop otherwise.
 */
export function batchBody(results: readonly BatchResult[], isMinimal: boolean): string {
  let stored = 0;
  const written: string[] = [];
  results.forEach((result, index) => {
    const isStored = result.outcome.status === 'stored';
    if (isStored) stored += 1;
    if (!isStored || !isMinimal) written.push(resultText(result, index));
  });
  return `{"stored":${stored},"failed":${results.length - stored},"results":[${written.join(',')}]}`;
}

function resultText({ id, outcome, problem }: BatchResult, index: number): string {
  if (outcome.status === 'stored') {
    const { partition, offset } = outcome;
    return `{"index":${index},"id":${JSON.stringify(id)},"status":"stored","partition":${partition},"offset":${offset}}`;
  }
  const { status, code } = outcome;
  const { title, retryable } = errorRow(code);
  const [fault] = problem?.errors ?? [];
  const detail = fault?.detail ?? title;
  return JSON.stringify({ index, id, status, code, detail, pointer: fault?.pointer, retryable });
}
