import { expect, test } from "bun:test"
import { networkLabel } from "#actors/drivers/labels.ts"
import { levelOf } from "#actors/ledger/features.ts"
import type { WireGuard } from "#actors/model/objects.ts"
import { nodeId, serviceBody, TestGateway } from "#test/support/gateway.ts"

const rpc = (code: string, text: string): string => `rpc error: code = ${code} desc = ${text}`
const overlay = (name: string, extra: Record<string, unknown> = {}) => ({
  Name: name,
  Driver: "overlay",
  ...extra
})
const bridge = (name: string, labels: Record<string, string> = {}) => ({
  Name: name,
  Id: `engine-${name}`,
  Scope: "local",
  Driver: "bridge",
  Labels: labels
})

test("an overlay is ours and shown as the Engine shows one", async () => {
  const gateway = await TestGateway.start()
  const id = await gateway.made(
    "/networks/create",
    overlay("net1", { Attachable: true, Labels: { a: "b" }, Options: { x: "y" } })
  )
  const ipam = { Driver: "default", Config: [{ Subnet: "10.0.1.0/24", Gateway: "10.0.1.1" }] }
  await gateway.write({ type: "network.allot", v: 1, networks: [{ id, ipam, vni: 4097 }] })
  const { body } = await gateway.get("/v1.50/networks/net1")
  expect(body).toMatchObject({
    Name: "net1",
    Id: id,
    Scope: "swarm",
    Driver: "overlay",
    IPAM: { Driver: "default", Options: null, Config: [{ Subnet: "10.0.1.0/24", Gateway: "10.0.1.1" }] },
    Attachable: true,
    Ingress: false,
    Containers: null,
    Options: { x: "y", "com.docker.network.driver.overlay.vxlanid_list": "4097" },
    Labels: { a: "b" }
  })
})

test("host and bridge of every Engine are the swarm's where those are asked for, and services are on them by name", async () => {
  const gateway = await TestGateway.start()
  for (const name of ["host", "bridge"]) {
    expect(await gateway.get(`/networks/${name}?scope=swarm`)).toMatchObject({
      status: 200,
      body: {
        Name: name,
        Id: name,
        Scope: "swarm",
        Driver: name,
        Labels: { "com.docker.swarm.predefined": "true" }
      }
    })
  }
  expect((await gateway.get("/networks/none?scope=swarm")).status).toBe(404)
  expect((await gateway.get("/networks?filters=%7B%22scope%22%3A%5B%22swarm%22%5D%7D")).body).toEqual([])
  const Networks = [{ Target: "host" }]
  const task = { ...serviceBody("agent").TaskTemplate, Networks }
  await gateway.made("/services/create", { ...serviceBody("agent"), TaskTemplate: task })
  expect((await gateway.get("/services/agent")).body.Spec.TaskTemplate.Networks).toEqual(Networks)
})

test("a subnet that overlaps with another network's is refused, by that network's name", async () => {
  const gateway = await TestGateway.start()
  const asking = (name: string, ...subnets: ReadonlyArray<string>) =>
    gateway.post(
      "/networks/create",
      overlay(name, { IPAM: { Config: subnets.map((Subnet) => ({ Subnet })) } })
    )
  expect((await asking("one", "10.9.0.0/16")).status).toBe(201)
  expect((await asking("apart", "10.10.0.0/16", "fd00::/64")).status).toBe(201)
  expect(await asking("two", "10.9.3.0/24")).toMatchObject({
    status: 400,
    body: {
      message: rpc(
        "InvalidArgument",
        "ipam configuration: subnet 10.9.3.0/24 overlaps with 10.9.0.0/16 of network one"
      )
    }
  })
  expect((await asking("one", "10.9.0.0/16")).status).toBe(409)
})

