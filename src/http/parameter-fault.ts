import type { Fault } from '../event.ts';

/** A query parameter does not fit its schema. */
export class ParameterFault extends Error {
  readonly faults: readonly Fault[];

  /** From what TypeBox finds: of an unknown parameter two errors, one of which points to it by the name that was sent. */
  constructor(errors: readonly { keyword: string; instancePath: string; message: string }[]) {
    super('a parameter does not fit its schema');
    this.faults = errors
      .filter(({ keyword }) => keyword !== 'boolean')
      .map(({ instancePath, message }) => ({ pointer: instancePath, detail: message }));
  }
}
