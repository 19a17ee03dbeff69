/**
 * What every route has at hand, and the two ways of every route: read the ledger as of now, or write to it and
 * tell how that ended.
 */
import { Effect } from "effect"
import type { BodyTooLarge } from "#actors/gateway/body.ts"
import type { EngineClientService } from "#actors/gateway/engine-client.ts"
import { find } from "#actors/gateway/find.ts"
import type { Filters } from "#actors/gateway/parse-filters.ts"
import { parseFilters } from "#actors/gateway/parse-filters.ts"
import { type Answer, isRefusal, refusing } from "#actors/gateway/response.ts"
import type { Command } from "#actors/ledger/commands.ts"
import type { LedgerReader, Tables } from "#actors/ledger/reader.ts"
import type { LedgerService } from "#actors/ledger/service.ts"
import { noLeader, type Refusal, Refused, refuse } from "#actors/model/errors.ts"
import type { SwarmInitRequest, SwarmJoinRequest } from "#actors/model/spec.ts"
import type { Fresh } from "#runtime/ids.ts"

/** Where this node stands. A member that has not come up yet is pending, and so is a node that is about to become one. */
export type Membership =
  | "inactive"
  | "pending"
  | "pending/worker"
  | "pending/manager"
  | "locked"
  | "error"
  | "active/worker"
  | "active/manager"

/** Where a member is, as it knows itself: its own address, and where managers let nodes join (`host:port`). */
export interface Whereabouts {
  readonly address: string
  readonly managers: ReadonlyArray<{ readonly nodeId: string; readonly joinAddress: string }>
}

/** What a node without a cluster can be asked, and a node that is to leave its cluster. */
export interface MembershipControl {
  /** Starts a cluster and gives this node's id. */
  readonly init: (request: SwarmInitRequest) => Effect.Effect<string, Refused>
  readonly join: (request: SwarmJoinRequest) => Effect.Effect<void, Refused>
  readonly leave: (force: boolean) => Effect.Effect<void, Refused>
  /** Opens a locked manager's disk; completes when it serves. */
  readonly unlock: (unlockKey: string) => Effect.Effect<void, Refused>
  /** Begins the cluster anew with this manager alone; gives its node's id when it serves again. */
  readonly forceNewCluster: Effect.Effect<string, Refused>
}

export interface Gateway {
  /** `undefined` where this node is no manager. */
  readonly ledger: () => LedgerService | undefined
  readonly membership: () => Membership
  /** Why this node is of no use to its cluster, where its membership is `error`. */
  readonly problem?: string
  /** Of a member that has no ledger to look into. */
  readonly whereabouts?: () => Whereabouts
  readonly control: Partial<MembershipControl>
  readonly engine: EngineClientService
  readonly nodeId: string
  /** Milliseconds since the epoch. */
  readonly clock: () => number
  readonly fresh: Fresh
  /** A new join token, from the machine's own source of chance. */
  readonly newToken: (role: "worker" | "manager") => string
  /** A new key for people to unlock managers with. */
  readonly newUnlockKey: () => string
  readonly who: (request: Request) => string
}

/** One request, with its version split off. */
export interface Call {
  readonly request: Request
  readonly method: string
  /** Without version and query. */
  readonly path: string
  /** A part of the path, decoded. */
  readonly param: (name: string) => string
  readonly query: URLSearchParams
  /** As in the path, `1.41`; the newest one where the path has none. */
  readonly version: string
}

export type Handled = Effect.Effect<Answer, Refused | BodyTooLarge>

export interface Route {
  readonly method: "GET" | "POST" | "PUT" | "DELETE"
  /** In Hono's notation, without a version. */
  readonly path: string
  readonly handle: (gateway: Gateway, call: Call) => Handled
}

// A reader would rather hear that there is no leader than wait for one.
const patience = "1 second"

const notAManager =
  'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.'
const worker =
  "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state. Please run this command on a manager node or promote the current node to a manager."
const membershipTexts: Readonly<Record<Membership, string>> = {
  inactive: notAManager,
  pending: notAManager,
  error: notAManager,
  "active/manager": notAManager,
  "active/worker": worker,
  "pending/worker": worker,
  "pending/manager":
    "This node is not a swarm manager. Manager is being prepared or has trouble connecting to the cluster.",
  locked:
    'Swarm is encrypted and needs to be unlocked before it can be used. Please use "docker swarm unlock" to unlock it.'
}

/** Why the cluster cannot be asked here. */
export const noManager = (gateway: Gateway): Refused =>
  refusing("unavailable", gateway.problem ?? membershipTexts[gateway.membership()])

/** The ledger, where this node is an active manager. */
export const ledgerOf = (gateway: Gateway): Effect.Effect<LedgerService, Refused> => {
  const ledger = gateway.membership() === "active/manager" ? gateway.ledger() : undefined
  return ledger === undefined ? Effect.fail(noManager(gateway)) : Effect.succeed(ledger)
}

/** A manager that was demoted hears of no leader any more. */
const withoutLeader = ({ read }: LedgerService, self: string): Effect.Effect<never, Refused> =>
  Effect.fail(
    read.get("node", self)?.Spec.Role === "worker" ? refusing("unavailable", worker) : Refused.of(noLeader)
  )

