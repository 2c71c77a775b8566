import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { Ajv } from 'ajv';
import { parse } from 'yaml';
import { valuesTable } from '../dev/chart/values-table.ts';

/** What can be said of the Helm chart without Helm; `npm run test:chart` says the rest. */

const ROOT = join(import.meta.dirname, '..');
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');
const chart = (path: string) => read(`helm/dual-stream/${path}`);

type Values = Record<string, unknown>;

const isMap = (value: unknown): value is Values =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Maps whose members are names of the reader's own, or Kubernetes' objects as they are. */
const OPEN = [
  'commonLabels',
  'updateStrategy',
  'updateStrategy.rollingUpdate',
  'deploymentAnnotations',
  'podAnnotations',
  'podLabels',
  'serviceAccount.annotations',
  'resources',
  'resources.requests',
  'resources.limits',
  'podSecurityContext',
  'podSecurityContext.seccompProfile',
  'securityContext',
  'securityContext.capabilities',
  'affinity',
  'nodeSelector',
  'autoscaling.behavior',
  'autoscaling.behavior.scaleDown',
  'keda.prometheus.authenticationRef',
  'service.annotations',
  'managementService.annotations',
  'ingress.annotations',
  'httpRoute.annotations',
  'monitoring.serviceMonitor.labels',
  'monitoring.podMonitor.labels',
  'monitoring.prometheusRule.labels',
  'monitoring.dashboard.labels',
  'monitoring.dashboard.annotations',
  ...['processor', 'query'].flatMap((program) =>
    [
      'deploymentAnnotations',
      'podAnnotations',
      'podLabels',
      'resources',
      'resources.requests',
      'resources.limits',
      'affinity',
      'autoscaling.behavior',
      'autoscaling.behavior.scaleDown',
      program === 'processor' ? 'keda.authenticationRef' : 'service.annotations',
    ].map((name) => `${program}.${name}`),
  ),
];

describe('chart', () => {
  const validate = new Ajv({ strict: false }).compile(JSON.parse(chart('values.schema.json')) as object);
  const values = () => parse(chart('values.yaml')) as Values;

  it('has values that its schema takes', () => {
    assert.ok(validate(values()), JSON.stringify(validate.errors));
  });

  it('refuses a typing error in every map but those that are open', () => {
    const open: string[] = [];
    const tryTypingError = (path: readonly string[]) => {
      const whole = values();
      const map = path.reduce((value, name) => value[name] as Values, whole);
      map.tpyo = 'x';
      if (validate(whole)) open.push(path.join('.'));
      delete map.tpyo;
      for (const [name, value] of Object.entries(map)) if (isMap(value)) tryTypingError([...path, name]);
    };
    tryTypingError([]);
    assert.deepEqual(open, OPEN);
  });

  it('names in its schema what values.yaml has, and nothing else', () => {
    interface Schema {
      readonly properties?: Readonly<Record<string, Schema>>;
    }
    const missing: string[] = [];
    const compare = (schema: Schema, value: unknown, path: readonly string[]) => {
      for (const [name, inner] of Object.entries(schema.properties ?? {})) {
        // Settings have defaults of their own, and of probes only some members are set.
        if (name === 'config' || path[0] === 'probes') continue;
        // For charts that this one is a part of.
        if (path.length === 0 && (name === 'global' || name === 'enabled')) continue;
        if (!isMap(value) || !(name in value)) missing.push([...path, name].join('.'));
        else compare(inner, value[name], [...path, name]);
      }
    };
    compare(JSON.parse(chart('values.schema.json')) as Schema, values(), []);
    assert.deepEqual(missing, []);
  });

  it('installs the version of the service that it lies beside', () => {
    const { appVersion } = parse(chart('Chart.yaml')) as { appVersion: string };
    assert.equal(appVersion, (JSON.parse(read('package.json')) as { version: string }).version);
  });

  it('has a comment for every value, or no table is written', () => {
    assert.throws(() => valuesTable('# What it is.\nthis: 1\nthat: 2\n'), /does not say what that is/);
    assert.match(
      valuesTable('inside:\n  # One\n  # or two | three.\n  this: [1]\n# All.\nopen:\n  a: 1\n'),
      /\| `inside\.this` \| `\[1\]` \| One or two \\\| three\. \|\n\| `open` \| `\{"a":1\}` \| All\. \|/,
    );
  });
});
