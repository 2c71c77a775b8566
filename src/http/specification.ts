import { readFileSync } from 'node:fs';
import type { FastifyDynamicSwaggerOptions } from '@fastify/swagger';
import Type from 'typebox';
import type { Action } from '../client.ts';
import { type ErrorCode, errorRow } from '../errors.ts';
import {
  HEADERS_BYTES_MAX,
  HEADERS_TIMEOUT_MS,
  KEEP_ALIVE_TIMEOUT_MS,
  RECEIVE_TIMEOUT_MS,
} from './http-server.ts';
import { type ProblemParts, problemExample } from './problem.ts';
import { finishDocument, withRequestBody } from './specification-document.ts';

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

const seconds = (ms: number) => `${ms / 1000} seconds`;

/** What holds for every request to every program. */
export const transportText = `For every request: its first line and headers together may have ${HEADERS_BYTES_MAX} bytes (431) and ${seconds(HEADERS_TIMEOUT_MS)} to arrive, the whole of it ${seconds(RECEIVE_TIMEOUT_MS)} (408). A path answers the methods that it does not have with 405 and the header Allow, and OPTIONS with 204. A connection is kept for ${seconds(KEEP_ALIVE_TIMEOUT_MS)} while it is idle`;

/** What an OpenAPI document says beside the routes. */
export function openapi(words: {
  readonly title: string;
  /** Paragraphs, before the one about errors. */
  readonly description: readonly string[];
  /** What credentials have to allow. */
  readonly action: Action;
  readonly tags: readonly { readonly name: string; readonly description: string }[];
}): FastifyDynamicSwaggerOptions {
  const { title, description, action, tags } = words;
  return {
    openapi: {
      openapi: '3.1.0',
      info: {
        title,
        version,
        description: [
          ...description,
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
            description: `With AUTH_MODE \`api-key\` a key, with \`jwt\` a token of the issuer (RFC 6750). Scopes: \`events:${action}\` for every source type, \`events:${action}:user\` for one, \`events:${action}:repo-*\` for those that begin so. With \`none\` nothing is asked for.`,
          },
        },
      },
      tags: [...tags],
    },
    refResolver: {
      buildLocalReference: (json, _baseUri, _fragment, index) => String(json.$id ?? `schema-${index}`),
    },
    transform: withRequestBody,
    transformObject: finishDocument,
  };
}

export const REQUEST_ID_PARAMETER = {
  'x-request-id': Type.Optional(
    Type.String({
      description:
        'A name for the request in the log, taken over if it has 1 to 64 characters out of A-Z, a-z, 0-9, _ . : and -.',
      examples: ['order-4711'],
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
 * `afterPreference`: the statuses that are answered after Prefer was followed; `examples`: what examples have in them,
 * where that is not what it is when events are sent.
 */
export function problemResponses(
  codes: readonly ErrorCode[],
  afterPreference: readonly number[] = [],
  examples: Readonly<Partial<Record<ErrorCode, ProblemParts>>> = {},
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
          examples: Object.fromEntries(ofStatus.map((code) => [code, problemExample(code, examples[code])])),
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
