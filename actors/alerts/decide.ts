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
  conditions,
  type Facts,
  type Fired,
  type Firing,
  type Judged,
  type Notice,
  webhookLabel
} from "#actors/alerts/protocol.ts"
import { levelOf } from "#actors/ledger/features.ts"
import type { LedgerReader } from "#actors/ledger/reader.ts"
import type { Service, ToldAlert } from "#actors/model/objects.ts"
import { acmeHostOf } from "#actors/network/certificates.ts"
import { later, reply } from "#runtime/actions.ts"
import { type Moment, type Step, stay as stayWith } from "#runtime/behaviour.ts"

/** Its maps change in place; they belong to this actor alone. */
export interface AlertsState {
  readonly ledger: LedgerReader
  /** By condition and object, what holds, since when, and whether that has been told. */
  readonly held: Map<string, Held>
  /** The service to begin with next. */
  next: number
  /** By host, why it is given no certificate by ACME; absent before that was told. */
  readonly unissued?: Readonly<Record<string, string>>
  /** By service, what its autoscaler said last that it knows nothing of, and when. */
  readonly unknown: Map<string, { readonly targets: ReadonlyArray<string>; readonly at: number }>
  /** When this manager began to lead. */
  readonly since: number
}

interface Held extends Firing {
  told: boolean
  /** When it was looked at first; what a new leader finds it counts on from the ledger's times. */
  readonly seen: number
}

type AlertsStep = Step<AlertsState, AlertsAction>
const stay = stayWith<AlertsState, AlertsAction>

/** What passes by itself within this time is nobody's trouble. */
const holdMs: Readonly<Record<Condition, number>> = {
  "node-down": 5_000,
  "managers-few": 10_000,
  "disk-low": 10_000,
  "clock-off": 10_000,
  "certificate-ends": 0,
  "service-short": 30_000,
  "crash-loop": 0,
  "update-paused": 0,
  "load-unknown": 60_000
}
/** Somebody who says each second that something is so, and has been silent for so long, says so no more. */
const silentMs = 5_000
/** Before that, of what it was not told a new leader does not say that it ended: ACME is tried again first. */
const settledMs = 120_000
/** A leader's first look is a second after it began, or a little later. */
const firstLookMs = 5_000
/** What an entry holds, and the ledger; what is beyond is told again by the next leader. */
const mostNotices = 200
const mostKept = 1_000
/** Some milliseconds. */
const mostTasksAtOnce = 2_000
const again = later("look", 1_000, { _tag: "LookAgain" } satisfies AlertsMessage)

/** What a former leader told of holds until it is seen that it does not. */
export const start = ({ ledger }: AlertsProps, { now }: Moment): AlertsStep => {
  const told = (ledger.cluster()?.Alerts ?? []).filter(isKnown)
  const held = new Map(told.map((alert) => [keyOf(alert), { ...alert, told: true, seen: now }]))
  return stay({ ledger, held, next: 0, unknown: new Map(), since: now }, again)
}

const isKnown = (alert: ToldAlert): alert is Firing =>
  (conditions as ReadonlyArray<string>).includes(alert.condition)

export function decide(state: AlertsState, message: AlertsMessage, moment: Moment): AlertsStep {
  switch (message._tag) {
    case "LookAgain":
      return stay(state, { _tag: "Gather" })
    case "Gathered": {
      const { unissued = {} } = state
      forgetSilent(state, moment.now)
      const notices = look(state, { ...message.facts, unissued, unknown: state.unknown }, moment.now)
      return notices.length === 0 ? stay(state, again) : stay(state, note(state, notices))
    }
    case "Noted": {
      const { isWritten, notices } = message
      if (!isWritten) return stay(state, again)
      for (const notice of notices) settle(state, notice)
      return stay(state, notify(state, notices), again)
    }
    case "Unissued":
      return stay({ ...state, unissued: message.problems })
    case "Unknown":
      state.unknown.set(message.service, { targets: message.targets, at: moment.now })
      return stay(state)
    case "Tell":
      return moment.asker === undefined
        ? stay(state)
        : stay(state, reply(moment.asker, fired(state, moment.now)))
  }
}

function forgetSilent({ unknown }: AlertsState, now: number): void {
  for (const [service, { at }] of unknown) if (at < now - silentMs) unknown.delete(service)
}

