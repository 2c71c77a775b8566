import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { dashboardJson } from '../dashboard.ts';
import { valuesSchemaJson } from './values-schema.ts';
import { valuesTable } from './values-table.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const CHART = 'helm/dual-stream';
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');

/** The chart's generated files by path. Helm reads nothing outside a chart, so it has copies of alerts and dashboard. */
export function chartDocuments(): ReadonlyMap<string, string> {
  const table = valuesTable(read(`${CHART}/values.yaml`));
  return new Map([
    [`${CHART}/README.md`, withTable(read(`${CHART}/README.md`), table)],
    [`${CHART}/values.schema.json`, valuesSchemaJson()],
    [`${CHART}/files/alerts.yaml`, read('observability/alerts.yaml')],
    [`${CHART}/files/dashboard.json`, dashboardJson()],
  ]);
}

function withTable(readme: string, table: string): string {
  const marked = /(<!-- values:begin[^\n]*-->\n)[\s\S]*(<!-- values:end -->)/;
  if (!marked.test(readme))
    throw new Error("the chart's README.md has lost the marks around its table of values");
  return readme.replace(marked, (_, begin: string, end: string) => `${begin}\n${table}\n${end}`);
}
