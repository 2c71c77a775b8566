import type { Client } from '../client.ts';
import type { Fault } from '../event.ts';
import type { Problem } from '../http/problem.ts';
import type { PublishableEvent } from './dual-publisher.ts';

/** What is wrong with an event that its sender may not send. */
const FORBIDDEN_SOURCE_TYPE: Fault = {
  pointer: '/source_type',
  detail: 'must be one that the credentials allow',
};

/** The event, unless its sender may not send any of its source type. */
export function permitted(
  client: Client | undefined,
  event: PublishableEvent | Problem,
): PublishableEvent | Problem {
  if (client === undefined || 'code' in event || client.may('write', event.sourceType)) return event;
  return { code: 'forbidden', id: event.id, errors: [FORBIDDEN_SOURCE_TYPE] };
}
