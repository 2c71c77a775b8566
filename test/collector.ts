import { createServer } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { gunzipSync } from 'node:zlib';
import { freePort } from '../dev/free-port.ts';

/** A span as it arrived. */
export interface CollectedSpan {
  readonly traceId: string;
  readonly spanId: string;
  /** Empty: it has none. */
  readonly parentSpanId: string;
  readonly traceState: string;
  readonly name: string;
  /** 2: server, 4: producer. */
  readonly kind: number;
  readonly startMs: number;
  readonly endMs: number;
  readonly attributes: Readonly<Record<string, string | number>>;
  /** 0: unset, 2: error. */
  readonly status: number;
  /** Of what sent it. */
  readonly resource: Readonly<Record<string, string | number>>;
}

/** What an OpenTelemetry collector would be sent (OTLP over HTTP, protobuf). */
export interface Collector {
  readonly url: string;
  readonly spans: CollectedSpan[];
  /** The headers of each request. */
  readonly headers: Readonly<Record<string, unknown>>[];
  /** All bytes that came in, to be searched. */
  readonly received: Buffer[];
  /** The status that it answers; 0: it never does. */
  answer: number;
  close(): Promise<void>;
}

export async function startCollector(): Promise<Collector> {
  const collector = { spans: [], headers: [], received: [], answer: 200 } as Omit<Collector, 'url' | 'close'>;
  const server = createServer(async (request, response) => {
    const sent = await buffer(request);
    const body = request.headers['content-encoding'] === 'gzip' ? gunzipSync(sent) : sent;
    collector.headers.push({ ...request.headers, path: request.url });
    collector.received.push(body);
    if (collector.answer === 200) collector.spans.push(...spansOf(body));
    if (collector.answer === 0) return;
    response.writeHead(collector.answer, { 'content-type': 'application/x-protobuf' }).end();
  });
  const port = await freePort();
  await new Promise<void>((listening) => server.listen(port, '127.0.0.1', listening));
  const close = () =>
    new Promise<void>((closed) => {
      server.close(() => closed());
      server.closeAllConnections();
    });
  return Object.assign(collector, { url: `http://127.0.0.1:${port}`, close });
}

/** The fields of an ExportTraceServiceRequest that tests ask for; the numbers are those of opentelemetry-proto. */
function spansOf(body: Buffer): CollectedSpan[] {
  return messages(body, 1).flatMap((resourceSpans) => {
    const resource = attributesOf(messages(resourceSpans, 1)[0] ?? Buffer.alloc(0), 1);
    return messages(resourceSpans, 2)
      .flatMap((scopeSpans) => messages(scopeSpans, 2))
      .map((span) => {
        const text = (field: number) => String(fieldsOf(span).get(field)?.[0] ?? '');
        const hex = (field: number) => (messages(span, field)[0] ?? Buffer.alloc(0)).toString('hex');
        const timeMs = (field: number) => Number((fieldsOf(span).get(field)?.[0] as bigint) / 1_000n) / 1_000;
        const status = messages(span, 15)[0];
        return {
          traceId: hex(1),
          spanId: hex(2),
          parentSpanId: hex(4),
          traceState: text(3),
          name: text(5),
          kind: Number(fieldsOf(span).get(6)?.[0] ?? 0),
          startMs: timeMs(7),
          endMs: timeMs(8),
          attributes: attributesOf(span, 9),
          status: Number((status && fieldsOf(status).get(3)?.[0]) ?? 0),
          resource,
        };
      });
  });
}

function attributesOf(message: Buffer, field: number): Record<string, string | number> {
  return Object.fromEntries(
    messages(message, field).map((pair) => {
      const key = String(messages(pair, 1)[0]);
      const value = fieldsOf(messages(pair, 2)[0] ?? Buffer.alloc(0));
      const [text] = value.get(1) ?? [];
      return [key, text === undefined ? Number(value.get(3)?.[0]) : String(text)];
    }),
  );
}

function messages(message: Buffer, field: number): Buffer[] {
  return (fieldsOf(message).get(field) ?? []) as Buffer[];
}

/** The values of each field (https://protobuf.dev/programming-guides/encoding/). */
function fieldsOf(message: Buffer): Map<number, (bigint | Buffer)[]> {
  const fields = new Map<number, (bigint | Buffer)[]>();
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = message[at++] as number;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < message.length) {
    const tag = Number(varint());
    const values = fields.get(tag >> 3) ?? [];
    fields.set(tag >> 3, values);
    switch (tag & 7) {
      case 0:
        values.push(varint());
        break;
      case 1:
        values.push(message.readBigUInt64LE(at));
        at += 8;
        break;
      case 2: {
        const length = Number(varint());
        values.push(message.subarray(at, at + length));
        at += length;
        break;
      }
      case 5:
        values.push(BigInt(message.readUInt32LE(at)));
        at += 4;
        break;
      default:
        throw new Error(`wire type ${tag & 7}`);
    }
  }
  return fields;
}
