/** Hears what every node says it uses, and keeps it while this manager lives. What is lost with it is lost. */
import { Clock, Effect, Schedule, type Scope } from "effect"
import type { LedgerReader } from "#actors/ledger/reader.ts"
import { metricSubject } from "#actors/meter/figures.ts"
import { History } from "#actors/meter/history.ts"
import { parseFigures } from "#actors/meter/parse-figures.ts"
import type { Host } from "#runtime/host.ts"
import type { TransportService } from "#runtime/transport.ts"

export interface KeepOptions {
  readonly cluster: string
  readonly transport: Pick<TransportService, "subscribe">
  readonly ledger: LedgerReader
  readonly host: Pick<Host, "now">
}

const everySecond = Schedule.spaced("1 second")
const forgettingEvery = 60

/** Keeps until the scope closes. A node is believed about itself, which its subject says, and about its own tasks. */
export const keepHistory = Effect.fn("meter.keep")(function* ({
  cluster,
  transport,
  ledger,
  host
}: KeepOptions): Effect.fn.Return<History, never, Scope.Scope> {
  const history = new History()
  const decoder = new TextDecoder()
  // The machine's own: the host's goes on for a while where it was set back.
  const clock = yield* Clock.Clock
  yield* Effect.acquireRelease(
    Effect.sync(() =>
      transport.subscribe(metricSubject(cluster, "*"), {}, ({ subject, body }) => {
        const nodeId = subject.slice(subject.lastIndexOf(".") + 1)
        if (ledger.get("node", nodeId) === undefined) return
        const figures = parseFigures(decoder.decode(body))
        if (figures === undefined) return
        if (figures.at !== undefined)
          history.compareClock(nodeId, figures.at - clock.currentTimeMillisUnsafe(), host.now())
        history.take(nodeId, figures, host.now(), (id) => {
          const task = ledger.get("task", id)
          return task?.NodeID === nodeId ? { serviceId: task.ServiceID, nodeId } : undefined
        })
      })
    ),
    ({ unsubscribe }) => Effect.sync(unsubscribe)
  )
  let seconds = 0
  const gather = Effect.sync(() => {
    history.gather(host.now())
    if (seconds++ % forgettingEvery === 0) history.forget(host.now())
  })
  yield* gather.pipe(Effect.repeat(everySecond), Effect.forkScoped)
  return history
})
