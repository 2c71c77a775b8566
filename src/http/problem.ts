import type { FastifyReply } from 'fastify';
import Type from 'typebox';
import type { Action } from '../client.ts';
import { type ErrorCode, errorRow, errors } from '../errors.ts';
import { eventFaults, type Fault } from '../event.ts';
import { CONTENT_CODINGS } from './content-coding.ts';
import type { CountFailures } from './http-server.ts';

/** What goes into an answer other than success, beside its row in the table of codes. Never what was sent. */
export interface Problem {
  readonly code: ErrorCode;
  /** The id of the event it is about, when it is known. */
  readonly id?: string;
  readonly errors?: readonly Fault[];
}

/** The scheme of authentication that is asked for (RFC 6750). */
export const BEARER_CHALLENGE = 'Bearer realm="dual-stream"';
const tokenFaults = (action: Action): Partial<Record<ErrorCode, string>> => ({
  unauthorized: 'error="invalid_token"',
  forbidden: `error="insufficient_scope", scope="events:${action}"`,
});

export const PROBLEM_CONTENT_TYPE = 'application/problem+json';

const codes = Object.keys(errors) as ErrorCode[];
const EXAMPLE_REQUEST_ID = 'k3x9q2-1f';
const EXAMPLE_EVENT = {
  id: '0198f3a2-6c1e-7b52-9d0e-3f1f6f1f9a01',
  type: 'repo.starred',
  source_type: 'User',
  source_id: 'octocat',
};

export const ProblemDocument = Type.Object(
  {
    type: Type.String({ pattern: '^/problems/[a-z0-9-]+$', description: 'A page that explains the code.' }),
    title: Type.String({ description: 'A summary that is the same for every problem of this code.' }),
    status: Type.Integer({ minimum: 400, maximum: 599, description: 'The HTTP status.' }),
    detail: Type.String({ description: 'What it means and what to do next.' }),
    code: Type.Enum(codes, { description: 'What programs should decide by.' }),
    retryable: Type.Boolean({
      description: 'Whether sending the same again, with the same id, can succeed.',
    }),
    request_id: Type.String({
      pattern: '^[A-Za-z0-9_.:-]{1,64}$',
      description: 'Names the request in the log; also the header X-Request-Id.',
    }),
    id: Type.Optional(
      Type.String({ minLength: 1, maxLength: 128, description: 'The id of the event, when it is known.' }),
    ),
    errors: Type.Optional(
      Type.Array(
        Type.Object({
          pointer: Type.String({ description: 'Where the fault is (JSON pointer, RFC 6901).' }),
          detail: Type.String({ description: 'The rule that is broken.' }),
        }),
        { minItems: 1, description: 'All faults of what was sent.' },
      ),
    ),
  },
  {
    $id: 'Problem',
    description: 'An error (RFC 9457).',
    examples: [exampleOf('kafka-unavailable')],
  },
);

/** The problem document, as text. */
export function problemText({ code, id, errors: faults }: Problem, requestId: string): string {
  const { status, title, explanation, retryable } = errorRow(code);
  return JSON.stringify({
    type: `/problems/${code}`,
    title,
    status,
    detail: explanation,
    code,
    retryable,
    request_id: requestId,
    id,
    errors: faults,
  });
}

/** What is known only of some occurrences of a code. */
export type ProblemParts = Omit<Problem, 'code'>;

/** An example of the document for each code, with its title: for the specification. */
export function problemExample(
  code: ErrorCode,
  parts?: ProblemParts,
): { readonly summary: string; readonly value: object } {
  return { summary: errorRow(code).title, value: exampleOf(code, parts) };
}

function exampleOf(code: ErrorCode, parts = exampleParts(code)): object {
  return JSON.parse(problemText({ code, ...parts }, EXAMPLE_REQUEST_ID));
}

/** What is known only where one event was read, or one parameter judged. */
function exampleParts(code: ErrorCode): ProblemParts {
  const { id } = EXAMPLE_EVENT;
  switch (code) {
    case 'invalid-event':
      return { id, errors: eventFaults(EXAMPLE_EVENT) };
    case 'invalid-request':
      return {
        errors: [{ pointer: '/on_refused', detail: 'must be equal to one of the allowed values' }],
      };
    case 'forbidden':
      return { id, errors: [{ pointer: '/source_type', detail: 'must be one that the credentials allow' }] };
    case 'event-too-large':
    case 'kafka-unavailable':
    case 'topic-missing':
    case 'topic-forbidden':
    case 'kafka-refused':
    case 'outcome-unknown':
      return { id };
    default:
      return {};
  }
}

/**
 * Sets status and headers of an answer that is a problem, and returns its body for the caller to send: as bytes,
 * because Fastify would add a charset to the content type of text, and this one has none.
 */
export type AnswerProblem = (reply: FastifyReply, problem: Problem) => Buffer;

export function problemAnswers(options: {
  /** What credentials have to allow. */
  action: Action;
  countFailures: CountFailures;
  retryAfterSeconds: () => number;
}): AnswerProblem {
  const faultOfToken = tokenFaults(options.action);
  return (reply, problem) => {
    const { status } = errorRow(problem.code);
    const requestId = reply.request.id;
    options.countFailures(reply.request, problem.code, 1);
    reply.code(status).header('content-type', PROBLEM_CONTENT_TYPE);
    if (problem.code === 'unsupported-encoding') reply.header('accept-encoding', CONTENT_CODINGS.join(', '));
    const fault = faultOfToken[problem.code];
    if (fault !== undefined && !reply.hasHeader('www-authenticate'))
      reply.header('www-authenticate', `${BEARER_CHALLENGE}, ${fault}`);
    if (status === 503) reply.header('retry-after', options.retryAfterSeconds());
    return Buffer.from(problemText(problem, requestId));
  };
}
