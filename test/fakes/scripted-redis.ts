import { createServer, type Server, type Socket } from 'node:net';

/**
 * How one command is answered: with bytes of RESP2, by closing the connection, or not at all; then later ones of
 * that connection wait, since Redis answers in order, until `say` has answered it.
 */
export type Answer = string | 'silence' | 'close';

/** What a real Redis that is a master, and that nobody listens to, would say to a publisher. */
function ordinaryAnswer([name = '']: readonly string[]): Answer {
  switch (name.toUpperCase()) {
    case 'PING':
      return '+PONG\r\n';
    case 'ROLE':
      return '*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n';
    case 'TIME':
      return '-ERR no clock\r\n';
    case 'EVAL':
      return '*0\r\n';
    case 'PUBLISH':
    case 'SPUBLISH':
      return ':0\r\n';
    default:
      return '+OK\r\n';
  }
}

/** A server on 127.0.0.1 that speaks enough RESP2 to be published to, and hangs, refuses, closes and lies on command. */
export class ScriptedRedis {
  /** Replaces the ordinary answer to a command, unless it returns `undefined`. */
  answer: (command: readonly string[]) => Answer | undefined = () => undefined;
  /** Every command received, oldest first. */
  readonly commands: (readonly string[])[] = [];
  /** Connections accepted so far. */
  connections = 0;
  readonly #server: Server;
  /** What each open connection has sent behind a command that is met with silence; `undefined`: nothing is. */
  readonly #sockets = new Map<Socket, string[][] | undefined>();

  private constructor() {
    this.#server = createServer((socket) => this.#serve(socket));
  }

  static async start(port = 0): Promise<ScriptedRedis> {
    const redis = new ScriptedRedis();
    await new Promise<void>((resolve) => {
      redis.#server.listen(port, '127.0.0.1', resolve);
    });
    return redis;
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** Connections that are open now. */
  get openConnections(): number {
    return this.#sockets.size;
  }

  /** Channel and message of all that was published without a refusal by script or by command, in order. */
  get published(): [channel: string, message: string][] {
    const pairs: [string, string][] = [];
    for (const [name = '', ...args] of this.commands) {
      const at = name === 'EVAL' ? 3 : name.endsWith('PUBLISH') ? 0 : args.length;
      for (let index = at; index < args.length; index += 2) {
        pairs.push([args[index] as string, args[index + 1] as string]);
      }
    }
    return pairs;
  }

  /** Sends bytes to every connection, whether or not somebody asked, and ends a silence there. */
  say(bytes: string): void {
    for (const [socket, waiting] of this.#sockets) {
      socket.write(bytes);
      this.#sockets.set(socket, undefined);
      for (const command of waiting ?? []) this.#reply(socket, command);
    }
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets.keys()) socket.destroy();
    await new Promise((resolve) => {
      this.#server.close(resolve);
    });
  }

  #serve(socket: Socket): void {
    this.connections += 1;
    this.#sockets.set(socket, undefined);
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    let rest = '';
    socket.setEncoding('latin1');
    socket.on('data', (chunk: string) => {
      rest += chunk;
      for (let read = readCommand(rest); read !== undefined; read = readCommand(rest)) {
        rest = rest.slice(read.end);
        this.commands.push(read.command);
        this.#reply(socket, read.command);
      }
    });
  }

  #reply(socket: Socket, command: string[]): void {
    const waiting = this.#sockets.get(socket);
    if (waiting !== undefined) {
      waiting.push(command);
      return;
    }
    const answer = this.answer(command) ?? ordinaryAnswer(command);
    if (answer === 'silence') this.#sockets.set(socket, []);
    else if (answer === 'close') socket.destroy();
    else socket.write(answer);
  }
}

/** The first command in `text` (an array of bulk strings), once it is complete. */
function readCommand(text: string): { command: string[]; end: number } | undefined {
  let at = 0;
  const line = (): string | undefined => {
    const end = text.indexOf('\r\n', at);
    if (end === -1) return undefined;
    const content = text.slice(at + 1, end);
    at = end + 2;
    return content;
  };
  const count = line();
  const command: string[] = [];
  if (count === undefined) return undefined;
  for (let left = Number(count); left > 0; left -= 1) {
    const size = line();
    if (size === undefined || text.length < at + Number(size) + 2) return undefined;
    command.push(Buffer.from(text.slice(at, at + Number(size)), 'latin1').toString('utf8'));
    at += Number(size) + 2;
  }
  return { command, end: at };
}
