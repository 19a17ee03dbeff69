/** Which measurements are worth a warning: what, if it got worse, would cost the group a leader or its order of events. */
import { showBytes } from "#runtime/show-bytes.ts"

/** The worst since the last one; times of both clocks, in milliseconds. */
export interface Moment {
  readonly slowestWriteMs: number
  readonly latestTickMs: number
  readonly clockMs: number
  readonly monotonicMs: number
  readonly disk: Disk
}

/** `low`: there is too little room for new entries, of which the log wants `wantedBytes`. */
export interface Disk {
  readonly directory: string
  readonly low: boolean
  readonly freeBytes: number
  readonly wantedBytes: number
}

export type WarningKind = "slow disk" | "late ticks" | "clock step" | "full disk" | "room again"

export interface Warning {
  readonly kind: WarningKind
  readonly message: string
}

/** What was said when, and what the clocks showed. Nothing at first. */
export interface Watch {
  readonly last: Moment | undefined
  /** By the monotonic clock. */
  readonly saidAt: Partial<Readonly<Record<WarningKind, number>>>
}

export const startWatch: Watch = { last: undefined, saidAt: {} }

// The shortest election timeout: a leader whose disk hangs for thrice that hands over.
const slowWriteMs = 500
// Half of that: two such delays in a row are a missed leader.
const lateTickMs = 250
// Nothing here goes by the clock, but what people read does, and tokens and certificates.
const clockStepMs = 1_000
const sayAgainMs = 60_000

/** Each kind is said once a minute at most. */
export function judge(
  watch: Watch,
  now: Moment
): { readonly watch: Watch; readonly warnings: ReadonlyArray<Warning> } {
  const found: Array<Warning> = []
  const { last } = watch
  const round = Math.round
  if (now.slowestWriteMs >= slowWriteMs)
    found.push({
      kind: "slow disk",
      message: `A write to the log took ${round(now.slowestWriteMs)} ms: above 1,500 ms this manager cannot lead`
    })
  if (now.latestTickMs >= lateTickMs)
    found.push({
      kind: "late ticks",
      message: `This process was held up for ${round(now.latestTickMs)} ms: above 500 ms other managers miss their leader`
    })
  if (last !== undefined) {
    const step = now.clockMs - last.clockMs - (now.monotonicMs - last.monotonicMs)
    if (Math.abs(step) >= clockStepMs)
      found.push({
        kind: "clock step",
        message: `The machine's clock was set ${step > 0 ? "forward" : "back"} by ${round(Math.abs(step))} ms`
      })
  }
  const { directory, low, freeBytes, wantedBytes } = now.disk
  const left = `${showBytes(freeBytes)} are left on the disk of ${directory}`
  if (low)
    found.push({
      kind: "full disk",
      message: `${left}, and the log wants ${showBytes(wantedBytes)}: this manager takes no new entries and leaves leading to others, if one of them can, until there is room`
    })
  else if (last?.disk.low === true)
    found.push({ kind: "room again", message: `${left}: there is room again for new entries` })
  const warnings = found.filter(
    ({ kind }) => now.monotonicMs - (watch.saidAt[kind] ?? Number.NEGATIVE_INFINITY) >= sayAgainMs
  )
  const saidAt: { [kind in WarningKind]?: number } = { ...watch.saidAt }
  for (const { kind } of warnings) saidAt[kind] = now.monotonicMs
  // Each end of it is said, and so is the next beginning.
  if (!low) delete saidAt["full disk"]
  else delete saidAt["room again"]
  return { watch: { last: now, saidAt }, warnings }
}