function notify({ ledger }: AlertsState, notices: ReadonlyArray<Notice>): AlertsAction {
  const webhook = ledger.cluster()?.Spec.Labels?.[webhookLabel]
  return { _tag: "Notify", notices, ...(webhook !== undefined && { webhook }) }
}

/** Written before it is told, so that a new leader tells neither again. */
function note({ ledger }: AlertsState, notices: ReadonlyArray<Notice>): AlertsAction {
  const cluster = ledger.cluster()
  if ((cluster?.FeatureLevel ?? 0) < levelOf["cluster.alerts"]) return { _tag: "Note", notices, commands: [] }
  const room = mostKept - (cluster?.Alerts?.length ?? 0)
  const firing = notices
    .filter(({ state }) => state === "firing")
    .slice(0, Math.max(0, room))
    .map(({ state: _state, at: _at, ...alert }) => alert)
  const ended = notices
    .filter(({ state }) => state === "ended")
    .map(({ condition, id }) => ({ condition, id }))
  return { _tag: "Note", notices, commands: [{ type: "cluster.alerts", v: 1, firing, ended }] }
}

function settle({ held }: AlertsState, notice: Notice): void {
  const key = keyOf(notice)
  const alert = held.get(key)
  if (notice.state === "ended") held.delete(key)
  else if (alert !== undefined) alert.told = true
}

function look(state: AlertsState, facts: Facts, now: number): ReadonlyArray<Notice> {
  const { ledger, held } = state
  const services = [...ledger.all("service")]
  const seen = inTurn(state, services)
  const alerts: Array<Judged> = [...judgeCluster(ledger, facts, now)]
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
    if (holds.has(key) || !isJudged(state, alert, facts, lookedAt, now)) continue
    if (alert.told) notices.push(noticeOf(alert, "ended", now))
    else held.delete(key)
  }
  for (const { began = now, ...alert } of alerts) {
    const key = keyOf(alert)
    const known = held.get(key)
    const since = known?.since ?? Math.min(now, began)
    const seen = known?.seen ?? (now - state.since < firstLookMs ? since : now)
    const current = { ...alert, since, seen, told: known?.told ?? false }
    held.set(key, current)
    if (current.told || !isDue(current, now)) continue
    notices.push(noticeOf(current, "firing", now))
  }
  return notices.slice(0, mostNotices)
}

/** Whether it would have been seen if it still held. */
function isJudged(
  { ledger, unissued, since }: AlertsState,
  { condition, kind, id }: Alert,
  { disks, clocks = [] }: Facts,
  lookedAt: ReadonlySet<string>,
  now: number
): boolean {
  if (condition === "disk-low" || condition === "clock-off") {
    const measured = condition === "disk-low" ? disks : clocks
    return measured.some(({ nodeId }) => nodeId === id) || ledger.get("node", id)?.Status.State !== "ready"
  }
  const service = kind === "service" ? ledger.get("service", id) : undefined
  if (service === undefined) return true
  const isAcme = condition === "certificate-ends" && acmeHostOf(service.Spec) !== undefined
  if (isAcme && unissued === undefined && now - since < settledMs) return false
  if (condition === "load-unknown" && now - since < silentMs) return false
  return lookedAt.has(id)
}

/** All of them, from the next one on. */
const inTurn = ({ next }: AlertsState, services: ReadonlyArray<Service>): ReadonlyArray<Service> => [
  ...services.slice(next),
  ...services.slice(0, next)
]

export const keyOf = ({ condition, id }: Alert): string => `${condition} ${id}`

const noticeOf = (held: Held, state: Notice["state"], at: number): Notice => ({
  ...firingOf(held),
  state,
  at
})

const firingOf = ({ told: _told, seen: _seen, ...alert }: Held): Firing => alert

/** Also what has held for long enough and cannot be written: where the disks are full, this is what people ask for. */
const fired = ({ held }: AlertsState, now: number): Fired => ({
  _tag: "Fired",
  alerts: [...held.values()].filter((alert) => alert.told || isDue(alert, now)).map(firingOf)
})

const isDue = ({ seen, condition }: Held, now: number): boolean => now - seen >= holdMs[condition]

export const summary = ({ held }: AlertsState): string => {
  const told = [...held.values()].filter((alert) => alert.told)
  return told.length === 0 ? "nothing is wrong" : told.map(({ says }) => says).join("; ")
}
