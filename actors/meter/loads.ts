/**
 * Hears the numbers that other systems publish for services to be scaled by, on `troupe.load.v1.<subject>`, and tells
 * them to the autoscalers that ask for them, once a second, while this manager leads.
 */
import { Effect, Schedule, type Scope } from "effect"
import { labelPrefix, loadSubject, natsPrefix } from "#actors/autoscaler/policy.ts"
import type { AutoscalerMessage } from "#actors/autoscaler/protocol.ts"
import type { LedgerService } from "#actors/ledger/service.ts"
import { Latest } from "#actors/meter/latest.ts"
import { address } from "#runtime/address.ts"
import type { Host } from "#runtime/host.ts"
import type { SystemService } from "#runtime/system.ts"
import type { TransportService } from "#runtime/transport.ts"

export interface LoadsOptions {
  /** Best a connection of its own, with `NatsServer.apiCredentials`. */
  readonly transport: Pick<TransportService, "subscribe">
  readonly ledger: Pick<LedgerService, "read" | "leadership">
  readonly system: Pick<SystemService, "tell">
  readonly host: Pick<Host, "now">
}

/** Who publishes every few seconds may miss some. */
const freshMs = 60_000
/** More subjects than these are a mistake; those that were heard of longest ago make room. */
const mostSubjects = 10_000
/** A number, and what its publisher says beside it. */
const mostBytes = 1_024
/** Nothing has more of anything to do, and sums over a window stay numbers. */
const largest = 1e15

/** The number that a message is: `25`, or `{"value": 25}`. */
export function parseLoad(text: string): number | undefined {
  try {
    const read: unknown = JSON.parse(text)
    const value = typeof read === "object" && read !== null && "value" in read ? read.value : read
    return typeof value === "number" && value >= 0 && value <= largest ? value : undefined
  } catch {
    return undefined
  }
}

/** Listens until the scope closes. */
export const keepLoads = Effect.fn("meter.loads")(function* ({
  transport,
  ledger,
  system,
  host
}: LoadsOptions): Effect.fn.Return<void, never, Scope.Scope> {
  const said = new Latest<{ readonly value: number; readonly at: number }>(mostSubjects)
  const decoder = new TextDecoder()
  const before = loadSubject("").length
  yield* Effect.acquireRelease(
    Effect.sync(() =>
      transport.subscribe(loadSubject(">"), {}, ({ subject, body }) => {
        const value = body.length > mostBytes ? undefined : parseLoad(decoder.decode(body))
        if (value === undefined) return
        said.set(subject.slice(before), { value, at: host.now() })
      })
    ),
    ({ unsubscribe }) => Effect.sync(unsubscribe)
  )
  const tellAll = Effect.sync(() => {
    if (said.isEmpty || ledger.leadership()._tag !== "Leading") return
    for (const { ID, Spec } of ledger.read.all("service")) {
      for (const label of Object.keys(Spec.Labels ?? {})) {
        if (!label.startsWith(labelPrefix + natsPrefix)) continue
        const subject = label.slice(labelPrefix.length + natsPrefix.length)
        const last = said.get(subject)
        if (last === undefined || last.at < host.now() - freshMs) continue
        const message: AutoscalerMessage = { _tag: "Published", subject, value: last.value }
        system.tell(address("leader", "autoscaler", ID), message)
      }
    }
  })
  yield* tellAll.pipe(Effect.repeat(Schedule.spaced("1 second")), Effect.forkScoped)
})
