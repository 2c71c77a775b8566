import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { asyncapiYaml } from './asyncapi.ts';
import { chartDocuments } from './chart/documents.ts';
import { dashboardJson } from './dashboard.ts';
import { openapiYaml, queryYaml } from './openapi.ts';
import { envExample, settingsTable } from './settings-documents.ts';

/** Writes every generated document: `npm run generate`. test/documents.test.ts notices when one is stale. */

const ROOT = join(import.meta.dirname, '..');

/** The generated files by path, as they have to be. */
export async function generatedDocuments(): Promise<ReadonlyMap<string, string>> {
  const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
  return new Map([
    ['.env.example', envExample()],
    ['README.md', withSettings(readme)],
    ['openapi/openapi.yaml', await openapiYaml()],
    ['openapi/query.yaml', await queryYaml()],
    ['openapi/asyncapi.yaml', asyncapiYaml()],
    ['observability/dashboard.json', dashboardJson()],
    ...chartDocuments(),
  ]);
}

function withSettings(readme: string): string {
  const marked = /(<!-- settings:begin[^\n]*-->\n)[\s\S]*(<!-- settings:end -->)/;
  if (!marked.test(readme)) throw new Error('README.md has lost the marks around its table of settings');
  return readme.replace(marked, (_, begin: string, end: string) => `${begin}\n${settingsTable()}\n${end}`);
}

if (import.meta.main) {
  for (const [path, text] of await generatedDocuments()) {
    writeFileSync(join(ROOT, path), text);
    console.log(`wrote ${path}`);
  }
}
