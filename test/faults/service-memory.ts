import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { brotliCompressSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { temporaryFolder } from '../../dev/folders.ts';
import { freePort } from '../../dev/free-port.ts';
import { type LocalKafka, startKafka } from '../../dev/local-kafka.ts';
import { type LocalRedis, startRedis } from '../../dev/local-redis.ts';
import { certificateFile } from '../certificates.ts';
import { type ServiceProcess, startServiceProcess } from './service-process.ts';

/**
 * The memory check of promise P3 on the real process: as a rule Kafka is killed, clients send more than fits, and resident
 * memory stays within idle + 2 x BUFFER_MAX_BYTES + 48 MB until the last of them is answered.
 * `npm run test:memory` runs all of it in about five minutes; `npm run test:memory -- name,name` some.
 */

export interface MemoryLoad {
  readonly connections: number;
  /** Pipelined, on each connection. */
  readonly requestsEach: number;
  readonly bodyBytes: number;
  /** Sends bodies in chunks, so that their length is not announced. */
  readonly isChunked?: boolean;
  /** `bodyBytes` of spaces in this coding, which make few bytes on the way. */
  readonly coding?: keyof typeof encoders;
  /** The requests are spread over so long; left out, each connection sends all of its own when it opens. */
  readonly spreadMs?: number;
  /** The requests come in so many bursts, one each second. */
  readonly bursts?: number;
  /** A line of the headers, as `Prefer: wait=1`. */
  readonly header?: string;
  readonly isTls?: boolean;
}

export interface MemoryOptions {
  readonly kafka: LocalKafka;
  readonly redis: LocalRedis;
  readonly load: MemoryLoad;
  /** Kafka is left running. */
  readonly isKafkaUp?: boolean;
  /** Runs the service in a control group with this limit. */
  readonly memoryBytesMax?: number;
  readonly settings?: Readonly<Record<string, string>>;
}

export interface Figures {
  readonly idleBytes: number;
  /** The most that was resident, minus idle. */
  readonly grownBytes: number;
  /** What promise P3 allows it to grow by. */
  readonly allowedBytes: number;
  readonly bufferBytesMax: number;
  readonly bufferEventsMax: number;
  readonly connectionsMax: number;
  /** Answers by status. */
  readonly statuses: ReadonlyMap<number, number>;
  readonly unanswered: number;
  /** From writing a request to its answer, of those that waited for Kafka. */
  readonly longestAnswerMs: number;
  /** Whether the management port answered whenever it was asked. */
  readonly isManageable: boolean;
  /** Whether the process ended before it was told to. */
  readonly isDead: boolean;
}

const ca = readFileSync(certificateFile('ca.pem'));
const encoders = { gzip: gzipSync, br: brotliCompressSync, zstd: zstdCompressSync };

const SPARE_BYTES = 48_000_000;
const SAMPLE_MS = 200;
const SETTLE_MS = 1_000;
/** More than the publish timeout and the answers that come with it. */
const PATIENCE_MS = 25_000;
const CONNECTING_MAX = 64;
const BURST_EVERY_MS = 1_000;

/** One load on a service of its own, as a rule while Kafka is stopped; Kafka runs again when this settles. */
export async function memoryUnderLoad(options: MemoryOptions): Promise<Figures> {
  const { kafka, redis, load, isKafkaUp = false, memoryBytesMax, settings } = options;
  const managementPort = await freePort();
  const service = await startServiceProcess({
    brokers: kafka.brokers,
    topic: 'events',
    redisUrl: redis.url,
    settings: {
      KAFKA_TOPIC_CREATE: 'true',
      MANAGEMENT_PORT: String(managementPort),
      ...settings,
    },
    logFile: join(temporaryFolder('service-memory'), 'service.log'),
    ...(memoryBytesMax !== undefined && { memoryBytesMax }),
  });
  try {
    await delay(SETTLE_MS);
    const idleBytes = service.memory().residentBytes;
    if (!isKafkaUp) await kafka.kill();
    const watch = new Watch(service, managementPort);
    const answers = await send(service.port, load);
    const seen = await watch.stop();
    const isDead = service.child.hasEnded();
    return {
      ...seen,
      ...answers,
      isDead,
      idleBytes,
      grownBytes: seen.residentBytesMax - idleBytes,
      allowedBytes: 2 * seen.bufferBytesLimit + SPARE_BYTES,
    };
  } finally {
    await service.kill();
    if (!isKafkaUp) await kafka.start();
  }
}

/** Looks at the service again and again, until it is told to stop. */
class Watch {
  readonly #service: ServiceProcess;
  readonly #url: string;
  readonly #watching: Promise<void>;
  #isOver = false;
  #isManageable = true;
  #residentBytesMax = 0;
  readonly #highest = new Map<string, number>();

  constructor(service: ServiceProcess, managementPort: number) {
    this.#service = service;
    this.#url = `http://${service.host}:${managementPort}/metrics`;
    this.#watching = this.#watch();
  }

  async stop() {
    this.#isOver = true;
    await this.#watching;
    const highest = (name: string) => this.#highest.get(`dual_stream_${name}`) ?? 0;
    return {
      residentBytesMax: this.#residentBytesMax,
      bufferBytesMax: highest('buffer_bytes'),
      bufferBytesLimit: highest('buffer_bytes_limit'),
      bufferEventsMax: highest('buffer_events'),
      connectionsMax: highest('connections'),
      isManageable: this.#isManageable,
    };
  }

  async #watch(): Promise<void> {
    while (!this.#isOver && !this.#service.child.hasEnded()) {
      this.#residentBytesMax = this.#service.memory().residentBytesMax;
      await this.#scrape();
      await delay(SAMPLE_MS);
    }
  }

  async #scrape(): Promise<void> {
    try {
      const text = await (await fetch(this.#url, { signal: AbortSignal.timeout(5_000) })).text();
      for (const [, name = '', value] of text.matchAll(/^(dual_stream_(?:buffer|connections)\w*) (\S+)$/gm)) {
        this.#highest.set(name, Math.max(Number(value), this.#highest.get(name) ?? 0));
      }
    } catch {
      this.#isManageable = false; // it may be dead, which is found out elsewhere
    }
  }
}

type Answers = Pick<Figures, 'statuses' | 'unanswered' | 'longestAnswerMs'>;

/** Sends the load, and stays connected until every request is answered or its connection closed. */
async function send(port: number, load: MemoryLoad): Promise<Answers> {
  const { connections, requestsEach, bursts } = load;
  const spreadMs = bursts === undefined ? load.spreadMs : bursts * BURST_EVERY_MS;
  const statuses = new Map<number, number>();
  const clients: Client[] = [];
  let longestAnswerMs = 0;
  let left = connections * requestsEach;
  let unanswered = 0;
  const { promise: isOver, resolve: over } = Promise.withResolvers<void>();
  const done = (count: number) => {
    left -= count;
    if (left <= 0) over();
  };
  const answered = (status: number, tookMs: number) => {
    statuses.set(status, (statuses.get(status) ?? 0) + 1);
    longestAnswerMs = Math.max(longestAnswerMs, tookMs);
    done(1);
  };
  const closed = (waiting: number) => {
    unanswered += waiting;
    done(waiting);
  };

  let opened = 0;
  const openNext = async (): Promise<void> => {
    while (opened < connections) {
      opened += 1;
      const client = new Client(port, load.isTls === true, answered, closed);
      clients.push(client);
      const bytes = request(load, opened);
      await client.connected;
      if (spreadMs === undefined) client.write(bytes, requestsEach);
    }
  };
  await Promise.all(Array.from({ length: CONNECTING_MAX }, openNext));
  if (spreadMs !== undefined) {
    const total = connections * requestsEach;
    const startedAt = performance.now();
    for (let sent = 0; sent < total; await delay(5)) {
      const steps = bursts ?? total;
      const step = Math.ceil((steps * (performance.now() - startedAt)) / spreadMs);
      const due = Math.min(total, Math.ceil((total * step) / steps));
      for (; sent < due; sent += 1) clients[sent % connections]?.write(request(load, sent), 1);
    }
  }
  const lastSentAt = performance.now();
  await Promise.race([isOver, delay(PATIENCE_MS, undefined, { ref: false })]);
  // Those that wait yet would be hidden by what was answered quickly.
  if (left > 0) longestAnswerMs = Math.max(longestAnswerMs, performance.now() - lastSentAt);
  for (const client of clients) client.destroy();
  return { statuses, unanswered: unanswered + Math.max(0, left), longestAnswerMs };
}

/** A connection that pipelines, and tells of each answer how long it took. */
class Client {
  readonly #socket: Socket;
  readonly #sentAt: number[] = [];
  readonly #closed: (waiting: number) => void;
  #text = '';
  /** Settles when it is connected, or refused. */
  readonly connected: Promise<void>;

  constructor(
    port: number,
    isTls: boolean,
    answered: (status: number, tookMs: number) => void,
    closed: (waiting: number) => void,
  ) {
    this.#closed = closed;
    const to = { port, host: '127.0.0.1', noDelay: true };
    this.#socket = isTls ? connectTls({ ...to, ca }) : connect(to);
    this.connected = new Promise((resolve) => {
      this.#socket.once(isTls ? 'secureConnect' : 'connect', resolve);
      this.#socket.once('close', () => resolve());
    });
    this.#socket.setEncoding('latin1');
    this.#socket.on('error', () => {}); // a reset is an end like any other
    this.#socket.on('close', () => closed(this.#sentAt.splice(0).length));
    this.#socket.on('data', (text: string) => {
      this.#text += text;
      let readTo = 0;
      for (const { 1: status, index } of this.#text.matchAll(/HTTP\/1\.1 (\d{3}) /g)) {
        readTo = index + 1;
        const sentAt = this.#sentAt.shift();
        if (sentAt !== undefined) answered(Number(status), performance.now() - sentAt);
      }
      this.#text = this.#text.slice(Math.max(readTo, this.#text.length - 'HTTP/1.1 503 '.length));
    });
  }

  write(bytes: Buffer, times: number): void {
    if (this.#socket.destroyed) {
      this.#closed(times);
      return;
    }
    for (let count = 0; count < times; count += 1) {
      this.#sentAt.push(performance.now());
      this.#socket.write(bytes);
    }
  }

  destroy(): void {
    this.#socket.destroy();
  }
}

