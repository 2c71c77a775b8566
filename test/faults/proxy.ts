import { connect, createServer, type Server, type Socket } from 'node:net';

/** A TCP proxy before a broker that can lose answers or requests, and alter requests. */
export interface BrokerProxy {
  readonly port: number;
  /** From now on nothing that the broker says arrives; what is sent to it does. */
  loseAnswers(): void;
  /** From now on nothing that is sent to the broker arrives. */
  loseRequests(): void;
  /** Whatever is said arrives again. What was lost stays lost; after requests were, reset the connections too. */
  deliver(): void;
  /** Resets every connection to the clients; the broker may go on with what it has received. */
  reset(): void;
  close(): Promise<void>;
}

export interface ProxyOptions {
  /** Where to listen, and the broker's own port. */
  readonly port: number;
  readonly targetPort: number;
  /** Called with each whole request; may change its bytes in place. */
  readonly alter?: ((request: Buffer) => void) | undefined;
}

export async function startProxy({ port, targetPort, alter }: ProxyOptions): Promise<BrokerProxy> {
  const clients = new Set<Socket>();
  let isLosingAnswers = false;
  let isLosingRequests = false;
  const server = createServer({ noDelay: true }, (client) => {
    const broker = connect({ host: '127.0.0.1', port: targetPort, noDelay: true });
    clients.add(client);
    const write = alter ? wholeRequests(broker, alter) : (chunk: Buffer) => broker.write(chunk);
    client.on('data', (chunk: Buffer) => {
      if (!isLosingRequests) write(chunk);
    });
    broker.on('data', (chunk) => {
      if (!isLosingAnswers) client.write(chunk);
    });
    const end = () => {
      clients.delete(client);
      client.destroy();
      broker.destroy();
    };
    for (const socket of [client, broker]) socket.on('error', end).on('close', end);
  });
  await listening(server, port);
  const reset = () => {
    for (const client of clients) client.resetAndDestroy();
  };
  return {
    port,
    loseAnswers: () => {
      isLosingAnswers = true;
    },
    loseRequests: () => {
      isLosingRequests = true;
    },
    deliver: () => {
      isLosingAnswers = false;
      isLosingRequests = false;
    },
    reset,
    close: () =>
      new Promise((resolve) => {
        reset();
        server.close(() => resolve());
      }),
  };
}

const PRODUCE = 0;

/** Sets acks=1 in a Produce request, whatever it was. */
export function acksOne(request: Buffer): void {
  if (request.readInt16BE(4) !== PRODUCE) return;
  const clientIdBytes = Math.max(0, request.readInt16BE(12));
  const transactionalIdAt = 14 + clientIdBytes;
  const transactionalIdBytes = Math.max(0, request.readInt16BE(transactionalIdAt));
  request.writeInt16BE(1, transactionalIdAt + 2 + transactionalIdBytes);
}

/** Puts the stream together into requests again: each begins with its length. */
function wholeRequests(broker: Socket, alter: (request: Buffer) => void): (chunk: Buffer) => void {
  let received = Buffer.alloc(0);
  return (chunk) => {
    received = Buffer.concat([received, chunk]);
    while (received.length >= 4) {
      const end = 4 + received.readInt32BE(0);
      if (received.length < end) return;
      const request = Buffer.from(received.subarray(0, end));
      received = received.subarray(end);
      alter(request);
      broker.write(request);
    }
  };
}

function listening(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
}
