import { randomUUID } from 'node:crypto';
import { stockApp } from './stock-app.ts';

/** The floor: what HTTP, parsing and validation cost on stock Fastify when nothing is stored. Answers as long as ours. */

let offset = 1_000_000;

const app = stockApp(async (events) =>
  events.map(({ id = randomUUID() }) => {
    offset += 1;
    return { id, status: 'stored', partition: 3, offset };
  }),
);

await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT) });
