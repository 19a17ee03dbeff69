/**
 * Counts of durations in buckets that grow by half an octave, so that a quantile is right within a third at any size.
 *
 * Recording is one bit trick and one increment: it happens for every message. The buckets are the same everywhere,
 * so counts can be added up, subtracted and sent; 62 of them reach from a quarter of a microsecond to four minutes.
 */

/** Quarters of a microsecond up to 1 µs, then two buckets per doubling. */
const linear = 4
const buckets = 62
const largest = 2 ** 31 - 1

/** Which bucket a duration in microseconds falls into. */
function bucketOf(micros: number): number {
  const quarters = micros * linear
  const n = quarters >= largest ? largest : quarters | 0
  if (n < linear) return Math.max(n, 0)
  const exponent = 31 - Math.clz32(n)
  return linear + (exponent - 2) * 2 + ((n >> (exponent - 1)) & 1)
}

/** Where the bucket ends, in microseconds; what falls into it is below. */
function endOf(bucket: number): number {
  const next = bucket + 1
  if (next <= linear) return next / linear
  const half = next - linear
  return ((2 + (half & 1)) * 2 ** ((half >> 1) + 1)) / linear
}

const none = new Uint32Array(0)

export class Histogram {
  /** Grows to what was needed, because most actors never take a millisecond. */
  #counts = none
  count = 0
  sumMicros = 0
  maxMicros = 0

  /** Counts `times` durations of `micros` each. */
  record(micros: number, times = 1): void {
    const bucket = bucketOf(micros)
    if (bucket >= this.#counts.length) this.#grow(bucket)
    ;(this.#counts[bucket] as number) += times
    this.count += times
    this.sumMicros += micros * times
    if (micros > this.maxMicros) this.maxMicros = micros
  }

  /** Adds what another one counted. */
  add(other: Histogram): void {
    const counts = other.#counts
    if (counts.length > this.#counts.length) this.#grow(counts.length - 1)
    for (let bucket = 0; bucket < counts.length; bucket++) {
      ;(this.#counts[bucket] as number) += counts[bucket] as number
    }
    this.count += other.count
    this.sumMicros += other.sumMicros
    this.maxMicros = Math.max(this.maxMicros, other.maxMicros)
  }

  /** A duration that `share` of all recorded ones did not exceed, in microseconds; 0 when there are none. */
  quantile(share: number): number {
    const wanted = Math.max(1, Math.ceil(this.count * share))
    let seen = 0
    for (const [bucket, count] of this.#counts.entries()) {
      seen += count
      if (seen >= wanted && count > 0) return Math.min(endOf(bucket), this.maxMicros)
    }
    return 0
  }

  /** How many were shorter than 2 to the power of `exponent` microseconds; `exponent` is 0 or more. */
  below(exponent: number): number {
    let seen = 0
    const end = Math.min(linear + exponent * 2, this.#counts.length)
    for (let bucket = 0; bucket < end; bucket++) seen += this.#counts[bucket] as number
    return seen
  }

  #grow(bucket: number): void {
    const counts = new Uint32Array(Math.min(buckets, bucket + 8))
    counts.set(this.#counts)
    this.#counts = counts
  }
}
