/** Takes what other nodes send of their tasks' output, and lets readers find it. */
import { Clock, Context, Effect, Schedule, type Scope } from "effect"
import { copySubject, decodeToCopy } from "#actors/logs/copies/protocol.ts"
import type { CopyStore } from "#actors/logs/copies/store.ts"
import type { Host } from "#runtime/host.ts"
import type { TransportService } from "#runtime/transport.ts"

/** The copies that this node has; `undefined` where it keeps none. */
export const LogCopies = Context.Reference<CopyStore | undefined>("troupe/actors/logs/copies/LogCopies", {
  defaultValue: () => undefined
})

export interface KeepOptions {
  readonly cluster: string
  readonly nodeId: string
  readonly transport: Pick<TransportService, "subscribe">
  readonly store: CopyStore
  readonly host: Pick<Host, "now">
}

/** As often as the memory of one's own is tidied. */
const tidyEvery = Schedule.spaced("10 seconds")

/** Until the scope closes; then everything is written. */
export const keepCopies = Effect.fn("logs.keepCopies")(function* ({
  cluster,
  nodeId,
  transport,
  store,
  host
}: KeepOptions): Effect.fn.Return<void, never, Scope.Scope> {
  yield* Effect.addFinalizer(() => Effect.map(Clock.currentTimeMillis, (now) => store.flush(now)))
  yield* Effect.acquireRelease(
    Effect.sync(() =>
      transport.subscribe(copySubject(cluster, nodeId, "*"), {}, ({ subject, body, respond }) => {
        const from = subject.slice(subject.lastIndexOf(".") + 1)
        const said = decodeToCopy(body)
        if (said === undefined || respond === undefined) return
        respond({}, new TextEncoder().encode(JSON.stringify(store.hear(from, said, host.now()))))
      })
    ),
    ({ unsubscribe }) => Effect.sync(unsubscribe)
  )
  yield* Effect.sync(() => store.tidy(host.now())).pipe(
    Effect.catchDefect((defect) => Effect.logWarning("Cannot tidy the copies of logs", defect)),
    Effect.repeat(tidyEvery),
    Effect.forkScoped
  )
})
