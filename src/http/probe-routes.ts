import swaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance } from 'fastify';
import Type, { type TObject } from 'typebox';
import { type ErrorCode, errorRow, errors } from '../errors.ts';
import type { Metrics } from '../metrics.ts';
import { PARAMETER_LENGTH_MAX } from './http-server.ts';
import type { AnswerProblem } from './problem.ts';
import { problemResponses } from './specification.ts';

/** What a program needs, by name, each in a word of its own. */
export type Dependencies = Readonly<Record<string, string>>;

export interface Readiness {
  /** `degraded`: it does its work, but not all of it. */
  readonly status: 'ready' | 'degraded' | 'unavailable';
  readonly dependencies: Dependencies;
}

export interface ProbeOptions {
  readonly readiness: () => Readiness;
  /** Not ready any more, because the program is about to stop. */
  readonly isLeaving: () => boolean;
  /** What `/readyz` answers, see {@link readyzSchema}. */
  readonly readyzSchema: object;
}

/** The probes of an orchestrator. `showsDependencies`: false where strangers may ask. */
export function probeRoutes(
  app: FastifyInstance,
  {
    readiness,
    isLeaving,
    readyzSchema: schema,
    showsDependencies,
  }: ProbeOptions & { showsDependencies: boolean },
): void {
  app.get('/livez', { schema: livezSchema }, (_request, reply) => reply.send({ status: 'alive' }));
  app.get('/readyz', { schema }, (_request, reply) => {
    const { status: found, dependencies } = readiness();
    const status = isLeaving() ? 'leaving' : found;
    reply.code(status === 'ready' || status === 'degraded' ? 200 : 503);
    return reply.send(showsDependencies ? { status, dependencies } : { status });
  });
}

/**
 * The pages that the member `type` of a problem points to.
 * @param parameterLengthMax of a part of the path, as it was given to the HTTP server
 */
export function problemPages(
  app: FastifyInstance,
  answerProblem: AnswerProblem,
  parameterLengthMax = PARAMETER_LENGTH_MAX,
): void {
  app.get<{ Params: { code: string } }>(
    '/problems/:code',
    { schema: problemPageSchema(parameterLengthMax) },
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
  options: {
    metrics: Pick<Metrics, 'contentType' | 'text'>;
    /** Whether there is a specification to show. */
    hasDocument: boolean;
    canTryOut: boolean;
  },
): Promise<void> {
  const hidden = { schema: { hide: true } };
  app.get('/metrics', hidden, async (_request, reply) => {
    reply.type(options.metrics.contentType);
    return options.metrics.text();
  });
  if (!options.hasDocument) return;
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

const unready = problemResponses([])[503];

/** What `/readyz` of a program answers, for its specification. */
export function readyzSchema(words: {
  readonly summary: string;
  /** What 200 and what 503 mean. */
  readonly ready: string;
  readonly notReady: string;
  readonly dependencies: TObject;
  /** The dependencies of an answer of each status that there is. */
  readonly examples: Readonly<Partial<Record<Readiness['status'] | 'leaving', Dependencies>>>;
}): object {
  const { summary, ready, notReady, dependencies, examples } = words;
  const content = (statuses: readonly (keyof typeof examples)[]) => {
    const given = statuses.filter((status) => examples[status] !== undefined);
    return {
      'application/json': {
        schema: Type.Object({
          status: Type.Enum(given),
          dependencies: Type.Optional(
            Type.Object(dependencies.properties, {
              description: 'Shown on the management port only, where there is one.',
            }),
          ),
        }),
        examples: Object.fromEntries(
          given.map((status) => [status, { value: { status, dependencies: examples[status] } }]),
        ),
      },
    };
  };
  return {
    operationId: 'getReadiness',
    tags: ['probes'],
    summary,
    response: {
      ...problemResponses([]),
      200: { description: ready, content: content(['ready', 'degraded']) },
      503: {
        description: `${notReady} ${unready?.description}`,
        headers: { 'Retry-After': { isOptional: true } },
        content: { ...content(['unavailable', 'leaving']), ...unready?.content },
      },
    },
  };
}

const problemPageSchema = (parameterLengthMax: number) => ({
  operationId: 'explainProblem',
  tags: ['problems'],
  summary: 'Explain a problem code',
  params: Type.Object({
    code: Type.Enum(Object.keys(errors), {
      description: `The code of a problem. A text of more than ${parameterLengthMax} characters is refused as too long, any other is not found.`,
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
});
