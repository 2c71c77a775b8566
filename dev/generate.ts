import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { asyncapiYaml } from './asyncapi.ts';
import { chartDocuments } from './chart/documents.ts';
import { dashboardJson } from './dashboard.ts';
import { openapiYaml, queryYaml } from './openapi.ts';
import { envExample, settingsTable, storeSettings } from './settings-documents.ts';

/** Writes every generated document: `npm run generate`. test/documents.test.ts notices when one is stale. */

const ROOT = join(import.meta.dirname, '..');
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');
const STORE_DOCUMENT = 'docs/event-store.md';

/** The generated files by path, as they have to be. */
export async function generatedDocuments(): Promise<ReadonlyMap<string, string>> {
  return new Map([
    ['.env.example', envExample()],
    ['README.md', withSettings('README.md', read('README.md'), settingsTable())],
    [STORE_DOCUMENT, withSettings(STORE_DOCUMENT, read(STORE_DOCUMENT), storeSettings())],
    ['openapi/openapi.yaml', await openapiYaml()],
    ['openapi/query.yaml', await queryYaml()],
    ['openapi/asyncapi.yaml', asyncapiYaml()],
    ['observability/dashboard.json', dashboardJson()],
    ...chartDocuments(),
  ]);
}

function withSettings(path: string, text: string, settings: string): string {
  const marked = /(<!-- settings:begin[^\n]*-->\n)[\s\S]*(<!-- settings:end -->)/;
  if (!marked.test(text)) throw new Error(`${path} has lost the marks around its settings`);
  return text.replace(marked, (_, begin: string, end: string) => `${begin}\n${settings}\n${end}`);
}

if (import.meta.main) {
  for (const [path, text] of await generatedDocuments()) {
    writeFileSync(join(ROOT, path), text);
    console.log(`wrote ${path}`);
  }
}
