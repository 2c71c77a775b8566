import {
  event,
  HOST,
  ID,
  JSON_TYPE,
  MARKER,
  NOTE,
  post,
  type RawCase,
  refused,
  request,
  stored,
  utf8,
} from './raw-case.ts';

const target = (path: string, method = 'POST') =>
  post(event()).replace('POST /v1/events', `${method} ${path}`);
const notFound = (name: string, path: string, method = 'POST') =>
  refused(`path: ${name}`, target(path, method), 404, 'not-found');
const notAllowed = (method: string, path: string, allow: string, isToHead = false) =>
  refused(`${method} ${path}`, target(path, method), 405, 'method-not-allowed', {
    headers: { allow },
    isToHead,
  });
const bad = (name: string, bytes: string) => refused(name, bytes, 400, 'bad-request');
const withLine = (line: string) => post(event(), JSON_TYPE, line);

const EVENTS = 'OPTIONS, POST';
const PAGE = 'GET, HEAD, OPTIONS';

/** Request lines and headers: methods, targets, versions of HTTP. */
export const headCases: readonly RawCase[] = [
  notAllowed('GET', '/v1/events', EVENTS),
  notAllowed('HEAD', '/v1/events', EVENTS, true),
  notAllowed('PUT', '/v1/events', EVENTS),
  notAllowed('PATCH', '/v1/events', EVENTS),
  notAllowed('DELETE', '/v1/events', EVENTS),
  notAllowed('TRACE', '/v1/events', EVENTS),
  notAllowed('PROPFIND', '/v1/events', EVENTS),
  notAllowed('QUERY', '/v1/events', EVENTS),
  notAllowed('PUT', '/v1/events/batch', EVENTS),
  notAllowed('POST', '/livez', PAGE),
  notAllowed('DELETE', '/readyz', PAGE),
  notAllowed('PATCH', '/metrics', PAGE),
  notAllowed('POST', '/openapi.json', PAGE),
  notAllowed('PUT', '/problems/not-found', PAGE),
  notAllowed('GET', 'http://a/v1/events', EVENTS),
  notAllowed('GET', '/v1/%65vents', EVENTS),
  refused(
    'a tunnel',
    request(['CONNECT a:443 HTTP/1.1', HOST, NOTE], post(event())),
    405,
    'method-not-allowed',
    { headers: { allow: 'GET, HEAD, OPTIONS, POST', connection: 'close' } },
  ),
  bad('a method that nobody knows', target('/v1/events', 'XYZZY')),
  bad('a method in lower case', target('/v1/events', 'post')),
  {
    name: 'OPTIONS *',
    bytes: request(['OPTIONS * HTTP/1.1', HOST, NOTE]),
    answers: [{ status: 204, headers: { allow: 'GET, HEAD, OPTIONS, POST' } }],
  },

  notFound('a slash at the end', '/v1/events/'),
  notFound('two slashes at the beginning', '//v1/events'),
  notFound('two slashes inside', '/v1//events'),
  notFound('in capitals', '/V1/EVENTS'),
  notFound('dots', '/v1/../v1/events'),
  notFound('a backslash', '/v1\\events'),
  notFound('a slash that is encoded', '/v1%2Fevents'),
  notFound('NUL that is encoded', '/v1/events%00'),
  notFound('a parameter behind a semicolon', '/v1/events;a=b'),
  notFound('something behind the batch', `/v1/events/batch/${MARKER}`),
  notFound('a page that there is none of', `/problems/${MARKER}`, 'GET'),
  notFound('a name of Object.prototype', '/problems/constructor', 'GET'),
  notFound('an asterisk for what is not OPTIONS', '*'),
  notFound('8,000 characters', `/${'a'.repeat(8_000)}`),
  stored('path: a letter that is encoded, which is the letter (RFC 3986)', target('/v1/%65vents')),
  stored('path: with scheme and host (RFC 9112)', target('http://elsewhere/v1/events')),
  bad('path: a percent sign that begins nothing', target('/v1/events%')),
  bad('path: digits that are not hexadecimal', target('/problems/%zz')),
  bad('path: encoded bytes that are no UTF-8', target('/problems/%ff%fe')),
  bad('path: no slash', target('v1/events')),
  bad('path: none', post(event()).replace(' /v1/events', '')),
  bad('path: a space in it', target('/v1/eve nts')),
  bad('path: a control character in it', target('/v1/events\x01')),
  refused(
    'path: a page with too long a name',
    target(`/problems/${'a'.repeat(300)}`, 'GET'),
    414,
    'uri-too-long',
  ),

  stored('HTTP/1.0 without Host', post(event()).replace('HTTP/1.1\r\nHost: a', 'HTTP/1.0'), {
    connection: 'close',
  }),
  bad('no version', post(event()).replace(' HTTP/1.1', '')),
  bad('HTTP/1.2', post(event()).replace('HTTP/1.1', 'HTTP/1.2')),
  bad('HTTP/2.0 in a request line', post(event()).replace('HTTP/1.1', 'HTTP/2.0')),
  bad('a version in lower case', post(event()).replace('HTTP/1.1', 'http/1.1')),
  bad('a version of two digits', post(event()).replace('HTTP/1.1', 'HTTP/1.10')),
  bad('the preface of HTTP/2', `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0${MARKER}`),
  bad(
    'the first bytes of TLS',
    `\x16\x03\x01\x00\x2d\x01\x00\x00\x29\x03\x03${'\x5a'.repeat(32)}\0\x00\x0e\x00\x00\x0a${MARKER}.test`,
  ),
  bad('the greeting of SSH', `SSH-2.0-${MARKER}\r\n`),
  bad('a command for Redis', `*2\r\n$3\r\nGET\r\n$5\r\n${MARKER}\r\n`),
  bad('the line of a proxy in front', `PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n${post(event())}`),
  bad('an answer in place of a request', `HTTP/1.1 200 OK\r\nX-Note: ${MARKER}\r\n\r\n`),
  stored('empty lines before the request line', `\r\n\r\n${post(event())}`),

  bad('no Host', request(['GET /livez HTTP/1.1', NOTE])),
  bad('two Hosts', withLine(HOST)),
  bad('a Host with a path', post(event()).replace(HOST, `Host: a/${MARKER}`)),
  bad('two Hosts in one line', post(event()).replace(HOST, 'Host: a, b')),
  stored('an empty Host (RFC 9110)', post(event()).replace(HOST, 'Host:')),
  stored('a Host that is an IPv6 address', post(event()).replace(HOST, 'Host: [::1]:8080')),
  bad('a line that begins with white space behind the request line', post(event()).replace(HOST, ` ${HOST}`)),
  bad('a header on two lines', withLine(`X-Note: a\r\n ${MARKER}`)),
  bad('a space before the colon', withLine(`X-Note : ${MARKER}`)),
  bad('a header without name', withLine(`: ${MARKER}`)),
  bad('a header without colon', withLine(MARKER)),
  bad('a header name with a bracket', withLine(`X(Note): ${MARKER}`)),
  bad('a header name beyond ASCII', withLine(`X-N\xf6te: ${MARKER}`)),
  bad('NUL in a header', withLine(`${NOTE}\0`)),
  bad('a control character in a header', withLine(`${NOTE}\x07`)),
  bad('a carriage return alone in a header', withLine(`X-Note: a\r${MARKER}: b`)),
  bad('lines that end in a line feed alone', post(event()).replaceAll('\r\n', '\n')),
  bad('one line that ends in a line feed alone', post(event()).replace(`${HOST}\r`, HOST)),
  stored('letters beyond ASCII in a header', withLine(utf8(`X-Note: \u00fc ${MARKER}`))),
  stored('an expectation that nobody knows', withLine(`Expect: ${MARKER}`)),
  stored('Expect: 100-continue, without waiting for it', withLine('Expect: 100-continue')),
  refused('a header of 17 KiB', withLine(`X-Note: ${MARKER.repeat(3_500)}`), 431, 'headers-too-large'),
  refused('20,000 empty headers', withLine(`${'a:\r\n'.repeat(20_000)}${NOTE}`), 431, 'headers-too-large'),
  refused(
    'a header that counts, behind 3,000 others',
    request(
      [
        'POST /v1/events HTTP/1.1',
        HOST,
        JSON_TYPE,
        ...Array(3_000).fill('a:'),
        'Content-Type: text/plain',
        `Content-Length: ${event().length}`,
      ],
      event(),
    ),
    431,
    'headers-too-large',
  ),
  stored('500 headers', withLine(Array(500).fill('a:').join('\r\n'))),
  refused(
    'a request id that would be markup',
    post('{}', JSON_TYPE, `X-Request-Id: <${MARKER}>`),
    422,
    'invalid-event',
    { pointers: ['/type', '/source_type', '/source_id'] },
  ),

  stored('Prefer: wait=0', withLine('Prefer: wait=0'), { 'preference-applied': undefined }),
  stored('Prefer: a wait below zero', withLine('Prefer: wait=-1'), { 'preference-applied': undefined }),
  stored('Prefer: a wait of an eternity', withLine(`Prefer: wait=${'9'.repeat(400)}`), {
    'preference-applied': undefined,
  }),
  stored('Prefer: a wait that is no number', withLine(`Prefer: wait=${MARKER}`), {
    'preference-applied': undefined,
  }),
  stored('Prefer: a wait of half seconds', withLine('Prefer: wait=2.5'), { 'preference-applied': undefined }),
  stored(
    'Prefer: two waits, of which the first counts (RFC 7240)',
    withLine('Prefer: wait=3\r\nPrefer: wait=2'),
    { 'preference-applied': 'wait=3' },
  ),
  stored('Prefer: nothing but delimiters', withLine(`Prefer: ;;,,==,;=${',;='.repeat(1_000)}`), {
    'preference-applied': undefined,
  }),
  stored('Prefer: an answer before it is stored', withLine('Prefer: respond-async'), {
    'preference-applied': undefined,
  }),
  stored('Prefer: results left out, where there are none', withLine('Prefer: return=minimal'), {
    'preference-applied': undefined,
  }),
  stored('an id of the event in the query', target(`/v1/events?id=${ID}`)),
];
