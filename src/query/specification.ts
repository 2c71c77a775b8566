import type { FastifyDynamicSwaggerOptions } from '@fastify/swagger';
import Type from 'typebox';
import type { ErrorCode } from '../errors.ts';
import { StoredEvent } from '../event.ts';
import type { ProblemParts } from '../http/problem.ts';
import { openapi, transportText } from '../http/specification.ts';
import { QueryConfigSchema } from '../store-config.ts';
import { LEAVE_TIMEOUT_MS } from './tagged-answer.ts';

/** A limit in words: `CONNECTIONS_MAX (6000 unless configured)`. */
function limitText(name: 'CONNECTIONS_MAX' | 'BUFFER_MAX_BYTES'): string {
  return `${name} (${(QueryConfigSchema.properties[name] as { default?: number }).default} unless configured)`;
}

/** What the OpenAPI document says beside the routes. */
export const specification: FastifyDynamicSwaggerOptions = openapi({
  title: 'dual-stream query',
  description: [
    'Reads the events that the event processor has put into the event store: one by its identity, or those of a source. What was stored in Kafka is here a moment later, and until it is so old that it is removed.',
    `${transportText}; ${limitText('CONNECTIONS_MAX')} may be open (503). Requests and answers may hold ${limitText('BUFFER_MAX_BYTES')} in memory together (503), and an event that is larger than a third of it cannot be read (507). An answer of more than 16 KiB has ${LEAVE_TIMEOUT_MS / 1000} seconds to leave before its connection is closed. HEAD is answered as GET is, without the body.`,
  ],
  action: 'read',
  tags: [
    { name: 'events', description: 'Read events.' },
    { name: 'probes', description: 'For orchestrators and load balancers.' },
    { name: 'problems', description: 'What the codes of errors mean.' },
  ],
});

/** The schema `Event` of the document. */
export const ReadEvent = { ...StoredEvent, $id: 'Event' };

/** Of answers that a client may keep, and those that say that it still holds. */
export const CACHED_HEADERS = { ETag: {}, 'Cache-Control': {} };

export const EXAMPLES_OF_READING: Readonly<Partial<Record<ErrorCode, ProblemParts>>> = {
  'invalid-request': { errors: [{ pointer: '/limit', detail: 'must be <= 1000' }] },
  forbidden: {},
};

export const IF_NONE_MATCH_PARAMETER = {
  'if-none-match': Type.Optional(
    Type.String({
      description:
        'The `ETag` of what the client has, or several, or `*`. If it still holds the answer is 304, without a body.',
      examples: ['"mY3k0Yw1Q5mB2cJtX9aGdA"'],
    }),
  ),
};
