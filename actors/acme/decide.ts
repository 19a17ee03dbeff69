/**
 * When certificates by ACME are asked for, and which of them are kept.
 *
 * A host has one as long as a service asks for it: the first at once, the next when a third of its time is left. What fails
 * is tried again after a minute, and then after three times as long each time, because servers count: Let's Encrypt
 * lets an account fail five times an hour for one host. A certificate is a secret; the one before goes once the new one is written.
 */
import { readAccount } from "#actors/acme/account.ts"
import type { AcmeAction, AcmeMessage, AcmeProps, Issued, Ordered } from "#actors/acme/protocol.ts"
import type { AlertsMessage } from "#actors/alerts/protocol.ts"
import type { Command } from "#actors/ledger/commands.ts"
import type { LedgerReader } from "#actors/ledger/reader.ts"
import { idle, mayWrite, propose, settle, type Writing, writing } from "#actors/ledger/writer.ts"
import type { Secret } from "#actors/model/objects.ts"
import { toIso, toMs } from "#actors/model/time.ts"
import { acmeBeginsLabel, acmeEndsLabel, acmeHostLabel, certificates } from "#actors/network/certificates.ts"
import { later, tell } from "#runtime/actions.ts"
import { address } from "#runtime/address.ts"
import { type Moment, type Step, stay as stayWith } from "#runtime/behaviour.ts"

interface Host {
  /** When it was first seen to be asked for, in this leader's life; milliseconds since the epoch. */
  readonly seenAt: number
  isOrdered: boolean
  /** In a row. */
  failures: number
  /** Not tried again before that. */
  notBefore: number
  problem: string | undefined
  /** What came and is not known to be written yet. */
  issued: Issued | undefined
}

/** The map changes in place; it belongs to this actor alone. */
export interface AcmeState {
  readonly ledger: LedgerReader
  readonly writing: Writing
  readonly hosts: Map<string, Host>
  /** The account that failed, if any did: another one may do better at once. */
  thumbprint: string | undefined
  /** The alerts know of something. */
  told: boolean
}

type AcmeStep = Step<AcmeState, AcmeAction>
const stay = stayWith<AcmeState, AcmeAction>

const lookEveryMs = 1_000
/** Entrances hear of a new host and of whose account asks for it within this. */
const spreadMs = 2_000
const ordersAtOnce = 4
/** Of a certificate's time. */
const renewedWhenLeft = 1 / 3
const firstPauseMs = 60_000
const longestPauseMs = 12 * 60 * 60_000
/** Of a host's part in its secret's name, which has 64 bytes. */
const nameBytes = 40

export const start = ({ ledger }: AcmeProps, _moment: Moment): AcmeStep =>
  stay({ ledger, writing: idle, hosts: new Map(), thumbprint: undefined, told: false }, lookSoon)

const lookSoon = later("look", lookEveryMs, { _tag: "LookAgain" } satisfies AcmeMessage)

export function decide(state: AcmeState, message: AcmeMessage, moment: Moment): AcmeStep {
  switch (message._tag) {
    case "LookAgain": {
      if (state.writing.halted) return stay(state)
      const orders = order(state, moment)
      const step = write(state, moment)
      return stay(step.state, ...step.actions, ...orders, ...tellAlerts(state), lookSoon)
    }
    case "Ordered":
      ordered(state, message.host, message.ordered, moment)
      return write(state, moment)
    case "Proposed":
      // What was refused or lost is seen by the next look.
      return stay({ ...state, writing: settle(state.writing, message.outcome).writing })
  }
}

