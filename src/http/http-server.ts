import type { ServerOptions } from 'node:https';
import type { Socket } from 'node:net';
import fastify, {
  type FastifyBaseLogger,
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from 'fastify';
import type { Logger } from 'pino';
import type { TObject } from 'typebox';
import type { Action } from '../client.ts';
import { type ErrorCode, errorRow } from '../errors.ts';
import type { Metrics } from '../metrics.ts';
import type { TlsMaterial } from '../tls-files.ts';
import { REQUEST_BYTES } from './buffer-budget.ts';
import { type ConnectionLimit, limitConnections } from './connection-limit.ts';
import { type Connection, Connections, type RequestRoom } from './connections.ts';
import { failureLog } from './failure-log.ts';
import { ParameterFault } from './parameter-fault.ts';
import { PathTable } from './path-table.ts';
import { type AnswerProblem, problemAnswers } from './problem.ts';
import { queryValidator } from './query-validator.ts';
import { discardBody } from './receive-body.ts';
import { isFaultyHead } from './request-head.ts';
import { newRequestId, requestId } from './request-id.ts';
import { traceIdOf } from './request-trace.ts';
import { SocketErrors } from './socket-errors.ts';

/** Receiving is limited apart from publishing: a request may wait for Kafka longer than it may take to arrive. */
export const HEADERS_TIMEOUT_MS = 5_000;
export const RECEIVE_TIMEOUT_MS = 12_000;
const CHECK_INTERVAL_MS = 100;
/** Longer than load balancers keep an idle connection, so that it is never this side that closes first. */
export const KEEP_ALIVE_TIMEOUT_MS = 75_000;
export const HEADERS_BYTES_MAX = 16 * 1024;
export const PARAMETER_LENGTH_MAX = 200;
const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);

export interface HttpServerOptions extends ConnectionLimit {
  /** What to show, and with an authority whom to ask for a certificate; `undefined`: no TLS. */
  readonly tls: TlsMaterial | undefined;
  readonly log: Logger;
  readonly metrics: Pick<Metrics, 'refused' | 'httpRequest'>;
  /** What credentials have to allow. */
  readonly action: Action;
  /** How long an answer may take once its request is complete. */
  readonly answerTimeoutMs: number;
  /** Of a part of the path, in characters as they are sent. */
  readonly parameterLengthMax?: number;
  readonly retryAfterSeconds: () => number;
  readonly room: RequestRoom;
}

declare module 'fastify' {
  interface FastifyRequest {
    /** What it came in on; `undefined` before the first hook, and where it must be ignored. */
    connection: Connection | undefined;
    /** What it counts until its answer has left. 0: there was no room, and it may not be kept waiting. */
    countedBytes: number;
    /** Whether it counts until it has an answer, also when its connection is closed before. */
    isKept: boolean;
  }
}

/** Counts an answer that may be large before it is written, until it has left. `false`: there is no room. */
export type CountAnswer = (request: FastifyRequest, bytes: number) => boolean;

/** Counts a request until it has an answer, also when nobody is there to read it: it is in memory until then. */
export type KeepRequest = (request: FastifyRequest) => void;

/** Counts what is answered with a code that is not success, and logs it where it is no fault of the client. */
export type CountFailures = (request: FastifyRequest, code: ErrorCode, count: number) => void;

export interface HttpServer {
  readonly app: FastifyInstance;
  readonly answerProblem: AnswerProblem;
  readonly countAnswer: CountAnswer;
  readonly countFailures: CountFailures;
  readonly keepRequest: KeepRequest;
  /** Whether `app.close()` was called: requests that still come in are answered, and should start nothing. */
  readonly isClosing: () => boolean;
}

/**
 * A Fastify instance without routes that keeps what is promised for every route: limits on time and size, a request
 * id, metrics, and a problem document for whatever is not a success, from the socket up.
 */
