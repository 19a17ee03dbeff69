/**
 * How long an actor takes over its messages, at the price of few looks at the clock: quick ones are timed several at
 * once, slow ones by themselves.
 */
import { Histogram } from "#runtime/histogram.ts"

/** A message that takes longer than this, in microseconds, is slow: a look at the clock is a hundredth of it. */
const slowMicros = 5

export class Pace extends Histogram {
  /** Whether the messages timed last were slow, so that the next one is to be timed by itself. */
  isSlow = false

  /** What `messages` of them took together. */
  took(ms: number, messages: number): void {
    const micros = ms * 1_000
    this.isSlow = micros > slowMicros * messages
    if (this.isSlow) {
      // One of them took it all, as far as anybody knows: a rare slow decision must not hide in a mean.
      this.record(micros)
      if (messages > 1) this.record(0, messages - 1)
    } else this.record(micros / messages, messages)
  }
}
