import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import Schema from 'typebox/schema';
import { parse } from 'yaml';

const read = (url: string | URL) => readFileSync(fileURLToPath(url), 'utf8');

/** AsyncAPI's own schema of its documents. */
const official = Schema.Compile(
  JSON.parse(read(import.meta.resolve('@asyncapi/specs/schemas/3.0.0-without-$id.json'))),
);

interface Document {
  asyncapi: string;
  channels: Record<string, { address: string; parameters?: Record<string, unknown> }>;
  operations: Record<string, { action: string }>;
  components: { messages: { storedEvent: { payload: { type: string }; bindings: { kafka: object } } } };
}

const committed = () => parse(read(new URL('../openapi/asyncapi.yaml', import.meta.url))) as Document;

describe('openapi/asyncapi.yaml', () => {
  it("fits AsyncAPI's own schema", () => {
    const [fits, faults] = official.Errors(committed());
    assert.deepEqual(faults, []);
    assert.equal(fits, true);
  });

  it('would not fit it with a mistake in any part', () => {
    const mistakes: ((document: Document) => void)[] = [
      (document) => Object.assign(document, { asyncapi: '2.6.0' }),
      ({ channels }) => Object.assign(channels.events ?? {}, { adress: 'events' }),
      ({ operations }) => Object.assign(operations.storeEvent ?? {}, { action: 'emit' }),
      ({ components }) => Object.assign(components.messages.storedEvent.payload, { type: 'objet' }),
      ({ components }) => Object.assign(components.messages.storedEvent.bindings.kafka, { kay: {} }),
    ];
    for (const make of mistakes) {
      const document = committed();
      make(document);
      assert.equal(official.Check(document), false, String(make));
    }
  });

  it('refers to what is there, and describes each parameter of an address', () => {
    const document = committed();
    const references = [...JSON.stringify(document).matchAll(/"\$ref":"#\/([^"]+)"/g)];
    assert.ok(references.length >= 9);
    for (const [, path = ''] of references) {
      const target = path
        .split('/')
        .reduce<unknown>((at, name) => (at as Record<string, unknown>)?.[name], document);
      assert.ok(target !== undefined, path);
    }
    for (const { address, parameters = {} } of Object.values(document.channels)) {
      const named = [...address.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
      assert.deepEqual(Object.keys(parameters), named, address);
    }
  });
});