test("everything else goes to the Engine as it came", async () => {
  const gateway = await TestGateway.start()
  gateway.engine.answers.set("POST /networks/create", { status: 201, body: { Id: "e1", Warning: "" } })
  const body = { Name: "b1", Driver: "bridge", Unheard: { of: 1 } }
  expect(await gateway.post("/networks/create", body)).toMatchObject({ status: 201, body: { Id: "e1" } })
  expect(gateway.engine.bodies.at(-1)).toEqual(body)
  gateway.engine.answers.set("DELETE /networks/b1", { status: 204 })
  gateway.engine.answers.set("GET /networks/b1", { status: 200, body: bridge("b1") })
  expect((await gateway.get("/networks/b1?scope=local")).body.Id).toBe("engine-b1")
  expect((await gateway.delete("/networks/b1")).status).toBe(204)
  expect(await gateway.get("/networks/nonet")).toMatchObject({ status: 404 })
  const asked = gateway.engine.asked.length
  expect(await gateway.get("/networks/b1?scope=swarm")).toMatchObject({
    status: 404,
    body: { message: "network b1 not found" }
  })
  expect(gateway.engine.asked.length).toBe(asked)
})

test("the list is both halves, one object per overlay, our bridges hidden", async () => {
  const gateway = await TestGateway.start()
  const id = await gateway.made("/networks/create", overlay("net1"))
  gateway.engine.answers.set("GET /networks", {
    status: 200,
    body: [bridge("bridge"), bridge("net1", { [networkLabel]: id })]
  })
  const listed = (await gateway.get("/networks")).body
  expect(listed.map(({ Id }: { Id: string }) => Id)).toEqual([id, "engine-bridge"])
})

test("filters hold for both halves", async () => {
  const gateway = await TestGateway.start()
  await gateway.made("/networks/create", overlay("net1", { Labels: { stack: "s1" } }))
  await gateway.made("/networks/create", overlay("other"))
  const names = async (filters: unknown) => {
    const query = encodeURIComponent(JSON.stringify(filters))
    const reply = await gateway.get(`/networks?filters=${query}`)
    expect(gateway.engine.asked.at(-1)).toBe(`GET /networks?filters=${query}`)
    return reply.body.map(({ Name }: { Name: string }) => Name).sort()
  }
  expect(await names({ label: { "stack=s1": true } })).toEqual(["net1"])
  expect(await names({ driver: ["overlay"], scope: ["swarm"] })).toEqual(["net1", "other"])
  expect(await names({ driver: ["bridge"] })).toEqual([])
  expect(await names({ name: ["net"] })).toEqual(["net1"])
  expect(await names({ type: ["builtin"] })).toEqual([])
  expect(await names({ dangling: ["true"] })).toEqual(["net1", "other"])
  expect(await names({ dangling: ["false"] })).toEqual([])
})

test("without an Engine the cluster's networks are there, without a leader the Engine's are", async () => {
  const gateway = await TestGateway.start()
  await gateway.made("/networks/create", overlay("net1"))
  gateway.engine.answers.set("GET /networks", { status: 200, body: [bridge("bridge")] })
  const names = async () => (await gateway.get("/networks")).body.map(({ Name }: { Name: string }) => Name)
  gateway.engine.reachable = false
  expect(await names()).toEqual(["net1"])
  expect((await gateway.get("/networks/nonet")).status).toBe(404)
  gateway.engine.reachable = true
  gateway.raft.leaderless = true
  expect(await names()).toEqual(["bridge"])
  gateway.engine.reachable = false
  expect((await gateway.get("/networks")).status).toBe(503)
})

