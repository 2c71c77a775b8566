import assert from 'node:assert/strict';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { buildApp } from '../../src/ingest/app.ts';
import { encodeRecordHeaders } from '../../src/ingest/record-batch.ts';
import { recordTrace, TRACE_HEADERS_BYTES_MAX } from '../../src/ingest/trace-context.ts';
import type { RequestSpan, Tracing } from '../../src/tracing.ts';
import { appOptions } from '../fakes/app-options.ts';
import { RawClient } from '../raw-client.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN = '00f067aa0ba902b7';
const of = (headers: Record<string, string>) => recordTrace({ headers }, undefined)?.headers;

describe('the trace of a request', () => {
  it('is passed on, with what vendors add to it', () => {
    const traceparent = `00-${TRACE}-${SPAN}-01`;
    assert.deepEqual(of({ traceparent }), encodeRecordHeaders({ traceparent }));
    const tracestate = 'congo=t61rcWkgMzE,rojo=00f067aa0ba902b7';
    assert.deepEqual(of({ traceparent, tracestate }), encodeRecordHeaders({ traceparent, tracestate }));
    const later = `01-${TRACE}-${SPAN}-01-more`;
    assert.deepEqual(of({ traceparent: later }), encodeRecordHeaders({ traceparent: later }));
  });

  for (const traceparent of [
    '',
    `00-${TRACE}-${SPAN}`,
    `00-${TRACE}-${SPAN}-1`,
    `00-${TRACE}-${SPAN}-01-more`,
    `00-${TRACE.toUpperCase()}-${SPAN}-01`,
    `00-${'0'.repeat(32)}-${SPAN}-01`,
    `00-${TRACE}-${'0'.repeat(16)}-01`,
    `ff-${TRACE}-${SPAN}-01`,
    ` 00-${TRACE}-${SPAN}-01`,
    `01-${TRACE}-${SPAN}-01-${'x'.repeat(1_000)}`,
    `00-${TRACE}-${SPAN}-01, 00-${TRACE}-${SPAN}-01`,
  ]) {
    it(`is ignored if it is ${JSON.stringify(traceparent).slice(0, 80)}`, () => {
      assert.equal(of({ traceparent, tracestate: 'a=b' }), undefined);
    });
  }

  it('is passed on without what is too long or no header, and never takes more than is allowed for', () => {
    const traceparent = `00-${TRACE}-${SPAN}-01`;
    for (const tracestate of ['x'.repeat(513), 'a=\u00e9', 'a=\u0000', ''])
      assert.deepEqual(of({ traceparent, tracestate }), encodeRecordHeaders({ traceparent }));
    const longest = of({
      traceparent: `01-${TRACE}-${SPAN}-01-`.padEnd(512, 'x'),
      tracestate: 'x'.repeat(512),
    });
    assert.ok(
      longest && longest.length > 1_000 && longest.length <= TRACE_HEADERS_BYTES_MAX,
      `${longest?.length}`,
    );
  });

  it('alone is nothing: a state without a trace', () => {
    assert.equal(of({ tracestate: 'a=b' }), undefined);
    assert.equal(of({}), undefined);
  });
});

const event = (id: string) => `{"id":"${id}","type":"t","source_type":"user","source_id":"s"}`;

const post = (id: string, length = event(id).length) =>
  `POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\n\r\n${event(id)}`;

describe('the spans of requests', () => {
  const slow = post('slow');
  const others = ['a', 'b', 'c'].map((id) => post(id)).join('');
  const tunnel = 'CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n';
  const endings: Readonly<
    Record<string, readonly [sent: string, statuses: readonly (number | undefined)[]]>
  > = {
    'is lost behind one that waits': [slow + others, [undefined, undefined, undefined, undefined]],
    'is lost behind a tunnel that is asked for': [
      slow + others + tunnel,
      [undefined, undefined, undefined, undefined],
    ],
    'is lost in the middle of a body': [post('slow', 1_000), [undefined]],
    'is lost behind answers that have left': [others, [201, 201, 201]],
  };

  for (const [name, [sent, statuses]] of Object.entries(endings)) {
    it(`each end once when their connection ${name}`, async () => {
      const ended: (number | undefined)[] = [];
      let begun = 0;
      const request = (): Pick<RequestSpan, 'end' | 'traceId' | 'isRecording' | 'send'> => {
        begun += 1;
        return {
          traceId: TRACE,
          isRecording: false,
          send: () => undefined,
          end: (status) => void ended.push(status),
        };
      };
      const tracing = { request } as unknown as Tracing;
      const later: (() => void)[] = [];
      const app = await buildApp(
        appOptions({
          tracing,
          publish: ({ events, hold, settled }) => {
            const answer = () => {
              hold.close();
              settled([{ status: 'stored', partition: 0, offset: 0 }]);
            };
            if (events[0]?.id === 'slow') later.push(answer);
            else answer();
          },
        }),
      );
      await app.listen({ host: '127.0.0.1', port: 0 });
      const client = await RawClient.connect((app.server.address() as AddressInfo).port);
      client.write(sent);
      while (begun < statuses.length) await delay(5);
      await delay(50);
      client.reset();
      await delay(50);
      for (const answer of later) answer();
      await app.close();
      assert.deepEqual(new Set(ended), new Set(statuses));
      assert.ok(ended.length >= begun, `${ended.length} of ${begun}`);
    });
  }
});
