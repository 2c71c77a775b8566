import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { Redis } from 'ioredis';
import { askRedis, type LocalRedis, startRedis } from '../../dev/local-redis.ts';
import { StartError } from '../../dev/start-error.ts';
import { isAlive } from './wait-until.ts';

describe('local Redis', () => {
  let redis: LocalRedis;
  before(async () => {
    redis = await startRedis();
  });
  after(() => redis.kill());

  it('answers at its url, and is the process it names', async () => {
    const client = new Redis(redis.url);
    assert.equal(await client.ping(), 'PONG');
    client.disconnect();
    assert.equal(await askRedis(redis.port, 'process_id'), String(redis.child.pid));
  });

  it('starts again on the same port after it was stopped or killed, and leaves no process behind', async () => {
    for (const end of ['stop', 'kill'] as const) {
      const { pid } = redis.child;
      await redis[end]();
      assert.equal(isAlive(pid), false);
      assert.equal(await askRedis(redis.port, 'process_id'), undefined);
      await redis.start();
      assert.equal(await askRedis(redis.port, 'process_id'), String(redis.child.pid));
    }
  });

  it('answers nothing while it is paused, and goes on', async () => {
    redis.pause();
    assert.equal(await askRedis(redis.port, 'run_id'), undefined);
    redis.resume();
    assert.notEqual(await askRedis(redis.port, 'run_id'), undefined);
  });

  it('takes nobody else on its port for itself', async () => {
    await assert.rejects(startRedis({ port: redis.port }), StartError);
    const somebody = createServer().listen(0, '127.0.0.1');
    await once(somebody, 'listening');
    await assert.rejects(startRedis({ port: (somebody.address() as AddressInfo).port }), /its log is/);
    somebody.close();
  });

  it('can be told to want a password', async () => {
    const guarded = await startRedis({ config: ['requirepass secret'], connection: { password: 'secret' } });
    assert.equal(await askRedis(guarded.port, 'run_id'), undefined);
    await guarded.stop();
  });
});
