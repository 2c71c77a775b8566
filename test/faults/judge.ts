import type { Ledger, Verdict } from './ledger.ts';
import type { Faults, ServiceNeeds } from './scenario.ts';

export interface Assertion {
  readonly name: string;
  readonly isTrue: boolean;
  /** What was found, for the table. */
  readonly found: string;
}

/** The publish timeout and half a second (promise P5). */
export const ANSWER_MS_MAX = 15_500;
const BACK_MS_MAX = 10_000;

/** What every scenario is judged by. `service`: it ran over HTTP, so that attempts are not seen. */
export function judge(
  verdict: Verdict,
  scenario: Faults & { readonly service?: ServiceNeeds },
  backMs: number,
): Assertion[] {
  const { storedShareMin, duplicatesShareMax, service } = scenario;
  const { answerMsMax = ANSWER_MS_MAX } = service ?? {};
  const storedShare = verdict.stored / verdict.offered;
  const duplicatesShare = verdict.duplicates / verdict.offered;
  return [
    none('lost', verdict.lost),
    none('phantom', verdict.phantom),
    none('order breaks', verdict.orderBreaks),
    none('corrupt', verdict.corrupt),
    none('unanswered', verdict.unanswered),
    ...(service === undefined ? seenInside(verdict) : seenOutside(verdict, service)),
    ...(duplicatesShareMax === undefined
      ? []
      : [
          {
            name: 'duplicates',
            isTrue: duplicatesShare <= duplicatesShareMax,
            found: `${verdict.duplicates} (${percent(duplicatesShare)})`,
          },
        ]),
    ...(storedShareMin === undefined
      ? []
      : [{ name: 'stored share', isTrue: storedShare >= storedShareMin, found: percent(storedShare) }]),
    {
      name: 'longest answer',
      isTrue: verdict.longestAnswerMs <= answerMsMax,
      found: ms(verdict.longestAnswerMs),
    },
    { name: 'back', isTrue: backMs <= BACK_MS_MAX, found: ms(backMs) },
  ];
}

function seenInside(verdict: Verdict): Assertion[] {
  return [
    none('unexplained duplicates', verdict.unexplainedDuplicates),
    none('written after the deadline', verdict.writtenLate),
    none('notified wrongly', verdict.notifiedWrongly),
  ];
}

function seenOutside(verdict: Verdict, { areAllNotified = false }: ServiceNeeds): Assertion[] {
  return [
    none('refused', verdict.refused),
    none('notified, not in the topic', verdict.notifiedAbsent),
    ...(areAllNotified ? [none('stored, not notified', verdict.notNotified)] : []),
  ];
}

function none(name: string, found: number): Assertion {
  return { name, isTrue: found === 0, found: String(found) };
}

export function printTable(
  print: (line: string) => void,
  table: {
    readonly title: string;
    readonly rows: readonly (readonly [string, string])[];
    readonly assertions: readonly Assertion[];
  },
): void {
  print('');
  print(table.title);
  for (const [name, value] of table.rows) print(`        ${name.padEnd(28)} ${value}`);
  for (const { name, isTrue, found } of table.assertions) {
    print(`  ${isTrue ? 'ok   ' : 'FAIL '} ${name.padEnd(28)} ${found}`);
  }
  print('');
}

/** Each reason with its count, and when it was answered first and last. */
export function whyNot({ reasons }: Ledger, startedAt: number): string {
  const at = (time: number) => `${((time - startedAt) / 1_000).toFixed(1)} s`;
  const told = [...reasons].map(
    ([code, { count, firstAt, lastAt }]) => `${code} ${count} (${at(firstAt)} to ${at(lastAt)})`,
  );
  return told.join(', ') || 'none';
}

export function percent(share: number): string {
  return `${(share * 100).toFixed(2)} %`;
}

export function ms(value: number): string {
  return Number.isFinite(value) ? `${value.toFixed(value < 10 ? 1 : 0)} ms` : 'never';
}