const requests = new Map<string, Buffer>();
/** Enough to reach every partition. */
const SOURCES = 48;
const LARGE_BYTES = 1_000_000;

/** The bytes of a request; those of the same load and source are the same ones, as thousands of them are queued. */
function request(load: MemoryLoad, index: number): Buffer {
  const { bodyBytes, isChunked = false, coding, header } = load;
  const source = `s${bodyBytes > LARGE_BYTES ? 0 : index % SOURCES}`;
  const key = `${bodyBytes} ${isChunked} ${coding} ${header} ${source}`;
  const known = requests.get(key);
  if (known !== undefined) return known;
  const body = coding ? encoders[coding](Buffer.alloc(bodyBytes, ' ')) : eventOf(bodyBytes, source);
  const head = [
    'POST /v1/events HTTP/1.1',
    'Host: a',
    'Content-Type: application/json',
    isChunked ? 'Transfer-Encoding: chunked' : `Content-Length: ${body.length}`,
    ...(coding ? [`Content-Encoding: ${coding}`] : []),
    ...(header ? [header] : []),
  ].join('\r\n');
  const bytes = isChunked
    ? Buffer.concat([
        Buffer.from(`${head}\r\n\r\n${body.length.toString(16)}\r\n`),
        body,
        Buffer.from('\r\n0\r\n\r\n'),
      ])
    : Buffer.concat([Buffer.from(`${head}\r\n\r\n`), body]);
  requests.set(key, bytes);
  return bytes;
}