test("inspect has the containers of this node, and on request who else is on the network", async () => {
  const gateway = await TestGateway.start()
  const id = await gateway.made("/networks/create", overlay("net1"))
  const service = await gateway.made(
    "/services/create",
    serviceBody("web", {
      TaskTemplate: { ContainerSpec: { Image: "busybox" }, Networks: [{ Target: "net1" }] }
    })
  )
  await gateway.write({
    type: "tasks.change",
    v: 1,
    create: [
      {
        ID: "t1",
        ServiceID: service,
        SpecVersion: 1,
        Slot: 1,
        NodeID: "oyqb8ci8oz67mq8otvbjcb0md",
        Status: { Timestamp: "", State: "running" },
        DesiredState: "running",
        Attachments: [{ NetworkID: id, Addresses: ["10.0.1.3/24"] }]
      }
    ],
    update: [],
    remove: []
  })
  const endpoint = {
    Name: "web.1.t1",
    EndpointID: "e",
    MacAddress: "m",
    IPv4Address: "10.0.1.3/24",
    IPv6Address: ""
  }
  const here = bridge("net1", { [networkLabel]: id })
  gateway.engine.answers.set("GET /networks", { status: 200, body: [here] })
  gateway.engine.answers.set("GET /networks/engine-net1", {
    status: 200,
    body: { ...here, Containers: { c1: endpoint } }
  })
  const { body: alone } = await gateway.get("/networks/net1")
  expect([alone.Peers, alone.Services]).toEqual([undefined, undefined])
  const gateways = [{ NetworkID: id, Addresses: ["10.0.1.4"] }]
  await gateway.write({
    type: "node.gateways",
    v: 1,
    nodes: [{ id: "oyqb8ci8oz67mq8otvbjcb0md", gateways }]
  })
  const { body: plain } = await gateway.get("/networks/net1")
  expect([plain.Peers, plain.Services]).toEqual([[{ Name: "oyqb8ci8oz67", IP: "10.78.0.11" }], undefined])
  const { body } = await gateway.get("/networks/net1?verbose=true")
  expect(body.Containers).toEqual({ c1: endpoint })
  expect(body.Peers).toEqual([{ Name: "oyqb8ci8oz67", IP: "10.78.0.11" }])
  expect(body.Services.web.Tasks).toEqual([
    { Name: "web.1.t1", EndpointID: "", EndpointIP: "10.0.1.3", Info: { "Host IP": "10.78.0.11" } }
  ])
  expect((await gateway.get("/networks/net1")).body.Services).toBeUndefined()
  // The bridge's own name leads to the overlay that it is a part of.
  expect((await gateway.get("/networks/engine-net1")).body.Id).toBe(id)
})

test("CT-16: a network in use stays, and names are given once", async () => {
  const gateway = await TestGateway.start()
  const id = await gateway.made("/networks/create", overlay("net1"))
  expect(await gateway.post("/networks/create", overlay("net1"))).toMatchObject({
    status: 409,
    body: { message: "network with name net1 already exists" }
  })
  expect((await gateway.post("/networks/create", { Name: "net1", Driver: "bridge" })).status).toBe(409)
  gateway.engine.answers.set("GET /networks/taken", { status: 200, body: bridge("taken") })
  expect((await gateway.post("/networks/create", overlay("taken"))).status).toBe(409)
  const service = await gateway.made(
    "/services/create",
    serviceBody("web", { TaskTemplate: { ContainerSpec: { Image: "busybox" }, Networks: [{ Target: id }] } })
  )
  expect(await gateway.delete("/networks/net1")).toMatchObject({
    status: 400,
    body: { message: rpc("FailedPrecondition", `network ${id} is in use by service ${service}`) }
  })
  await gateway.delete("/services/web")
  expect(await gateway.delete("/networks/net1")).toMatchObject({ status: 204, text: "" })
})

test("predefined names, second ingress networks and odd drivers are refused", async () => {
  const gateway = await TestGateway.start()
  const said = async (body: unknown) => {
    const reply = await gateway.post("/networks/create", body)
    return [reply.status, reply.body.message]
  }
  expect(await said(overlay("bridge"))).toEqual([
    403,
    "bridge is a pre-defined network and cannot be created"
  ])
  expect(await said(overlay("a.b"))).toEqual([
    400,
    rpc("InvalidArgument", "name must be valid as a DNS name component")
  ])
  const ingress = await gateway.made("/networks/create", overlay("ingress", { Ingress: true }))
  expect(await said(overlay("second", { Ingress: true }))).toEqual([
    409,
    rpc("AlreadyExists", `ingress network (${ingress}) is already present`)
  ])
  expect(await said(overlay("x", { Ingress: true, Attachable: true }))).toEqual([
    400,
    rpc("InvalidArgument", "ingress network cannot be attachable")
  ])
  expect((await said({ Name: "m", Driver: "macvlan", Scope: "swarm" }))[0]).toBe(501)
})

