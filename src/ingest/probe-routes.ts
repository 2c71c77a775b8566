import swaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance } from 'fastify';
import Type from 'typebox';
import type { Authentication } from '../authentication.ts';
import { type ErrorCode, errorRow, errors } from '../errors.ts';
import type { Metrics } from '../metrics.ts';
import type { KafkaReadiness } from './availability.ts';
import { PARAMETER_LENGTH_MAX } from './http-server.ts';
import type { AnswerProblem } from './problem.ts';
import type { RedisState as ConnectionState } from './redis-connection.ts';
import { problemResponses } from './specification.ts';

/** `off`: nobody is to be notified. */
type RedisState = ConnectionState | 'off';

interface Dependencies {
  readonly kafka: KafkaReadiness;
  readonly redis: RedisState;
  /** Where clients have to say who they are: whether that can be checked. */
  readonly authentication?: Authentication['state'];
}

export interface ProbeOptions {
  /** The state of each dependency, in its own words. */
  readonly readiness: () => Dependencies;
  /** Not ready any more, because the service is about to stop. */
  readonly isLeaving: () => boolean;
}

/** The probes of an orchestrator. `showsDependencies`: false where strangers may ask. */
export function probeRoutes(
  app: FastifyInstance,
  { readiness, isLeaving, showsDependencies }: ProbeOptions & { showsDependencies: boolean },
): void {
  app.get('/livez', { schema: livezSchema }, (_request, reply) => reply.send({ status: 'alive' }));
  app.get('/readyz', { schema: readyzSchema }, (_request, reply) => {
    const dependencies = readiness();
    const status = isLeaving() ? 'leaving' : statusOf(dependencies);
    reply.code(status === 'ready' || status === 'degraded' ? 200 : 503);
    return reply.send(showsDependencies ? { status, dependencies } : { status });
  });
}

/** Redis is best effort: without it events are stored all the same. */
function statusOf({ kafka, redis, authentication }: Dependencies): 'ready' | 'degraded' | 'unavailable' {
  if (authentication === 'unavailable') return 'unavailable';
  if (kafka !== 'available' && kafka !== 'degraded') return 'unavailable';
  return kafka === 'available' && (redis === 'up' || redis === 'off') ? 'ready' : 'degraded';
}

/** The pages that the member `type` of a problem points to. */
export function problemPages(app: FastifyInstance, answerProblem: AnswerProblem): void {
  app.get<{ Params: { code: string } }>(
    '/problems/:code',
    { schema: problemPageSchema },
    (request, reply) => {
      const { code } = request.params;
      if (!Object.hasOwn(errors, code)) return reply.send(answerProblem(reply, { code: 'not-found' }));
      return reply.type('text/plain; charset=utf-8').send(pageText(code as ErrorCode));
    },
  );
}

function pageText(code: ErrorCode): string {
  const { title, status, retryable, explanation } = errorRow(code);
  const advice = retryable ? 'Sending it again can succeed.' : 'Sending it again unchanged cannot succeed.';
  return `${code}: ${title}\n\nHTTP status ${status}. ${advice}\n\n${explanation}\n`;
}

/** What operators and developers read: metrics, the specification and a page to browse it. */
export async function managementRoutes(
  app: FastifyInstance,
  options: { metrics: Pick<Metrics, 'contentType' | 'text'>; canTryOut: boolean },
): Promise<void> {
  const hidden = { schema: { hide: true } };
  app.get('/metrics', hidden, async (_request, reply) => {
    reply.type(options.metrics.contentType);
    return options.metrics.text();
  });
  app.get('/openapi.json', hidden, (_request, reply) => reply.send(app.swagger()));
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    staticCSP: DOCS_CSP,
    uiConfig: {
      // Nothing is fetched from elsewhere, and nothing is shown to others.
      validatorUrl: null,
      ...(!options.canTryOut && { supportedSubmitMethods: [] }),
    },
  });
}

const DOCS_CSP =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const livezSchema = {
  operationId: 'getLiveness',
  tags: ['probes'],
  summary: 'Whether the process can serve',
  description: 'Never looks at a dependency.',
  response: {
    200: {
      description: 'It can.',
      content: {
        'application/json': {
          schema: Type.Object({ status: Type.Literal('alive') }),
          examples: { alive: { value: { status: 'alive' } } },
        },
      },
    },
    ...problemResponses([]),
  },
};

const readinessContent = (statuses: readonly string[], examples: Record<string, Dependencies>) => ({
  'application/json': {
    schema: Type.Object({
      status: Type.Enum([...statuses]),
      dependencies: Type.Optional(
        Type.Object(
          {
            kafka: Type.Enum([
              'connecting',
              'available',
              'degraded',
              'unavailable',
            ] satisfies KafkaReadiness[]),
            redis: Type.Enum(['connecting', 'up', 'down', 'closed', 'off'] satisfies RedisState[]),
            authentication: Type.Optional(
              Type.Enum(['ready', 'unavailable'] satisfies Authentication['state'][]),
            ),
          },
          { description: 'Shown on the management port only, where there is one.' },
        ),
      ),
    }),
    examples: Object.fromEntries(
      Object.entries(examples).map(([status, dependencies]) => [status, { value: { status, dependencies } }]),
    ),
  },
});

const unready = problemResponses([])[503];

const readyzSchema = {
  operationId: 'getReadiness',
  tags: ['probes'],
  summary: 'Whether events can be stored now',
  response: {
    ...problemResponses([]),
    200: {
      description:
        'They can: `ready`, or `degraded` while subscribers on Redis are not told, or some partitions take no events.',
      content: readinessContent(['ready', 'degraded'], {
        ready: { kafka: 'available', redis: 'up' },
        degraded: { kafka: 'available', redis: 'down' },
      }),
    },
    503: {
      description: `They cannot: \`unavailable\` before the first contact with Kafka, while Kafka takes nothing, and until the keys are known that tokens are checked with, \`leaving\` when the instance is about to stop. ${unready?.description}`,
      headers: { 'Retry-After': { isOptional: true } },
      content: {
        ...readinessContent(['unavailable', 'leaving'], {
          unavailable: { kafka: 'unavailable', redis: 'up' },
          leaving: { kafka: 'available', redis: 'up' },
        }),
        ...unready?.content,
      },
    },
  },
};

const problemPageSchema = {
  operationId: 'explainProblem',
  tags: ['problems'],
  summary: 'Explain a problem code',
  params: Type.Object({
    code: Type.Enum(Object.keys(errors), {
      description: `The code of a problem. A text of more than ${PARAMETER_LENGTH_MAX} characters is refused as too long, any other is not found.`,
      examples: ['kafka-unavailable'],
    }),
  }),
  response: {
    200: {
      description: 'The explanation, as text.',
      content: {
        'text/plain': {
          schema: Type.String(),
          examples: { 'kafka-unavailable': { value: pageText('kafka-unavailable') } },
        },
      },
    },
    ...problemResponses(['not-found', 'uri-too-long']),
  },
};
