import { Redis } from 'ioredis';
import { channelOf } from '../../src/notification.ts';
import { numberIn } from './fault-event.ts';

/** A subscriber of all notifications, which subscribes again when Redis is back. */
export interface NotificationListener {
  readonly count: () => number;
  close(): void;
}

const RETRY_MS = 200;

/** Subscribed when it settles. */
export async function listenToNotifications(
  redisUrl: string,
  notified: (number: number) => void,
): Promise<NotificationListener> {
  const client = new Redis(redisUrl, { retryStrategy: () => RETRY_MS, maxRetriesPerRequest: null });
  let count = 0;
  // It is told of each attempt to connect while Redis is what is broken.
  client.on('error', () => {});
  client.on('pmessage', (_pattern: string, _channel: string, message: string) => {
    const number = numberIn(message);
    if (number === undefined) throw new Error(`a notification of no event of ours: ${message}`);
    count += 1;
    notified(number);
  });
  await client.psubscribe(channelOf('fault', '*'));
  return { count: () => count, close: () => client.disconnect() };
}