/** The state with everything that was acknowledged before the request came. */
export const current = Effect.fnUntraced(function* (
  gateway: Gateway
): Effect.fn.Return<LedgerReader, Refused> {
  const ledger = yield* ledgerOf(gateway)
  const behind = Effect.suspend(() => notCurrent(ledger, gateway.nodeId))
  yield* ledger.readIndex.pipe(
    Effect.withSpan("ledger.readIndex"),
    Effect.timeoutOrElse({ duration: patience, orElse: () => behind }),
    Effect.catch(() => behind)
  )
  return ledger.read
})

/** Somebody may lead, and this manager not keep up: where its disk is full, it has to say so for people to look there. */
function notCurrent(ledger: LedgerService, self: string): Effect.Effect<never, Refused> {
  const { nodeId, leader, problem } = ledger.status()
  if (leader === undefined || leader === nodeId || problem === undefined) return withoutLeader(ledger, self)
  const message = `This manager does not know the newest state, another one may: ${problem}`
  return Effect.fail(Refused.of(refuse("unavailable", message)))
}

/** Whoever asks so is content with what this manager knows, however old, and is told how old that may be. */
const staleHeader = "Troupe-Stale"

/**
 * A read: nothing but `answer` over the present state; over this manager's own, with its last entry and its age in
 * milliseconds, for whoever asked for no more than that.
 */
export const reading =
  (answer: (reader: LedgerReader, call: Call) => Answer | Refusal) =>
  (gateway: Gateway, call: Call): Handled =>
    call.request.headers.get(staleHeader) === "allowed"
      ? Effect.flatMap(ledgerOf(gateway), (ledger) => {
          const { ageMs } = ledger.status()
          const headers = {
            "Troupe-Index": `${ledger.read.index}`,
            ...(ageMs === undefined ? {} : { "Troupe-Age-Ms": `${ageMs}` })
          }
          return Effect.map(orRefuse(answer(ledger.read, call)), (found) => ({ ...found, headers }))
        })
      : Effect.flatMap(current(gateway), (reader) => orRefuse(answer(reader, call)))

/** Lifts what a decision gives: its value, or its refusal into the error channel. */
export const orRefuse = <T extends object>(value: T | Refusal): Effect.Effect<T, Refused> =>
  isRefusal(value) ? Effect.fail(Refused.of(value)) : Effect.succeed(value)

/** Fails when a check has something against it. */
export const allow = (refusal: Refusal | undefined): Effect.Effect<void, Refused> =>
  refusal === undefined ? Effect.void : Effect.fail(Refused.of(refusal))

export const findOrRefuse = <K extends keyof Tables>(
  reader: LedgerReader,
  kind: K,
  input: string
): Effect.Effect<Tables[K], Refused> => orRefuse<Tables[K]>(find(reader, kind, input))

/**
 * Writes, and completes when the write stands.
 *
 * Where the log cannot say how it ended, `stands` looks at the state again; it is given only where that can be told.
 */
export const write = Effect.fnUntraced(function* (
  gateway: Gateway,
  call: Call,
  command: Command,
  stands?: (reader: LedgerReader) => boolean
): Effect.fn.Return<void, Refused> {
  const ledger = yield* ledgerOf(gateway)
  const origin = { who: gateway.who(call.request), why: `${call.method} ${call.path}` }
  const outcome = yield* ledger
    .propose(command, origin)
    .pipe(Effect.withSpan("ledger.propose", { attributes: { command: command.type } }))
  switch (outcome._tag) {
    case "Applied":
      return
    case "Refused":
      return yield* Refused.of(outcome.refusal)
    case "NotLeader":
      return yield* withoutLeader(ledger, gateway.nodeId)
    case "Unknown": {
      const reader = yield* current(gateway)
      if (stands?.(reader) === true) return
      return yield* outcome.isRefused
        ? Refused.of(refuse("unavailable", outcome.message))
        : withoutLeader(ledger, gateway.nodeId)
    }
  }
})

/**
 * A write that `attempt` decides over what this manager knows, without asking the others first: applying judges again
 * whatever must hold. What it knows may be old, so a refusal counts only over the present state, and is decided there
 * anew. `suffices` says no where the decision rests on what applying does not judge.
 */
export const deciding = (
  gateway: Gateway,
  attempt: (reader: LedgerReader) => Effect.Effect<Answer, Refused>,
  suffices: (reader: LedgerReader) => boolean = () => true
): Effect.Effect<Answer, Refused> =>
  Effect.flatMap(ledgerOf(gateway), ({ read }) => {
    const anew = Effect.flatMap(current(gateway), attempt)
    if (!suffices(read)) return anew
    // Who could not say whether it was written must not try again.
    return Effect.catchIf(
      attempt(read),
      ({ refusal }) => refusal.code !== "unavailable",
      () => anew
    )
  })

/** Whether `input` is an object's whole id or its name, which mean the same object for as long as it lives. */
export const isKnown = (
  reader: LedgerReader,
  kind: "service" | "network" | "secret" | "config",
  input: string
): boolean => reader.get(kind, input) !== undefined || reader.byName(kind, input) !== undefined

/** `?filters=`, or a refusal. */
export const filtersOf = (call: Call, accepted: ReadonlyArray<string>): Filters | Refusal =>
  parseFilters(call.query.get("filters") ?? undefined, accepted)

/** By id, which is the order that the Engine lists in. */
export const byId = <T extends { readonly ID: string }>(objects: Iterable<T>): ReadonlyArray<T> =>
  [...objects].sort((a, b) => (a.ID < b.ID ? -1 : a.ID > b.ID ? 1 : 0))
