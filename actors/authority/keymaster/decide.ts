/**
 * What becomes of the cluster's keys while this manager leads: a change of the root is carried through, a batch of nodes
 * at a time; who is no manager any more is left without what managers' nats-servers show each other; and nodes with
 * encrypted overlays go by other keys from time to time.
 *
 * It works from what the ledger says at each look, so that the next leader goes on where this one stopped.
 */
import type { KeymasterAction, KeymasterMessage } from "#actors/authority/keymaster/protocol.ts"
import { levelOf } from "#actors/ledger/features.ts"
import type { LedgerReader } from "#actors/ledger/reader.ts"
import { idle, mayWrite, propose, settle, type Writing, writing } from "#actors/ledger/writer.ts"
import {
  isEncrypted,
  keyChangeLabel,
  keyPeriodMs,
  missingEpoch,
  networkKeysOf
} from "#actors/model/network-keys.ts"
import type { Node } from "#actors/model/objects.ts"
import { toMs } from "#actors/model/time.ts"
import type { Roots } from "#actors/model/trust.ts"
import type { Recertify } from "#actors/node/decide.ts"
import { type CommonAction, later, tell } from "#runtime/actions.ts"
import { address } from "#runtime/address.ts"
import { type Moment, type Step, stay as stayWith } from "#runtime/behaviour.ts"

export interface KeymasterProps {
  readonly ledger: LedgerReader
}

export interface Keymaster extends KeymasterProps {
  readonly writing: Writing
  /** Nodes that were told to renew, and when; milliseconds since the epoch. */
  readonly asked: ReadonlyMap<string, number>
  /** Since when somebody may know the routes' password who should not. */
  readonly exposedAt?: number
}

type KeymasterStep = Step<Keymaster, KeymasterAction>
const stay = stayWith<Keymaster, KeymasterAction>

const everyMs = 1_000
const look: KeymasterMessage = { _tag: "LookAgain" }
const again = later("look", everyMs, look)
/** Workers that renew at once: every one of them is a signature of the leader's and a reconnection. */
export const batchSize = 32
/** A manager that renews moves the connections that Raft speaks over: the others are left in peace meanwhile. */
const managersAtOnce = 1
/** One that has not renewed by then makes room for others, and is told again later. */
export const patienceMs = 10_000
/** Whoever was demoted hears of it by the routes whose password it knows: it is given this long to leave them. */
export const graceMs = 5_000

export const start = ({ ledger }: KeymasterProps, _moment: Moment): KeymasterStep =>
  stay({ ledger, writing: idle, asked: new Map() }, { _tag: "Look" }, again)

export function decide(state: Keymaster, message: KeymasterMessage, moment: Moment): KeymasterStep {
  switch (message._tag) {
    case "LookAgain":
      return stay(state, { _tag: "Look" }, again)
    case "Looked":
      return changeNetworkKeys(judge(state, message.issuer, moment), moment)
    case "Proposed":
      return stay({ ...state, writing: settle(state.writing, message.outcome).writing })
  }
}

function judge(state: Keymaster, issuer: string | undefined, moment: Moment): KeymasterStep {
  const { ledger } = state
  const cluster = ledger.cluster()
  const { Roots: roots, FeatureLevel: level = 0 } = cluster ?? {}
  if (roots === undefined || issuer === undefined || level < levelOf["cluster.rotate"]) return stay(state)
  const behind = [...ledger.all("node")].filter((node) => issuerOf(node) !== issuer)
  const asking = ask(state, behind, issuer, moment)
  if (roots.rotation !== undefined && behind.length === 0) {
    return write(asking, { _tag: "Conclude", certificate: roots.rotation.certificate })
  }
  const routes = guardRoutes(asking.state, roots, moment)
  return stay(routes.state, ...asking.actions, ...routes.actions)
}

/** What a node says of its own certificate; absent where it has never said so. */
const issuerOf = (node: Node): string | undefined => node.Description?.TLSInfo?.CertIssuerPublicKey

const isManager = (node: Node): boolean => node.ManagerStatus !== undefined

const stayAs = ({ state, actions }: KeymasterStep, more: Partial<Keymaster>): KeymasterStep => ({
  state: { ...state, ...more },
  actions
})

/** One write at a time. */
function write(step: KeymasterStep, action: KeymasterAction): KeymasterStep {
  if (!mayWrite(step.state.writing)) return step
  const { state, actions } = stayAs(step, { writing: writing(step.state.writing) })
  return stay(state, ...actions, action)
}

