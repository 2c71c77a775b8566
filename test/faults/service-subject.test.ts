import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Outcome } from '../../src/ingest/outcome.ts';
import { faultEvent, type Numbered, valueFor } from './fault-event.ts';
import { HttpAnswers } from './http-answers.ts';
import { HttpConnection } from './http-connection.ts';
import { asSent, outcomesOf, startServiceSubject } from './service-subject.ts';
import type { Subject } from './subject.ts';

function stored(id: string, offset: number, header = ''): string {
  return answer('201 Created', { id, status: 'stored', partition: 3, offset }, header);
}

function answer(status: string, body: object, header = ''): string {
  const text = JSON.stringify(body);
  return `HTTP/1.1 ${status}\r\n${header}Content-Length: ${text.length}\r\n\r\n${text}`;
}

/** The ids of the events in what arrives. */
function idsIn(bytes: Buffer): string[] {
  return [...bytes.toString().matchAll(/\{"id":"(e\d+)"/g)].map(([, id = '']) => id);
}

function statusesOf(outcomes: readonly Outcome[]): string[] {
  return outcomes.map(({ status }) => status);
}

async function until(isTrue: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isTrue())) await delay(5);
}

describe('the answers of one connection', () => {
  it('are found wherever the bytes are cut', () => {
    const wire = Buffer.from(stored('e1', 7) + answer('503 Service Unavailable', { code: 'buffer-full' }));
    for (let cut = 0; cut <= wire.length; cut += 1) {
      const answers = new HttpAnswers();
      const found = [...answers.receive(wire.subarray(0, cut)), ...answers.receive(wire.subarray(cut))];
      assert.deepEqual(
        found.map(({ status }) => status),
        [201, 503],
      );
      assert.deepEqual(JSON.parse(found[0]?.body ?? ''), {
        id: 'e1',
        status: 'stored',
        partition: 3,
        offset: 7,
      });
    }
  });

  it('tell which of them is the last', () => {
    const wire = stored('e1', 7) + stored('e2', 8, 'Connection: close\r\n');
    const isLast = new HttpAnswers().receive(Buffer.from(wire)).map((each) => each.isLast);
    assert.deepEqual(isLast, [false, true]);
  });

  it('are not guessed from what is none', () => {
    assert.throws(() => new HttpAnswers().receive(Buffer.from('SSH-2.0-x\r\n\r\n')));
    assert.throws(() => new HttpAnswers().receive(Buffer.from('HTTP/1.1 200 OK\r\n\r\n')));
  });
});

describe('what an answer says about its event', () => {
  const event = faultEvent(1, 0);
  const said = (status: number, body: object) =>
    outcomesOf({ status, body: JSON.stringify(body), isLast: false }, [event])[0];

  it('is its outcome', () => {
    const place = { status: 'stored', partition: 2, offset: 5 };
    assert.deepEqual(said(201, { id: 'e1', ...place }), place);
    assert.deepEqual(said(503, { code: 'buffer-full' }), { status: 'not_stored', code: 'buffer-full' });
    assert.deepEqual(said(504, { code: 'outcome-unknown' }), { status: 'unknown', code: 'outcome-unknown' });
    assert.deepEqual(said(422, { code: 'invalid-event' }), { status: 'refused', code: 'invalid-event' });
    assert.deepEqual(said(500, { code: 'internal-error' }), { status: 'unknown', code: 'internal-error' });
  });

  it('is unknown without an answer', () => {
    assert.equal(outcomesOf('lost', [event])[0]?.status, 'unknown');
  });

  it('is "not stored" behind the last answer of a connection', () => {
    assert.equal(outcomesOf('unserved', [event])[0]?.status, 'not_stored');
  });

  it('is that of its place in a batch', () => {
    const events = [event, faultEvent(2, 0), faultEvent(3, 0)];
    const results = [
      { index: 0, id: 'e1', status: 'stored', partition: 0, offset: 9 },
      { index: 1, id: 'e2', status: 'unknown', code: 'outcome-unknown' },
      { index: 2, id: 'e3', status: 'not_stored', code: 'buffer-full' },
    ];
    const outcomes = (body: object, status = 207) =>
      outcomesOf({ status, body: JSON.stringify(body), isLast: false }, events);
    assert.deepEqual(outcomes({ results }), [
      { status: 'stored', partition: 0, offset: 9 },
      { status: 'unknown', code: 'outcome-unknown' },
      { status: 'not_stored', code: 'buffer-full' },
    ]);
    assert.throws(() => outcomes({ results: results.slice(1) }));
    assert.throws(() => outcomes({ results: results.toReversed() }));
    assert.deepEqual(
      outcomes({ code: 'kafka-unavailable' }, 503),
      events.map(() => ({ status: 'not_stored', code: 'kafka-unavailable' })),
    );
  });

  it('is never taken from the answer for another', () => {
    assert.throws(() => said(201, { id: 'e2', status: 'stored', partition: 0, offset: 0 }));
    assert.throws(() => said(201, { id: 'e1', status: 'stored' }));
    assert.throws(() => said(201, { id: 'e1', partition: 0, offset: 0 }));
  });

  it('is held against the record without the time that the service adds, and with everything else', () => {
    const sent = valueFor(1, 0);
    assert.equal(asSent(sent.replace('{', '{"time":"2026-01-02T03:04:05.678Z",')), sent);
    assert.notEqual(asSent(sent.replace('{', '{"time":"yesterday",')), sent);
    assert.notEqual(asSent(sent.replace('{', '{"other":1,')), sent);
  });
});

