import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { describe, it } from 'node:test';
import { freePort, preferredPort } from '../../dev/free-port.ts';

describe('free port', () => {
  it('is the preferred one, unless somebody listens there', async () => {
    const free = await freePort();
    assert.equal(await preferredPort(free), free);
    for (const host of ['127.0.0.1', '0.0.0.0']) {
      const somebody = createServer().listen(0, host);
      await once(somebody, 'listening');
      const { port } = somebody.address() as AddressInfo;
      assert.notEqual(await preferredPort(port), port, host);
      somebody.close();
    }
  });

  it('is handed out once', async () => {
    const ports = await Promise.all(Array.from({ length: 20 }, freePort));
    assert.equal(new Set(ports).size, ports.length);
  });
});