function eventOf(bytes: number, source: string): Buffer {
  const start = `{"id":"e1","type":"t","source_type":"user","source_id":"${source}","data":"`;
  return Buffer.from(`${start}${'x'.repeat(Math.max(0, bytes - start.length - 2))}"}`);
}

interface Case {
  readonly name: string;
  readonly load: MemoryLoad;
  readonly isKafkaUp?: boolean;
  readonly memoryBytesMax?: number;
  readonly settings?: Readonly<Record<string, string>>;
  /** What has to be true beside the check of P3, that the process lives, and that without Kafka nothing is answered 2xx. */
  readonly holds?: (figures: Figures) => Readonly<Record<string, boolean>>;
}

const ANSWER_MS_MAX = 15_500;
const allAnswered = ({ unanswered }: Figures) => ({ 'every request is answered': unanswered === 0 });
const inTime = (figures: Figures) => ({
  ...allAnswered(figures),
  'P5: within 15.5 s': figures.longestAnswerMs <= ANSWER_MS_MAX,
});

/** There is nobody at that address, so what can be kept of them is. */
const SPANS = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9' };
const TLS = { TLS_CERT_FILE: certificateFile('server.pem'), TLS_KEY_FILE: certificateFile('server.key') };

const cases: Case[] = [
  {
    name: 'bodies',
    load: { connections: 2_000, requestsEach: 1, bodyBytes: 100_000 },
    holds: allAnswered,
  },
  {
    name: 'bodies-in-256-mib',
    load: { connections: 2_000, requestsEach: 1, bodyBytes: 100_000 },
    memoryBytesMax: 256 * 1024 * 1024,
    holds: allAnswered,
  },
  {
    name: 'bodies-chunked',
    load: {
      connections: 200,
      requestsEach: 4,
      bodyBytes: 800_000,
      isChunked: true,
      spreadMs: 8_000,
      header: 'Prefer: wait=1',
    },
  },
  // Larger than an event may be, which is found out when they are complete.
  {
    name: 'bodies-chunked-refused',
    load: { connections: 200, requestsEach: 2, bodyBytes: 1_000_000, isChunked: true },
  },
  { name: 'bodies-refused', load: { connections: 200, requestsEach: 4, bodyBytes: 1_000_000 } },
  { name: 'bodies-large', load: { connections: 200, requestsEach: 1, bodyBytes: 10_000_000 } },
  {
    name: 'bodies-that-expire',
    load: {
      connections: 200,
      requestsEach: 40,
      bodyBytes: 100_000,
      spreadMs: 12_000,
      header: 'Prefer: wait=1',
    },
    // Where the buffer is full to the brim, a connection is closed behind an answer that had no room to wait on it.
    holds: ({ longestAnswerMs }) => ({ 'nothing hangs': longestAnswerMs <= 3_000 }),
  },
  {
    name: 'connections',
    load: { connections: 15_000, requestsEach: 1, bodyBytes: 200 },
    holds: ({ connectionsMax, isManageable }) => ({
      'as many connections as allowed': connectionsMax === 6_000,
      'the management port answers': isManageable,
    }),
  },
  { name: 'connections-and-bodies', load: { connections: 6_000, requestsEach: 1, bodyBytes: 9_000 } },
  { name: 'connections-and-requests', load: { connections: 6_000, requestsEach: 3, bodyBytes: 250 } },
  {
    name: 'requests',
    load: { connections: 50, requestsEach: 280, bodyBytes: 250 },
    holds: ({ bufferEventsMax }) => ({ 'at least 13,000 wait': bufferEventsMax >= 13_000 }),
  },
  {
    name: 'requests-in-a-second',
    load: { connections: 50, requestsEach: 150, bodyBytes: 250, spreadMs: 1_000 },
    holds: inTime,
  },
  {
    name: 'requests-each-second',
    load: { connections: 50, requestsEach: 240, bodyBytes: 250, spreadMs: 12_000 },
    holds: (figures) => ({ ...inTime(figures), 'all of them wait': figures.bufferEventsMax >= 11_900 }),
  },
  // All are stored; what they leave behind is garbage.
  {
    name: 'requests-in-bursts',
    load: { connections: 16, requestsEach: 6_600, bodyBytes: 250, bursts: 15 },
    isKafkaUp: true,
    holds: allAnswered,
  },
  {
    name: 'requests-with-spans',
    load: { connections: 50, requestsEach: 280, bodyBytes: 250 },
    settings: SPANS,
    holds: ({ bufferEventsMax }) => ({ 'at least 13,000 wait': bufferEventsMax >= 13_000 }),
  },
  {
    name: 'requests-in-bursts-with-spans',
    load: { connections: 16, requestsEach: 6_600, bodyBytes: 250, bursts: 15 },
    settings: SPANS,
    isKafkaUp: true,
    holds: allAnswered,
  },
  {
    name: 'connections-with-tls',
    load: { connections: 2_000, requestsEach: 3, bodyBytes: 250, isTls: true },
    settings: TLS,
    holds: ({ connectionsMax }) => ({ 'as many connections as allowed': connectionsMax === 655 }),
  },
  {
    name: 'bodies-with-tls',
    load: { connections: 600, requestsEach: 1, bodyBytes: 110_000, isTls: true },
    settings: TLS,
    holds: allAnswered,
  },
];

