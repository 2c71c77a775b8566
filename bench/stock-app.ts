import fastify, { type FastifyInstance } from 'fastify';
import Type from 'typebox';
import { EventInput } from '../src/event.ts';

/** What became of an event, for the answer. */
export interface Stored {
  readonly id: string;
  readonly status: 'stored';
  readonly partition?: number | undefined;
  readonly offset?: number | undefined;
}

/** As much as the service takes. */
const BODY_BYTES_MAX = 10 * 1024 * 1024;

/**
 * The routes of the service on Fastify as it comes: its parser, its Ajv on the service's own schema, JSON.stringify for
 * answers. Only NDJSON needs a parser that Fastify does not have.
 */
export function stockApp(
  store: (events: readonly EventInput[]) => Promise<readonly Stored[]>,
): FastifyInstance {
  const app = fastify({ bodyLimit: BODY_BYTES_MAX });
  app.addSchema(EventInput);
  app.addContentTypeParser<string>('application/x-ndjson', { parseAs: 'string' }, (_request, body, done) => {
    try {
      done(null, linesOf(body));
    } catch (error) {
      done(Object.assign(error as Error, { statusCode: 400 }));
    }
  });

  app.post<{ Body: EventInput }>(
    '/v1/events',
    { schema: { body: { $ref: 'Event#' } } },
    async (request, reply) => {
      const [stored] = await store([request.body]);
      return reply.code(201).send(stored);
    },
  );

  app.post<{ Body: EventInput[] }>(
    '/v1/events/batch',
    { schema: { body: Type.Array({ $ref: 'Event#' } as never) } },
    async (request, reply) => {
      const stored = await store(request.body);
      const results = stored.map(({ id, status, partition, offset }, index) => ({
        index,
        id,
        status,
        partition,
        offset,
      }));
      return reply.send({ stored: stored.length, failed: 0, results });
    },
  );

  app.get('/readyz', async () => ({ status: 'ready' }));
  return app;
}

function linesOf(body: string): unknown[] {
  return body
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));
}