test("CT-17 AL-20: a subnet contains its range and its gateway", async () => {
  const gateway = await TestGateway.start()
  const said = async (config: unknown) => {
    const reply = await gateway.post("/networks/create", overlay("n", { IPAM: { Config: [config] } }))
    return reply.status === 201 ? "made" : reply.body.message
  }
  const invalid = (text: string) => rpc("InvalidArgument", `ipam configuration: ${text}`)
  expect(await said({})).toBe(invalid("invalid subnet "))
  expect(await said({ Subnet: "10.0.0.0/33" })).toBe(invalid("invalid subnet 10.0.0.0/33"))
  expect(await said({ Subnet: "10.0.0.0/24", IPRange: "10.0.1.0/25" })).toBe(
    invalid("subnet 10.0.0.0/24 does not contain range 10.0.1.0/25")
  )
  expect(await said({ Subnet: "10.0.0.0/24", Gateway: "10.0.1.1" })).toBe(
    invalid("subnet 10.0.0.0/24 does not contain gateway 10.0.1.1")
  )
  expect(await said({ Subnet: "10.0.0.0/24", Gateway: "nope" })).toBe(invalid("invalid gateway nope"))
  expect(await said({ Subnet: "fd00::/64", Gateway: "10.0.0.1" })).toBe(
    invalid("subnet fd00::/64 does not contain gateway 10.0.0.1")
  )
  expect(await said({ Subnet: "fd00::/64", Gateway: "fd00::1" })).toBe("made")
})

test("prune removes what nobody uses, ours and the Engine's, and leaves our bridges", async () => {
  const gateway = await TestGateway.start()
  await gateway.made("/networks/create", overlay("old", { Labels: { keep: "no" } }))
  await gateway.made("/networks/create", overlay("kept", { Labels: { keep: "yes" } }))
  gateway.engine.answers.set("POST /networks/prune", { status: 200, body: { NetworksDeleted: ["b1"] } })
  const filters = encodeURIComponent(JSON.stringify({ "label!": ["keep=yes"] }))
  const reply = await gateway.post(`/networks/prune?filters=${filters}`)
  expect(reply.body).toEqual({ NetworksDeleted: ["b1", "old"] })
  const asked = decodeURIComponent(gateway.engine.asked.at(-1)?.split("filters=")[1] ?? "")
  expect(JSON.parse(asked)).toEqual({ "label!": { "keep=yes": true, [networkLabel]: true } })
  expect(await gateway.post('/networks/prune?filters={"until":["24h"]}')).toMatchObject({ status: 200 })
  expect((await gateway.get("/networks/kept")).status).toBe(200)
  expect((await gateway.post('/networks/prune?filters={"until":["soon"]}')).status).toBe(400)
})

test("an overlay needs a manager: 403, where all else is 503", async () => {
  const gateway = await TestGateway.start()
  gateway.membership = "active/worker"
  const reply = await gateway.post("/networks/create", overlay("net1"))
  expect(reply.status).toBe(403)
  expect(reply.body.message).toStartWith('This node is not a swarm manager. Use "docker swarm init"')
})

test("an encrypted overlay is made where a node can encrypt, and else refused with what each lacks", async () => {
  const gateway = await TestGateway.start()
  const ask = () => gateway.post("/networks/create", overlay("safe", { Options: { encrypted: "" } }))
  const own = gateway.ledger.read.get("node", nodeId)?.Description
  if (own === undefined) throw new Error("the manager is no node")
  const description = { ...own, WireGuard: { Keys: [], Refusal: "there is no tunnel here" } }
  await gateway.write({ type: "node.observe", v: 1, nodes: [{ id: nodeId, description }] })
  const refused = await ask()
  expect(refused.status).toBe(400)
  expect(refused.body.message).toContain(
    "network safe: option encrypted: expected a node that runs WireGuard, and none does"
  )
  const says = (WireGuard?: WireGuard, FeatureLevel = 1) => {
    const Description = {
      Hostname: "able",
      Platform: {},
      Resources: { NanoCPUs: 1, MemoryBytes: 1 },
      Engine: { EngineVersion: "1" },
      FeatureLevel,
      ...(WireGuard && { WireGuard })
    }
    const node = { ID: "able", Spec: { Role: "worker" }, Status: { State: "ready" }, Description } as const
    return gateway.write({ type: "node.register", v: 1, node })
  }
  await says({ Keys: [], Refusal: "there is no wg here" })
  expect((await ask()).body.message).toContain("able: there is no wg here")
  expect((await gateway.get("/networks/safe")).status).toBe(404)
  await says(undefined, levelOf["cluster.keys"] - 1)
  expect((await ask()).body.message).toContain("able: its release of Troupe encrypts nothing")
  await says({ Keys: [] })
  expect((await ask()).status).toBe(201)
  // A node that has just begun has not said yet what it can.
  await says(undefined, levelOf["cluster.keys"])
  const soon = overlay("soon", { Options: { encrypted: "" } })
  expect((await gateway.post("/networks/create", soon)).status).toBe(201)
})
