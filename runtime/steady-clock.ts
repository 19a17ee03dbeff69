/**
 * The time of day, which never goes back: where the machine's clock was set back, as NTP does after a boot, it goes on at
 * half its speed until it is right again. Whoever waits for a moment waits twice as long then, rather than for an hour.
 *
 * `wall` gives milliseconds since the epoch, `monotonic` some that never jump; what is returned gives whole ones.
 */
export function steadyClock(wall: () => number, monotonic: () => number): () => number {
  let shown = Number.NEGATIVE_INFINITY
  let at = monotonic()
  return () => {
    const now = monotonic()
    shown = Math.max(wall(), shown + (now - at) / 2)
    at = now
    return Math.floor(shown)
  }
}
