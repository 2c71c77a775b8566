import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { it } from 'node:test';
import { parse } from 'yaml';
import { openapiYaml } from '../dev/openapi.ts';

const committed = await readFile(new URL('../openapi/openapi.yaml', import.meta.url), 'utf8');

it('openapi/openapi.yaml is what the schemas of the routes say (npm run generate writes it)', async () => {
  assert.equal(committed, await openapiYaml());
});

it('every operation has an id, a summary, and a description for each of its responses', () => {
  const { paths } = parse(committed) as {
    paths: Record<
      string,
      Record<
        string,
        { operationId?: string; summary?: string; responses: Record<string, { description: string }> }
      >
    >;
  };
  const operations = Object.values(paths).flatMap((path) => Object.values(path));
  assert.ok(operations.length >= 4);
  for (const { operationId, summary, responses } of operations) {
    assert.ok(operationId && summary);
    for (const { description } of Object.values(responses)) assert.notEqual(description, 'Default Response');
  }
});
