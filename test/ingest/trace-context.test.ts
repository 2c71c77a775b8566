import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { encodeRecordHeaders } from '../../src/ingest/record-batch.ts';
import { recordTrace, TRACE_HEADERS_BYTES_MAX } from '../../src/ingest/trace-context.ts';

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
