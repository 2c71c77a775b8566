import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { parse } from 'yaml';
import { IngestMetrics } from '../src/ingest/metrics.ts';

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

/** The service's metrics, and what it says of their labels' values. */
const metrics = new IngestMetrics();
metrics.observeBuffer({ bytesMax: 1, eventsMax: 1 }, () => ({ events: 0, bytes: 0, oldestAgeSeconds: 0 }));
const exposed = await metrics.text();
const names = new Set([...exposed.matchAll(/^# HELP (\S+)/gm)].map(([, name]) => name as string));
const NAME = /(?<![\w:])(?:dual_stream|http_server|process|nodejs)_[a-z0-9_]+/g;
const LABELS: Readonly<Record<string, readonly string[]>> = {
  outcome: ['stored', 'stored_late', 'refused', 'not_stored', 'unknown'],
  dependency: ['kafka', 'redis', 'authentication'],
  result: ['sent', 'failed', 'dropped'],
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

  it('show every metric of the service itself', () => {
    const asked = expressions.join(' ');
    const unseen = [...names].filter((name) => name.startsWith('dual_stream_') && !asked.includes(name));
    assert.deepEqual(unseen, []);
  });
});
