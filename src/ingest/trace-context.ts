import type { IncomingMessage } from 'node:http';
import { encodeRecordHeaders } from './record-batch.ts';

/** Version 00 has exactly these fields; a later one may have more behind them (W3C Trace Context, 3.2). */
const TRACEPARENT =
  /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-[\x21-\x7e]*)?$/;
const TRACEPARENT_LENGTH = 55;
/** Of the list that vendors add; longer ones need not be passed on (3.3.1.5). */
const TRACESTATE_LENGTH_MAX = 512;
/** Both, as headers of a record. */
export const TRACE_HEADERS_BYTES_MAX = 2 * TRACESTATE_LENGTH_MAX + 64;
const TRACESTATE = /^[\x20-\x7e\t]+$/;

/**
 * The trace that a request belongs to, as headers of its records: `traceparent` and `tracestate`, so that consumers can
 * go on with it. `undefined`: it belongs to none, or what it says cannot be one.
 */
export function traceHeaders({ headers }: IncomingMessage): Buffer | undefined {
  const { traceparent, tracestate } = headers;
  if (typeof traceparent !== 'string' || !isTraceparent(traceparent)) return undefined;
  const isPassedOn =
    typeof tracestate === 'string' &&
    tracestate.length <= TRACESTATE_LENGTH_MAX &&
    TRACESTATE.test(tracestate);
  return encodeRecordHeaders({ traceparent, ...(isPassedOn && { tracestate }) });
}

function isTraceparent(value: string): boolean {
  const isWhole = value.startsWith('00')
    ? value.length === TRACEPARENT_LENGTH
    : value.length <= TRACESTATE_LENGTH_MAX;
  return isWhole && TRACEPARENT.test(value);
}
