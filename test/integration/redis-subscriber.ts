import { Redis } from 'ioredis';

export interface Heard {
  readonly channel: string;
  readonly message: string;
  /** On the clock of `performance.now()`. */
  readonly at: number;
}

/** A subscriber of its own connection, and all that it has heard. */
export interface Subscriber {
  readonly heard: readonly Heard[];
  /** The ids of the events, which these tests number. */
  ids(): number[];
  close(): void;
}

export async function subscribeTo(
  port: number,
  command: 'PSUBSCRIBE' | 'SSUBSCRIBE',
  channels: readonly string[],
): Promise<Subscriber> {
  const client = new Redis(port, { retryStrategy: () => 20 });
  // A test that stops Redis knows that it does.
  client.on('error', () => {});
  const heard: Heard[] = [];
  const hear = (channel: string, message: string) => heard.push({ channel, message, at: performance.now() });
  client.on('pmessage', (_pattern: string, channel: string, message: string) => hear(channel, message));
  client.on('smessage', hear);
  try {
    // One command cannot name channels of several slots.
    if (command === 'SSUBSCRIBE') await Promise.all(channels.map((channel) => client.ssubscribe(channel)));
    else await client.psubscribe(...channels);
  } catch (error) {
    client.disconnect();
    throw error;
  }
  return {
    heard,
    ids: () => heard.map(({ message }) => Number(JSON.parse(message).id)),
    close: () => client.disconnect(),
  };
}

/** Says one command to a server, as an administrator would. */
export async function tell(port: number, ...command: readonly (string | number)[]): Promise<unknown> {
  const client = new Redis(port, { lazyConnect: true });
  try {
    await client.connect();
    const [name = '', ...args] = command;
    return await client.call(String(name), args);
  } finally {
    client.disconnect();
  }
}
