import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { ConfigSchema } from '../src/config.ts';
import { EventInput, StoredEvent } from '../src/event.ts';
import { aggregateChannelOf, channelOf, NotificationMessage } from '../src/notification.ts';

const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '..', 'package.json'), 'utf8')) as {
  version: string;
};

/** What TypeBox's types do not show of a schema, although it is there. */
interface Annotations {
  readonly description: string;
  readonly default?: unknown;
  readonly examples: readonly string[];
}

const setting = (name: keyof typeof ConfigSchema.properties) =>
  ConfigSchema.properties[name] as unknown as Annotations;
const refTo = (path: string) => ({ $ref: `#/${path}` });
const parameters = (...names: ('source_type' | 'source_id')[]) =>
  Object.fromEntries(
    names.map((name) => {
      const { description, examples } = EventInput.properties[name] as unknown as Annotations;
      return [name, { description, examples }];
    }),
  );

/** What consumers and subscribers get, as an AsyncAPI document: what the service sends, seen from its side. */
const document = {
  asyncapi: '3.0.0',
  info: {
    title: 'dual-stream',
    version,
    description: `What comes out of dual-stream: each stored event as a record in Kafka, and its ids on Redis Pub/Sub.

docs/consuming.md says what a consumer has to know beyond this: order, copies, replaying.`,
    license: { name: 'Apache-2.0' },
  },
  defaultContentType: 'application/json',
  servers: {
    kafka: {
      host: setting('KAFKA_BROKERS').examples[0],
      protocol: 'kafka',
      description: 'The brokers of KAFKA_BROKERS.',
    },
    redis: {
      host: new URL(String(setting('REDIS_URL').examples[0])).host,
      protocol: 'redis',
      description: 'What REDIS_URL leads to.',
    },
  },
  channels: {
    events: {
      address: setting('KAFKA_TOPIC').default,
      description:
        'The topic of KAFKA_TOPIC. While the number of partitions stays the same, all events of one source lie in one of them.',
      servers: [refTo('servers/kafka')],
      messages: { storedEvent: refTo('components/messages/storedEvent') },
    },
    source: {
      address: channelOf('{source_type}', '{source_id}'),
      description: 'The channel of one source.',
      servers: [refTo('servers/redis')],
      parameters: parameters('source_type', 'source_id'),
      messages: { notification: refTo('components/messages/notification') },
    },
    sourceType: {
      address: aggregateChannelOf('{source_type}'),
      description: 'The channel of all sources of one type. Only with REDIS_AGGREGATE_CHANNELS set to true.',
      servers: [refTo('servers/redis')],
      parameters: parameters('source_type'),
      messages: { notification: refTo('components/messages/notification') },
    },
  },
  operations: {
    storeEvent: {
      action: 'send',
      summary: 'Store an event with acks=all.',
      channel: refTo('channels/events'),
    },
    notifySource: {
      action: 'send',
      summary: 'Tell those who follow this source that an event is stored.',
      channel: refTo('channels/source'),
    },
    notifySourceType: {
      action: 'send',
      summary: 'Tell those who follow all sources of this type that an event is stored.',
      channel: refTo('channels/sourceType'),
    },
  },
  components: {
    messages: {
      storedEvent: {
        summary:
          'A record. Its timestamp is the time of storing, never that of the event. Its headers are those of the trace of the request, if that had one.',
        headers: {
          type: 'object',
          properties: {
            traceparent: { type: 'string', description: 'W3C Trace Context.' },
            tracestate: { type: 'string', description: 'What vendors add to it.' },
          },
        },
        payload: StoredEvent,
        bindings: { kafka: { key: EventInput.properties.source_id, bindingVersion: '0.5.0' } },
      },
      notification: {
        summary: 'That an event is stored. Best effort, never its content.',
        payload: NotificationMessage,
      },
    },
  },
};

/** The text of openapi/asyncapi.yaml, written from the event's schema, the settings and the Redis vocabulary. */
export function asyncapiYaml(): string {
  return `# Generated from src/event.ts and src/notification.ts by \`npm run generate\`. Do not edit.\n${stringify(document, { lineWidth: 0, aliasDuplicateObjects: false, compat: 'yaml-1.1' })}`;
}
