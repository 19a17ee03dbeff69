/** Clients that write, and what their times come to. */
import { performance } from "node:perf_hooks"

export interface Figures {
  /** Milliseconds. */
  readonly p50: number
  readonly p99: number
  readonly perSecond: number
}

/** `open` clients, each of which writes again as soon as its last write is answered. */
export async function measure(
  open: number,
  count: number,
  write: (client: number) => Promise<void>
): Promise<Figures> {
  const times: Array<number> = []
  let left = count
  const began = performance.now()
  const client = async (which: number): Promise<void> => {
    while (left-- > 0) {
      const start = performance.now()
      await write(which)
      times.push(performance.now() - start)
    }
  }
  await Promise.all(Array.from({ length: open }, (_, which) => client(which)))
  const seconds = (performance.now() - began) / 1_000
  times.sort((a, b) => a - b)
  const at = (share: number): number => times[Math.floor((times.length - 1) * share)] ?? 0
  return { p50: at(0.5), p99: at(0.99), perSecond: count / seconds }
}

export const show = ({ p50, p99, perSecond }: Figures): string =>
  `p50 ${p50.toFixed(2).padStart(6)} ms  p99 ${p99.toFixed(2).padStart(6)} ms  ${Math.round(perSecond).toString().padStart(7)} /s`

export const median = (values: ReadonlyArray<number>): number => quantile(values, 0.5)

export const quantile = (values: ReadonlyArray<number>, share: number): number =>
  [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] ??
  Number.NaN
