import { expect, test } from "bun:test"
import { createServer } from "node:https"
import type { AddressInfo } from "node:net"
import { Effect } from "effect"
import { admit } from "#actors/authority/admit.ts"
import { openJoinPort } from "#actors/authority/join-port.ts"
import { isSameToken, newJoinToken } from "#actors/authority/join-token.ts"
import { askStanding, type JoinError, joinCluster } from "#actors/authority/joining.ts"
import type { Membership } from "#actors/authority/protocol.ts"
import { newRoot } from "#actors/authority/x509.ts"
import { Refused } from "#actors/model/errors.ts"
import { identityOf, requestWith } from "#test/support/joining.ts"

const now = Date.now()
const run = <A, E>(effect: Effect.Effect<A, E>): Promise<A> => Effect.runPromise(effect)

const root = await run(newRoot(now))
const tokens = { Worker: newJoinToken(root.pem), Manager: newJoinToken(root.pem) }

const membership: Membership = {
  nodeId: "n2",
  clusterId: "blue",
  role: "manager",
  certificate: "c",
  root: root.pem,
  routePassword: "p",
  managers: []
}

/** Knocks at a real port that shows `identity`; gives the outcome and the requests that came in. */
async function knock(identity: Awaited<ReturnType<typeof identityOf>>, token: string) {
  const seen: Array<string> = []
  const outcome = await run(
    Effect.scoped(
      Effect.gen(function* () {
        const port = yield* openJoinPort({
          host: "127.0.0.1",
          port: 0,
          identity: () => identity,
          standing: () => ({ clusterId: "blue", raftId: "r1", incarnation: { number: 1, id: "" } }),
          reissue: () => Effect.fail(Refused.of({ code: "forbidden", message: "nobody is known here" })),
          welcome: (request) => {
            seen.push(request.token)
            const verdict = admit({ tokens, isSame: isSameToken }, request)
            return "role" in verdict
              ? Effect.succeed({ ...membership, role: verdict.role })
              : Effect.fail(Refused.of(verdict))
          }
        })
        return yield* Effect.result(joinCluster(`127.0.0.1:${port}`, requestWith(token)))
      })
    )
  )
  const error = outcome._tag === "Failure" ? (outcome.failure as JoinError) : undefined
  return { outcome, error, seen }
}

test("CA-01 a manager's token makes a manager, a worker's token a worker", async () => {
  const identity = await identityOf("manager", root, now)
  for (const [role, token] of [
    ["manager", tokens.Manager],
    ["worker", tokens.Worker]
  ] as const) {
    const { outcome } = await knock(identity, token)
    expect(outcome).toMatchObject({ _tag: "Success", success: { role, root: root.pem } })
  }
})

test("CA-01 another token of the same cluster is refused, for good", async () => {
  const { error } = await knock(await identityOf("manager", root, now), newJoinToken(root.pem))
  expect(error).toMatchObject({ final: true })
  expect(error?.message).toContain("A valid join token is necessary to join this cluster")
})

test("CA-05 a token is never said to a cluster whose root it does not name", async () => {
  const foreign = newJoinToken((await run(newRoot(now))).pem)
  const { error, seen } = await knock(await identityOf("manager", root, now), foreign)
  expect(error?.message).toStartWith("remote CA does not match fingerprint. Expected: ")
  expect(seen).toEqual([])
})

test("CA-05 nor to whoever shows the right root without a certificate of it", async () => {
  const impostor = { ...(await identityOf("manager", await run(newRoot(now)), now)), root: root.pem }
  const { error, seen } = await knock(impostor, tokens.Manager)
  expect(error?.message).toStartWith("Cannot reach the manager at ")
  expect(seen).toEqual([])
})

