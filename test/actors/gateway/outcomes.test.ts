/** How writes and reads end when the log, the leader or this node's membership is not what one would like. */
import { expect, test } from "bun:test"
import { Effect } from "effect"
import { nodeId, serviceBody, TestGateway } from "#test/support/gateway.ts"
import { somePorts } from "#test/support/trust.ts"

const noLeader =
  "rpc error: code = Unknown desc = The swarm does not have a leader. It's possible that too few managers are online. Make sure more than half of the managers are online."

const worker =
  "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state. Please run this command on a manager node or promote the current node to a manager."

test("without a leader reads and writes are 503", async () => {
  const gateway = await TestGateway.start()
  gateway.raft.leaderless = true
  for (const reply of [
    await gateway.get("/services"),
    await gateway.post("/services/create", serviceBody("web"))
  ]) {
    expect(reply).toMatchObject({ status: 503, body: { message: noLeader } })
  }
})

test("a manager that was told to be a worker, and hears of no leader any more, says that it is none", async () => {
  const gateway = await TestGateway.start()
  const ManagerStatus = { Reachability: "reachable", Addr: "10.0.0.2:2377", Ports: somePorts } as const
  const other = { ID: "m2", Spec: { Role: "manager" }, Status: { State: "ready" }, ManagerStatus } as const
  await gateway.write({ type: "node.register", v: 1, node: other })
  const version = gateway.ledger.read.get("node", nodeId)?.Version.Index ?? 0
  await gateway.write({
    type: "node.update",
    v: 1,
    id: nodeId,
    version,
    spec: { Role: "worker", Availability: "active" }
  })
  gateway.raft.leaderless = true
  for (const reply of [
    await gateway.get("/services"),
    await gateway.post("/services/create", serviceBody("web"))
  ]) {
    expect(reply).toMatchObject({ status: 503, body: { message: worker } })
  }
})

test("a read that nobody answers ends with the same words", async () => {
  const gateway = await TestGateway.start()
  gateway.raft.silent = true
  expect(await gateway.get("/nodes")).toMatchObject({ status: 503, body: { message: noLeader } })
})

test("a read of a manager that cannot keep up with its leader says why, so that people look there", async () => {
  const gateway = await TestGateway.start()
  gateway.raft.silent = true
  gateway.raft.standing = { role: "follower", leader: "other", problem: "its disk is full" }
  expect(await gateway.get("/nodes")).toMatchObject({
    status: 503,
    body: { message: "This manager does not know the newest state, another one may: its disk is full" }
  })
  gateway.raft.standing = { role: "candidate", leader: undefined, problem: "its disk is full" } as never
  expect(await gateway.get("/nodes")).toMatchObject({ status: 503, body: { message: noLeader } })
})

test("a write that another should have got is 503 and changes nothing", async () => {
  const gateway = await TestGateway.start()
  const index = gateway.ledger.read.index
  gateway.raft.answer = { _tag: "NotLeader", leader: "other" }
  expect(await gateway.post("/services/create", serviceBody("web"))).toMatchObject({
    status: 503,
    body: { message: noLeader }
  })
  expect(gateway.ledger.read.index).toBe(index)
})

test("an overloaded log is 503 with its own words", async () => {
  const gateway = await TestGateway.start()
  gateway.raft.answer = { _tag: "Overloaded", message: "too many proposals wait" }
  expect(await gateway.post("/services/create", serviceBody("web"))).toMatchObject({
    status: 503,
    body: { message: "too many proposals wait" }
  })
})

test("a write of unknown end that did happen is acknowledged", async () => {
  const gateway = await TestGateway.start()
  const secret = await gateway.made("/secrets/create", { Name: "s", Data: "aGk=" })
  gateway.raft.forgetful = true
  const created = await gateway.post("/services/create", serviceBody("web"))
  expect(created.status).toBe(201)
  expect(gateway.ledger.read.get("service", created.body.ID)?.Spec.Name).toBe("web")
  const { Index } = gateway.ledger.read.get("service", created.body.ID)?.Version ?? { Index: 0 }
  const scaled = serviceBody("web", { Mode: { Replicated: { Replicas: 4 } } })
  expect((await gateway.post(`/services/web/update?version=${Index}`, scaled)).status).toBe(200)
  expect((await gateway.delete("/services/web")).status).toBe(200)
  expect((await gateway.delete(`/secrets/${secret}`)).status).toBe(204)
})

test("a write of unknown end that did not happen is not", async () => {
  const gateway = await TestGateway.start()
  gateway.raft.answer = { _tag: "Unknown", message: "lost leadership" }
  expect(await gateway.post("/services/create", serviceBody("web"))).toMatchObject({
    status: 503,
    body: { message: noLeader }
  })
  expect((await gateway.get("/services")).body).toEqual([])
  gateway.raft.answer = { _tag: "Unknown", message: "its disk is full", isRefused: true }
  expect(await gateway.post("/services/create", serviceBody("web"))).toMatchObject({
    status: 503,
    body: { message: "its disk is full" }
  })
})

test("a node without a cluster, a worker and a locked manager say what they are", async () => {
  const gateway = await TestGateway.start()
  const said = async (membership: TestGateway["membership"]) => {
    gateway.membership = membership
    const reply = await gateway.get("/services")
    return [reply.status, reply.body.message]
  }
  expect(await said("inactive")).toEqual([
    503,
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.'
  ])
  expect(await said("active/worker")).toEqual([503, worker])
  expect(await said("locked")).toEqual([
    503,
    'Swarm is encrypted and needs to be unlocked before it can be used. Please use "docker swarm unlock" to unlock it.'
  ])
})

