import Type from 'typebox';

/**
 * What a subscriber of Redis Pub/Sub gets: that an event is stored and where to look for it, never its content
 * (promise P8). One vocabulary for the program that publishes and those that subscribe.
 */

/** The channel of one source, e.g. `events:repo:owner/repo`. A source type holds no colon, so it splits at the second. */
export function channelOf(sourceType: string, sourceId: string): string {
  return `events:${sourceType}:${sourceId}`;
}

/** The channel of every source of one type, for those who would otherwise subscribe to very many. */
export function aggregateChannelOf(sourceType: string): string {
  return `events:${sourceType}`;
}

/** The message, for documents. Kept equal to {@link messageOf} by a test. */
export const NotificationMessage = Type.Object(
  {
    id: Type.String({ minLength: 1, description: 'The id of the event.' }),
    type: Type.String({ minLength: 1, description: 'The type of the event.' }),
    source_id: Type.String({ minLength: 1, description: 'The source of the event.' }),
  },
  {
    additionalProperties: false,
    description: 'Published to Redis when an event is stored. Best effort: the event itself is in Kafka.',
  },
);

export type NotificationMessage = Type.Static<typeof NotificationMessage>;

/** What JSON writes as it is, and a little less: not the quote, the backslash, control characters and surrogates. */
const NEEDS_ESCAPING = /[^ !#-[\]-\ud7ff\ue000-\uffff]/;

/** The message as JSON, its three members in this order and without white space. */
export function messageOf(event: {
  readonly id: string;
  readonly type: string;
  readonly sourceId: string;
}): string {
  const { id, type, sourceId } = event;
  if (NEEDS_ESCAPING.test(id) || NEEDS_ESCAPING.test(type) || NEEDS_ESCAPING.test(sourceId)) {
    return JSON.stringify({ id, type, source_id: sourceId } satisfies NotificationMessage);
  }
  return `{"id":"${id}","type":"${type}","source_id":"${sourceId}"}`;
}