/** Small on the way, and ten times what a body may be for who decodes it. */
const BOMB_BYTES = 100_000_000;

for (const coding of ['gzip', 'br', 'zstd'] as const) {
  cases.push({
    name: `bombs-${coding}`,
    load: { connections: 100, requestsEach: 5, bodyBytes: BOMB_BYTES, coding },
    holds: ({ statuses, grownBytes, bufferBytesMax }) => ({
      'all are refused, and some for their size':
        statuses.has(413) && [...statuses.keys()].every((status) => status === 413 || status === 503),
      'memory grows by what is counted, and no more than is spare':
        grownBytes <= bufferBytesMax + SPARE_BYTES,
    }),
  });
}

/** Runs the cases with these names, or all, and prints what it finds. Returns how many checks failed. */
export async function runMemoryCases(
  names: readonly string[],
  print: (line: string) => void,
): Promise<number> {
  const [kafka, redis] = await Promise.all([startKafka(), startRedis()]);
  let passed = 0;
  let failed = 0;
  try {
    for (const { name, load, isKafkaUp = false, memoryBytesMax, settings, holds } of cases) {
      if (names.length > 0 && !names.includes(name)) continue;
      const figures = await memoryUnderLoad({
        kafka,
        redis,
        load,
        isKafkaUp,
        ...(memoryBytesMax !== undefined && { memoryBytesMax }),
        ...(settings !== undefined && { settings }),
      });
      print(`${name}: ${figuresText(figures)}`);
      const checks = {
        'P3: within its bound': figures.grownBytes <= figures.allowedBytes,
        'it lives': !figures.isDead,
        'P1: stored only with Kafka': [...figures.statuses.keys()].every(
          (status) => isKafkaUp === status < 400,
        ),
        ...holds?.(figures),
      };
      for (const [check, isTrue] of Object.entries(checks)) {
        if (isTrue) passed += 1;
        else failed += 1;
        if (!isTrue) print(`  FAILED: ${check}`);
      }
    }
  } finally {
    await Promise.all([kafka.kill(), redis.kill()]);
  }
  print(`${passed} passed, ${failed} failed`);
  return failed;
}

const megabytes = (bytes: number) => `${Math.round(bytes / 1e6)} MB`;

function figuresText(figures: Figures): string {
  const { idleBytes, grownBytes, allowedBytes, bufferBytesMax, bufferEventsMax } = figures;
  return [
    `idle ${megabytes(idleBytes)}, grown by ${megabytes(grownBytes)} of ${megabytes(allowedBytes)}`,
    `buffer ${megabytes(bufferBytesMax)} with ${bufferEventsMax} events, ${figures.connectionsMax} connections`,
    `answers ${[...figures.statuses].map(([status, count]) => `${status}: ${count}`).join(', ')}, none ${figures.unanswered}`,
    `longest ${(figures.longestAnswerMs / 1_000).toFixed(1)} s`,
  ].join('; ');
}

if (import.meta.main) {
  const names = process.argv[2]?.split(',') ?? [];
  process.exitCode =
    (await runMemoryCases(names, (line) => void process.stdout.write(`${line}\n`))) === 0 ? 0 : 1;
}
