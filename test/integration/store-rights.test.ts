import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before as beforeAll, describe, it } from 'node:test';
import kafkajs from 'kafkajs';
import pg from 'pg';
import { pino } from 'pino';
import { freePort } from '../../dev/free-port.ts';
import { type LocalKafka, startKafka } from '../../dev/local-kafka.ts';
import { type LocalPostgres, startPostgres } from '../../dev/local-postgres.ts';
import { type Processor, startProcessor } from '../../src/processor/server.ts';
import { readProcessorConfig } from '../../src/store-config.ts';
import { until } from './local-service.ts';

/**
 * A real broker and a real PostgreSQL that let the event processor do no more than docs/least-privilege.md says, and the
 * query API no more than read.
 */

const { AclOperationTypes, AclPermissionTypes, AclResourceTypes, Kafka, logLevel, ResourcePatternTypes } =
  kafkajs;
const USER = 'dual-stream-processor';
const PASSWORD = 'secret';
const TOPIC = 'events';
const DEAD_LETTERS = 'events.dead-letters';
const JAAS = 'org.apache.kafka.common.security.plain.PlainLoginModule required';
const READY_TIMEOUT_MS = 30_000;

const document = readFileSync(new URL('../../docs/least-privilege.md', import.meta.url), 'utf8');
/** As the document has them: `--topic events --operation Read`. */
const RIGHTS = [
  ...document.matchAll(
    new RegExp(`^ {4}--add --allow-principal User:${USER} --(topic|group) (\\S+) (.+)$`, 'gm'),
  ),
].flatMap(([, kind = '', name = '', operations = '']) =>
  [...operations.matchAll(/--operation (\w+)/g)].map(([, operation = '']) => ({
    kind: kind.toUpperCase() as 'TOPIC' | 'GROUP',
    name,
    operation: operation.toUpperCase() as keyof typeof AclOperationTypes,
  })),
);
const [, SQL = ''] = /^```sql\n([\s\S]*?)^```$/m.exec(document) ?? [];

