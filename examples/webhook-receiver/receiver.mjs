// @ts-check
import { createHmac, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';

/**
 * Takes webhooks as GitHub sends them, and passes each on as an event of its repository. It answers 2xx only when the
 * event is stored, so a delivery that failed can be delivered again; it then has the same id, and consumers drop the copy.
 */

const { PORT = '8090', DUAL_STREAM_URL = 'http://127.0.0.1:8080', CREDENTIAL, WEBHOOK_SECRET } = process.env;
const BODY_MAX_BYTES = 800_000;
/** GitHub waits ten seconds; the service then has not answered later than that. */
const WAIT_S = 8;

if (!WEBHOOK_SECRET) {
  console.error('WEBHOOK_SECRET is not set: it is what the sender signs its deliveries with');
  process.exit(1);
}
const secret = WEBHOOK_SECRET;

const server = createServer(async (request, response) => {
  const answer = (/** @type {number} */ status, /** @type {string} */ why) =>
    response.writeHead(status, { 'content-type': 'text/plain' }).end(`${why}\n`);
  try {
    if (request.method !== 'POST') return void answer(405, 'POST deliveries here');
    if (Number(request.headers['content-length']) > BODY_MAX_BYTES) {
      response.setHeader('connection', 'close');
      return void answer(413, 'too large');
    }
    const body = await bodyOf(request);
    if (body === undefined) return void answer(413, 'too large');
    if (!isSigned(body, String(request.headers['x-hub-signature-256'] ?? '')))
      return void answer(401, 'the signature does not fit');
    const event = eventOf(body, request.headers);
    if (event === undefined) return void answer(422, 'no delivery about a repository');
    const stored = await fetch(`${DUAL_STREAM_URL}/v1/events`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        prefer: `wait=${WAIT_S}`,
        ...(CREDENTIAL && { authorization: `Bearer ${CREDENTIAL}` }),
      },
      body: event,
      signal: AbortSignal.timeout((WAIT_S + 1) * 1000),
    });
    const { id, code } = /** @type {{ id: string, code: string }} */ (await stored.json());
    if (stored.status === 201) answer(201, id);
    else answer(stored.status, code);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    if (!response.headersSent) answer(503, 'not known to be stored: deliver it again');
  }
});

/** @param {import('node:http').IncomingMessage} request */
async function bodyOf(request) {
  /** @type {Buffer[]} */
  const chunks = [];
  let bytes = 0;
  for await (const chunk of request) {
    bytes += chunk.length;
    if (bytes <= BODY_MAX_BYTES) chunks.push(chunk); // the rest is read, so that the answer is
  }
  return bytes > BODY_MAX_BYTES ? undefined : Buffer.concat(chunks);
}

/** HMAC-SHA-256 of the body, compared in constant time. @param {Buffer} body @param {string} signature */
function isSigned(body, signature) {
  const expected = Buffer.from(`sha256=${createHmac('sha256', secret).update(body).digest('hex')}`);
  const given = Buffer.from(signature);
  return given.length === expected.length && timingSafeEqual(given, expected);
}

/**
 * The event around the delivery's own bytes, which stay as they were sent.
 * @param {Buffer} body @param {import('node:http').IncomingHttpHeaders} headers
 */
function eventOf(body, headers) {
  const id = headers['x-github-delivery'];
  const type = headers['x-github-event'];
  const repository = repositoryOf(body.toString());
  if (typeof id !== 'string' || typeof type !== 'string' || typeof repository !== 'string') return undefined;
  const head = JSON.stringify({ id, type, source_type: 'repo', source_id: repository });
  return Buffer.concat([Buffer.from(`${head.slice(0, -1)},"data":`), body, Buffer.from('}')]);
}

/** @param {string} text */
function repositoryOf(text) {
  try {
    return JSON.parse(text).repository?.full_name;
  } catch {
    return undefined;
  }
}

server.listen(Number(PORT), '127.0.0.1', () => console.log(`takes deliveries on port ${PORT}`));
process.on('SIGTERM', () => server.close(() => process.exit(0)));
