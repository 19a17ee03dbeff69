/** What a node makes of the answers that it hears at a manager's join port. */
import { afterAll, expect, test } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Deferred, Effect } from "effect"
import { openCredentials } from "#actors/authority/credentials.ts"
import { openJoinPort } from "#actors/authority/join-port.ts"
import { issueMembership, newRoots } from "#actors/authority/membership.ts"
import { type Role, removedText, type Standing } from "#actors/authority/protocol.ts"
import { newRequest } from "#actors/authority/x509.ts"
import { noLeader, Refused, refuse } from "#actors/model/errors.ts"
import { firstIncarnation } from "#actors/raft/incarnation.ts"
import { hearOfRemoval, leftBehindText, lookOut, type WentOnWithout } from "#cli/left-behind.ts"
import { someKeys, somePorts } from "#test/support/trust.ts"

const dataDir = mkdtempSync(join(tmpdir(), "troupe-left-behind-"))
afterAll(() => rmSync(dataDir, { recursive: true }))

const roots = await Effect.runPromise(newRoots(Date.now()))
const foreign = await Effect.runPromise(newRoots(Date.now()))

const member = (nodeId: string, role: Role = "manager", by = roots) =>
  Effect.gen(function* () {
    const { pem, key } = yield* newRequest
    const membership = yield* issueMembership(by, {
      member: { nodeId, clusterId: "blue", role, addresses: [] },
      ...(role === "manager" && { raftId: `raft-${nodeId}` }),
      csr: pem,
      managers: [],
      now: Date.now(),
      expiryMs: 3_600_000
    })
    return { membership, key }
  })
type Shown = Effect.Success<ReturnType<typeof member>>

type Says = (member: string | undefined) => Pick<Standing, "routes" | "isMember">
const anotherPassword: Says = () => ({ routes: 2 })

/** A door behind which everybody is refused, for `refusal`, and what n2 holds, which knows of no other. */
const refusing = Effect.fnUntraced(function* (
  refusal: Refused,
  role: Role,
  door: Shown,
  says = anotherPassword
) {
  const n2 = yield* member("n2", role)
  let asked = 0
  const refuseAll = Effect.suspend(() => {
    asked++
    return Effect.fail(refusal)
  })
  const port = yield* openJoinPort({
    host: "127.0.0.1",
    port: 0,
    identity: () => ({ certificate: door.membership.certificate, key: door.key, root: door.membership.root }),
    standing: (who) => ({
      clusterId: "blue",
      raftId: "raft-m1",
      incarnation: firstIncarnation,
      ...says(who)
    }),
    welcome: () => refuseAll,
    reissue: () => refuseAll
  })
  const ports = { ...somePorts, join: port }
  const peer = { nodeId: "m1", raftId: "raft-m1", address: "127.0.0.1", ports, keys: someKeys }
  const credentials = yield* openCredentials(dataDir, {
    origin: "joined",
    ports,
    key: n2.key,
    membership: { ...n2.membership, managers: [peer] }
  })
  return { credentials, peer, asked: () => asked }
})

const text = (error: WentOnWithout): string => leftBehindText(error.leftBehind)

/** What n2, a manager, makes of a manager that has another password for routes and refuses to tell it, for `refusal`. */
const heard = (refusal: Refused) =>
  Effect.gen(function* () {
    const { credentials, peer } = yield* refusing(refusal, "manager", yield* member("m1"))
    const lookout = yield* lookOut(credentials, firstIncarnation)
    yield* lookout.ask([peer])
    // Decided by now, if ever.
    const verdict = Effect.catch(lookout.leftBehind, (error) => Effect.succeed(text(error)))
    return yield* Effect.raceFirst(verdict, Effect.as(Effect.yieldNow, undefined))
  }).pipe(Effect.scoped, Effect.runPromise)

/** What n2, a worker that is cut off, makes of it by its third look; and whether its question was heard. */
const heardCutOff = (refusal: Refused, door: Effect.Effect<Shown, Error>) =>
  Effect.gen(function* () {
    const { credentials, asked } = yield* refusing(refusal, "worker", yield* door)
    let looks = 0
    const third = yield* Deferred.make<undefined>()
    const isCutOff = () => {
      looks++
      if (looks === 3) Deferred.doneUnsafe(third, Effect.succeed(undefined))
      return true
    }
    const verdict = Effect.catch(hearOfRemoval(credentials, isCutOff, 1), (error) =>
      Effect.succeed(text(error))
    )
    return { verdict: yield* Effect.raceFirst(verdict, Deferred.await(third)), wasAsked: asked() > 0 }
  }).pipe(Effect.scoped, Effect.runPromise)

const removed = Refused.of(refuse("forbidden", removedText("n2")))
const isRemoved = expect.stringMatching(/^This node was removed from the cluster/)

test("CA-04 a manager that hears that it is not of the cluster takes no part any more", async () => {
  expect(await heard(removed)).toEqual(isRemoved)
})

test("a manager asks what it is now as soon as another one does not know it any more", async () => {
  const asks = (says: Says) =>
    Effect.gen(function* () {
      const door = yield* member("m1")
      const { credentials, peer, asked } = yield* refusing(Refused.of(noLeader), "manager", door, says)
      yield* (yield* lookOut(credentials, firstIncarnation)).ask([peer])
      return asked()
    }).pipe(Effect.scoped, Effect.runPromise)
  expect(await asks((who) => ({ isMember: who !== "raft-n2" }))).toBe(1)
  expect(await asks((who) => ({ isMember: who === "raft-n2" }))).toBe(0)
  // A release that does not know the question.
  expect(await asks(() => ({}))).toBe(0)
})

test("whatever else a manager is refused for leaves it one", async () => {
  expect(await heard(Refused.of(noLeader))).toBeUndefined()
  expect(await heard(Refused.of(refuse("forbidden", removedText("n3"))))).toBeUndefined()
})

test("CA-04 a worker that is cut off and hears that it is not of the cluster takes no part any more", async () => {
  expect(await heardCutOff(removed, member("m1"))).toEqual({ verdict: isRemoved, wasAsked: true })
})

test("whatever else a worker is refused for leaves it one", async () => {
  for (const refusal of [Refused.of(noLeader), Refused.of(refuse("forbidden", removedText("n3")))])
    expect(await heardCutOff(refusal, member("m1"))).toEqual({ verdict: undefined, wasAsked: true })
})

test("nobody but a manager of its own cluster makes a worker believe that it was removed: others are not even asked", async () => {
  for (const stranger of [member("m1", "manager", foreign), member("m1", "worker")])
    expect(await heardCutOff(removed, stranger)).toEqual({ verdict: undefined, wasAsked: false })
})

test("a worker that is not cut off asks nobody", async () => {
  const asked = await Effect.gen(function* () {
    const { credentials, asked } = yield* refusing(removed, "worker", yield* member("m1"))
    let looks = 0
    const third = yield* Deferred.make<void>()
    const isCutOff = () => {
      looks++
      if (looks === 3) Deferred.doneUnsafe(third, Effect.void)
      return false
    }
    yield* Effect.raceFirst(hearOfRemoval(credentials, isCutOff, 1), Deferred.await(third))
    return asked()
  }).pipe(Effect.scoped, Effect.runPromise)
  expect(asked).toBe(0)
})
