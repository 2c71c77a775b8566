import assert from 'node:assert/strict';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { pino } from 'pino';
import { closeManagement, managementApp } from '../../src/http/management-app.ts';
import { probeOptions } from '../../src/query/app.ts';
import { queryOptions } from '../fakes/query-options.ts';
import { RawClient } from '../raw-client.ts';

describe('the management port', () => {
  it('closes in its time, whatever is half sent to it', async () => {
    const options = queryOptions();
    const log = pino({ enabled: false });
    const app = await managementApp({
      ...probeOptions(options),
      metrics: options.metrics,
      log,
      document: undefined,
    });
    await app.listen({ host: '127.0.0.1', port: 0 });
    const client = await RawClient.connect((app.server.address() as AddressInfo).port);
    client.write('GET /livez HTTP/1.1\r\nHo');
    await delay(50);
    const startedAt = performance.now();
    await closeManagement(app, 300);
    assert.ok(performance.now() - startedAt < 2_000);
    assert.ok(await client.isClosed(1_000), 'nothing is left open');
  });
});
