import type { ErrorCode } from '../errors.ts';

/** What became of one event (promise P4). */
export type Outcome =
  | { readonly status: 'stored'; readonly partition: number; readonly offset: number }
  | { readonly status: 'refused' | 'not_stored' | 'unknown'; readonly code: ErrorCode };
