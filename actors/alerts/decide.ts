/**
 * Looks once a second at what holds; tells of what has held for long enough, and again when it does not any more.
 * Services are looked at in turn, so many tasks at a time, so that a cluster of a million costs no more than one of some
 * thousands.
 */
import { judgeCluster, judgeService } from "#actors/alerts/judge.ts"
import {
  type Alert,
  type AlertsAction,
  type AlertsMessage,
  type AlertsProps,
  type Condition,
  type Facts,
  type Fired,
  type Firing,
  type Notice,
  webhookLabel
} from "#actors/alerts/protocol.ts"
import type { LedgerReader } from "#actors/ledger/reader.ts"
import type { Service } from "#actors/model/objects.ts"
import { later, reply } from "#runtime/actions.ts"
import { type Moment, type Step, stay as stayWith } from "#runtime/behaviour.ts"

/** Its maps change in place; they belong to this actor alone. */
export interface AlertsState {
  readonly ledger: LedgerReader
  /** By condition and object, what holds, since when, and whether that has been told. */
  readonly held: Map<string, Firing & { told: boolean }>
  /** The service to begin with next. */
  next: number
  /** By host, why it is given no certificate by ACME. */
  readonly unissued: Readonly<Record<string, string>>
}

type AlertsStep = Step<AlertsState, AlertsAction>
const stay = stayWith<AlertsState, AlertsAction>

/** What passes by itself within this time is nobody's trouble. */
const holdMs: Readonly<Record<Condition, number>> = {
  "node-down": 5_000,
  "managers-few": 10_000,
  "disk-low": 10_000,
  "certificate-ends": 0,
  "service-short": 30_000,
  "crash-loop": 0
}
/** Some milliseconds. */
const mostTasksAtOnce = 2_000
const again = later("look", 1_000, { _tag: "LookAgain" } satisfies AlertsMessage)

export const start = ({ ledger }: AlertsProps, _moment: Moment): AlertsStep =>
  stay({ ledger, held: new Map(), next: 0, unissued: {} }, again)

export function decide(state: AlertsState, message: AlertsMessage, moment: Moment): AlertsStep {
  switch (message._tag) {
    case "LookAgain":
      return stay(state, { _tag: "Gather" })
    case "Gathered": {
      const notices = look(state, { ...message.facts, unissued: state.unissued }, moment.now)
      return notices.length === 0 ? stay(state, again) : stay(state, notify(state, notices), again)
    }
    case "Unissued":
      return stay({ ...state, unissued: message.problems })
    case "Tell":
      return moment.asker === undefined ? stay(state) : stay(state, reply(moment.asker, fired(state)))
  }
}

function notify({ ledger }: AlertsState, notices: ReadonlyArray<Notice>): AlertsAction {
  const webhook = ledger.cluster()?.Spec.Labels?.[webhookLabel]
  return { _tag: "Notify", notices, ...(webhook !== undefined && { webhook }) }
}

function look(state: AlertsState, facts: Facts, now: number): ReadonlyArray<Notice> {
  const { ledger, held } = state
  const services = [...ledger.all("service")]
  const seen = inTurn(state, services)
  const alerts = [...judgeCluster(ledger, facts, now)]
  const lookedAt = new Set<string>()
  let looked = 0
  for (const service of seen) {
    if (looked >= mostTasksAtOnce) break
    const judged = judgeService(ledger, service, facts, now)
    looked += judged.looked
    lookedAt.add(service.ID)
    alerts.push(...judged.alerts)
  }
  state.next = services.length === 0 ? 0 : (state.next + lookedAt.size) % services.length
  const notices: Array<Notice> = []
  const holds = new Set(alerts.map(keyOf))
  for (const [key, alert] of held) {
    const isJudged =
      alert.kind !== "service" || lookedAt.has(alert.id) || ledger.get("service", alert.id) === undefined
    if (holds.has(key) || !isJudged) continue
    held.delete(key)
    if (alert.told) notices.push(noticeOf(alert, "ended", now))
  }
  for (const alert of alerts) {
    const key = keyOf(alert)
    const known = held.get(key)
    const current = { ...alert, since: known?.since ?? now, told: known?.told ?? false }
    held.set(key, current)
    if (current.told || now - current.since < holdMs[alert.condition]) continue
    current.told = true
    notices.push(noticeOf(current, "firing", now))
  }
  return notices
}

/** All of them, from the next one on. */
const inTurn = ({ next }: AlertsState, services: ReadonlyArray<Service>): ReadonlyArray<Service> => [
  ...services.slice(next),
  ...services.slice(0, next)
]

const keyOf = ({ condition, id }: Alert): string => `${condition} ${id}`

const noticeOf = (
  { told: _told, ...alert }: Firing & { told: boolean },
  state: Notice["state"],
  at: number
): Notice => ({
  ...alert,
  state,
  at
})

const fired = ({ held }: AlertsState): Fired => ({
  _tag: "Fired",
  alerts: [...held.values()].filter(({ told }) => told).map(({ told: _told, ...alert }) => alert)
})

export const summary = ({ held }: AlertsState): string => {
  const told = [...held.values()].filter((alert) => alert.told)
  return told.length === 0 ? "nothing is wrong" : told.map(({ says }) => says).join("; ")
}
