import { setTimeout as delay } from 'node:timers/promises';
import type { ErrorCode } from '../../src/errors.ts';
import type { Outcome } from '../../src/ingest/outcome.ts';
import type { Numbered } from './fault-event.ts';
import type { HttpAnswer } from './http-answers.ts';
import { HttpConnection } from './http-connection.ts';
import type { Subject } from './subject.ts';

export interface ServiceSubjectOptions {
  readonly host: string;
  readonly port: number;
  /** Each source has one of them, so that its requests arrive in the order in which they were offered. */
  readonly connections: number;
  readonly partitions: number;
}

/**
 * What could not be sent because nobody listened, or came behind the last answer of its connection. Not codes of the
 * service's: it was never asked, or did not take the request in.
 */
const NOT_CONNECTED = 'not-connected' as ErrorCode;
const UNSERVED = 'unserved' as ErrorCode;
const CONNECT_TIMEOUT_MS = 10_000;
const TIME_MEMBER = /^\{"time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z",/;

/** The real service, over HTTP. What it does inside (attempts, late acks) cannot be seen from here. */
export async function startServiceSubject({
  connections: count,
  partitions,
  ...address
}: ServiceSubjectOptions): Promise<Subject> {
  const connections = Array.from({ length: count }, () => new HttpConnection(address));
  const close = async () => {
    for (const connection of connections) connection.close();
  };
  if (!(await untilOpen(connections))) {
    await close();
    throw new Error('the service does not take connections');
  }
  return {
    publish(events, settled) {
      const [first] = events;
      if (first === undefined) throw new Error('nothing to publish');
      const number = connectionOf(first, count);
      if (events.some((event) => connectionOf(event, count) !== number)) {
        throw new Error('a request has one connection, and so have its sources');
      }
      publishOn(connections[number], events, settled);
    },
    partitionCount: () => partitions,
    kafkaErrors: new Map(),
    storedLate: () => 0,
    close,
  };
}

/** Publishes one event, or a batch of several, on one connection. */
export function publishOn(
  connection: HttpConnection | undefined,
  events: readonly Numbered[],
  settled: (outcomes: readonly Outcome[]) => void,
): void {
  if (connection?.isOpen) {
    connection.send(requestOf(events), (answer) => settled(outcomesOf(answer, events)));
  } else {
    settled(events.map(() => ({ status: 'not_stored', code: NOT_CONNECTED })));
  }
}

function requestOf(events: readonly Numbered[]): string {
  // All of it is ASCII, so that its length in bytes is that of the text.
  const texts = events.map(({ head, tail }) => head + tail.toString('latin1'));
  const body = texts.length === 1 ? texts.join('') : `[${texts.join(',')}]`;
  const path = texts.length === 1 ? '/v1/events' : '/v1/events/batch';
  return `POST ${path} HTTP/1.1\r\nhost: service\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
}

/** What the service says of an event, in an answer about it alone or about many. */
interface Said {
  readonly id?: string;
  readonly status?: Outcome['status'] | number;
  readonly code?: ErrorCode;
  readonly partition?: number;
  readonly offset?: number;
}

/**
 * What an answer says about its events. Without an answer the client cannot know, unless it was told that none comes.
 * @throws Error when the answer is about other events: no outcome could be trusted after that.
 */
export function outcomesOf(
  answer: HttpAnswer | 'lost' | 'unserved',
  events: readonly Numbered[],
): readonly Outcome[] {
  if (answer === 'lost') return events.map(() => ({ status: 'unknown', code: 'outcome-unknown' }));
  if (answer === 'unserved') return events.map(() => ({ status: 'not_stored', code: UNSERVED }));
  const said = JSON.parse(answer.body) as Said & { results?: readonly Said[] };
  const { results = events.map(() => said) } = said;
  if (results.length !== events.length)
    throw new Error(`${results.length} results for ${events.length} events`);
  return events.map(({ id }, index) => outcomeOf(results[index] as Said, id, answer.status));
}

function outcomeOf(said: Said, id: string, httpStatus: number): Outcome {
  if (said.id !== undefined && said.id !== id) throw new Error(`the answer for ${id} is about ${said.id}`);
  const { code = 'internal-error', partition, offset } = said;
  switch (said.status) {
    case 'stored':
      if (partition === undefined || offset === undefined) throw new Error(`no place for ${id}`);
      return { status: 'stored', partition, offset };
    case 'refused':
    case 'not_stored':
    case 'unknown':
      return { status: said.status, code };
    default:
      // 408: it did not arrive whole, also because the service had stopped reading behind answers that wait.
      if (httpStatus === 503 || httpStatus === 408) return { status: 'not_stored', code };
      if (httpStatus < 400) throw new Error(`a success without an outcome for ${id}`);
      return { status: httpStatus < 500 ? 'refused' : 'unknown', code };
  }
}

/** A record's value as the client sent it: without the time that the service put before it. */
export function asSent(value: string): string {
  return value.replace(TIME_MEMBER, '{');
}

function connectionOf({ sourceId }: Numbered, count: number): number {
  return Number(sourceId.slice(sourceId.lastIndexOf('-') + 1)) % count;
}

async function untilOpen(connections: readonly HttpConnection[]): Promise<boolean> {
  const giveUpAt = performance.now() + CONNECT_TIMEOUT_MS;
  while (connections.some(({ isOpen }) => !isOpen)) {
    if (performance.now() > giveUpAt) return false;
    await delay(20);
  }
  return true;
}
