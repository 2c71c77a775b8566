import Type from 'typebox';
import { Compile } from 'typebox/compile';
import type { Client } from '../client.ts';
import { EventId, EventInput, SOURCE_ID_LENGTH_MAX } from '../event.ts';
import type { Source } from './event-queries.ts';

const properties = {
  source_type: EventInput.properties.source_type,
  source_id: EventInput.properties.source_id,
};
export const SourceParameters = Type.Object(properties);
export const EventParameters = Type.Object({ ...properties, id: EventId });

/** A code point of four bytes, each of them percent-encoded. */
const CODE_POINT_LENGTH_MAX = 4 * '%00'.length;
/** Of any part of a path. What is longer can be nothing that is stored. */
export const PARAMETER_LENGTH_MAX = SOURCE_ID_LENGTH_MAX * CODE_POINT_LENGTH_MAX;

const sourceParameters = Compile(SourceParameters);
const eventParameters = Compile(EventParameters);

/**
 * Whether these can be parts of an event, of a source that the client may read. If not, it is as if nothing were there:
 * nobody learns what there is of what they may not read.
 */
export function isReadableSource(parameters: unknown, client: Client | undefined): boolean {
  return sourceParameters.Check(parameters) && (client?.may('read', parameters.source_type) ?? true);
}

export function isReadableEvent(parameters: unknown, client: Client | undefined): boolean {
  return eventParameters.Check(parameters) && isReadableSource(parameters, client);
}

export function sourceOf({ source_type, source_id }: Type.Static<typeof SourceParameters>): Source {
  return { sourceType: source_type, sourceId: source_id };
}
