import type { IncomingMessage } from 'node:http';
import { isGivenTwice } from './receive-body.ts';

/** A name or an address, and a port; also nothing (RFC 9110, 7.2). */
const HOST_PATTERN = /^[\w.~!$&'()*+,;=%:[\]-]*$/;

/**
 * Whether the head of a request has a fault that Node's parser lets through. What stands behind one could be framed
 * otherwise by whoever passed it on, so it should be the last of its connection.
 */
export function isFaultyHead({ httpVersion, headers, rawHeaders }: IncomingMessage): boolean {
  if (httpVersion !== '1.1' && httpVersion !== '1.0') return true;
  const coding = headers['transfer-encoding'];
  // Node takes the chunks apart and leaves any other coding as it is; in HTTP/1.0 there is none (RFC 9112, 6.1).
  if (coding !== undefined && (coding.toLowerCase() !== 'chunked' || httpVersion === '1.0')) return true;
  const { host } = headers;
  if (host === undefined) return httpVersion === '1.1';
  return !HOST_PATTERN.test(host) || isGivenTwice(rawHeaders, 'host'); // RFC 9112, 3.2
}
