/** The cluster's alerts, at `leader/alerts/main`: they look, and tell whoever is to know. */
import { X509Certificate } from "node:crypto"
import { Clock, Context, Effect, Schedule, type Schema } from "effect"
import { type AlertsState, decide, keyOf, start, summary } from "#actors/alerts/decide.ts"
import {
  type AlertsAction,
  type AlertsMessage,
  type AlertsProps,
  type Facts,
  type Notice,
  ToAlerts
} from "#actors/alerts/protocol.ts"
import { carryOut } from "#actors/ledger/proposer.ts"
import { Ledger } from "#actors/ledger/service.ts"
import { propose } from "#actors/ledger/writer.ts"
import { nodeMetrics } from "#actors/meter/figures.ts"
import type { History } from "#actors/meter/history.ts"
import type { Secret } from "#actors/model/objects.ts"
import { toIso } from "#actors/model/time.ts"
import { readCertificateOnce } from "#actors/network/certificate-file.ts"
import { certificates } from "#actors/network/certificates.ts"
import { actor } from "#runtime/actor.ts"
import type { Address } from "#runtime/address.ts"

/** Where notices go beside the webhook, and what was measured; by default nowhere, and nothing. */
export interface AlertWorld {
  readonly publish: (notice: Notice) => void
  readonly history: History | undefined
}
export const AlertSurroundings = Context.Reference<AlertWorld>("troupe/actors/alerts/AlertSurroundings", {
  defaultValue: () => ({ publish: () => {}, history: undefined })
})

const patience = "5 seconds"
const again = Schedule.exponential("500 millis")
const tries = 3

const perform = (
  action: AlertsAction,
  self: Address
): Effect.Effect<AlertsMessage | undefined, never, Ledger> => {
  switch (action._tag) {
    case "Gather":
      return gather
    case "Note":
      return Effect.map(carryOut(propose("alerts", action.commands), self), ({ outcome }) => ({
        _tag: "Noted",
        isWritten: outcome._tag === "Applied",
        notices: action.notices
      }))
    case "Notify":
      return Effect.as(tell(action), undefined)
  }
}

const gather: Effect.Effect<AlertsMessage, never, Ledger> = Effect.gen(function* () {
  const { read } = yield* Ledger
  const { history } = yield* AlertSurroundings
  const now = yield* Clock.currentTimeMillis
  const [free, total] = [nodeMetrics.indexOf("diskFree"), nodeMetrics.indexOf("diskTotal")]
  const disks: Facts["disks"] = [...(history?.latest("node", now) ?? [])].map(([nodeId, { row }]) => ({
    nodeId,
    // What is not known is not low.
    free: row[free] ?? Number.NaN,
    total: row[total] ?? Number.NaN
  }))
  const root = rootEnds(read.cluster()?.Roots?.ca.certificate)
  const known = disks.filter((disk) => !Number.isNaN(disk.free) && !Number.isNaN(disk.total))
  const certificateEnds = endsOf(read.view(certificates).secrets)
  return {
    _tag: "Gathered",
    facts: {
      disks: known,
      clocks: history?.clocks(now) ?? [],
      ...(root !== undefined && { rootEnds: root }),
      certificateEnds
    }
  }
})

/** Asked for every second of the one root that a cluster has. */
let last: { readonly of: string; readonly ends: number } | undefined

function rootEnds(pem: string | undefined): number | undefined {
  if (pem === undefined) return undefined
  if (last?.of === pem) return last.ends
  try {
    last = { of: pem, ends: Date.parse(new X509Certificate(pem).validTo) }
    return last.ends
  } catch {
    return undefined
  }
}

function endsOf(secrets: ReadonlyArray<Secret>): Readonly<Record<string, number>> {
  const found: Record<string, number> = {}
  for (const secret of secrets) {
    const read = readCertificateOnce(secret, secret.Spec.Data ?? "")
    // Of what is none, `troupe why` tells.
    found[secret.Spec.Name ?? ""] =
      "certificate" in read ? read.certificate.validTo : Number.POSITIVE_INFINITY
  }
  return found
}

/** By alert, what is to be posted of it: who hears late that one fires would not hear again that it ended. */
const newest = new Map<string, Notice>()

const tell = Effect.fn("alerts.tell")(function* ({
  notices,
  webhook
}: Extract<AlertsAction, { readonly _tag: "Notify" }>) {
  const { publish } = yield* AlertSurroundings
  for (const notice of notices) {
    publish(notice)
    yield* notice.state === "firing"
      ? Effect.logWarning(`Alert: ${notice.says}`)
      : Effect.logInfo(`No longer: ${notice.says}`)
  }
  if (webhook === undefined) return
  const isNewest = (notice: Notice): boolean => newest.get(keyOf(notice)) === notice
  for (const notice of notices) newest.set(keyOf(notice), notice)
  yield* Effect.forEach(
    notices,
    (notice) =>
      Effect.suspend(() => (isNewest(notice) ? post(webhook, notice) : Effect.void)).pipe(
        Effect.timeout(patience),
        Effect.retry({ schedule: again, times: tries }),
        Effect.catch((error) => Effect.logWarning(`Cannot post an alert to ${webhook}: ${error.message}`))
      ),
    { discard: true }
  ).pipe(
    Effect.ensuring(
      Effect.sync(() => {
        for (const notice of notices) if (isNewest(notice)) newest.delete(keyOf(notice))
      })
    )
  )
})

const post = (webhook: string, notice: Notice): Effect.Effect<void, Error> =>
  Effect.tryPromise({
    try: async (signal) => {
      const headers = { "Content-Type": "application/json" }
      const body = JSON.stringify(bodyOf(notice))
      const { ok, status } = await fetch(webhook, {
        method: "POST",
        headers,
        body,
        signal,
        redirect: "manual"
      })
      if (!ok) throw new Error(`it answered ${status}`)
    },
    catch: (cause) => (cause instanceof Error ? cause : new Error(String(cause)))
  })

/** As it is posted, and published on NATS. */
export const bodyOf = ({ since, at, ...notice }: Notice) => ({
  ...notice,
  since: toIso(since),
  time: toIso(at)
})

export const alerts = actor<AlertsProps, AlertsState, AlertsMessage, AlertsAction, Ledger>({
  kind: "alerts",
  accepts: ToAlerts as unknown as Schema.Codec<AlertsMessage, unknown>,
  start,
  decide,
  perform,
  summary
})
