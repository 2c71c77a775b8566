import { readFileSync } from 'node:fs';
import type { FastifyDynamicSwaggerOptions } from '@fastify/swagger';
import Type from 'typebox';
import { type ErrorCode, errorRow } from '../errors.ts';

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

/** What the OpenAPI document says beside the routes. */
export const specification: FastifyDynamicSwaggerOptions = {
  openapi: {
    openapi: '3.1.0',
    info: {
      title: 'dual-stream',
      version,
      description: `Takes events over HTTP, makes each one durable in Kafka before it says so, and tells Redis subscribers about it at once. Every answer is the truth about what Kafka holds.

Headers may have 16384 bytes and 5 seconds, a whole request 12 seconds to arrive.`,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/', description: 'The service that gave this document.' }],
    tags: [
      { name: 'events', description: 'Store events.' },
      { name: 'probes', description: 'For orchestrators and load balancers.' },
      { name: 'problems', description: 'What the codes of errors mean.' },
    ],
  },
  refResolver: {
    buildLocalReference: (json, _baseUri, _fragment, index) => String(json.$id ?? `schema-${index}`),
  },
};

export const REQUEST_ID_HEADER = {
  'x-request-id': {
    type: 'string',
    description: "The request's id in the log: the client's own, or a new one.",
  },
};
export const REQUEST_ID_PARAMETER = {
  'x-request-id': Type.Optional(
    Type.String({
      description:
        'A name for the request in the log, taken over if it has 1 to 64 characters out of A-Z, a-z, 0-9, _ . : and -.',
    }),
  ),
};
const RETRY_AFTER_HEADER = {
  'retry-after': { type: 'integer', minimum: 0, description: 'Seconds after which to try again.' },
};

/** The responses, by status, of an operation that may answer with these codes. */
export function problemResponses(codes: readonly ErrorCode[]): Record<number, object> {
  const byStatus = Map.groupBy(codes, (code) => errorRow(code).status);
  const responses = [...byStatus].map(([status, ofStatus]) => [
    status,
    {
      description: ofStatus.map((code) => `\`${code}\`: ${errorRow(code).title}.`).join(' '),
      headers: { ...REQUEST_ID_HEADER, ...(status === 503 && RETRY_AFTER_HEADER) },
      content: { 'application/problem+json': { schema: { $ref: 'Problem#' } } },
    },
  ]);
  return Object.fromEntries(responses);
}