/** Tells some of those that have not renewed to do so: those that wait longest, and no more than a batch. */
function ask(state: Keymaster, behind: ReadonlyArray<Node>, issuer: string, { now }: Moment): KeymasterStep {
  const waiting = behind.filter((node) => node.Status.State === "ready" && issuerOf(node) !== undefined)
  const asked = new Map(waiting.flatMap(({ ID }) => entryOf(state.asked, ID)))
  const isUnderWay = ({ ID }: Node): boolean => now - (asked.get(ID) ?? Number.NEGATIVE_INFINITY) < patienceMs
  const [managers, workers] = [waiting.filter(isManager), waiting.filter((node) => !isManager(node))]
  const more = (nodes: ReadonlyArray<Node>, atOnce: number): ReadonlyArray<string> =>
    nodes
      .filter((node) => !isUnderWay(node))
      .map(({ ID }) => ID)
      .sort((a, b) => (asked.get(a) ?? 0) - (asked.get(b) ?? 0) || (a < b ? -1 : 1))
      .slice(0, Math.max(0, atOnce - nodes.filter(isUnderWay).length))
  const next = [...more(managers, managersAtOnce), ...more(workers, batchSize)]
  for (const id of next) asked.set(id, now)
  const told = next.map(
    (id): CommonAction =>
      tell(address("leader", "node", id), { _tag: "Recertify", issuer } satisfies Recertify)
  )
  return stay({ ...state, asked }, ...told)
}

const entryOf = (map: ReadonlyMap<string, number>, key: string): ReadonlyArray<[string, number]> => {
  const value = map.get(key)
  return value === undefined ? [] : [[key, value]]
}

/** The password changes when somebody may know it who is no manager; whoever becomes one is written down before. */
function guardRoutes(state: Keymaster, roots: Roots, { now }: Moment): KeymasterStep {
  const { number = 1, holders = [] } = roots.routes ?? {}
  const ids = [...state.ledger.all("node")]
    .filter(isManager)
    .map(({ ID }) => ID)
    .sort()
  const gone = holders.filter((id) => !ids.includes(id))
  const exposedAt = gone.length === 0 ? undefined : (state.exposedAt ?? now)
  const { exposedAt: _before, ...rest } = state
  const step = stay(exposedAt === undefined ? rest : { ...rest, exposedAt })
  if (ids.length === 0) return step
  if (exposedAt !== undefined && now - exposedAt >= graceMs) {
    return write(step, { _tag: "ChangePassword", number: number + 1, holders: ids })
  }
  if (ids.every((id) => holders.includes(id))) return step
  const all = [...new Set([...holders, ...ids])].sort()
  const password = roots.routePassword
  return write(
    step,
    propose("who may know the routes' password", [
      { type: "cluster.routes", v: 1, number, password, holders: all }
    ])
  )
}

/**
 * Other keys for encrypted overlays, when they are due or asked for; not before every node that is there has one of the
 * present epoch, because nodes keep two, and whoever had only the one before would be reached no more.
 */
function changeNetworkKeys(step: KeymasterStep, { now }: Moment): KeymasterStep {
  const { ledger } = step.state
  const cluster = ledger.cluster()
  if (cluster === undefined || cluster.FeatureLevel < levelOf["cluster.keys"]) return step
  const { Epoch: epoch, Since: since, Asked: before } = networkKeysOf(cluster)
  const asked = cluster.Spec.Labels?.[keyChangeLabel]
  const isAsked = asked !== undefined && asked !== before
  if (!isAsked && now - toMs(since) < keyPeriodMs(cluster.Spec)) return step
  if (![...ledger.all("network")].some(({ Options }) => isEncrypted(Options))) return step
  const isBehind = ({ Status, Description }: Node): boolean =>
    Status.State === "ready" && missingEpoch(cluster, Description) !== undefined
  if ([...ledger.all("node")].some(isBehind)) return step
  const command = {
    ...({ type: "cluster.keys", v: 1, epoch: epoch + 1 } as const),
    ...(asked !== undefined && { asked })
  }
  return write(step, propose("other keys for encrypted networks", [command]))
}

export function summarize({ ledger, asked }: Keymaster): string {
  const roots = ledger.cluster()?.Roots
  if (roots?.rotation === undefined) return "one root"
  return `the root is changing: ${asked.size} nodes were told to renew and have not said that they did`
}
