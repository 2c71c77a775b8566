import { setFlagsFromString } from 'node:v8';
import type { Clock } from '../clock.ts';
import type { BufferBudget } from '../http/buffer-budget.ts';

const LOOK_MS = 500;
/** From this share of the buffer on. */
const PRESSED_SHARE = 0.25;
/** How much V8's heap may grow beyond what lives before it is collected; left to V8, it is up to four times as much. */
const GROWTH_PERCENT = 100;
const PRESSED_GROWTH_PERCENT = 30;

/**
 * Has V8 collect garbage earlier, and earlier still while the buffer fills. What waits for Kafka before it becomes
 * garbage is old by then, and V8 lets old garbage grow to a multiple of what lives: resident memory would pass the bound
 * of promise P3. The lower rate all the time would cost a tenth of the CPU (docs/decisions). Returns what ends it.
 */
export function collectEarlierUnderPressure(budget: BufferBudget, clock: Clock): () => void {
  let wasPressed = false;
  growBy(GROWTH_PERCENT);
  return clock.every(LOOK_MS, () => {
    const isPressed = budget.bytes > PRESSED_SHARE * budget.limits.bytesMax;
    if (isPressed === wasPressed) return;
    wasPressed = isPressed;
    growBy(isPressed ? PRESSED_GROWTH_PERCENT : GROWTH_PERCENT);
  });
}

function growBy(percent: number): void {
  setFlagsFromString(`--heap-growing-percent=${percent}`);
}
