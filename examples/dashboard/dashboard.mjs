// @ts-check
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { Redis } from 'ioredis';

/**
 * A page that shows what happens, as it happens: one subscription to Redis for all browsers, and Server-Sent Events to each.
 * It shows ids and counts, which is what notifications carry. One that Redis loses is not shown: a page that may not
 * miss any asks Kafka's side of it.
 */

const { PORT = '8091', REDIS_URL = 'redis://127.0.0.1:26379' } = process.env;
const BROWSERS_MAX = 100;
/** A browser that reads more slowly than this is let go; it comes back by itself. */
const UNREAD_BYTES_MAX = 256 * 1024;
const HEARTBEAT_MS = 15_000;

const page = readFileSync(new URL('page.html', import.meta.url));
/** @type {Set<import('node:http').ServerResponse>} */
const browsers = new Set();

const redis = new Redis(REDIS_URL);
redis.on('error', ({ message }) => console.error(`Redis: ${message}`));
redis.on('pmessage', (_pattern, channel, message) => {
  // events:{source_type}:{source_id}; the message has the id, the type and the source's id.
  try {
    tell(`data: ${JSON.stringify({ ...JSON.parse(message), source_type: channel.split(':')[1] })}\n\n`);
  } catch {
    console.error(`what came on ${channel} is no notification`);
  }
});
await redis.psubscribe('events:*:*');
const heartbeat = setInterval(() => tell(': still here\n\n'), HEARTBEAT_MS);

/** @param {string} text */
function tell(text) {
  for (const browser of browsers) {
    if (browser.writableLength > UNREAD_BYTES_MAX) browser.destroy();
    else browser.write(text);
  }
}

const server = createServer((request, response) => {
  if (request.url === '/' && request.method === 'GET') {
    const policy =
      "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'";
    response
      .writeHead(200, { 'content-type': 'text/html; charset=utf-8', 'content-security-policy': policy })
      .end(page);
  } else if (request.url === '/stream' && request.method === 'GET') {
    if (browsers.size === BROWSERS_MAX) return void response.writeHead(503, { 'retry-after': '5' }).end();
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    response.write('retry: 1000\n\n');
    browsers.add(response);
    response.once('close', () => browsers.delete(response));
  } else {
    response.writeHead(404).end();
  }
});
server.listen(Number(PORT), '127.0.0.1', () => console.log(`http://127.0.0.1:${PORT}`));
process.on('SIGTERM', () => {
  clearInterval(heartbeat);
  redis.disconnect();
  for (const browser of browsers) browser.end();
  server.close(() => process.exit(0));
});