/** Begins what is due. */
function order(state: AcmeState, { now }: Moment): ReadonlyArray<AcmeAction> {
  const { ledger, hosts } = state
  const view = ledger.view(certificates)
  const wanted = new Set(view.acmeHosts)
  for (const [host, { isOrdered }] of hosts) if (!wanted.has(host) && !isOrdered) hosts.delete(host)
  for (const host of wanted) {
    if (hosts.has(host)) continue
    hosts.set(host, {
      seenAt: now,
      isOrdered: false,
      failures: 0,
      notBefore: now + spreadMs,
      problem: undefined,
      issued: undefined
    })
  }
  const { secret, thumbprint } = view.account ?? {}
  if (thumbprint !== state.thumbprint) {
    state.thumbprint = thumbprint
    for (const host of hosts.values()) {
      host.failures = 0
      host.problem = undefined
      host.notBefore = now + spreadMs
    }
  }
  const account = readAccount(secret?.Spec.Data ?? "")
  if (account === undefined) return []
  const actions: Array<AcmeAction> = []
  let underWay = [...hosts.values()].filter(({ isOrdered }) => isOrdered).length
  for (const host of [...wanted].sort()) {
    const known = hosts.get(host)
    if (underWay >= ordersAtOnce || known === undefined || known.isOrdered || known.issued !== undefined)
      continue
    if (now < known.notBefore || now < renewalOf(view.issuedFor(host).at(-1))) continue
    known.isOrdered = true
    underWay += 1
    actions.push({ _tag: "Order", host, account })
  }
  return actions
}

/** When a certificate is to be replaced, milliseconds since the epoch; at once where there is none. */
function renewalOf(secret: Secret | undefined): number {
  const ends = endOf(secret)
  const begins = toMs(secret?.Spec.Labels?.[acmeBeginsLabel])
  return ends - (ends - begins) * renewedWhenLeft
}

const endOf = (secret: Secret | undefined): number => toMs(secret?.Spec.Labels?.[acmeEndsLabel])

function ordered({ hosts }: AcmeState, host: string, how: Ordered, { now }: Moment): void {
  const known = hosts.get(host)
  if (known === undefined) return
  known.isOrdered = false
  if ("data" in how) {
    Object.assign(known, { issued: how, failures: 0, problem: undefined })
    return
  }
  known.problem = how.problem
  known.notBefore = now + Math.min(longestPauseMs, firstPauseMs * 3 ** known.failures)
  known.failures += 1
}

/** Writes what came, and takes away what nobody is shown any more. */
function write(state: AcmeState, { now, fresh }: Moment): AcmeStep {
  if (!mayWrite(state.writing)) return stay(state)
  const view = state.ledger.view(certificates)
  const commands: Array<Command> = []
  for (const [host, known] of state.hosts) {
    const { issued } = known
    if (issued === undefined) continue
    if (view.issuedFor(host).some(({ Spec }) => Spec.Data === issued.data)) {
      known.issued = undefined
      continue
    }
    const ID = fresh.id()
    const Labels = {
      [acmeHostLabel]: host,
      [acmeBeginsLabel]: toIso(issued.validFrom),
      [acmeEndsLabel]: toIso(issued.validTo)
    }
    const Spec = {
      Name: `acme-${host.slice(0, nameBytes)}-${ID.slice(0, 12)}`,
      Labels,
      Data: issued.data
    }
    commands.push({ type: "secret.create", v: 1, secret: { ID, Spec } })
  }
  const wanted = new Set(view.acmeHosts)
  for (const host of view.issuedHosts) {
    const issued = view.issuedFor(host)
    const isKept = wanted.has(host) || now < endOf(issued.at(-1))
    for (const { ID } of isKept ? issued.slice(0, -1) : issued)
      if (state.ledger.servicesUsing("secret", ID).length === 0)
        commands.push({ type: "secret.remove", v: 1, id: ID })
  }
  if (commands.length === 0) return stay(state)
  return stay({ ...state, writing: writing(state.writing) }, propose("certificates by ACME", commands))
}

/** The alerts are told of what fails, and once that nothing does any more. */
function tellAlerts(state: AcmeState): ReadonlyArray<ReturnType<typeof tell>> {
  const problems: Record<string, string> = {}
  for (const [host, { problem }] of state.hosts) if (problem !== undefined) problems[host] = problem
  const isQuiet = Object.keys(problems).length === 0
  if (isQuiet && !state.told) return []
  state.told = !isQuiet
  return [tell(address("leader", "alerts", "main"), { _tag: "Unissued", problems } satisfies AlertsMessage)]
}

export function summary({ hosts }: AcmeState): string {
  const failing = [...hosts].flatMap(([host, { problem }]) =>
    problem === undefined ? [] : [`${host}: ${problem}`]
  )
  return [`${hosts.size} hosts`, ...failing].join("; ")
}
