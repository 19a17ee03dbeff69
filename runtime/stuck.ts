/**
 * When a thread counts as stuck. Pure: what the watchdog saw at one tick goes in, whether that is too long comes out.
 *
 * Time alone would accuse a machine that was suspended, a process that was stopped or sits in a debugger, and a thread
 * that waits for a slow disk. So time counts only as far as the watchdog itself was awake to see it pass, and the
 * process must have computed meanwhile: an endless loop burns a processor, and those do not.
 */
export interface Watch {
  readonly beats: number
  /** How long no heartbeat was seen, in milliseconds that the watchdog was awake for. */
  readonly silentMs: number
  /** The processor time of the process at the last heartbeat, in milliseconds. */
  readonly cpuMs: number
}

export interface Tick {
  readonly beats: number
  readonly tookMs: number
  readonly cpuMs: number
}

/** Half of one processor: what a loop still gets on a machine that is fully busy with others. */
const leastShare = 0.5

export function look(
  watch: Watch,
  tick: Tick,
  limits: { readonly stuckMs: number; readonly tickMs: number }
) {
  if (tick.beats !== watch.beats) return { stuck: false, watch: { ...tick, silentMs: 0 } }
  const silentMs = watch.silentMs + Math.min(tick.tookMs, 2 * limits.tickMs)
  const computed = tick.cpuMs - watch.cpuMs
  return {
    stuck: silentMs >= limits.stuckMs && computed >= limits.stuckMs * leastShare,
    watch: { ...watch, silentMs }
  }
}
