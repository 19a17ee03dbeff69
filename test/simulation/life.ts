/**
 * One life of one imitated process: its time, and the Effects that run in it. Killing it is kill -9: whatever it had
 * under way never comes to anything, and nobody in it is told.
 */
import { Clock, Context, Duration, Effect, Logger, Scheduler } from "effect"
import type { Host } from "#runtime/host.ts"
import type { VirtualHost } from "#runtime/host-virtual.ts"
import type { MemoryTransport } from "#runtime/transport/memory.ts"

export class Life {
  readonly host: Host
  /** What Effects need to run on imitated time, in imitated turns, without a word to the terminal. */
  readonly context: Context.Context<never>
  #alive = true

  constructor(base: VirtualHost) {
    const guard = (turn: () => void) => (): void => {
      if (this.#alive) turn()
    }
    this.host = {
      now: () => base.now(),
      monotonic: () => base.monotonic(),
      random: () => base.random(),
      defer: (turn) => base.defer(guard(turn)),
      after: (ms, fire) => base.after(ms, guard(fire))
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

  /** Nothing of this life happens any more. */
  kill(): void {
    this.#alive = false
  }

  /** `told`, as long as this life lasts. */
  whileAlive<Args extends ReadonlyArray<unknown>>(told: (...args: Args) => void): (...args: Args) => void {
    return (...args) => {
      if (this.#alive) told(...args)
    }
  }

  /** The transport of this life: answers that come after its end reach nobody. */
  transport(connection: MemoryTransport): MemoryTransport {
    return {
      ...connection,
      call: (subject, headers, body, withinMs, done) =>
        connection.call(subject, headers, body, withinMs, this.whileAlive(done))
    }
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
