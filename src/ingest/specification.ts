import type { FastifyDynamicSwaggerOptions } from '@fastify/swagger';
import Type from 'typebox';
import { ConfigSchema } from '../config.ts';
import { EventId } from '../event.ts';
import { CONTENT_CODINGS } from '../http/content-coding.ts';
import { openapi, transportText } from '../http/specification.ts';

/** What a setting is unless it is configured. */
export function defaultOf(name: keyof typeof ConfigSchema.properties): number {
  return (ConfigSchema.properties[name] as { default?: number }).default as number;
}

/** A limit in words: `BODY_MAX_BYTES (10485760 unless configured)`. */
export function limitText(name: keyof typeof ConfigSchema.properties): string {
  return `${name} (${defaultOf(name)} unless configured)`;
}

/** What the OpenAPI document says beside the routes. */
export const specification: FastifyDynamicSwaggerOptions = openapi({
  title: 'dual-stream',
  description: [
    'Takes events over HTTP, makes each one durable in Kafka before it says so, and tells Redis subscribers about it at once. Every answer is the truth about what Kafka holds.',
    `${transportText}; ${limitText('CONNECTIONS_MAX')} may be open (503). Requests may hold ${limitText('BUFFER_MAX_BYTES')} in memory together, and ${limitText('BUFFER_MAX_EVENTS')} events may wait for Kafka (503).`,
  ],
  action: 'write',
  tags: [
    { name: 'events', description: 'Store events.' },
    { name: 'probes', description: 'For orchestrators and load balancers.' },
    { name: 'problems', description: 'What the codes of errors mean.' },
  ],
});

/** What an answer says of an event that is stored. */
export const STORED_MEMBERS = {
  id: EventId,
  status: Type.Literal('stored'),
  partition: Type.Integer({ minimum: 0, description: 'The partition of the record in Kafka.' }),
  offset: Type.Integer({ minimum: 0, description: 'The offset of the record in its partition.' }),
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
