/** Nodes, tasks, and the cluster itself. */

import { expect, test } from "bun:test"
import { Effect } from "effect"
import { newRoots } from "#actors/authority/membership.ts"
import { issuerOf, newRoot } from "#actors/authority/x509.ts"
import { identify } from "#actors/gateway/access/identity-of.ts"
import type { Identity } from "#actors/gateway/access/role.ts"
import { fakeEngine, nodeId, serviceBody, TestGateway } from "#test/support/gateway.ts"
import { somePorts } from "#test/support/trust.ts"

const rpc = (code: string, text: string): string => `rpc error: code = ${code} desc = ${text}`

const worker = (gateway: TestGateway, id: string, hostname: string, state: "ready" | "down" = "ready") =>
  gateway.write({
    type: "node.register",
    v: 1,
    node: {
      ID: id,
      Spec: { Role: "worker", Availability: "active", Labels: { zone: "a" } },
      Status: { State: state },
      Description: {
        Hostname: hostname,
        Platform: {},
        Resources: { NanoCPUs: 1, MemoryBytes: 1 },
        Engine: { EngineVersion: "20.10.24", Labels: { disk: "ssd" } }
      }
    }
  })

const task = (gateway: TestGateway, service: string, ID: string, extra: Record<string, unknown> = {}) =>
  gateway.write({
    type: "tasks.change",
    v: 1,
    create: [
      {
        ID,
        ServiceID: service,
        SpecVersion: gateway.ledger.read.get("service", service)?.SpecVersion ?? 0,
        Slot: 1,
        NodeID: nodeId,
        Status: { Timestamp: "2026-11-22T21:02:02.8Z", State: "running", Message: "started" },
        DesiredState: "running",
        ...extra
      }
    ],
    update: [],
    remove: []
  })

test("a node is shown as the Engine shows it, without what only we know", async () => {
  const gateway = await TestGateway.start()
  const { text, body } = await gateway.get("/nodes/sk1")
  expect(body.ManagerStatus).toEqual({ Leader: true, Reachability: "reachable", Addr: "10.78.0.11:2377" })
  expect(text).not.toContain("Executor")
  expect(text).not.toContain("LastSeen")
  expect(await gateway.get("/nodes/self")).toMatchObject({
    status: 404,
    body: { message: "node self not found" }
  })
})

test("nodes are filtered by labels of both kinds, role and name", async () => {
  const gateway = await TestGateway.start()
  await worker(gateway, "w1", "box")
  const ids = async (filters: string) =>
    (await gateway.get(`/nodes?filters=${encodeURIComponent(filters)}`)).body.map(
      ({ ID }: { ID: string }) => ID
    )
  expect(await ids('{"role":["worker"]}')).toEqual(["w1"])
  expect(await ids('{"node.label":["zone=a"]}')).toEqual(["w1"])
  expect(await ids('{"label":["disk"]}')).toEqual(["w1"])
  expect(await ids('{"name":["sk"]}')).toEqual([nodeId])
  expect(await ids('{"membership":["pending"]}')).toEqual([])
  expect(await gateway.get('/nodes?filters={"role":["boss"]}')).toMatchObject({
    status: 500,
    body: { message: "Invalid role filter: 'boss'" }
  })
})

const inTheGroup = (id: string): string =>
  `node ${id} is a cluster manager and is a member of the raft cluster. It must be demoted to worker before removal`

test("RF-24, RF-26: the last manager stays one, and a ready node is removed by force only", async () => {
  const gateway = await TestGateway.start()
  const version = gateway.ledger.read.get("node", nodeId)?.Version.Index
  const demote = { Labels: {}, Role: "worker", Availability: "active" }
  expect(await gateway.post(`/nodes/${nodeId}/update?version=${version}`, demote)).toMatchObject({
    status: 400,
    body: { message: rpc("FailedPrecondition", "attempting to demote the last manager of the swarm") }
  })
  expect(await gateway.delete("/nodes/sk1?force=1")).toMatchObject({
    status: 400,
    body: { message: rpc("FailedPrecondition", inTheGroup(nodeId)) }
  })
  await worker(gateway, "w1", "box")
  expect(await gateway.delete("/nodes/box")).toMatchObject({
    status: 400,
    body: { message: rpc("FailedPrecondition", "node w1 is not down and can't be removed") }
  })
  expect(await gateway.delete("/nodes/box?force=1")).toMatchObject({ status: 200, text: "" })
})

