/**
 * One life of one imitated process: its own view of the time, its turns, and the Effects that run in it.
 *
 * Killing it is kill -9: whatever it had under way never comes to anything, and nobody in it is told. Pausing it is
 * SIGSTOP: the world goes on, and when it wakes up, everything that was due comes at once.
 */
import { Clock, Context, Duration, Effect, Logger, Scheduler } from "effect"
import type { Host } from "#runtime/host.ts"
import type { VirtualHost } from "#runtime/host-virtual.ts"
import type { Fresh } from "#runtime/ids.ts"
import { steadyClock } from "#runtime/steady-clock.ts"
import type { MemoryTransport } from "#runtime/transport/memory.ts"

export interface LifeOptions {
  /** Chance of its own, so that what one process draws changes nothing for another one; else the host's. */
  readonly chance?: Fresh
  /** Turns of different lanes that are due at one moment come in any order, as those of real processes do. */
  readonly lane?: number
}

export class Life {
  readonly host: Host
  /** What Effects need to run on imitated time, in imitated turns, without a word to the terminal. */
  readonly context: Context.Context<never>
  /** How far its clock is ahead, in milliseconds; changing it sets the clock, as people and NTP do. */
  skewMs = 0
  #alive = true
  #paused = false
  #due: Array<() => void> = []
  readonly #base: VirtualHost
  readonly #lane: number | undefined

  constructor(base: VirtualHost, { chance, lane }: LifeOptions = {}) {
    this.#base = base
    this.#lane = lane
    this.host = {
      now: steadyClock(
        () => base.now() + this.skewMs,
        () => base.monotonic()
      ),
      monotonic: () => base.monotonic(),
      random: () => (chance ? chance.fraction() : base.random()),
      defer: (turn) => this.#defer(turn),
      after: (ms, fire) => {
        let wanted = true
        const cancel = base.after(ms, () => this.#take(() => wanted && fire()))
        return () => {
          wanted = false
          cancel()
        }
      }
    }
    this.context = Context.empty().pipe(
      Context.add(Clock.Clock, clockOf(this.host)),
      Context.add(Scheduler.Scheduler, schedulerOf(this.host)),
      Context.add(Logger.CurrentLoggers, new Set())
    ) as Context.Context<never>
  }

  get alive(): boolean {
    return this.#alive
  }

  get paused(): boolean {
    return this.#paused
  }

  /** Nothing of this life happens any more. */
  kill(): void {
    this.#alive = false
    this.#due = []
  }

  /** Nothing of this life happens until `resume`. */
  pause(): void {
    this.#paused = true
  }

  /** What was due meanwhile comes now, in the order in which it was due. */
  resume(): void {
    if (!this.#paused) return
    this.#paused = false
    const due = this.#due
    this.#due = []
    for (const turn of due) this.#defer(turn)
  }

  /** `told`, as long as this life lasts. */
  whileAlive<Args extends ReadonlyArray<unknown>>(told: (...args: Args) => void): (...args: Args) => void {
    return (...args) => this.#take(() => told(...args))
  }

  /** The transport of this life: what comes after its end reaches nobody, and what comes in a pause comes after it. */
  transport(connection: MemoryTransport): MemoryTransport {
    return {
      ...connection,
      subscribe: (pattern, options, deliver) =>
        connection.subscribe(pattern, options, this.whileAlive(deliver)),
      call: (subject, headers, body, withinMs, done) => {
        let open = true
        const finish = this.whileAlive((outcome: Parameters<typeof done>[0]) => {
          if (open) done(outcome)
        })
        const cancel = connection.call(subject, headers, body, withinMs, finish)
        return () => {
          open = false
          cancel()
        }
      },
      onStatus: (listen) => connection.onStatus(this.whileAlive(listen))
    }
  }

  #defer(turn: () => void): void {
    this.#base.defer(() => this.#take(turn), this.#lane)
  }

  #take(turn: () => void): void {
    if (!this.#alive) return
    if (this.#paused) this.#due.push(turn)
    else turn()
  }
}

function schedulerOf(host: Host): Scheduler.Scheduler {
  return new Scheduler.MixedScheduler("async", (turn) => {
    let wanted = true
    host.defer(() => {
      if (wanted) turn()
    })
    return () => {
      wanted = false
    }
  })
}

function clockOf(host: Host): Clock.Clock {
  const nanos = (ms: number): bigint => BigInt(Math.floor(ms)) * 1_000_000n
  return {
    currentTimeMillisUnsafe: () => host.now(),
    currentTimeMillis: Effect.sync(() => host.now()),
    currentTimeNanosUnsafe: () => nanos(host.now()),
    currentTimeNanos: Effect.sync(() => nanos(host.now())),
    monotonicTimeNanosUnsafe: () => nanos(host.monotonic()),
    monotonicTimeNanos: Effect.sync(() => nanos(host.monotonic())),
    sleep: (duration) =>
      Effect.callback<void>((resume) => {
        const cancel = host.after(Duration.toMillis(duration), () => resume(Effect.void))
        return Effect.sync(cancel)
      })
  }
}
