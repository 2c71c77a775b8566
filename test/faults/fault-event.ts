import type { PublishableEvent } from '../../src/ingest/dual-publisher.ts';

/** The events of the fault runs. Everything in one follows from its number and its source, so any can be checked. */

export interface Numbered extends PublishableEvent {
  readonly number: number;
}

const PAD = 'abcdefghijklmnopqrstuvwxyz0123456789'.repeat(10);
const ID = /^\{"id":"e(\d+)",/;

export function faultEvent(number: number, source: number): Numbered {
  const tail = `"type":"fault","source_type":"fault","source_id":"${keyFor(source)}","data":"${padOf(number)}"}`;
  return {
    number,
    id: `e${number}`,
    type: 'fault',
    sourceType: 'fault',
    sourceId: keyFor(source),
    head: headOf(number),
    tail: Buffer.from(tail),
  };
}

export function keyFor(source: number): string {
  return `source-${source}`;
}

/** The value that the event's record must have. */
export function valueFor(number: number, source: number): string {
  const { head, tail } = faultEvent(number, source);
  return head + tail.toString();
}

/** The number in a record's value, or `undefined` where the value is none of ours. */
export function numberIn(value: string): number | undefined {
  const digits = ID.exec(value)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

function headOf(number: number): string {
  return `{"id":"e${number}",`;
}

/** 40 to 239 characters, which differ between neighbours. */
function padOf(number: number): string {
  return PAD.slice(number % 36, (number % 36) + 40 + (number % 200));
}
