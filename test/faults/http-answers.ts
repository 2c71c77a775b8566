/** One answer as it came over the wire. */
export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
  /** The server closes the connection after it: what was sent behind this request is not served. */
  readonly isLast: boolean;
}

const HEAD_END = Buffer.from('\r\n\r\n');
const STATUS_LINE = /^HTTP\/1\.[01] (\d{3}) /;
const CONTENT_LENGTH = /\r\ncontent-length: *(\d+)/i;
const CONNECTION_CLOSE = /\r\nconnection: *close/i;
const NOTHING = Buffer.alloc(0);

/**
 * Takes the answers out of the bytes of one connection, however these are cut. It reads what the service writes: a
 * status line, headers, and a body whose length is said. A client that served every server would cost more than the
 * service that it is to put under load.
 */
export class HttpAnswers {
  #received: Buffer = NOTHING;

  /**
   * The answers that are complete with this chunk.
   * @throws Error when the bytes are no HTTP/1.1 answer with a content-length.
   */
  receive(chunk: Buffer): readonly HttpAnswer[] {
    const answers: HttpAnswer[] = [];
    const bytes = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    let at = 0;
    while (at < bytes.length) {
      const headEnd = bytes.indexOf(HEAD_END, at);
      if (headEnd < 0) break;
      const head = bytes.toString('latin1', at, headEnd);
      const status = STATUS_LINE.exec(head)?.[1];
      const length = CONTENT_LENGTH.exec(head)?.[1];
      if (status === undefined || length === undefined)
        throw new Error(`not an answer: ${head.slice(0, 200)}`);
      const bodyAt = headEnd + HEAD_END.length;
      const end = bodyAt + Number(length);
      if (end > bytes.length) break;
      at = end;
      answers.push({
        status: Number(status),
        body: bytes.toString('utf8', bodyAt, end),
        isLast: CONNECTION_CLOSE.test(head),
      });
    }
    this.#received = at === bytes.length ? NOTHING : bytes.subarray(at);
    return answers;
  }
}