export function httpServer(options: HttpServerOptions): HttpServer {
  const { log, metrics, tls } = options;
  const failed = failureLog(log);
  const countFailures: CountFailures = (request, code, count) => {
    metrics.refused(code, count);
    if (errorRow(code).status >= 500) failed(code, request.id, traceIdOf(request));
  };
  const answerProblem = problemAnswers({ ...options, countFailures });
  const connections = new Connections(options.room);
  const socketErrors = new SocketErrors(metrics, connections);
  const paths = new PathTable();
  let isClosing = false;

  const app = fastify({
    ...(tls === undefined ? { http: NODE_OPTIONS } : { https: { ...NODE_OPTIONS, ...httpsOptions(tls) } }),
    loggerInstance: log as FastifyBaseLogger,
    logController: new LogController({ disableRequestLogging: true }),
    // A logger of its own for each request costs more than it is used: lines that concern one carry its id.
    childLoggerFactory: (logger) => logger,
    genReqId: requestId,
    requestTimeout: RECEIVE_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
    // It closes without an answer, so the limits that give one come before it.
    connectionTimeout: Math.max(options.answerTimeoutMs, RECEIVE_TIMEOUT_MS) + 5_000,
    return503OnClosing: false,
    routerOptions: { maxParamLength: options.parameterLengthMax ?? PARAMETER_LENGTH_MAX },
    clientErrorHandler: (error, socket) => {
      if ('secureConnecting' in socket && socket.secureConnecting)
        socket.destroy(); // it will never be HTTP
      else socketErrors.answer(error, socket);
    },
    frameworkErrors: (error, request, reply) => {
      // No hook is called for these. They are faults of a client's program, so each is the last of its connection.
      const connection = connections.began(request.raw, reply.raw);
      connections.stopServing(request.raw.socket);
      if (connection === undefined) return void reply.hijack();
      reply.header('x-request-id', request.id).header('connection', 'close');
      return answerError(error, request as FastifyRequest, reply as FastifyReply);
    },
  });
  Object.assign(app.server, { httpAllowHalfOpen: true }); // a client may end its side and still read the answer
  app.server.on('checkExpectation', app.routing); // an expectation we do not know may be ignored (RFC 9110, 10.1.1)
  app.server.on('connect', (_request, socket) => socketErrors.refuseTunnel(socket));
  const opened = tls === undefined ? 'connection' : 'secureConnection';
  app.server.prependListener(opened, (socket: Socket) => connections.opened(socket));
  limitConnections(app.server, options, (socket) => {
    const code = 'too-many-connections';
    if (tls !== undefined) {
      // An answer would take a handshake.
      metrics.refused(code);
      failed(code, newRequestId());
      return void socket.destroy();
    }
    failed(code, socketErrors.refuse(socket, code, { 'retry-after': options.retryAfterSeconds() }));
  });

  // Fastify would read bodies under limits of its own. Routes receive them, so to Fastify they do not exist.
  app.addHttpMethod('POST', { hasBody: false, overrideExisting: true });
  app.setValidatorCompiler(({ schema, httpPart }) => {
    // Only the query is judged here. A body is judged by its bytes, in its route; a path that does
    // not fit leads to nothing; and a header has an answer of its own, or is ignored.
    return httpPart === 'querystring' ? queryValidator(schema as TObject) : () => true;
  });
  app.setSerializerCompiler(() => JSON.stringify);

  app.addHook('onRoute', ({ url, method }) => paths.add(url, [method].flat()));
  app.decorateRequest('connection', undefined);
  app.decorateRequest('countedBytes', 0);
  app.decorateRequest('isKept', false);
  app.addHook('onRequest', (request, reply, done) => {
    const connection = connections.began(request.raw, reply.raw);
    if (connection === undefined) {
      request.raw.resume();
      return void reply.hijack();
    }
    request.connection = connection;
    request.countedBytes = connections.count(connection, REQUEST_BYTES) ? REQUEST_BYTES : 0;
    // Without a socket of its own yet, an answer waits for those before it. Only events may be kept waiting: other
    // answers can be large, or are not counted, so this one is the last of its connection.
    if (reply.raw.socket === null && !(request.countedBytes > 0 && request.method === 'POST')) {
      serveNoMoreBehind(request, reply);
    }
    reply.header('x-request-id', request.id);
    if (isFaultyHead(request.raw)) {
      serveNoMoreBehind(request, reply);
      reply.send(answerProblem(reply, { code: 'bad-request' }));
    } else if (request.is404) {
      // Now, because Fastify would first judge the Content-Type of what nobody is going to read.
      answerUnrouted(request, reply);
    } else {
      done();
    }
  });
  app.addHook('preClose', (done) => {
    isClosing = true;
    done();
  });
  app.addHook('onSend', (request, reply, _payload, done) => {
    const { connection } = request;
    if (connection !== undefined && request.isKept) connections.letGo(connection, REQUEST_BYTES);
    request.isKept = false;
    // Node closes idle connections only; one that is in use would be kept, and kept waiting for.
    if (isClosing && connection?.latest === reply.raw) serveNoMoreBehind(request, reply);
    done();
  });
  app.addHook('onResponse', (request, reply, done) => {
    const method = METHODS.has(request.method) ? request.method : '_OTHER';
    const route = request.routeOptions.url ?? 'unmatched';
    metrics.httpRequest(method, route, reply.statusCode, reply.elapsedTime / 1000);
    const { connection, countedBytes } = request;
    if (connection !== undefined && countedBytes > 0) connections.answered(connection, countedBytes);
    done();
  });

  app.setNotFoundHandler(answerUnrouted);
  app.setErrorHandler<FastifyError>(answerError);

  /** This answer is the last of its connection. */
  function serveNoMoreBehind(request: FastifyRequest, reply: FastifyReply): void {
    reply.header('connection', 'close');
    connections.stopServing(request.raw.socket);
  }

  function answerUnrouted(request: FastifyRequest, reply: FastifyReply): FastifyReply {
    discardBody(request.raw);
    const methods = paths.methodsOf(request.url);
    if (methods === undefined) return reply.send(answerProblem(reply, { code: 'not-found' }));
    if (request.method === 'OPTIONS') return reply.code(204).header('allow', methods.join(', ')).send();
    // A route may find nothing at a path of its own, as the files of the documents do.
    if (methods.includes(request.method)) return reply.send(answerProblem(reply, { code: 'not-found' }));
    return reply
      .header('allow', methods.join(', '))
      .send(answerProblem(reply, { code: 'method-not-allowed' }));
  }

  function answerError(error: FastifyError, request: FastifyRequest, reply: FastifyReply): FastifyReply {
    if (error instanceof ParameterFault) {
      return reply.send(answerProblem(reply, { code: 'invalid-request', errors: error.faults }));
    }
    const code = codeOf(error);
    if (code === 'internal-error')
      log.error(
        { err: error, request_id: request.id, trace_id: traceIdOf(request) },
        'a fault of this service',
      );
    return reply.send(answerProblem(reply, { code }));
  }

  const countAnswer: CountAnswer = (request, bytes) => {
    if (request.connection === undefined || !connections.count(request.connection, bytes)) return false;
    request.countedBytes += bytes;
    return true;
  };
  const keepRequest: KeepRequest = (request) => {
    request.isKept = request.connection !== undefined && connections.keep(request.connection, REQUEST_BYTES);
  };
  return { app, answerProblem, countAnswer, countFailures, keepRequest, isClosing: () => isClosing };
}

/** What Fastify leaves to Node, with TLS and without. */
const NODE_OPTIONS = {
  headersTimeout: HEADERS_TIMEOUT_MS,
  connectionsCheckingInterval: CHECK_INTERVAL_MS,
  maxHeaderSize: HEADERS_BYTES_MAX,
  requireHostHeader: false, // Node would answer without a document; see isFaultyHead
} as const;

function httpsOptions({ ca, cert, key }: TlsMaterial): ServerOptions {
  return {
    ...(ca !== undefined && { ca, requestCert: true, rejectUnauthorized: true }),
    ...(cert !== undefined && { cert }),
    ...(key !== undefined && { key }),
    handshakeTimeout: HEADERS_TIMEOUT_MS,
    allowHalfOpen: true, // as without TLS: a client may end its side and still read the answer
    ALPNProtocols: ['http/1.1'],
  };
}

/** The code for an error that Fastify raises, or that was thrown and then is a bug. */
function codeOf(error: FastifyError): ErrorCode {
  switch (error.code) {
    case 'FST_ERR_MAX_PARAM_LENGTH':
      return 'uri-too-long';
    case 'FST_ERR_BAD_URL':
      return 'bad-request';
    default:
      return 'internal-error';
  }
}
