import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { parse } from 'yaml';
import { IngestMetrics } from '../src/ingest/metrics.ts';
import { ProcessorMetrics } from '../src/processor/metrics.ts';
import { QueryMetrics } from '../src/query/metrics.ts';

const ROOT = join(import.meta.dirname, '..');
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');

interface Rule {
  readonly alert?: string;
  readonly expr: string;
  readonly labels?: { readonly severity: string };
  readonly annotations?: { readonly summary: string; readonly runbook: string };
}
interface Panel {
  readonly title: string;
  readonly type: string;
  readonly description?: string;
  readonly targets?: readonly { readonly expr: string }[];
}

const rules = (parse(read('observability/alerts.yaml')) as { groups: { rules: Rule[] }[] }).groups.flatMap(
  (group) => group.rules,
);
const alerts = rules.filter(({ alert }) => alert !== undefined);
const { panels } = JSON.parse(read('observability/dashboard.json')) as { panels: Panel[] };
const shown = panels.filter(({ type }) => type !== 'row');

/** The programs' metrics, and what they say of their labels' values. */
const metrics = new IngestMetrics();
metrics.observeBuffer({ bytesMax: 1, eventsMax: 1 }, () => ({ events: 0, bytes: 0, oldestAgeSeconds: 0 }));
const queryMetrics = new QueryMetrics();
queryMetrics.observeWaiting(() => 0);
const namesIn = (exposed: string) =>
  [...exposed.matchAll(/^# HELP (\S+)/gm)].map(([, name]) => name as string);
const byProgram = {
  service: namesIn(await metrics.text()),
  processor: namesIn(await new ProcessorMetrics().text()),
  query: namesIn(await queryMetrics.text()),
};
const names = new Set(Object.values(byProgram).flat());
/** By which alerts and panels find out of which program a series is. */
const MARKS = {
  service: 'dual_stream_buffer_bytes_limit',
  processor: 'dual_stream_processor_partitions',
  query: 'dual_stream_query_waiting',
};
const NAME = /(?<![\w:])(?:dual_stream|http_server|process|nodejs)_[a-z0-9_]+/g;
const LABELS: Readonly<Record<string, readonly string[]>> = {
  outcome: ['stored', 'stored_late', 'refused', 'not_stored', 'unknown'],
  dependency: ['kafka', 'redis', 'postgres', 'authentication'],
  result: ['sent', 'failed', 'dropped', 'stored', 'copy', 'conflict', 'expired', 'found', 'absent', 'left'],
};

describe('alerts and dashboard', () => {
  const expressions = [
    ...rules.map(({ expr }) => expr),
    ...shown.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr)),
  ];

  it('ask for metrics that the service has', () => {
    let count = 0;
    for (const expression of expressions) {
      for (const [name] of expression.matchAll(NAME)) {
        count += 1;
        const isKnown = names.has(name) || names.has(name.replace(/_(bucket|sum|count)$/, ''));
        assert.ok(isKnown, `${name} in ${expression}`);
      }
    }
    assert.ok(count > 50, `${count}`);
  });

  it('know each program by a metric that it has alone, and which is always there', () => {
    for (const [program, mark] of Object.entries(MARKS)) {
      for (const [other, known] of Object.entries(byProgram))
        assert.equal(known.includes(mark), other === program, `${mark} of ${other}`);
    }
  });

  it('say of which program they are where several have a metric', () => {
    const mayBeAny = new Set([
      'dual_stream_connections',
      'dual_stream_connections_limit',
      'dual_stream_credentials_current',
      'dual_stream_certificate_expiry_timestamp_seconds',
    ]);
    const ofSeveral = [...names].filter(
      (name) =>
        /^(dual_stream|http_server)_/.test(name) &&
        !mayBeAny.has(name) &&
        Object.values(byProgram).filter((known) => known.includes(name)).length > 1,
    );
    let count = 0;
    for (const expression of expressions.filter((each) => ofSeveral.some((name) => each.includes(name)))) {
      count += 1;
      // Only the service has this one, and routes are of one program.
      const isTold =
        /(and|unless) on \(job, instance\)|dependency="redis"/.test(expression) ||
        /http_route=~"\/v1\/(events|sources)/.test(expression);
      assert.ok(isTold, expression);
    }
    assert.ok(count > 10, `${count}`);
  });

  it('ask for values that their labels have', () => {
    let count = 0;
    for (const expression of expressions) {
      for (const [, label = '', pattern = ''] of expression.matchAll(/(\w+)=~?"([^"]*)"/g)) {
        for (const value of LABELS[label] === undefined ? [] : pattern.split('|')) {
          assert.ok(LABELS[label]?.includes(value), `${label}="${value}" in ${expression}`);
          count += 1;
        }
      }
    }
    assert.ok(count > 20, `${count}`);
  });

  it('have a severity, a summary, and a section in the runbooks, which have no other', () => {
    const headings = [...read('docs/runbooks.md').matchAll(/^## (\S+)$/gm)].map(
      ([, heading]) => heading as string,
    );
    assert.deepEqual(
      headings,
      alerts.map(({ alert }) => alert),
    );
    for (const { alert = '', labels, annotations } of alerts) {
      assert.match(labels?.severity ?? '', /^(critical|warning)$/);
      assert.ok(annotations?.summary);
      assert.equal(annotations.runbook, `docs/runbooks.md#${alert.toLowerCase()}`);
    }
  });

  it('are tried: each alert has a case in which it fires, and one in which it does not', () => {
    const tests = parse(read('observability/alerts.test.yaml')) as {
      tests: { alert_rule_test: { alertname: string; exp_alerts?: unknown[] }[] }[];
    };
    const cases = tests.tests.flatMap(({ alert_rule_test: each }) => each);
    for (const { alert } of alerts) {
      const ofAlert = cases.filter(({ alertname }) => alertname === alert);
      assert.ok(
        ofAlert.some(({ exp_alerts: expected }) => expected !== undefined),
        `${alert} never fires`,
      );
      assert.ok(
        ofAlert.some(({ exp_alerts: expected }) => expected === undefined),
        `${alert} always fires`,
      );
    }
  });

  it('say in each panel what to conclude from it', () => {
    assert.ok(shown.length > 15);
    for (const { title, description } of shown) assert.ok(description, title);
  });

  it('show every metric of the programs themselves', () => {
    const asked = expressions.join(' ');
    const unseen = [...names].filter((name) => name.startsWith('dual_stream_') && !asked.includes(name));
    assert.deepEqual(unseen, []);
  });
});
