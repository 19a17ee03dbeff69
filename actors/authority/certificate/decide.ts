/**
 * When a node renews its certificate: at a random point of 50 to 80 % of its life, so that nodes that joined together do
 * not come back together; at once when the leader wants another issuer, or a manager is reached at an address that the
 * certificate does not name; and again, ever later, where it fails.
 */
import type {
  CertificateAction,
  CertificateFacts,
  CertificateMessage
} from "#actors/authority/certificate/protocol.ts"
import { toIso } from "#actors/model/time.ts"
import { isSameAddress } from "#actors/network/ip.ts"
import { backOff } from "#actors/node/back-off.ts"
import type { SessionMessage } from "#actors/node/session/protocol.ts"
import { type CommonAction, later, tell } from "#runtime/actions.ts"
import { address } from "#runtime/address.ts"
import { type Moment, type Step, stay as stayWith } from "#runtime/behaviour.ts"

export interface CertificateProps {
  /** Where others reach the node. */
  readonly addr: string
}

export interface Certificate {
  readonly addr: string
  /** Absent until it was read. */
  readonly facts: CertificateFacts | undefined
  /** Milliseconds since the epoch. */
  readonly dueAt: number
  readonly busy: boolean
  /** Failures in a row. */
  readonly attempt: number
  readonly problem: string | undefined
}

type CertificateStep = Step<Certificate, CertificateAction>
const stay = stayWith<Certificate, CertificateAction>

/** Of a certificate's life. */
const earliest = 0.5
const latest = 0.8
/** Timers of a runtime end at 25 days, and clocks are set: it looks again at least as often. */
const lookAtLeastEveryMs = 12 * 3_600_000
const firstPauseMs = 1_000
const longestPauseMs = 10 * 60_000
/** However long it fails, it tries some more times before the certificate ends. */
const triesLeft = 10

export const start = ({ addr }: CertificateProps, _moment: Moment): CertificateStep =>
  stay(
    { addr, facts: undefined, dueAt: Number.POSITIVE_INFINITY, busy: true, attempt: 0, problem: undefined },
    { _tag: "Read" }
  )

export function decide(state: Certificate, message: CertificateMessage, moment: Moment): CertificateStep {
  switch (message._tag) {
    case "Introduce":
      return stay(state, ...certified(state, moment))
    case "Wanted":
      return wanted(state, message)
    case "LookAgain":
      return look(state, moment)
    case "Holds":
      return holds(state, message.facts, moment)
    case "NotRenewed":
      return failed(state, message.reason, moment)
  }
}

/** When a certificate is renewed, in milliseconds since the epoch; `fraction` is chance, of [0, 1). */
export function renewalOf({ issuedAt, notAfter }: CertificateFacts, fraction: number): number {
  const life = Math.max(0, notAfter - issuedAt)
  return issuedAt + life * (earliest + (latest - earliest) * fraction)
}

function wanted(state: Certificate, { issuer, root }: Extract<CertificateMessage, { _tag: "Wanted" }>) {
  const { facts, busy, attempt } = state
  // What failed is tried again by its own clock, not by the leader's.
  if (facts === undefined || busy || attempt > 0) return stay(state)
  if (issuer !== undefined && issuer !== facts.issuer.publicKey) return renew(state)
  if (root === undefined || root === facts.root) return stay(state)
  return stay({ ...state, busy: true }, { _tag: "Trust", root })
}

const renew = (state: Certificate): CertificateStep =>
  stay({ ...state, busy: true }, { _tag: "Renew", addr: state.addr })

function look(state: Certificate, moment: Moment): CertificateStep {
  if (state.busy) return stay(state)
  if (state.attempt > 0 || moment.now >= state.dueAt) return renew(state)
  return stay(state, lookLater(state.dueAt - moment.now))
}

function holds(state: Certificate, facts: CertificateFacts, moment: Moment): CertificateStep {
  const isSame = state.facts?.notAfter === facts.notAfter && state.facts.issuedAt === facts.issuedAt
  const dueAt = isSame ? state.dueAt : renewalOf(facts, moment.fresh.fraction())
  const next: Certificate = { ...state, facts, dueAt, busy: false, attempt: 0, problem: undefined }
  const told = certified(next, moment)
  if (isNamedIn(facts, state.addr)) return stay(next, ...told, lookLater(dueAt - moment.now))
  // Managers that led before did not ask where a node is reached, and give the address that it had: they are asked again.
  const { state: after, actions } =
    state.facts === undefined
      ? renew(next)
      : failed({ ...next, attempt: state.attempt }, `it does not name ${state.addr}`, moment)
  return stay(after, ...told, ...actions)
}

/** Whether others know this manager by the address at which they reach it; nobody reaches a worker. */
const isNamedIn = ({ role, addresses }: CertificateFacts, addr: string): boolean =>
  role === "worker" || addresses.some((one) => isSameAddress(one, addr))

function failed(state: Certificate, problem: string, moment: Moment): CertificateStep {
  const attempt = state.attempt + 1
  const left = (state.facts?.notAfter ?? moment.now) - moment.now
  const mostMs = Math.max(firstPauseMs, Math.min(longestPauseMs, left / triesLeft))
  const pause = backOff(attempt, { firstMs: firstPauseMs, mostMs }, moment.fresh)
  return stay({ ...state, busy: false, attempt, problem }, lookLater(pause))
}

const lookLater = (afterMs: number): CommonAction =>
  later("look", Math.ceil(Math.min(lookAtLeastEveryMs, Math.max(0, afterMs))), {
    _tag: "LookAgain"
  } satisfies CertificateMessage)

/** The session tells the leader. */
function certified({ facts }: Certificate, { self }: Moment): ReadonlyArray<CommonAction> {
  if (facts === undefined) return []
  const { issuer, root } = facts
  const info = { TrustRoot: root, CertIssuerSubject: issuer.subject, CertIssuerPublicKey: issuer.publicKey }
  return [tell(address(self.home, "session", "main"), { _tag: "Certified", info } satisfies SessionMessage)]
}

/** One line for the tree. */
export function summarize({ facts, dueAt, problem }: Certificate): string {
  if (facts === undefined) return "not read yet"
  const [until, due] = [facts.notAfter, dueAt].map((at) => toIso(at).slice(0, 16))
  return `${facts.role}, until ${until}Z, ${problem === undefined ? `to be renewed at ${due}Z` : `not renewed: ${problem}`}`
}
