import {
  chunk,
  event,
  HOST,
  ID,
  JSON_TYPE,
  LAST_CHUNK,
  LIMITS,
  MARKER,
  NDJSON_TYPE,
  NOTE,
  post,
  postBatch,
  type RawCase,
  refused,
  request,
  results,
  utf8,
} from './raw-case.ts';

/** The id of another event of the case. */
const other = (suffix: string, members: Readonly<Record<string, string>> = {}) =>
  event({ id: `"${ID}-${suffix}"`, ...members });
const ndjson = (...lines: readonly string[]) => postBatch(lines.join('\n'), NDJSON_TYPE);
const json = (...elements: readonly string[]) => postBatch(`[${elements.join(',')}]`);
const malformed = (name: string, body: string) => refused(name, postBatch(body), 400, 'malformed-json');
const badQuery = (name: string, query: string, pointer: string) =>
  refused(name, postBatch(`[${event()}]`, JSON_TYPE, query), 422, 'invalid-request', { pointers: [pointer] });
const INVALID = other('bad', { source_type: '"NOT ONE"' });
const many = (count: number) => Array.from({ length: count }, (_, index) => other(String(index)));

/** Arrays and lines of events. */
export const batchCases: readonly RawCase[] = [
  malformed('an object in place of an array', event()),
  malformed('a string in place of an array', `"${MARKER}"`),
  malformed('a comma behind the last element', `[${event()},]`),
  malformed('a comma before the first element', `[,${event()}]`),
  malformed('two commas', `[${event()},,${other('b')}]`),
  malformed('no comma', `[${event()} ${other('b')}]`),
  malformed('an array that does not end', `[${event()}`),
  malformed('an array that ends as an object does', `[${event()}}`),
  malformed('two arrays in a row', `[${event()}][${other('b')}]`),
  malformed('a fault of syntax in the last element', `[${event()},{"id":tru}]`),
  malformed('lines in place of an array', `${event()}\n${other('b')}`),
  malformed('an array without its beginning', `${event()},${other('b')}]`),
  refused(
    'a byte that is no UTF-8 in one element',
    json(event(), other('b', { data: '"\xff"' })),
    400,
    'invalid-utf8',
  ),
  refused('an empty array', postBatch('[]', JSON_TYPE, '', NOTE), 422, 'batch-empty'),
  refused('a batch without body', postBatch('', JSON_TYPE, '', NOTE), 400, 'empty-body'),
  refused('nothing but blank lines', postBatch('\n \r\n\t\n', NDJSON_TYPE, '', NOTE), 400, 'empty-body'),
  refused(
    'an array with one event too many',
    json(...many(LIMITS.batchEventsMax + 1)),
    413,
    'batch-too-large',
  ),
  refused('one line too many', ndjson(...many(LIMITS.batchEventsMax + 1)), 413, 'batch-too-large'),
  results(
    'as many events as allowed',
    json(...many(LIMITS.batchEventsMax)),
    200,
    Array(LIMITS.batchEventsMax).fill('stored'),
  ),
  results(
    'as many lines as allowed, and blank ones that are none',
    ndjson(...many(LIMITS.batchEventsMax).flatMap((line) => [line, '', ' \t'])),
    200,
    Array(LIMITS.batchEventsMax).fill('stored'),
  ),
  refused(
    'a batch of more bytes than a body may have',
    postBatch(`[${event()}]`.padEnd(LIMITS.bodyBytesMax + 1)),
    413,
    'body-too-large',
  ),

  results('an array in the array', json(`[${event()}]`), 422, ['invalid-event']),
  results(
    'scalars in the array',
    json('null', '5', `"${MARKER}"`, 'true'),
    422,
    Array(4).fill('invalid-event'),
  ),
  results('refused ones between good ones', json(event(), INVALID, other('b'), '{}', other('c')), 207, [
    'stored',
    'invalid-event',
    'stored',
    'invalid-event',
    'stored',
  ]),
  results(
    'each of what refuses one event',
    json(
      event(),
      other('b', { data: '"'.padEnd(LIMITS.eventBytesMax, 'x').concat('"') }),
      other('c', { data: '['.repeat(65) + ']'.repeat(65) }),
      other('d', { data: '{"a":1,"a":2}' }),
      other('e', { data: `{"__proto__":"${MARKER}"}` }),
    ),
    207,
    ['stored', 'event-too-large', 'json-too-deep', 'duplicate-key', 'forbidden-key'],
  ),
  results('one id in two events', json(event(), event()), 200, ['stored', 'stored']),
  results(
    'one name in two events',
    json(other('a', { data: '{"a":1}' }), other('b', { data: '{"a":1}' })),
    200,
    ['stored', 'stored'],
  ),
  results(
    'an array in chunks that end anywhere',
    request(
      ['POST /v1/events/batch HTTP/1.1', HOST, JSON_TYPE, 'Transfer-Encoding: chunked'],
      `${(utf8(`[${event({ id: '', data: '"\u{1f600}\\u00e9"' })},${event({ id: '' })}]`).match(/.{1,7}/gs) ?? []).map((part) => chunk(part)).join('')}${LAST_CHUNK}`,
    ),
    200,
    ['stored', 'stored'],
  ),

  results('lines that end in CRLF, and none behind the last', ndjson(`${event()}\r`, `\r`, other('b')), 200, [
    'stored',
    'stored',
  ]),
  results('an unreadable line between good ones', ndjson(event(), `{"id":${MARKER}`, other('b')), 207, [
    'stored',
    'malformed-json',
    'stored',
  ]),
  results(
    'a line that is no UTF-8 between good ones',
    ndjson(event(), other('x', { data: '"\xe9"' }), other('b')),
    207,
    ['stored', 'invalid-utf8', 'stored'],
  ),
  results('a byte order mark before the first line', ndjson(utf8('\ufeff') + event(), other('b')), 207, [
    'invalid-utf8',
    'stored',
  ]),
  results(
    'an event on several lines',
    ndjson(...event().replaceAll(',', ',\n').split('\n')),
    422,
    Array(4).fill('malformed-json'),
  ),
  results('an array on one line', ndjson(`[${event()},${other('b')}]`), 422, ['invalid-event']),
  results('two events on one line', ndjson(`${event()}${other('b')}`), 422, ['malformed-json']),
  results('a comma behind each line', ndjson(`${event()},`, other('b')), 207, ['malformed-json', 'stored']),
  results('lines that end in a carriage return alone', ndjson(`${event()}\r${other('b')}`), 422, [
    'malformed-json',
  ]),
  results('the record separators of JSON sequences', ndjson(`\x1e${event()}`, `\x1e${other('b')}`), 422, [
    'malformed-json',
    'malformed-json',
  ]),
  results('a line of NUL', ndjson('\0', event()), 207, ['malformed-json', 'stored']),
  results('a line that is too large', ndjson('x'.repeat(LIMITS.eventBytesMax + 1), event()), 207, [
    'event-too-large',
    'stored',
  ]),

  results(
    'on_refused=abort and one refused',
    postBatch(`[${event()},${INVALID},${other('b')}]`, JSON_TYPE, '?on_refused=abort'),
    422,
    ['batch-aborted', 'invalid-event', 'batch-aborted'],
  ),
  results(
    'on_refused=abort and an unreadable line',
    postBatch(`${event()}\n${MARKER}`, NDJSON_TYPE, '?on_refused=abort'),
    422,
    ['batch-aborted', 'malformed-json'],
  ),
  results(
    'on_refused=abort and none refused',
    postBatch(`[${event()}]`, JSON_TYPE, '?on_refused=abort'),
    200,
    ['stored'],
  ),
  results(
    'on_refused with letters that are encoded',
    postBatch(`[${event()},${INVALID}]`, JSON_TYPE, '?on%5frefused=%61bort'),
    422,
    ['batch-aborted', 'invalid-event'],
  ),
  badQuery('on_refused with another value', `?on_refused=${MARKER}`, '/on_refused'),
  badQuery('on_refused without value', '?on_refused', '/on_refused'),
  badQuery('on_refused twice', '?on_refused=abort&on_refused=abort', '/on_refused'),
  badQuery('on_refused in capitals', '?ON_REFUSED=abort', ''),
  badQuery('a parameter that nobody knows', `?${MARKER}=1`, ''),
  badQuery('the parameter __proto__', '?__proto__=1', ''),
  badQuery('a parameter that is no UTF-8', '?%ff=1', ''),
  results('an empty query', postBatch(`[${event()}]`, JSON_TYPE, '?'), 200, ['stored']),
  {
    name: 'return=minimal leaves out what is stored',
    bytes: postBatch(`[${INVALID},{}]`, JSON_TYPE, '', 'Prefer: return=minimal, return=representation'),
    answers: [
      {
        status: 422,
        results: ['invalid-event', 'invalid-event'],
        headers: { 'preference-applied': 'return=minimal' },
      },
    ],
  },
  refused(
    'a batch as text',
    postBatch(`[${event()}]`, 'Content-Type: application/ndjson'),
    415,
    'unsupported-media-type',
  ),
  results('an array as lines', postBatch(`[\n${event()},\n${other('b')}\n]`, NDJSON_TYPE), 207, [
    'malformed-json',
    'malformed-json',
    'stored',
    'malformed-json',
  ]),
  refused('an array for the path of one event', post(`[${event()}]`.padEnd(2_000)), 422, 'invalid-event', {
    pointers: [''],
  }),
];