describe('the service as a subject', () => {
  const opened: { close(): unknown }[] = [];
  afterEach(() => {
    for (const each of opened.splice(0)) each.close();
  });

  async function server(onConnection: (socket: Socket) => void): Promise<Server> {
    const listening = createServer(onConnection).listen(0, '127.0.0.1');
    await once(listening, 'listening');
    opened.push(listening);
    return listening;
  }

  async function subjectOf(listening: Server, connections: number) {
    const { port } = listening.address() as { port: number };
    const subject = await startServiceSubject({ host: '127.0.0.1', port, connections, partitions: 6 });
    opened.unshift(subject);
    return subject;
  }

  it('sends the events of a source on one connection, in their order, before any answer', async () => {
    const seen = new Map<Socket, string[]>();
    const subject = await subjectOf(
      await server((socket) => {
        seen.set(socket, []);
        socket.on('error', () => {}).on('data', (bytes: Buffer) => seen.get(socket)?.push(...idsIn(bytes)));
      }),
      2,
    );
    const events = [0, 1, 0, 1, 0].map((source, number) => faultEvent(number, source));
    const outcomes = publishEach(subject, events);
    await until(() => [...seen.values()].flat().length === 5);
    assert.deepEqual(
      [...seen.values()].toSorted((a, b) => b.length - a.length),
      [
        ['e0', 'e2', 'e4'],
        ['e1', 'e3'],
      ],
    );
    // The answers cross, and each finds its event all the same.
    for (const [socket, ids] of [...seen].toReversed()) {
      socket.write(ids.map((id, index) => stored(id, 10 * ids.length + index)).join(''));
    }
    const offsets = (await outcomes).map((outcome) => outcome.status === 'stored' && outcome.offset);
    assert.deepEqual(offsets, [30, 20, 31, 21, 32]);
  });

  it('knows nothing about what was in flight when the connection is lost, and connects again', async () => {
    let connections = 0;
    const subject = await subjectOf(
      await server((socket) => {
        connections += 1;
        const isFirst = connections === 1;
        socket.on('error', () => {});
        socket.on('data', (bytes: Buffer) => {
          const [first = '', ...others] = idsIn(bytes);
          if (isFirst) socket.end(stored(first, 1));
          else socket.write([first, ...others].map((id) => stored(id, 2)).join(''));
        });
      }),
      1,
    );
    const publish = (...numbers: number[]) =>
      publishEach(
        subject,
        numbers.map((number) => faultEvent(number, 0)),
      );
    assert.deepEqual(statusesOf(await publish(1, 2)), ['stored', 'unknown']);
    assert.deepEqual(statusesOf(await publish(3)), ['not_stored'], 'nobody is connected');
    await until(async () => statusesOf(await publish(4))[0] === 'stored');
  });

  it('takes what follows the last answer of a connection for not stored, as nobody serves it', async () => {
    const listening = await server((socket) => {
      socket
        .on('error', () => {})
        .on('data', () => {
          socket.write(stored('e1', 1, 'Connection: close\r\n') + stored('e2', 2));
        });
    });
    const subject = await subjectOf(listening, 1);
    const outcomes = await publishEach(subject, [faultEvent(1, 0), faultEvent(2, 0)]);
    assert.deepEqual(statusesOf(outcomes), ['stored', 'not_stored']);
  });

  it('answers what is in flight when it is closed', async () => {
    const listening = await server((socket) => socket.on('error', () => {}).resume());
    const connection = new HttpConnection({
      host: '127.0.0.1',
      port: (listening.address() as { port: number }).port,
    });
    await until(() => connection.isOpen);
    const answered = new Promise((resolve) => connection.send('GET / HTTP/1.1\r\n\r\n', resolve));
    connection.close();
    assert.equal(await answered, 'lost');
  });
});

/** Each in a request of its own, all before the first answer. */
async function publishEach(subject: Subject, events: readonly Numbered[]): Promise<readonly Outcome[]> {
  const answers = events.map(
    (event) => new Promise<readonly Outcome[]>((settled) => subject.publish([event], settled)),
  );
  return (await Promise.all(answers)).flat();
}
