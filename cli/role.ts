/**
 * A node's role while it runs: the leader says what it takes the node for, and a node that holds another membership
 * asks for the one that fits. What it then does about it is begin another life.
 */
import { Effect, Queue, Schedule, Schema } from "effect"
import { withMembership } from "#actors/authority/certificate/renewal.ts"
import { type CredentialsService, knowing } from "#actors/authority/credentials.ts"
import type { Membership } from "#actors/authority/protocol.ts"
import type { Held } from "#actors/authority/store.ts"
import { newRequest } from "#actors/authority/x509.ts"
import { type FromNode, ToNodeAnswer } from "#actors/node/protocol.ts"
import type { Standing } from "#actors/node/session/protocol.ts"
import { raftIdOf } from "#cli/manager-nats.ts"
import type { NodeOptions } from "#cli/node-options.ts"
import { address } from "#runtime/address.ts"
import type { SystemService } from "#runtime/system.ts"

const askWithinMs = 10_000
const pause = "1 second"
/** Leaders of earlier releases do not say when managers change. */
const managersEvery = "30 seconds"

/** Whether a node that holds `membership` should hold another one. */
function isRenewalDue(held: Held, standing: Standing): boolean {
  if (standing.role !== held.membership.role) return true
  return standing.role === "manager" && standing.raftId !== raftIdOf(held)
}

interface RoleOptions {
  readonly options: NodeOptions
  readonly credentials: CredentialsService
  readonly system: SystemService
}

const askLeader = Effect.fnUntraced(function* ({ credentials, system }: RoleOptions, message: FromNode) {
  const { nodeId } = credentials.held().membership
  const answer = yield* system.ask(address("leader", "node", nodeId), message, askWithinMs)
  return yield* Schema.decodeUnknownEffect(ToNodeAnswer)(answer)
})

/** Completes when this node holds the membership of its next life, durably. */
export const followRole = Effect.fn("cli.followRole")(function* (
  role: RoleOptions,
  standings: Queue.Dequeue<Standing>
): Effect.fn.Return<void> {
  let standing = yield* Queue.take(standings)
  for (;;) {
    while (!isRenewalDue(role.credentials.held(), standing)) standing = yield* Queue.take(standings)
    const membership = yield* renew(role).pipe(
      Effect.tapError(({ message }) =>
        Effect.logWarning(`This node is to be a ${standing.role} and cannot become one yet: ${message}`)
      ),
      Effect.option
    )
    if (membership._tag === "Some") return
    yield* Effect.sleep(pause)
    standing = (yield* Queue.clear(standings)).at(-1) ?? standing
  }
})

const renew = Effect.fnUntraced(function* (role: RoleOptions): Effect.fn.Return<Membership, Error> {
  const { options, credentials } = role
  const { ports } = credentials.held()
  // Each asking is another name in the Raft group: of what could not be written down there would be one a second.
  yield* credentials.change((held) => held)
  const request = yield* newRequest
  const answer = yield* askLeader(role, {
    _tag: "Renew",
    csr: request.pem,
    addr: options.advertiseAddr,
    ports
  })
  if (answer._tag !== "Renewed") {
    return yield* Effect.fail(new Error(answer._tag === "NotRenewed" ? answer.reason : answer._tag))
  }
  const { membership } = answer
  yield* credentials.supersede(withMembership(credentials.held(), membership, request.key))
  return membership
})

/**
 * A worker asks the leader for the managers whenever there is `news` of them, and remembers them: once its server goes away,
 * and be it within a second, nobody but those it knows can tell it of others.
 */
export const followManagers = Effect.fn("cli.followManagers")(function* (
  role: RoleOptions,
  setManagers: (managers: Membership["managers"]) => void,
  news: Queue.Dequeue<"managers">
) {
  const { credentials } = role
  let known = JSON.stringify(credentials.held().membership.managers)
  const look = Effect.gen(function* () {
    const answer = yield* askLeader(role, { _tag: "AskManagers" })
    if (answer._tag !== "Managers" || answer.managers.length === 0) return
    const { managers } = answer
    const now = JSON.stringify(managers)
    if (now === known) return
    known = now
    setManagers(managers)
    yield* credentials.change(knowing(managers))
  }).pipe(
    Effect.tapError(({ message }) => Effect.logDebug(`The managers are not known anew: ${message}`)),
    Effect.retry(Schedule.spaced(pause))
  )
  const again = Effect.raceFirst(Queue.take(news), Effect.sleep(managersEvery))
  return yield* look.pipe(Effect.andThen(again), Effect.forever)
})
