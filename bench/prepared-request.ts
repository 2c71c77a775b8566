/** Requests whose bytes are built before they are needed, so that sending one costs next to nothing. */

export interface RequestShape {
  readonly events: number;
  readonly format: 'json' | 'ndjson';
  /** Of one event as it is sent: 100 at least. */
  readonly eventBytes: number;
  /** How many sources the events come from, one after the other. */
  readonly sources: number;
}

const NUMBER_DIGITS = 8;
const SOURCE_DIGITS = 7;
const ID_PREFIX = `{"id":"`;
const SOURCE_PREFIX = '"source_id":"source-';
const DATA = ',"data":{"n":12345.5,"ok":true,"tags":["a","b"],"text":"';

/** A whole HTTP request with events in it, each with an id that is new every time. */
export class PreparedRequest {
  readonly bytes: Buffer;
  readonly events: number;
  readonly #sources: number;
  /** Where the number within the id of each event begins. */
  readonly #numbersAt: readonly number[];
  /** From there to where the number of its source begins. */
  readonly #toSource: number;

  /** `seed`: requests of different ones have different prose in them. */
  constructor({ events, format, eventBytes, sources }: RequestShape, seed: number) {
    const texts = Array.from({ length: events }, (_, index) => eventText(eventBytes, seed + index));
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
    this.#sources = sources;
    this.#toSource = this.bytes.indexOf(SOURCE_PREFIX) + SOURCE_PREFIX.length - (numbersAt[0] ?? 0);
  }

  /** Gives the events the numbers from `first` on. Nothing of the last request may still have to be sent. */
  number(first: number): void {
    let number = first;
    for (const numberAt of this.#numbersAt) {
      this.#write(number, numberAt, NUMBER_DIGITS);
      this.#write(number % this.#sources, numberAt + this.#toSource, SOURCE_DIGITS);
      number += 1;
    }
  }

  #write(number: number, from: number, digits: number): void {
    let rest = number;
    for (let at = from + digits - 1; at >= from; at -= 1) {
      this.bytes[at] = 48 + (rest % 10);
      rest = Math.floor(rest / 10);
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

/** An event without data, and white space instead, if there is no room for any. */
function eventText(eventBytes: number, seed: number): string {
  const names = `${ID_PREFIX}${RUN}${'0'.repeat(NUMBER_DIGITS)}","type":"measured","source_type":"bench"`;
  const head = `${names},${SOURCE_PREFIX}${'0'.repeat(SOURCE_DIGITS)}"`;
  const proseLength = eventBytes - head.length - DATA.length - 3;
  return proseLength < 0
    ? `${head.padEnd(eventBytes - 1)}}`
    : `${head}${DATA}${proseOf(seed, proseLength)}"}}`;
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
