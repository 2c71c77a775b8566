import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { numbersIn, PreparedRequest } from '../../bench/prepared-request.ts';
import { isEventInput } from '../../src/event.ts';

interface Sent {
  readonly id: string;
  readonly source_id: string;
}

describe('prepared requests', () => {
  it('hold events of the size asked for, which the service takes', () => {
    const { path, body } = parsed(request(1).bytes);
    assert.equal(path, '/v1/events');
    assert.equal(body.length, 300);
    assert.ok(isEventInput(JSON.parse(body)));
  });

  it('say how long their bodies are, in JSON and in NDJSON', () => {
    const json = parsed(request(3).bytes);
    const ndjson = parsed(request(3, 'ndjson').bytes);
    assert.equal(json.path, '/v1/events/batch');
    assert.equal(json.length, json.body.length);
    assert.equal(ndjson.length, ndjson.body.length);
    assert.equal((JSON.parse(json.body) as Sent[]).length, 3);
    assert.equal(ndjson.body.trimEnd().split('\n').length, 3);
  });

  it('may be of a hundred bytes', () => {
    const { body } = parsed(request(1, 'json', 100).bytes);
    assert.equal(body.length, 100);
    assert.ok(isEventInput(JSON.parse(body)));
  });

  it('go from source to source, and each has new ids', () => {
    const batch = request(3);
    batch.number(48);
    const events = JSON.parse(parsed(batch.bytes).body) as Sent[];
    assert.deepEqual(
      events.map(({ source_id }) => source_id),
      ['source-0000048', 'source-0000049', 'source-0000000'],
    );
    assert.deepEqual(
      events.map(({ id }) => id.slice(-8)),
      ['00000048', '00000049', '00000050'],
    );
  });

  it('are as large as the service takes, if asked to be', () => {
    const { body } = parsed(request(10_000, 'json', 1_000).bytes);
    assert.ok(body.length > 10_000_000 && body.length <= 10_485_760);
  });
});

describe('notifications', () => {
  it('are known by the numbers in their ids, wherever the bytes are cut', () => {
    const batch = new PreparedRequest({ events: 2, format: 'json', eventBytes: 300, sources: 50 }, 0);
    batch.number(12_345_678);
    const ids = (JSON.parse(parsed(batch.bytes).body) as Sent[]).map(({ id }) => id);
    const stream = Buffer.from(ids.map((id) => `$99\r\n{"id":"${id}","type":"t"}\r\n`).join(''));
    for (let cut = 0; cut <= stream.length; cut += 1) {
      const first = numbersIn(stream.subarray(0, cut));
      const second = numbersIn(stream.subarray(first.restAt));
      assert.deepEqual([...first.numbers, ...second.numbers], [12_345_678, 12_345_679], `cut at ${cut}`);
    }
  });

  it("of another process's events are passed over", () => {
    assert.deepEqual(numbersIn(Buffer.from('{"id":"b99999999-00000001","type":"t"}')).numbers, []);
  });
});

function request(events: number, format: 'json' | 'ndjson' = 'json', eventBytes = 300): PreparedRequest {
  return new PreparedRequest({ events, format, eventBytes, sources: 50 }, 7);
}

function parsed(bytes: Buffer): { path: string; length: number; body: string } {
  const [head = '', body = ''] = bytes.toString('latin1').split('\r\n\r\n');
  const length = Number(/content-length: (\d+)/.exec(head)?.[1]);
  return { path: head.split(' ')[1] ?? '', length, body };
}