describe('a Kafka and a PostgreSQL that allow what the document says', () => {
  let kafka: LocalKafka;
  let postgres: LocalPostgres;
  let secured: string;
  let admin: ReturnType<InstanceType<typeof Kafka>['admin']>;
  let processor: Processor | undefined;
  const said: string[] = [];

  beforeAll(async () => {
    secured = `127.0.0.1:${await freePort()}`;
    [kafka, postgres] = await Promise.all([
      startKafka({
        listeners: [`SASL_PLAINTEXT://${secured}`],
        properties: {
          'listener.security.protocol.map':
            'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT',
          'sasl.enabled.mechanisms': 'PLAIN',
          'listener.name.sasl_plaintext.plain.sasl.jaas.config': `${JAAS} user_${USER}="${PASSWORD}";`,
          'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
          'super.users': 'User:ANONYMOUS',
        },
      }),
      startPostgres({
        hba: [
          'host dual_stream dual_stream 127.0.0.1/32 trust',
          'host dual_stream dual_stream_processor,dual_stream_query 127.0.0.1/32 scram-sha-256',
        ],
      }),
    ]);
    admin = client(kafka.brokers).admin();
    await admin.connect();
    const topics = [TOPIC, DEAD_LETTERS].map((topic) => ({ topic, numPartitions: 1 }));
    await admin.createTopics({ topics, waitForLeaders: true });
    await asUser(new URL(postgres.url).username, undefined, (database) => database.query(SQL));
  });
  after(async () => {
    await processor?.close();
    await admin?.disconnect();
    await postgres?.stop();
    await kafka?.stop();
  });

  const client = (brokers: string) => new Kafka({ brokers: brokers.split(','), logLevel: logLevel.NOTHING });

  /** Does something in the database as a user. */
  async function asUser<Result>(
    user: string,
    password: string | undefined,
    work: (database: pg.Client) => Promise<Result>,
  ): Promise<Result> {
    const database = new pg.Client({
      host: '127.0.0.1',
      port: postgres.port,
      database: 'dual_stream',
      user,
      ...(password && { password }),
    });
    await database.connect();
    try {
      return await work(database);
    } finally {
      await database.end();
    }
  }

  async function start(): Promise<Processor> {
    const log = pino({ level: 'warn' }, { write: (line: string) => said.push(line) });
    const config = readProcessorConfig({
      KAFKA_BROKERS: secured,
      KAFKA_SASL_MECHANISM: 'PLAIN',
      KAFKA_SASL_USERNAME: USER,
      KAFKA_SASL_PASSWORD: PASSWORD,
      POSTGRES_URL: `postgres://dual_stream_processor:${PASSWORD}@127.0.0.1:${postgres.port}/dual_stream`,
      MANAGEMENT_PORT: String(await freePort()),
    });
    return startProcessor(config, log);
  }

  const allow = (rights: typeof RIGHTS) =>
    admin.createAcls({
      acl: rights.map(({ kind, name, operation }) => ({
        resourceType: AclResourceTypes[kind],
        resourceName: name,
        resourcePatternType: ResourcePatternTypes.LITERAL,
        principal: `User:${USER}`,
        host: '*',
        operation: AclOperationTypes[operation],
        permissionType: AclPermissionTypes.ALLOW,
      })),
    });

  async function isReady(): Promise<boolean> {
    return (await fetch(`${processor?.address}/readyz`)).status === 200;
  }

  const stored = () =>
    asUser('dual_stream_query', PASSWORD, async (database) => {
      const { rows } = await database.query<{ id: string }>('select id from dual_stream.events order by seq');
      return rows.map(({ id }) => id);
    });
  const deadLetters = async () => Number((await admin.fetchTopicOffsets(DEAD_LETTERS))[0]?.high);

  it('is not ready without a right, and goes on when it has it', async () => {
    assert.equal(RIGHTS.length, 3);
    const [group, ...others] = RIGHTS.toSorted((a, b) => a.kind.localeCompare(b.kind)) as [
      (typeof RIGHTS)[number],
      ...typeof RIGHTS,
    ];
    assert.equal(group.kind, 'GROUP');
    await allow(others);
    processor = await start();
    // As kafkajs calls it.
    await until(() => said.some((line) => /find group coordinator/.test(line)), READY_TIMEOUT_MS);
    assert.equal(await isReady(), false);
    await allow([group]);
    await until(isReady, READY_TIMEOUT_MS);
  });

  it('stores events, and sends away what is none', async () => {
    const producer = client(kafka.brokers).producer({
      createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
    });
    await producer.connect();
    const event = {
      id: 'one',
      time: new Date().toISOString(),
      type: 't',
      source_type: 'user',
      source_id: 's',
    };
    await producer.send({
      topic: TOPIC,
      messages: [
        { key: 's', value: 'no event' },
        { key: 's', value: JSON.stringify(event) },
      ],
    });
    await producer.disconnect();
    await until(async () => (await stored()).length > 0, READY_TIMEOUT_MS);
    assert.deepEqual(await stored(), ['one']);
    assert.equal(await deadLetters(), 1);
  });

  it('lets the query API read every table, and change none', async () => {
    await asUser('dual_stream_query', PASSWORD, async (database) => {
      const { rows } = await database.query<{ name: string }>(
        "select tablename as name from pg_tables where schemaname = 'dual_stream'",
      );
      assert.ok(rows.length >= 4);
      for (const { name } of rows) {
        // oxlint-disable-next-line no-await-in-loop -- it is one connection
        await database.query(`select * from dual_stream.${name} limit 1`);
        // oxlint-disable-next-line no-await-in-loop
        await assert.rejects(database.query(`delete from dual_stream.${name}`), /permission denied/);
      }
      await assert.rejects(database.query('create table dual_stream.mine ()'), /permission denied/);
    });
  });

  it('starts again without the right that makes tables', async () => {
    await processor?.close();
    await asUser('dual_stream', undefined, (database) =>
      database.query('revoke create on database dual_stream from dual_stream_processor'),
    );
    processor = await start();
    await until(isReady, READY_TIMEOUT_MS);
  });
});