test("what nobody expected is 500, and told to whoever watches", async () => {
  const gateway = await TestGateway.start({
    ledger: () => {
      throw new Error("broken")
    }
  })
  expect(await gateway.get("/services")).toMatchObject({
    status: 500,
    body: { message: "internal error: broken" }
  })
  expect(gateway.defects).toHaveLength(1)
})

test("who asked and why are written beside the command", async () => {
  const gateway = await TestGateway.start({ who: (request) => request.headers.get("x-who") ?? "nobody" })
  const origins: Array<unknown> = []
  const { ledger } = gateway
  const watched = await TestGateway.start({
    ledger: {
      ...ledger,
      propose: (command, origin) => {
        origins.push(origin)
        return ledger.propose(command, origin)
      }
    },
    who: (request) => request.headers.get("x-who") ?? "nobody"
  })
  await watched.post("/v1.41/services/create?x=1", serviceBody("web"), { "x-who": "laptop" })
  expect(origins).toEqual([{ who: "laptop", why: "POST /services/create" }])
})

test("bodies must be JSON, say so, and have an end", async () => {
  const gateway = await TestGateway.start()
  const said = async (body: string | undefined, headers: Record<string, string> = {}) => {
    const reply = await gateway.call("POST", "/services/create", body, headers)
    return [reply.status, reply.body.message]
  }
  expect(await said("{}", { "content-type": "text/plain" })).toEqual([
    400,
    "unsupported Content-Type header (text/plain): must be 'application/json'"
  ])
  expect(await said("{nope")).toEqual([400, "invalid JSON: unexpected EOF"])
  expect(await said("   ")).toEqual([400, "invalid JSON: got EOF while reading request body"])
  expect(await said("{} {}")).toEqual([400, "unexpected content after JSON"])
  expect(await said(undefined)).toEqual([400, "mismatched Runtime and *Spec fields"])
  expect((await said('{"Name": 3}'))[1]).toBe("invalid JSON: Name: expected string, got 3")
  expect(await said(`{"Name":"${"x".repeat(4 * 1024 * 1024)}"}`)).toEqual([
    413,
    "request body is too large: at most 4194304 bytes are accepted"
  ])
  expect(gateway.ledger.read.count("service")).toBe(0)
})

test("a body that claims to be small is still bounded", async () => {
  const gateway = await TestGateway.start()
  const chunk = new TextEncoder().encode(" ".repeat(1024 * 1024))
  let sent = 0
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      sent += 1
      if (sent > 64) controller.close()
      else controller.enqueue(chunk)
    }
  })
  const response = await gateway.app.request("http://docker/services/create", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body,
    duplex: "half"
  } as RequestInit)
  expect(response.status).toBe(413)
  expect(sent).toBeLessThan(20)
})

test("versions that nobody speaks are turned away, others are all the same", async () => {
  const gateway = await TestGateway.start()
  const said = async (path: string) => {
    const reply = await gateway.get(path)
    return [reply.status, reply.body?.message]
  }
  expect(await said("/v1.99/services")).toEqual([
    400,
    "client version 1.99 is too new. Maximum supported API version is 1.50"
  ])
  expect((await said("/v1.10/services"))[0]).toBe(400)
  expect(await said("/v1.24/services")).toEqual([200, undefined])
  expect(await said("/nowhere")).toEqual([404, "page not found"])
  const reply = await gateway.get("/services")
  expect(reply.headers.get("api-version")).toBe("1.50")
  expect(reply.headers.get("content-type")).toBe("application/json")
})

test("one question to the leader serves one request", async () => {
  const gateway = await TestGateway.start()
  const before = gateway.raft.reads
  await gateway.get("/services")
  expect(gateway.raft.reads).toBe(before + 1)
})

test("a promise to run an effect is all that the application asks for", async () => {
  let runs = 0
  const gateway = await TestGateway.start({
    run: (effect) => {
      runs += 1
      return Effect.runPromise(effect)
    }
  })
  await gateway.get("/nodes")
  expect(runs).toBe(1)
})

test("F9: whoever says that a stale answer will do gets this manager's own, with its last entry and its age; nobody else does", async () => {
  const gateway = await TestGateway.start()
  await gateway.made("/services/create", serviceBody("web"))
  gateway.raft.leaderless = true
  gateway.raft.ageMs = 4_200
  const { reads } = gateway.raft
  const stale = await gateway.call("GET", "/services", undefined, { "Troupe-Stale": "allowed" })
  expect(stale).toMatchObject({ status: 200, body: [{ Spec: { Name: "web" } }] })
  expect(stale.headers.get("Troupe-Index")).toBe(`${gateway.ledger.read.index}`)
  expect(stale.headers.get("Troupe-Age-Ms")).toBe("4200")
  expect(gateway.raft.reads).toBe(reads)
  for (const said of [{}, { "Troupe-Stale": "no" }] as const) {
    const reply = await gateway.call("GET", "/services", undefined, said)
    expect([reply.status, reply.headers.get("Troupe-Index")]).toEqual([503, null])
  }
})