test("RF-26 a demoted manager is removed once the Raft group has gone on without it, also by force", async () => {
  const gateway = await TestGateway.start()
  const retiring = { Reachability: "reachable" as const, Addr: "10.0.0.2:2377", Ports: somePorts }
  await gateway.write({
    type: "node.register",
    v: 1,
    node: {
      ID: "m2",
      Spec: { Role: "worker", Availability: "active" },
      Status: { State: "ready" },
      ManagerStatus: retiring
    }
  })
  const { status, body } = await gateway.delete("/nodes/m2?force=1")
  expect(status).toBe(400)
  expect(body.message).toStartWith(rpc("FailedPrecondition", `${inTheGroup("m2")}: that is under way`))
  await gateway.write({ type: "node.observe", v: 1, nodes: [{ id: "m2", retired: true }] })
  expect((await gateway.delete("/nodes/m2?force=1")).status).toBe(200)
})

test("an operator drains nodes and labels them, and changes no node's role", async () => {
  const gateway = await TestGateway.start()
  await worker(gateway, "w1", "box")
  const update = async (identity: Identity, spec: object) => {
    const version = gateway.ledger.read.get("node", "w1")?.Version.Index
    const request = new Request(`http://docker/nodes/w1/update?version=${version}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(spec)
    })
    identify(request, identity)
    return gateway.app.fetch(request)
  }
  const otto = { who: "otto", role: "operator" } as const
  expect((await update(otto, { Role: "worker", Availability: "drain" })).status).toBe(200)
  const refused = await update(otto, { Role: "manager", Availability: "drain" })
  expect(refused.status).toBe(403)
  expect(await refused.text()).toContain("otto is operator: a node's role is for the role admin to change")
  const anna = { who: "anna", role: "admin" } as const
  expect((await update(anna, { Role: "manager", Availability: "drain" })).status).toBe(200)
  const soon = { Role: "manager", Availability: "drain", Labels: { "troupe.drain": "soon" } }
  expect(await (await update(anna, soon)).json()).toEqual({
    message: 'label troupe.drain "soon": expected now'
  })
})

test("a node's spec is replaced, under its version", async () => {
  const gateway = await TestGateway.start()
  await worker(gateway, "w1", "box")
  const version = gateway.ledger.read.get("node", "w1")?.Version.Index
  const drained = { Labels: { x: "y" }, Role: "worker", Availability: "drain" }
  expect((await gateway.post(`/nodes/w1/update?version=${version}`, drained)).status).toBe(200)
  expect((await gateway.get("/nodes/w1")).body.Spec).toEqual(drained)
  expect((await gateway.post(`/nodes/w1/update?version=${version}`, drained)).status).toBe(500)
  const louder = { Role: "Worker", Availability: "ACTIVE" }
  const next = gateway.ledger.read.get("node", "w1")?.Version.Index
  expect((await gateway.post(`/nodes/w1/update?version=${next}`, louder)).status).toBe(200)
  expect((await gateway.get("/nodes/w1")).body.Spec).toEqual({
    Labels: {},
    Role: "worker",
    Availability: "active"
  })
})

test("who names no role or no availability of a node is told so, and a manager is not demoted by it", async () => {
  const gateway = await TestGateway.start()
  const before = gateway.ledger.read.get("node", nodeId)
  for (const [spec, message] of [
    [{ Availability: "active" }, 'invalid Role: ""'],
    [{ Role: "boss", Availability: "active" }, 'invalid Role: "boss"'],
    [{ Role: "manager" }, 'invalid Availability: ""'],
    [{ Role: "manager", Availability: "rest" }, 'invalid Availability: "rest"']
  ] as const) {
    const path = `/nodes/${nodeId}/update?version=${before?.Version.Index}`
    expect(await gateway.post(path, spec)).toMatchObject({ status: 400, body: { message } })
  }
  expect(gateway.ledger.read.get("node", nodeId)).toEqual(before as never)
})

test("a task is shown with the spec it carries out, also after its service has moved on", async () => {
  const gateway = await TestGateway.start()
  const id = await gateway.made("/services/create", serviceBody("web", { Labels: { stack: "s" } }))
  await task(gateway, id, "4kx0000000000000000000001")
  const { body } = await gateway.get(`/services/${id}`)
  body.Spec.TaskTemplate.ContainerSpec.Image = "busybox:2"
  await gateway.post(`/services/${id}/update?version=${body.Version.Index}`, body.Spec)
  const [shown] = (await gateway.get('/tasks?filters={"label":["stack=s"]}')).body
  expect(shown).toMatchObject({
    ID: "4kx0000000000000000000001",
    Labels: {},
    ServiceID: id,
    Slot: 1,
    NodeID: nodeId,
    DesiredState: "running",
    Spec: { ContainerSpec: { Image: "busybox:latest" }, ForceUpdate: 0 },
    Status: { State: "running", Message: "started", PortStatus: {} },
    Volumes: null
  })
  expect(shown.Spec.Runtime).toBeUndefined()
  const current = encodeURIComponent('{"_up-to-date":{"true":true}}')
  const upToDate = async () =>
    (await gateway.get(`/tasks?filters=${current}`)).body.map(({ ID }: { ID: string }) => ID)
  expect(await upToDate()).toEqual([])
  // An update back to what the task was made by, and one that its node meets, let it be.
  for (const change of [{ Image: "busybox:latest" }, { Constraints: ["node.role==manager"] }]) {
    const { body: now } = await gateway.get(`/services/${id}`)
    if (change.Image) now.Spec.TaskTemplate.ContainerSpec.Image = change.Image
    if (change.Constraints) now.Spec.TaskTemplate.Placement.Constraints = change.Constraints
    await gateway.post(`/services/${id}/update?version=${now.Version.Index}`, now.Spec)
    expect(await upToDate()).toEqual(["4kx0000000000000000000001"])
  }
})

test("tasks are found by id, by name and by the beginning of an id", async () => {
  const gateway = await TestGateway.start()
  const id = await gateway.made("/services/create", serviceBody("web"))
  await task(gateway, id, "4kx0000000000000000000001")
  for (const way of ["4kx0000000000000000000001", "4kx", "web.1.4kx0000000000000000000001"]) {
    expect((await gateway.get(`/tasks/${way}`)).body.ID).toBe("4kx0000000000000000000001")
  }
  expect(await gateway.get("/tasks/web.2.4kx0000000000000000000001")).toMatchObject({ status: 404 })
})

test("tasks are filtered by service, node, state and name", async () => {
  const gateway = await TestGateway.start()
  const web = await gateway.made("/services/create", serviceBody("web"))
  const db = await gateway.made("/services/create", serviceBody("db"))
  await task(gateway, web, "a1")
  await task(gateway, web, "a2", { DesiredState: "shutdown", Slot: 2 })
  await task(gateway, db, "b1", { NodeID: "w1" })
  await worker(gateway, "w1", "box")
  const ids = async (filters: unknown) => {
    const reply = await gateway.get(`/tasks?filters=${encodeURIComponent(JSON.stringify(filters))}`)
    return reply.status === 200
      ? reply.body.map(({ ID }: { ID: string }) => ID)
      : [reply.status, reply.body.message]
  }
  expect(await ids({})).toEqual(["a1", "a2", "b1"])
  expect(await ids({ service: ["web"] })).toEqual(["a1", "a2"])
  expect(await ids({ service: [db.slice(0, 10)] })).toEqual(["b1"])
  expect(await ids({ service: ["web"], node: ["box"] })).toEqual([])
  expect(await ids({ node: ["box"] })).toEqual(["b1"])
  expect(await ids({ "desired-state": ["Running"] })).toEqual(["a1", "b1"])
  expect(await ids({ name: ["web.2"] })).toEqual(["a2"])
  expect(await ids({ id: ["a"] })).toEqual(["a1", "a2"])
  expect(await ids({ service: ["nosuch"] })).toEqual([404, "service nosuch not found"])
  expect(await ids({ "desired-state": ["zzz"] })).toEqual([500, "Invalid desired-state filter: 'zzz'"])
})

test("the text of a task follows its networks", async () => {
  const gateway = await TestGateway.start()
  const network = await gateway.made("/networks/create", { Name: "n", Driver: "overlay" })
  const web = await gateway.made("/services/create", serviceBody("web"))
  await task(gateway, web, "a1", { Attachments: [{ NetworkID: network, Addresses: ["10.0.1.3/24"] }] })
  const attached = async () => (await gateway.get("/tasks/a1")).body.NetworksAttachments[0].Network
  expect((await attached()).IPAMOptions.Configs).toBeUndefined()
  const ipam = { Driver: "default", Config: [{ Subnet: "10.0.1.0/24", Gateway: "10.0.1.1" }] }
  await gateway.write({ type: "network.allot", v: 1, networks: [{ id: network, ipam, vni: 4097 }] })
  expect((await attached()).IPAMOptions.Configs).toEqual([{ Subnet: "10.0.1.0/24", Gateway: "10.0.1.1" }])
})

test("CT-21: the cluster's settings have limits, and tokens are renewed one by one", async () => {
  const gateway = await TestGateway.start()
  const { body } = await gateway.get("/swarm")
  const update = async (spec: unknown, query = "") => {
    const version = gateway.ledger.read.cluster()?.Version.Index
    return gateway.post(`/swarm/update?version=${version}${query}`, spec)
  }
  const said = async (spec: unknown) => (await update(spec)).body.message
  expect(await said({ ...body.Spec, Name: "blue" })).toBe('swarm spec must be named "default"')
  expect(await said({ ...body.Spec, CAConfig: { NodeCertExpiry: 60e9 } })).toBe(
    rpc("InvalidArgument", "minimum certificate expiry time is: 1h0m0s")
  )
  expect(await said({ ...body.Spec, Dispatcher: { HeartbeatPeriod: -1 } })).toBe(
    rpc("InvalidArgument", "heartbeat time period cannot be a negative duration")
  )
  expect(await said({ ...body.Spec, Labels: { "troupe.network.key-period": "5s" } })).toBe(
    rpc(
      "InvalidArgument",
      'label troupe.network.key-period "5s": expected a duration of a minute or more, like "12h"'
    )
  )
  expect(await said({ ...body.Spec, CAConfig: { NodeCertExpiry: 36e11 + 0.5 } })).toBe(
    "invalid JSON: CAConfig.NodeCertExpiry: expected an integer, got 3600000000000.5"
  )
  // A year, ten, and the longest that the docker CLI takes.
  for (const hours of [8_760, 87_600, 2_562_047]) {
    const CAConfig = { NodeCertExpiry: hours * 3_600_000_000_000 }
    expect((await update({ ...body.Spec, CAConfig })).status).toBe(200)
    expect((await gateway.get("/swarm")).body.Spec.CAConfig).toEqual(CAConfig)
  }
  await update(body.Spec)
  expect((await update({ Orchestration: { TaskHistoryRetentionLimit: 3 } })).status).toBe(200)
  expect((await gateway.get("/swarm")).body.Spec).toEqual({
    ...body.Spec,
    Orchestration: { TaskHistoryRetentionLimit: 3 }
  })
  expect((await update(body.Spec, "&rotateWorkerToken=true")).status).toBe(200)
  const after = (await gateway.get("/swarm")).body
  expect(after.JoinTokens).toEqual({ Worker: "SWMTKN-1-worker-1", Manager: "SWMTKN-1-manager" })
  expect((await update(body.Spec, "&rotateWorkerToken=perhaps")).body.message).toBe(
    "invalid value for rotateWorkerToken: perhaps"
  )
  expect((await gateway.post("/swarm/update?version=1", body.Spec)).body.message).toBe(
    rpc("Unknown", "update out of sequence")
  )
})

test("CA-02 rotating one token leaves the other as it is, and the nodes", async () => {
  const gateway = await TestGateway.start()
  const { Spec, JoinTokens } = (await gateway.get("/swarm")).body
  const nodes = (await gateway.get("/nodes")).body
  const rotate = (which: string) => {
    const version = gateway.ledger.read.cluster()?.Version.Index
    return gateway.post(`/swarm/update?version=${version}&rotate${which}Token=true`, Spec)
  }
  expect((await rotate("Worker")).status).toBe(200)
  const once = (await gateway.get("/swarm")).body.JoinTokens
  expect(once.Manager).toBe(JoinTokens.Manager)
  expect(once.Worker).not.toBe(JoinTokens.Worker)
  expect((await rotate("Manager")).status).toBe(200)
  const twice = (await gateway.get("/swarm")).body.JoinTokens
  expect(twice.Worker).toBe(once.Worker)
  expect(twice.Manager).not.toBe(once.Manager)
  expect((await gateway.get("/nodes")).body).toEqual(nodes)
})

/** A cluster whose root can sign, and `docker swarm ca --rotate` as the CLI says it. */
async function rotating() {
  const roots = await Effect.runPromise(newRoots(Date.now()))
  const gateway = await TestGateway.start({}, fakeEngine(), { roots })
  gateway.now = Date.now()
  const update = async (CAConfig: Record<string, unknown>) => {
    const { Version, Spec } = (await gateway.get("/swarm")).body
    const body = { ...Spec, CAConfig: { ...Spec.CAConfig, ...CAConfig } }
    return gateway.post(`/swarm/update?version=${Version.Index}`, body)
  }
  return { gateway, roots, update }
}

test("CA-13 while the root changes, the old one is shown as trusted, the new one as the issuer, and tokens stay", async () => {
  const { gateway, roots, update } = await rotating()
  const before = (await gateway.get("/swarm")).body
  expect(before.TLSInfo).toEqual({
    TrustRoot: roots.ca.certificate,
    CertIssuerSubject: issuerOf(roots.ca.certificate).subject,
    CertIssuerPublicKey: issuerOf(roots.ca.certificate).publicKey
  })
  expect((await update({ ForceRotate: 1 })).status).toBe(200)
  const during = (await gateway.get("/swarm")).body
  expect(during.RootRotationInProgress).toBe(true)
  expect(during.Spec.CAConfig.ForceRotate).toBe(1)
  expect(during.TLSInfo.TrustRoot).toBe(before.TLSInfo.TrustRoot)
  expect(during.TLSInfo.CertIssuerPublicKey).not.toBe(before.TLSInfo.CertIssuerPublicKey)
  expect(during.JoinTokens).toEqual(before.JoinTokens)
  const next = gateway.ledger.read.cluster()?.Roots?.rotation
  const ended = { type: "cluster.rotated", v: 1, tokens: { Worker: "w2", Manager: "m2" } } as const
  // CA-15: a leader that was followed still speaks of another root.
  await expect(gateway.write({ ...ended, certificate: "another" })).rejects.toThrow(
    "not the root certificate"
  )
  await gateway.write({ ...ended, certificate: next?.certificate ?? "" })
  const after = (await gateway.get("/swarm")).body
  expect(after).toMatchObject({ RootRotationInProgress: false, JoinTokens: ended.tokens })
  expect(after.TLSInfo).toEqual({ ...during.TLSInfo, TrustRoot: next?.certificate })
})

test("CA-15 the last of several changes of the root counts", async () => {
  const { gateway, update } = await rotating()
  const rotation = () => gateway.ledger.read.cluster()?.Roots?.rotation?.certificate
  await update({ ForceRotate: 1 })
  const first = rotation()
  await update({ ForceRotate: 2 })
  expect(rotation()).not.toBe(first)
  const own = await Effect.runPromise(newRoot(gateway.now))
  expect((await update({ SigningCACert: own.pem, SigningCAKey: own.key })).status).toBe(200)
  expect(rotation()).toBe(own.pem)
  // What the CLI was shown it sends back with every other update.
  expect((await update({ NodeCertExpiry: 3_600_000_000_000 })).status).toBe(200)
  expect(rotation()).toBe(own.pem)
  const { body, text } = await gateway.get("/swarm")
  expect(body.Spec.CAConfig).toEqual({
    NodeCertExpiry: 3_600_000_000_000,
    SigningCACert: own.pem,
    ForceRotate: 2
  })
  expect(text).not.toContain("PRIVATE KEY")
  expect(JSON.stringify(gateway.ledger.read.cluster()?.Spec)).not.toContain("PRIVATE KEY")
  expect((await update({ SigningCACert: "", SigningCAKey: "", ForceRotate: 3 })).status).toBe(200)
  expect((await gateway.get("/swarm")).body.Spec.CAConfig.SigningCACert).toBeUndefined()
})

test("CA-16 external authorities are kept as they are said, until they are not said any more", async () => {
  const { gateway, update } = await rotating()
  const known = async () => (await gateway.get("/swarm")).body.Spec.CAConfig.ExternalCAs
  const authority = { Protocol: "cfssl", URL: "https://ca.example/sign", CACert: "PEM" }
  expect((await update({ ExternalCAs: [authority] })).status).toBe(200)
  expect(await known()).toEqual([authority])
  for (const [wrong, words] of [
    [
      { Protocol: "acme", URL: "https://ca.example" },
      "CAConfig.ExternalCAs[0].Protocol 'acme': expected cfssl"
    ],
    [
      { Protocol: "cfssl", URL: "ca.example" },
      "CAConfig.ExternalCAs[0].URL 'ca.example': expected an address"
    ],
    [{ Protocol: "cfssl" }, "CAConfig.ExternalCAs[0].URL '': expected an address"]
  ] as const) {
    const { status, body } = await update({ ExternalCAs: [wrong] })
    expect([status, body.message]).toEqual([400, expect.stringContaining(words)])
  }
  expect((await update({ ExternalCAs: [] })).status).toBe(200)
  expect(await known()).toBeUndefined()
})

test("a member is not made one again, and leaves by force only", async () => {
  const forced: Array<boolean> = []
  const gateway = await TestGateway.start({
    control: { leave: (force) => Effect.sync(() => void forced.push(force)) }
  })
  const already =
    'This node is already part of a swarm. Use "docker swarm leave" to leave this swarm and join another one.'
  for (const path of ["/swarm/init", "/swarm/join"]) {
    expect(await gateway.post(path, {})).toMatchObject({ status: 503, body: { message: already } })
  }
  const reply = await gateway.post("/swarm/leave")
  expect(reply.status).toBe(503)
  expect(reply.body.message).toEndWith(
    "Removing the last manager erases all current state of the swarm. Use `--force` to ignore this message. "
  )
  // Who is left cannot be said where nobody leads.
  gateway.raft.leaderless = true
  expect((await gateway.post("/swarm/leave")).body.message).toBe(
    "You are attempting to leave the swarm on a node that is participating as a manager. The only way to restore a swarm that has lost consensus is to reinitialize it with `--force-new-cluster`. Use `--force` to suppress this message."
  )
  expect((await gateway.post("/swarm/leave?force=1")).status).toBe(200)
  expect(forced).toEqual([true])
  gateway.raft.leaderless = false
  expect((await gateway.get("/swarm/unlockkey")).text).toBe('{"UnlockKey":""}\n')
  expect(await gateway.post("/swarm/unlock", { UnlockKey: "k" })).toMatchObject({
    status: 409,
    body: { message: "swarm is not locked" }
  })
})

test("a member that has not come up says so in Swarm's words, and a manager leaves by force only", async () => {
  const control = { leave: () => Effect.void, forceNewCluster: Effect.succeed("it") }
  const manager = await TestGateway.start({ membership: () => "pending/manager", control })
  expect(await manager.get("/nodes")).toMatchObject({
    status: 503,
    body: {
      message:
        "This node is not a swarm manager. Manager is being prepared or has trouble connecting to the cluster."
    }
  })
  expect(await manager.post("/swarm/leave")).toMatchObject({
    status: 503,
    body: {
      message:
        "You are attempting to leave the swarm on a node that is participating as a manager. Doing so may lose the consensus of your cluster. The only way to restore a swarm that has lost consensus is to reinitialize it with `--force-new-cluster`. Use `--force` to suppress this message."
    }
  })
  expect((await manager.post("/swarm/leave?force=1")).status).toBe(200)
  expect(await manager.post("/swarm/init", { ForceNewCluster: true })).toMatchObject({
    status: 200,
    body: "it"
  })
  const worker = await TestGateway.start({ membership: () => "pending/worker", control })
  expect((await worker.get("/nodes")).body.message).toStartWith(
    "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state."
  )
  expect((await worker.post("/swarm/leave")).status).toBe(200)
  expect((await worker.post("/swarm/join", {})).body.message).toStartWith(
    "This node is already part of a swarm."
  )
})

test("images are looked up by the Engine, slashes and credentials included", async () => {
  const gateway = await TestGateway.start()
  const path = "/distribution/registry.example.com:5000/team/app:1/json"
  gateway.engine.answers.set(`GET ${path}`, { status: 401, body: { message: "denied" } })
  expect(await gateway.get(`/v1.41${path}`)).toMatchObject({ status: 401, body: { message: "denied" } })
  gateway.engine.reachable = false
  expect((await gateway.get(path)).status).toBe(500)
})

test("CT-21 a lock has a key as long as it is asked for, another one when that is asked for", async () => {
  const gateway = await TestGateway.start()
  const key = async (): Promise<string> => (await gateway.get("/swarm/unlockkey")).body.UnlockKey
  const set = async (AutoLockManagers: boolean, query = ""): Promise<void> => {
    const { Version, Spec } = (await gateway.get("/swarm")).body
    const EncryptionConfig = { AutoLockManagers }
    const { status } = await gateway.post(`/swarm/update?version=${Version.Index}${query}`, {
      ...Spec,
      EncryptionConfig
    })
    expect(status).toBe(200)
  }
  const rotate = "&rotateManagerUnlockKey=true"
  await set(false, rotate)
  expect(await key()).toBe("")
  await set(true)
  const first = await key()
  expect(first).toStartWith("SWMKEY-1-")
  await set(true)
  expect(await key()).toBe(first)
  await set(true, rotate)
  expect(await key()).not.toBe(first)
  await set(false)
  expect(await key()).toBe("")
  expect(JSON.stringify((await gateway.get("/swarm")).body)).not.toContain("SWMKEY")
})

test("a node that may still run a task of an exclusive service is removed by force only, unless it has left", async () => {
  const gateway = await TestGateway.start()
  await worker(gateway, "w9", "w9")
  const id = await gateway.made("/services/create", {
    ...serviceBody("db"),
    Labels: { "troupe.exclusive": "true" }
  })
  await task(gateway, id, "t1", { NodeID: "w9" })
  const observe = (Message: string) =>
    gateway.write({
      ...{ type: "node.observe", v: 1 },
      nodes: [{ id: "w9", status: { State: "down", Message } }]
    })
  await observe("heartbeat failure")
  const { status, body } = await gateway.delete("/nodes/w9")
  expect(status).toBe(400)
  expect(body.message).toContain("node w9 is down and may still run db.1")
  await observe("node left the swarm")
  expect((await gateway.delete("/nodes/w9")).status).toBe(200)
})
