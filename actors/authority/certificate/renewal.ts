/** How a node comes to another certificate: by its leader, or at a join port once no nats-server takes its own. */
import { Effect, Schema } from "effect"
import type { CertificateFacts } from "#actors/authority/certificate/protocol.ts"
import { backDateMs } from "#actors/authority/certify.ts"
import { Credentials } from "#actors/authority/credentials.ts"
import { type JoinError, renewMembership } from "#actors/authority/joining.ts"
import { joinAddress } from "#actors/authority/peers.ts"
import type { Membership } from "#actors/authority/protocol.ts"
import type { Held } from "#actors/authority/store.ts"
import { type CertificateError, newRequest, readCertificate, signWords } from "#actors/authority/x509.ts"
import { ownSeeds, signWithSeed } from "#actors/nats/creds.ts"
import { ToNodeAnswer } from "#actors/node/protocol.ts"
import { address } from "#runtime/address.ts"
import { System } from "#runtime/system.ts"

const answerWithinMs = 10_000

export const factsOf = ({ membership }: Held): Effect.Effect<CertificateFacts, CertificateError> =>
  Effect.map(
    readCertificate(membership.certificate, membership.root),
    ({ role, addresses, notBefore, notAfter, issuer }) => ({
      role,
      addresses,
      issuedAt: notBefore + backDateMs,
      notAfter,
      issuer,
      root: membership.root
    })
  )

/** Asks whoever leads; a node whose certificate has ended knocks at the managers' doors instead. */
export const renewCertificate = Effect.fn("certificate.renew")(function* (
  addr: string
): Effect.fn.Return<void, Error, Credentials | System> {
  const { held, change, supersede, dataDir } = yield* Credentials
  const before = held()
  const { notAfter } = yield* factsOf(before)
  const isExpired = notAfter <= Date.now()
  const next = yield* isExpired ? renewAtDoor(dataDir, before) : askLeader(before, addr)
  if (isOtherLife(before, next)) return yield* supersede(next)
  yield* change(() => next)
})

const placeOf = ({ membership }: Held): string =>
  membership.role === "manager" ? (membership.raftId ?? membership.nodeId) : membership.role
/** In another role, or under another name in the Raft group. */
export const isOtherLife = (before: Held, after: Held): boolean => placeOf(before) !== placeOf(after)

const askLeader = Effect.fn("certificate.askLeader")(function* (
  held: Held,
  addr: string
): Effect.fn.Return<Held, Error, System> {
  const { role, nodeId } = held.membership
  const request = yield* newRequest
  const system = yield* System
  const answer = yield* system
    .ask(address("leader", "node", nodeId), { _tag: "Certify", csr: request.pem, role, addr }, answerWithinMs)
    .pipe(Effect.flatMap(Schema.decodeUnknownEffect(ToNodeAnswer)))
  if (answer._tag === "Renewed") return withMembership(held, answer.membership, request.key)
  return yield* Effect.fail(new Error(answer._tag === "NotRenewed" ? answer.reason : answer._tag))
})

/** Tries the other managers that the node knows, one after the other. */
export const renewAtDoor = Effect.fn("certificate.renewAtDoor")(function* (
  dataDir: string,
  held: Held
): Effect.fn.Return<Held, Error> {
  const { membership, key } = held
  const request = yield* newRequest
  const { daemon } = yield* ownSeeds(dataDir)
  const doors = membership.managers
    .filter(({ nodeId }) => nodeId !== membership.nodeId)
    .map((peer) =>
      renewMembership(joinAddress(peer.address, peer.ports), membership.root, {
        certificate: membership.certificate,
        csr: request.pem,
        signature: signWords(request.pem, key),
        nkeySignature: signWithSeed(request.pem, daemon)
      })
    )
  if (doors.length === 0) return yield* Effect.fail(new Error("it knows no other manager to ask"))
  const renewed = yield* firstOf(doors)
  return withMembership(held, renewed, request.key)
})

/** What somebody refuses for good is not asked of the next one. */
const firstOf = Effect.fnUntraced(function* (doors: ReadonlyArray<Effect.Effect<Membership, JoinError>>) {
  let problem: JoinError | undefined
  for (const door of doors) {
    const outcome = yield* Effect.result(door)
    if (outcome._tag === "Success") return outcome.success
    problem = outcome.failure
    if (problem.final) break
  }
  return yield* Effect.fail(problem ?? new Error("nobody was asked"))
})

/** What a node holds that `held` that, with another membership. */
export function withMembership(held: Held, membership: Membership, key: string): Held {
  const next = { ...held, membership, key }
  return isOtherLife(held, next) ? { ...next, origin: "joined" } : next
}

/** Trusts another root, where the node's own certificate is one of it: nobody else can have made that. */
export const trustRoot = (root: string): Effect.Effect<void, Error, Credentials> =>
  Effect.gen(function* () {
    const { held, change } = yield* Credentials
    yield* readCertificate(held().membership.certificate, root)
    yield* change((now) => ({ ...now, membership: { ...now.membership, root } }))
  })
