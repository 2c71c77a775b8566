import { parse } from 'yaml';

/** The table of values in the chart's README, written from the comments of values.yaml. */

interface Row {
  readonly path: string;
  readonly fallback: string;
  readonly description: string;
}

export function valuesTable(valuesYaml: string): string {
  const cells = rowsOf(valuesYaml).map(({ path, fallback, description }) => [
    `\`${path}\``,
    fallback,
    description.replaceAll('|', '\\|'),
  ]);
  return `| value | default | |\n| --- | --- | --- |\n${cells.map((row) => `| ${row.join(' | ')} |\n`).join('')}`;
}

/** Each value with the comment above it. What has a comment is one row, however much it holds. */
function rowsOf(valuesYaml: string): readonly Row[] {
  const values: unknown = parse(valuesYaml);
  const rows: Row[] = [];
  let parents: { readonly indent: number; readonly name: string; readonly isDescribed: boolean }[] = [];
  let comment: string[] = [];
  for (const line of valuesYaml.split('\n')) {
    const [, dent = '', said, name, value] = /^( *)(?:# (.*)|([A-Za-z_]+):(.*))?/.exec(line) ?? [];
    parents = line === '' ? parents : parents.filter(({ indent }) => indent < dent.length);
    const [, required] = /^([A-Z_]+): /.exec(said ?? '') ?? [];
    if (said !== undefined && required === undefined) {
      comment.push(said);
      continue;
    }
    const path = [...parents.map((parent) => parent.name), required ?? name ?? ''];
    const isInside = parents.some(({ isDescribed }) => isDescribed);
    const isDescribed = comment.length > 0 && !isInside;
    if (required !== undefined) {
      rows.push({ path: path.join('.'), fallback: '**required**', description: comment.join(' ') });
    } else if (name !== undefined) {
      if (isDescribed) {
        const fallback = `\`${JSON.stringify(path.reduce(member, values))}\``;
        rows.push({ path: path.join('.'), fallback, description: comment.join(' ') });
      } else if (value !== '' && !isInside)
        throw new Error(`values.yaml does not say what ${path.join('.')} is`);
      parents.push({ indent: dent.length, name, isDescribed });
    }
    comment = [];
  }
  return rows;
}

function member(value: unknown, name: string): unknown {
  return (value as Readonly<Record<string, unknown>>)[name];
}
