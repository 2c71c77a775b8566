import { readFileSync } from 'node:fs';
import type { FastifyDynamicSwaggerOptions } from '@fastify/swagger';
import Type from 'typebox';
import { ConfigSchema } from '../config.ts';
import { type ErrorCode, errorRow } from '../errors.ts';
import { EventId } from '../event.ts';
import { CONTENT_CODINGS } from './content-coding.ts';
import {
  HEADERS_BYTES_MAX,
  HEADERS_TIMEOUT_MS,
  KEEP_ALIVE_TIMEOUT_MS,
  RECEIVE_TIMEOUT_MS,
} from './http-server.ts';
import { problemExample } from './problem.ts';
import { finishDocument, withRequestBody } from './specification-document.ts';

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

/** What a setting is unless it is configured. */
export function defaultOf(name: keyof typeof ConfigSchema.properties): number {
  return (ConfigSchema.properties[name] as { default?: number }).default as number;
}

/** A limit in words: `BODY_MAX_BYTES (10485760 unless configured)`. */
export function limitText(name: keyof typeof ConfigSchema.properties): string {
  return `${name} (${defaultOf(name)} unless configured)`;
}

const seconds = (ms: number) => `${ms / 1000} seconds`;

/** What the OpenAPI document says beside the routes. */
export const specification: FastifyDynamicSwaggerOptions = {
  openapi: {
    openapi: '3.1.0',
    info: {
      title: 'dual-stream',
      version,
      description: [
        'Takes events over HTTP, makes each one durable in Kafka before it says so, and tells Redis subscribers about it at once. Every answer is the truth about what Kafka holds.',
        `For every request: its first line and headers together may have ${HEADERS_BYTES_MAX} bytes (431) and ${seconds(HEADERS_TIMEOUT_MS)} to arrive, the whole of it ${seconds(RECEIVE_TIMEOUT_MS)} (408). A path answers the methods that it does not have with 405 and the header Allow, and OPTIONS with 204. A connection is kept for ${seconds(KEEP_ALIVE_TIMEOUT_MS)} while it is idle; ${limitText('CONNECTIONS_MAX')} may be open (503). Requests may hold ${limitText('BUFFER_MAX_BYTES')} in memory together, and ${limitText('BUFFER_MAX_EVENTS')} events may wait for Kafka (503).`,
        'Every error is a problem document (RFC 9457). Its `code` is what programs should decide by, its `type` leads to a page that explains it.',
      ].join('\n\n'),
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/', description: 'The service that gave this document.' }],
    // Whether it takes one is what AUTH_MODE says.
    security: [{ bearer: [] }, {}],
    components: {
      securitySchemes: {
        bearer: {
          type: 'http',
          scheme: 'bearer',
          description:
            'With AUTH_MODE `api-key` a key, with `jwt` a token of the issuer (RFC 6750). Scopes: `events:write` for every source type, `events:write:user` for one, `events:write:repo-*` for those that begin so. With `none` nothing is asked for.',
        },
      },
    },
    tags: [
      { name: 'events', description: 'Store events.' },
      { name: 'probes', description: 'For orchestrators and load balancers.' },
      { name: 'problems', description: 'What the codes of errors mean.' },
    ],
  },
  refResolver: {
    buildLocalReference: (json, _baseUri, _fragment, index) => String(json.$id ?? `schema-${index}`),
  },
  transform: withRequestBody,
  transformObject: finishDocument,
};

/** What an answer says of an event that is stored. */
export const STORED_MEMBERS = {
  id: EventId,
  status: Type.Literal('stored'),
  partition: Type.Integer({ minimum: 0, description: 'The partition of the record in Kafka.' }),
  offset: Type.Integer({ minimum: 0, description: 'The offset of the record in its partition.' }),
};

export const REQUEST_ID_PARAMETER = {
  'x-request-id': Type.Optional(
    Type.String({
      description:
        'A name for the request in the log, taken over if it has 1 to 64 characters out of A-Z, a-z, 0-9, _ . : and -.',
      examples: ['order-4711'],
    }),
  ),
};

export const CONTENT_ENCODING_PARAMETER = {
  'content-encoding': Type.Optional(
    Type.Enum(['identity', ...CONTENT_CODINGS], {
      description:
        'How the body is encoded, with one coding at most, in lower or upper case. `deflate` is the zlib format; `zstd` may have a window of 8 MiB. Limits on a body hold for it as it is sent and as it is decoded.',
      examples: ['gzip'],
    }),
  ),
};

export const TRACE_PARAMETERS = {
  traceparent: Type.Optional(
    Type.String({
      description:
        'The trace that the request belongs to (W3C Trace Context). It becomes a header of the records, as does `tracestate`. What is no such thing is ignored.',
      examples: ['00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'],
    }),
  ),
  tracestate: Type.Optional(
    Type.String({
      description: 'What vendors add to it, passed on up to 512 characters.',
      examples: ['congo=t61rcWkgMzE'],
    }),
  ),
};

/** What any request may be answered, whatever it asks for. */
const GENERAL_CODES: readonly ErrorCode[] = [
  'bad-request',
  'method-not-allowed',
  'request-timeout',
  'headers-too-large',
  'internal-error',
  'too-many-connections',
];

/** What a client may be answered before its body is read. */
export const ADMISSION_CODES: readonly ErrorCode[] = [
  'unauthorized',
  'forbidden',
  'rate-limited',
  'auth-unavailable',
];

/**
 * The responses, by status, of an operation that may answer with these codes, besides the general ones.
 * `afterPreference`: the statuses that are answered after Prefer was followed.
 */
export function problemResponses(
  codes: readonly ErrorCode[],
  afterPreference: readonly number[] = [],
): Record<number, ResponseOfStatus> {
  const byStatus = Map.groupBy([...codes, ...GENERAL_CODES], (code) => errorRow(code).status);
  const responses = [...byStatus].map(([status, ofStatus]) => [
    status,
    {
      description: ofStatus.map((code) => `\`${code}\`: ${errorRow(code).title}.`).join(' '),
      headers: {
        ...(status === 405 && { Allow: {} }),
        ...(ofStatus.includes('unsupported-encoding') && { 'Accept-Encoding': {} }),
        ...(status === 401 && { 'WWW-Authenticate': {} }),
        ...(status === 403 && { 'WWW-Authenticate': { isOptional: true } }),
        ...(status === 429 && { 'RateLimit-Policy': {}, RateLimit: {} }),
        ...((status === 429 || status === 503) && { 'Retry-After': {} }),
        ...(afterPreference.includes(status) && { 'Preference-Applied': {} }),
      },
      content: {
        'application/problem+json': {
          schema: {
            allOf: [
              { $ref: 'Problem#' },
              { type: 'object', properties: { status: { const: status }, code: { enum: ofStatus } } },
            ],
          },
          examples: Object.fromEntries(ofStatus.map((code) => [code, problemExample(code)])),
        },
      },
    },
  ]);
  return Object.fromEntries(responses);
}

export interface ResponseOfStatus {
  readonly description: string;
  /** Headers by name, see {@link finishDocument}; `X-Request-Id` is in all of them. */
  readonly headers: Readonly<Record<string, object>>;
  readonly content: Readonly<Record<string, object>>;
}
