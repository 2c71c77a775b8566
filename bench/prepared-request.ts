/** Requests whose bytes are built before they are needed, so that sending one costs next to nothing. */

export interface RequestShape {
  readonly events: number;
  readonly format: 'json' | 'ndjson';
  /** Of one event as it is sent. */
  readonly eventBytes: number;
}

const NUMBER_DIGITS = 8;
const ID_PREFIX = `{"id":"`;
const DATA = '"data":{"n":12345.5,"ok":true,"tags":["a","b"],"text":"';

/** A whole HTTP request with events in it, each with an id that is new every time. */
export class PreparedRequest {
  readonly bytes: Buffer;
  readonly events: number;
  /** Where the number within the id of each event begins. */
  readonly #numbersAt: readonly number[];

  /** `source` of the first event; the others have those that follow, so that a batch goes to all partitions. */
  constructor({ events, format, eventBytes }: RequestShape, source: number) {
    const texts = Array.from({ length: events }, (_, index) => eventText(eventBytes, source + index));
    const path = events === 1 ? '/v1/events' : '/v1/events/batch';
    const isJson = format === 'json';
    const body = events === 1 ? texts.join('') : isJson ? `[${texts.join(',')}]` : `${texts.join('\n')}\n`;
    const type = isJson ? 'application/json' : 'application/x-ndjson';
    // All of it is ASCII, so that its length in bytes is that of the text.
    this.bytes = Buffer.from(
      `POST ${path} HTTP/1.1\r\nhost: bench\r\ncontent-type: ${type}\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
      'latin1',
    );
    this.events = events;
    const numbersAt: number[] = [];
    for (let at = this.bytes.indexOf(ID_PREFIX); at >= 0; at = this.bytes.indexOf(ID_PREFIX, at + 1)) {
      numbersAt.push(at + ID_PREFIX.length + RUN.length);
    }
    this.#numbersAt = numbersAt;
  }

  /** Gives the events the numbers from `first` on. Nothing of the last request may still have to be sent. */
  number(first: number): void {
    let number = first;
    for (const numberAt of this.#numbersAt) {
      let rest = number;
      for (let at = numberAt + NUMBER_DIGITS - 1; at >= numberAt; at -= 1) {
        this.bytes[at] = 48 + (rest % 10);
        rest = Math.floor(rest / 10);
      }
      number += 1;
    }
  }
}

/** A request for a resource, without a body. */
export function preparedGet(path: string): Pick<PreparedRequest, 'bytes' | 'events' | 'number'> {
  return { bytes: Buffer.from(`GET ${path} HTTP/1.1\r\nhost: bench\r\n\r\n`), events: 1, number: () => {} };
}

/** What the ids of this process begin with; those of another one are about somebody else's requests. */
const RUN = `b${String(process.pid).padStart(8, '0')}-`;
const RUN_IN_MESSAGE = Buffer.from(`${ID_PREFIX}${RUN}`);

/** The numbers of this process's events in the JSON of notifications, and where what was not looked at begins. */
export function numbersIn(bytes: Buffer): { readonly numbers: readonly number[]; readonly restAt: number } {
  const numbers: number[] = [];
  let restAt = 0;
  for (let at = bytes.indexOf(RUN_IN_MESSAGE); at >= 0; at = bytes.indexOf(RUN_IN_MESSAGE, restAt)) {
    const numberAt = at + RUN_IN_MESSAGE.length;
    if (numberAt + NUMBER_DIGITS > bytes.length) return { numbers, restAt: at };
    restAt = numberAt + NUMBER_DIGITS;
    numbers.push(Number(bytes.toString('latin1', numberAt, restAt)));
  }
  return { numbers, restAt: Math.max(restAt, bytes.length - RUN_IN_MESSAGE.length) };
}

function eventText(eventBytes: number, source: number): string {
  const names = `${ID_PREFIX}${RUN}${'0'.repeat(NUMBER_DIGITS)}","type":"bench.measured","source_type":"bench"`;
  const head = `${names},"source_id":"source-${String(source % 1_000).padStart(3, '0')}",${DATA}`;
  return `${head}${proseOf(source, eventBytes - head.length - 3)}"}}`;
}

const WORDS =
  'order paid account city the invoice of to and user opened closed issue branch merged release device reading';

/** Text that compresses about as well as prose does, and differs from source to source. */
function proseOf(seed: number, length: number): string {
  const words = WORDS.split(' ');
  let state = seed + 1;
  let prose = '';
  while (prose.length < length) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0; // Numerical Recipes, quick and dirty
    prose += `${words[(state >>> 16) % words.length]} ${state % 100} `;
  }
  return prose.slice(0, length);
}