test("where a certificate does not count by this machine's clock, both clocks are named, and the token is not said", async () => {
  const cases = [
    ["is not yet valid", 7_200_000],
    ["has expired", -86_400_000]
  ] as const
  for (const [why, aheadMs] of cases) {
    const { certificate: cert, key } = await identityOf("manager", root, now + aheadMs)
    const there = new Date(Math.floor((now + aheadMs) / 1_000) * 1_000)
    const asked: Array<string> = []
    const server = createServer({ cert, key }, (request, response) => {
      asked.push(request.url ?? "")
      response.setHeader("Date", there.toUTCString()).end(root.pem)
    })
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    const { port } = server.address() as AddressInfo
    const error = await run(Effect.flip(joinCluster(`127.0.0.1:${port}`, requestWith(tokens.Worker))))
    server.close()
    expect(error.final).toBe(false)
    const words = new RegExp(
      `^Cannot reach the manager at 127.0.0.1:${port}: its certificate ${why} by this machine's clock, which shows \\S+Z, and the manager's shows ${there.toISOString()}: set the clock that is wrong$`
    )
    expect(error.message).toMatch(words)
    expect(asked).toEqual(["/v1/ca", "/v1/ca"])
  }
})

test("nor to a worker that stands in for a manager", async () => {
  const { error, seen } = await knock(await identityOf("worker", root, now), tokens.Manager)
  expect(error?.message).toStartWith("Cannot reach the manager at ")
  expect(seen).toEqual([])
})

test("a malformed token is refused before anybody is asked", async () => {
  const error = await run(Effect.flip(joinCluster("127.0.0.1:1", requestWith("SWMTKN-1-short"))))
  expect(error).toMatchObject({ message: "invalid join token", final: true })
})

test("CA-20 a cluster that demands FIPS of its nodes is not joined, and nobody is asked", async () => {
  const token = tokens.Worker.replace("SWMTKN-1-", "SWMTKN-2-1-")
  const { error, seen } = await knock(await identityOf("manager", root, now), token)
  expect(error).toMatchObject({
    message: "node is not FIPS-enabled but cluster requires FIPS",
    final: true
  })
  expect(seen).toEqual([])
})

test("CA-20 the token of a cluster that mixes is one like any other: the manager judges it", async () => {
  const { error, seen } = await knock(
    await identityOf("manager", root, now),
    tokens.Worker.replace("SWMTKN-1-", "SWMTKN-2-0-")
  )
  expect(seen).toHaveLength(1)
  expect(error?.message).toContain("A valid join token is necessary to join this cluster")
  for (const wrong of ["SWMTKN-2-2-", "SWMTKN-2-", "SWMTKN-3-0-"]) {
    const refused = await knock(
      await identityOf("manager", root, now),
      tokens.Worker.replace("SWMTKN-1-", wrong)
    )
    expect(refused).toMatchObject({ error: { message: "invalid join token" }, seen: [] })
  }
})

test("a name or an address that cannot be one is refused by name", () => {
  const door = { tokens, isSame: isSameToken }
  const request = requestWith(tokens.Worker)
  expect(admit(door, { ...request, name: "a b" })).toMatchObject({ code: "invalidArgument" })
  expect(admit(door, { ...request, address: "example.org" })).toMatchObject({ code: "invalidArgument" })
})

test("a manager that goes away in the middle of its answer, or never comes to its end, is not waited for", async () => {
  const { certificate: cert, key } = await identityOf("manager", root, now)
  let drip: ReturnType<typeof setInterval> | undefined
  const server = createServer({ cert, key }, ({ url = "" }, response) => {
    response.setHeader("Content-Length", 10_000)
    response.write("{")
    if (url.includes("cut")) setTimeout(() => response.socket?.destroy(), 50)
    else drip = setInterval(() => response.write(" "), 100)
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const at = `127.0.0.1:${(server.address() as AddressInfo).port}`
  const said = async (member: string) => (await run(Effect.flip(askStanding(at, root.pem, member)))).message
  expect(await said("cut")).toStartWith(`Cannot reach the manager at ${at}: `)
  expect(await said("drip")).toBe(`Cannot reach the manager at ${at}: no answer within 1000 ms`)
  clearInterval(drip)
  server.close()
})
