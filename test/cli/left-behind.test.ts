/** What a manager makes of the answers that it hears at another's join port. */
import { afterAll, expect, test } from "bun:test"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"
import { openCredentials } from "#actors/authority/credentials.ts"
import { openJoinPort } from "#actors/authority/join-port.ts"
import { issueMembership, newRoots } from "#actors/authority/membership.ts"
import { removedText } from "#actors/authority/protocol.ts"
import { newRequest } from "#actors/authority/x509.ts"
import { noLeader, Refused, refuse } from "#actors/model/errors.ts"
import { firstIncarnation } from "#actors/raft/incarnation.ts"
import { leftBehindText, lookOut } from "#cli/left-behind.ts"
import { someKeys, somePorts } from "#test/support/trust.ts"

const dataDir = mkdtempSync(join(tmpdir(), "troupe-left-behind-"))
afterAll(() => rmSync(dataDir, { recursive: true }))

const roots = await Effect.runPromise(newRoots(Date.now()))

const member = (nodeId: string) =>
  Effect.gen(function* () {
    const { pem, key } = yield* newRequest
    const membership = yield* issueMembership(roots, {
      member: { nodeId, clusterId: "blue", role: "manager", addresses: [] },
      raftId: `raft-${nodeId}`,
      csr: pem,
      managers: [],
      now: Date.now(),
      expiryMs: 3_600_000
    })
    return { membership, key }
  })

/** What n2 makes of a manager that has another password for routes and refuses to tell it, for `refusal`. */
const heard = (refusal: Refused) =>
  Effect.gen(function* () {
    const [m1, n2] = [yield* member("m1"), yield* member("n2")]
    const shown = { certificate: m1.membership.certificate, key: m1.key, root: roots.ca.certificate }
    const port = yield* openJoinPort({
      host: "127.0.0.1",
      port: 0,
      identity: () => shown,
      standing: () => ({ clusterId: "blue", raftId: "raft-m1", incarnation: firstIncarnation, routes: 2 }),
      welcome: () => Effect.fail(refusal),
      reissue: () => Effect.fail(refusal)
    })
    const ports = { ...somePorts, join: port }
    const peer = { nodeId: "m1", raftId: "raft-m1", address: "127.0.0.1", ports, keys: someKeys }
    const credentials = yield* openCredentials(dataDir, {
      origin: "joined",
      ports,
      key: n2.key,
      membership: { ...n2.membership, managers: [peer] }
    })
    const lookout = yield* lookOut(credentials, firstIncarnation)
    yield* lookout.ask([peer])
    // Decided by now, if ever.
    const verdict = Effect.catch(lookout.leftBehind, (error) =>
      Effect.succeed(leftBehindText(error.leftBehind))
    )
    return yield* Effect.raceFirst(verdict, Effect.as(Effect.yieldNow, undefined))
  }).pipe(Effect.scoped, Effect.runPromise)

test("CA-04 a manager that hears that it is not of the cluster takes no part any more", async () => {
  expect(await heard(Refused.of(refuse("forbidden", removedText("n2"))))).toStartWith(
    "This manager was removed from the cluster"
  )
})

test("whatever else a manager is refused for leaves it one", async () => {
  expect(await heard(Refused.of(noLeader))).toBeUndefined()
  expect(await heard(Refused.of(refuse("forbidden", removedText("n3"))))).toBeUndefined()
})
