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
      const outcomes: Outcome[] = [];
      let missing = events.length;
      events.forEach((event, index) => {
        const connection = connections[connectionOf(event, count)];
        publishOn(connection, event, (outcome) => {
          outcomes[index] = outcome;
          missing -= 1;
          if (missing === 0) settled(outcomes);
        });
      });
    },
    partitionCount: () => partitions,
    kafkaErrors: new Map(),
    storedLate: () => 0,
    close,
  };
}

/** Publishes one event on one connection. With a route for batches, a group would become one request here. */
export function publishOn(
  connection: HttpConnection | undefined,
  event: Numbered,
  settled: (outcome: Outcome) => void,
): void {
  if (connection?.isOpen) {
    connection.send(requestOf(event), (answer) => settled(outcomeOf(answer, event)));
  } else {
    settled({ status: 'not_stored', code: NOT_CONNECTED });
  }
}

function requestOf({ head, tail }: Numbered): string {
  // All of it is ASCII, so that its length in bytes is that of the text.
  const body = head + tail.toString('latin1');
  return `POST /v1/events HTTP/1.1\r\nhost: service\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
}

/**
 * What an answer says about its event. Without an answer the client cannot know, unless it was told that none comes.
 * @throws Error when the answer is about another event: no outcome could be trusted after that.
 */
export function outcomeOf(answer: HttpAnswer | 'lost' | 'unserved', { id }: Numbered): Outcome {
  if (answer === 'lost') return { status: 'unknown', code: 'outcome-unknown' };
  if (answer === 'unserved') return { status: 'not_stored', code: UNSERVED };
  const said = JSON.parse(answer.body) as {
    id?: string;
    code?: ErrorCode;
    partition?: number;
    offset?: number;
  };
  if (said.id !== undefined && said.id !== id) throw new Error(`the answer for ${id} is about ${said.id}`);
  const { code = 'internal-error', partition, offset } = said;
  if (answer.status === 201) {
    if (partition === undefined || offset === undefined) throw new Error(`no place in ${answer.body}`);
    return { status: 'stored', partition, offset };
  }
  // 408: it did not arrive whole, also because the service had stopped reading behind answers that wait.
  if (answer.status === 503 || answer.status === 408) return { status: 'not_stored', code };
  return { status: answer.status < 500 ? 'refused' : 'unknown', code };
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
