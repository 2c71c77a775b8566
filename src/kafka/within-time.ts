/**
 * Waits for something that kafkajs does, which can wait for ever for an answer that is lost.
 * @throws Error when it is not done in time; how it ends then is nobody's concern any more
 */
export async function withinTime<Result>(work: Promise<Result>, ms: number): Promise<Result> {
  const { promise: timedOut, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error('Kafka does not answer')), ms);
  work.catch(() => {}); // when the timer wins, nobody else looks at how it ends
  try {
    return await Promise.race([work, timedOut]);
  } finally {
    clearTimeout(timer);
  }
}
