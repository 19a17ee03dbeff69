import { expect, test } from "bun:test"
import { newAccount } from "#actors/acme/new-account.ts"
import { featureLevel, levelOf } from "#actors/ledger/features.ts"
import { publishLabel } from "#actors/network/publish-at.ts"
import { fakeEngine, nodeId, serviceBody, TestGateway } from "#test/support/gateway.ts"
import { siteCertificate } from "#test/support/site-certificate.ts"

const rpc = (code: string, text: string): string => `rpc error: code = ${code} desc = ${text}`

const overlay = (name: string) => ({ Name: name, Driver: "overlay" })
const networked = (name: string, network: string) =>
  serviceBody(name, {
    TaskTemplate: { ContainerSpec: { Image: "busybox" }, Networks: [{ Target: network, Aliases: ["a"] }] }
  })

test("creates a service, fills in what the Engine fills in, and shows it as the Engine does", async () => {
  const gateway = await TestGateway.start()
  const reply = await gateway.post("/v1.50/services/create", serviceBody("web"))
  expect(reply.status).toBe(201)
  expect(reply.text).toBe(`{"ID":"${reply.body.ID}","Warnings":null}\n`)
  const shown = await gateway.get(`/v1.41/services/${reply.body.ID}`)
  expect(shown.body.Spec).toEqual({
    Name: "web",
    Labels: {},
    TaskTemplate: {
      ContainerSpec: {
        Image: "busybox:latest",
        Args: ["top"],
        Init: false,
        DNSConfig: {},
        Isolation: "default"
      },
      Resources: { Limits: {}, Reservations: {} },
      Placement: {},
      ForceUpdate: 0,
      Runtime: "container"
    },
    Mode: { Replicated: { Replicas: 1 } },
    EndpointSpec: { Mode: "vip" }
  })
  expect(shown.body.Endpoint).toEqual({ Spec: {} })
})

test("a service without a name gets one", async () => {
  const gateway = await TestGateway.start()
  const id = await gateway.made("/services/create", serviceBody(undefined))
  expect((await gateway.get(`/services/${id}`)).body.Spec.Name).toMatch(/^[a-z]+_[a-z]+$/)
})

test("CT-06: a name is given once", async () => {
  const gateway = await TestGateway.start()
  await gateway.made("/services/create", serviceBody("web"))
  const reply = await gateway.post("/services/create", serviceBody("web"))
  expect(reply.status).toBe(409)
  expect(reply.body.message).toBe(
    rpc("AlreadyExists", "name conflicts with an existing object: service web already exists")
  )
})

test("is found by id, by name, and by the beginning of its id; names go first", async () => {
  const gateway = await TestGateway.start()
  const id = await gateway.made("/services/create", serviceBody("web"))
  const twin = await gateway.made("/services/create", serviceBody(id.slice(0, 6)))
  for (const way of [id, "web", id.slice(0, 9)]) {
    expect((await gateway.get(`/services/${way}`)).body.ID).toBe(id)
  }
  expect((await gateway.get(`/services/${id.slice(0, 6)}`)).body.ID).toBe(twin)
  expect(await gateway.get("/services/nosuch")).toMatchObject({
    status: 404,
    body: { message: "service nosuch not found" }
  })
})

test("the beginning of two ids is ambiguous", async () => {
  const gateway = await TestGateway.start()
  for (let made = 0; made < 40; made++) await gateway.made("/services/create", serviceBody(`s-${made}`))
  const ids = (await gateway.get("/services")).body.map(({ ID }: { ID: string }) => ID)
  const first = ids
    .map((id: string) => id[0])
    .find((char: string, at: number, all: ReadonlyArray<string>) => all.indexOf(char) !== at)
  const count = ids.filter((id: string) => id.startsWith(first)).length
  expect(await gateway.get(`/services/${first}`)).toMatchObject({
    status: 400,
    body: { message: `service ${first} is ambiguous (${count} matches found)` }
  })
})

test("names of networks become ids; an unknown one is 500, as in the Engine", async () => {
  const gateway = await TestGateway.start()
  const network = await gateway.made("/networks/create", overlay("net1"))
  const id = await gateway.made("/services/create", networked("web", "net1"))
  expect((await gateway.get(`/services/${id}`)).body.Spec.TaskTemplate.Networks).toEqual([
    { Target: network, Aliases: ["a"] }
  ])
  expect(await gateway.post("/services/create", networked("b", "nonet"))).toMatchObject({
    status: 500,
    body: { message: "network nonet not found" }
  })
})

test("a network of the Engine alone cannot be used, its built-in ones can", async () => {
  const gateway = await TestGateway.start()
  gateway.engine.answers.set("GET /networks/mine", { status: 200, body: { Name: "mine", Id: "x" } })
  const reply = await gateway.post("/services/create", networked("web", "mine"))
  expect(reply.status).toBe(403)
  expect(reply.body.message).toStartWith("The network mine cannot be used with services.")
  expect((await gateway.post("/services/create", networked("web", "host"))).status).toBe(201)
})

test("CT-09: nothing is attached to the ingress network by hand", async () => {
  const gateway = await TestGateway.start()
  await gateway.made("/networks/create", { Name: "in", Driver: "overlay", Ingress: true })
  expect(await gateway.post("/services/create", networked("web", "in"))).toMatchObject({
    status: 400,
    body: {
      message: rpc("InvalidArgument", 'Service cannot be explicitly attached to the ingress network "in"')
    }
  })
})

test("a label that says where ports are open is checked, and waits until all managers know it", async () => {
  const ports = { EndpointSpec: { Ports: [{ Protocol: "tcp", TargetPort: 80, PublishedPort: 8080 }] } }
  const body = (where: string) => serviceBody("web", { Labels: { [publishLabel]: where }, ...ports })
  const gateway = await TestGateway.start({}, fakeEngine(), {}, featureLevel)
  const refused = await gateway.post("/services/create", body("here"))
  expect([refused.status, refused.body.message]).toEqual([
    400,
    expect.stringContaining('label troupe.publish.ip "here": expected addresses or subnets of nodes')
  ])
  expect((await gateway.post("/services/create", body("192.168.1.0/24"))).status).toBe(201)
  const before = await TestGateway.start({}, fakeEngine(), {}, levelOf["ports at addresses"] - 1)
  expect((await before.post("/services/create", body("192.168.1.0/24"))).body.message).toContain(
    "label troupe.publish.ip: expected managers of this release only"
  )
})

test("a certificate by ACME waits until all managers know how, and wants an account", async () => {
  const body = serviceBody("web", { Labels: { "troupe.http.host": "shop", "troupe.http.tls": "acme" } })
  const before = await TestGateway.start({}, fakeEngine(), {}, levelOf["http acme"] - 1)
  expect((await before.post("/services/create", body)).body.message).toContain(
    'label troupe.http.tls "acme": expected managers of this release only'
  )
  const gateway = await TestGateway.start({}, fakeEngine(), {}, featureLevel)
  const refused = await gateway.post("/services/create", body)
  expect([refused.status, refused.body.message]).toEqual([
    400,
    expect.stringContaining('label troupe.http.tls "acme": expected an ACME account')
  ])
  await gateway.made("/secrets/create", newAccount({ directory: "https://acme.example/dir" }))
  const made = await gateway.post("/services/create", body)
  expect([made.status, made.body.Warnings]).toEqual([
    201,
    ['label troupe.http.tls "acme": shop has no certificate yet, and is not asked by TLS']
  ])
})

test("a service's output is published where its label says true, once every manager lets nodes do so", async () => {
  const body = (text: string) => serviceBody("web", { Labels: { "troupe.log.publish": text } })
  const gateway = await TestGateway.start({}, fakeEngine(), {}, featureLevel)
  const refused = await gateway.post("/services/create", body("on"))
  expect([refused.status, refused.body.message]).toEqual([
    400,
    expect.stringContaining('label troupe.log.publish "on": expected true or false')
  ])
  expect((await gateway.post("/services/create", body("true"))).status).toBe(201)
  const before = await TestGateway.start({}, fakeEngine(), {}, levelOf["logs published"] - 1)
  expect((await before.post("/services/create", body("true"))).body.message).toContain(
    "label troupe.log.publish: expected managers of this release only"
  )
  expect((await before.post("/services/create", body("false"))).status).toBe(201)
})

test("labels of the HTTP entrance are checked, and wait until all managers know them", async () => {
  const body = (labels: Readonly<Record<string, string>>) => serviceBody("web", { Labels: labels })
  const gateway = await TestGateway.start({}, fakeEngine(), {}, featureLevel)
  const refused = await gateway.post("/services/create", body({ "troupe.http.host": "my shop" }))
  expect([refused.status, refused.body.message]).toEqual([
    400,
    expect.stringContaining('label troupe.http.host "my shop": expected a host name')
  ])
  expect((await gateway.post("/services/create", body({ "troupe.http.host": "shop" }))).status).toBe(201)
  const before = await TestGateway.start({}, fakeEngine(), {}, levelOf["http routes"] - 1)
  const early = await before.post("/services/create", body({ "troupe.http.host": "shop" }))
  expect(early.body.message).toContain("troupe.http.path: expected managers of this release only")
})

test("the certificate of a host is checked when it is asked for, and never keeps a service from being changed", async () => {
  const gateway = await TestGateway.start({}, fakeEngine(), {}, featureLevel)
  gateway.now = Date.now()
  const certificates = {
    good: await siteCertificate(["shop"]),
    soon: await siteCertificate(["shop"], [-1, 5]),
    ended: await siteCertificate(["shop"], [-9, -1]),
    early: await siteCertificate(["shop"], [1, 9])
  }
  for (const [Name, { data }] of Object.entries(certificates))
    await gateway.made("/secrets/create", { Name, Data: data })
  await gateway.made("/secrets/create", { Name: "text", Data: "s3cr3t==" })
  await gateway.made("/secrets/create", { Name: "vault", Driver: { Name: "vault" } })
  const body = (tls: string, host = "shop", more: object = {}) =>
    serviceBody("web", { Labels: { "troupe.http.host": host, "troupe.http.tls": tls }, ...more })
  const refusal = async (tls: string) => (await gateway.post("/services/create", body(tls))).body.message
  expect(await refusal("none")).toBe(
    'label troupe.http.tls "none": expected the name of a secret, found none of that name'
  )
  expect(await refusal("text")).toBe(
    'label troupe.http.tls "text": expected a certificate in PEM, found none'
  )
  expect(await refusal("vault")).toContain("found one of a driver")
  expect(await refusal("ended")).toContain("expected a certificate that is valid, found one that ended at ")
  expect(await refusal("early")).toContain("expected a certificate that is valid, found one that begins at ")

  const made = await gateway.post("/services/create", body("soon", "other"))
  const label = 'label troupe.http.tls "soon":'
  const warnings = [
    `${label} the certificate is not for other, but for shop`,
    expect.stringContaining(`${label} the certificate ends at `),
    `${label} no node has an HTTP entrance with TLS (--http-entrance-tls)`
  ]
  expect([made.status, made.body.Warnings]).toEqual([201, warnings])
  expect((await gateway.get("/why/web")).body.Warnings).toEqual(warnings)
  const Description = gateway.ledger.read.get("node", nodeId)?.Description
  const nodes = [{ id: nodeId, description: { ...Description, TlsEntrance: true } }]
  await gateway.write({ type: "node.observe", v: 1, nodes } as never)

  const update = async (next: object) => {
    const { Version } = (await gateway.get("/services/web")).body
    return (await gateway.post(`/services/web/update?version=${Version.Index}`, next)).body
  }
  expect(await update(body("good"))).toEqual({ Warnings: null })
  expect((await gateway.get("/why/web")).body.Warnings).toBeUndefined()
  expect((await update(body("ended"))).message).toContain("found one that ended at")
  gateway.now += 100 * 86_400_000
  const Mode = { Replicated: { Replicas: 3 } }
  expect(await update(body("good", "shop", { Mode }))).toEqual({
    Warnings: [expect.stringContaining("found one that ended at")]
  })
  const before = await TestGateway.start({}, fakeEngine(), {}, levelOf["http tls"] - 1)
  expect((await before.post("/services/create", body("good"))).body.message).toContain(
    "label troupe.http.tls: expected managers of this release only"
  )
})

test("CT-07: an ingress port belongs to one service, on creation and on update", async () => {
  const gateway = await TestGateway.start()
  const port = (mode: string, Protocol = "tcp") => ({
    EndpointSpec: { Ports: [{ Protocol, TargetPort: 80, PublishedPort: 8080, PublishMode: mode }] }
  })
  const id = await gateway.made("/services/create", serviceBody("web", port("ingress")))
  const refused = {
    status: 400,
    body: {
      message: rpc(
        "InvalidArgument",
        `port '8080' is already in use by service 'web' (${id}) as an ingress port`
      )
    }
  }
  expect(await gateway.post("/services/create", serviceBody("b", port("ingress")))).toMatchObject(refused)
  expect(await gateway.post("/services/create", serviceBody("b", port("host")))).toMatchObject(refused)
  expect((await gateway.post("/services/create", serviceBody("b", port("ingress", "udp")))).status).toBe(201)
  const other = await gateway.made("/services/create", serviceBody("c"))
  const { Version } = (await gateway.get(`/services/${other}`)).body
  const update = `/services/${other}/update?version=${Version.Index}`
  expect(await gateway.post(update, serviceBody("c", port("ingress")))).toMatchObject(refused)
})

test("CT-10: a secret must exist under the name beside its id", async () => {
  const gateway = await TestGateway.start()
  const id = await gateway.made("/secrets/create", { Name: "s1", Data: "aGk=" })
  const using = (SecretID: string, SecretName: string) =>
    serviceBody("web", {
      TaskTemplate: {
        ContainerSpec: { Image: "busybox", Secrets: [{ SecretID, SecretName, File: { Name: "f" } }] }
      }
    })
  for (const body of [using("nope", "s1"), using(id, "other")]) {
    const reply = await gateway.post("/services/create", body)
    expect(reply.status).toBe(400)
    expect(reply.body.message).toStartWith(rpc("InvalidArgument", "secret not found: "))
  }
  expect((await gateway.post("/services/create", using(id, "s1"))).status).toBe(201)
})

test("CT-05: an update must name the newest version", async () => {
  const gateway = await TestGateway.start()
  const id = await gateway.made("/services/create", serviceBody("web"))
  const message = async (query: string) => {
    const reply = await gateway.post(`/services/web/update${query}`, serviceBody("web"))
    return [reply.status, reply.body.message]
  }
  const index = gateway.ledger.read.index
  expect(await message("?version=1")).toEqual([500, rpc("Unknown", "update out of sequence")])
  // The log need not hear of what is refused at sight.
  expect(gateway.ledger.read.index).toBe(index)
  expect(await message("")).toEqual([
    400,
    `invalid service version '': strconv.ParseUint: parsing "": invalid syntax`
  ])
  expect(await message("?version=x1")).toEqual([
    400,
    `invalid service version 'x1': strconv.ParseUint: parsing "x1": invalid syntax`
  ])
  const { Version } = (await gateway.get(`/services/${id}`)).body
  const reply = await gateway.post(`/services/web/update?version=${Version.Index}`, serviceBody("web"))
  expect(reply.text).toBe('{"Warnings":null}\n')
  expect(await message(`?version=${Version.Index}`)).toEqual([500, rpc("Unknown", "update out of sequence")])
})

test("CT-04: neither name nor mode of a service changes", async () => {
  const gateway = await TestGateway.start()
  await gateway.made("/services/create", serviceBody("web"))
  const { Version } = (await gateway.get("/services/web")).body
  const update = `/services/web/update?version=${Version.Index}`
  expect(await gateway.post(update, serviceBody("b"))).toMatchObject({
    status: 501,
    body: { message: rpc("Unimplemented", "renaming services is not supported") }
  })
  expect(await gateway.post(update, serviceBody("web", { Mode: { Global: {} } }))).toMatchObject({
    status: 501,
    body: { message: rpc("Unimplemented", "service mode change is not allowed") }
  })
})

test("UP-19 rolls back to the previous spec, when there is one", async () => {
  const gateway = await TestGateway.start()
  const id = await gateway.made("/services/create", serviceBody("web"))
  const version = async () => (await gateway.get("/services/web")).body.Version.Index
  const rollback = async (value = "previous") =>
    gateway.post(`/services/web/update?version=${await version()}&rollback=${value}`, serviceBody("web"))
  expect(await rollback()).toMatchObject({
    status: 400,
    body: { message: rpc("FailedPrecondition", `service ${id} does not have a previous spec`) }
  })
  expect(await rollback("zzz")).toMatchObject({
    status: 500,
    body: { message: "unrecognized rollback option zzz" }
  })
  const three = serviceBody("web", { Mode: { Replicated: { Replicas: 3 } } })
  await gateway.post(`/services/web/update?version=${await version()}`, three)
  expect((await rollback()).status).toBe(200)
  const { body } = await gateway.get("/services/web")
  expect(body.Spec.Mode.Replicated.Replicas).toBe(1)
  expect(body.PreviousSpec.Mode.Replicated.Replicas).toBe(3)
  expect(body.UpdateStatus).toMatchObject({
    State: "rollback_started",
    Message: "manually requested rollback"
  })
})

test("keeps registry credentials to itself, and across updates without any", async () => {
  const gateway = await TestGateway.start()
  const reply = await gateway.post("/services/create", serviceBody("web"), { "X-Registry-Auth": "c2VjcmV0" })
  const stored = () => gateway.ledger.read.get("service", reply.body.ID)
  expect(stored()?.RegistryAuth).toBe("c2VjcmV0")
  expect((await gateway.get("/services/web")).text).not.toContain("c2VjcmV0")
  const version = stored()?.Version.Index
  await gateway.post(`/services/web/update?version=${version}&registryAuthFrom=spec`, serviceBody("web"))
  expect(stored()?.RegistryAuth).toBe("c2VjcmV0")
  const now = stored()?.Version.Index
  expect(
    await gateway.post(`/services/web/update?version=${now}&registryAuthFrom=x`, serviceBody("web"))
  ).toMatchObject({
    status: 500,
    body: { message: "unsupported registryAuthFrom value" }
  })
})

test("scaling alone leaves the version that tasks point at", async () => {
  const gateway = await TestGateway.start()
  const id = await gateway.made("/services/create", serviceBody("web"))
  const { body } = await gateway.get(`/services/${id}?insertDefaults=false`)
  const before = gateway.ledger.read.get("service", id)?.SpecVersion
  body.Spec.Mode.Replicated.Replicas = 7
  expect((await gateway.post(`/services/${id}/update?version=${body.Version.Index}`, body.Spec)).status).toBe(
    200
  )
  expect(gateway.ledger.read.get("service", id)?.SpecVersion).toBe(before as number)
})

test("removes a service, once", async () => {
  const gateway = await TestGateway.start()
  await gateway.made("/services/create", serviceBody("web"))
  expect(await gateway.delete("/services/web")).toMatchObject({ status: 200, text: "" })
  expect((await gateway.delete("/services/web")).status).toBe(404)
})

test("defaults are shown when asked for, and never stored", async () => {
  const gateway = await TestGateway.start()
  await gateway.made("/services/create", serviceBody("web"))
  const filled = (await gateway.get("/services/web?insertDefaults=true")).body.Spec
  expect(filled.TaskTemplate.RestartPolicy).toEqual({ Condition: "any", Delay: 5e9, MaxAttempts: 0 })
  expect(filled.TaskTemplate.ContainerSpec.StopGracePeriod).toBe(10e9)
  expect(filled.UpdateConfig).toEqual({
    Parallelism: 1,
    FailureAction: "pause",
    Monitor: 5e9,
    MaxFailureRatio: 0,
    Order: "stop-first"
  })
  expect((await gateway.get("/services/web")).body.Spec.UpdateConfig).toBeUndefined()
  expect((await gateway.get("/services/web?insertDefaults=maybe")).status).toBe(400)
})

test("CT-18: lists filter by prefix, label and mode", async () => {
  const gateway = await TestGateway.start()
  await gateway.made("/services/create", serviceBody("web", { Labels: { a: "b" } }))
  await gateway.made("/services/create", serviceBody("webhook", { Mode: { Global: {} }, Labels: { a: "c" } }))
  await gateway.made("/services/create", serviceBody("db"))
  const names = async (filters: unknown) => {
    const reply = await gateway.get(`/services?filters=${encodeURIComponent(JSON.stringify(filters))}`)
    return reply.body.map((service: { Spec: { Name: string } }) => service.Spec.Name).sort()
  }
  expect(await names({ name: ["web"] })).toEqual(["web", "webhook"])
  expect(await names({ name: { web: true, d: true } })).toEqual(["db", "web", "webhook"])
  expect(await names({ label: ["a"] })).toEqual(["web", "webhook"])
  expect(await names({ label: ["a=b"] })).toEqual(["web"])
  expect(await names({ mode: ["global"] })).toEqual(["webhook"])
  expect(await names({ name: ["web"], mode: ["replicated"] })).toEqual(["web"])
  expect(await names({ name: ["zz"] })).toEqual([])
  expect(await gateway.get('/services?filters={"zz":["1"]}')).toMatchObject({
    status: 400,
    body: { message: "invalid filter 'zz'" }
  })
})

test("CT-19: statuses count what runs and what should, for clients that know of them", async () => {
  const gateway = await TestGateway.start()
  const id = await gateway.made(
    "/services/create",
    serviceBody("web", { Mode: { Replicated: { Replicas: 2 } } })
  )
  const task = (ID: string, State: "running" | "failed") => ({
    ID,
    ServiceID: id,
    SpecVersion: 1,
    Slot: 1,
    Status: { Timestamp: "", State },
    DesiredState: State === "failed" ? ("shutdown" as const) : ("running" as const)
  })
  await gateway.write({
    type: "tasks.change",
    v: 1,
    create: [task("t1", "running"), task("t2", "failed")],
    update: [],
    remove: []
  })
  const status = async () => (await gateway.get("/v1.41/services?status=true")).body[0].ServiceStatus
  expect(await status()).toEqual({ RunningTasks: 1, DesiredTasks: 2, CompletedTasks: 0 })
  const [node] = (await gateway.get("/nodes")).body
  const lost = { ...task("t3", "running"), NodeID: node.ID, DesiredState: "shutdown" as const }
  await gateway.write({ type: "tasks.change", v: 1, create: [lost], update: [], remove: [] })
  expect(await status()).toMatchObject({ RunningTasks: 2 })
  await gateway.write({ type: "node.observe", v: 1, nodes: [{ id: node.ID, status: { State: "down" } }] })
  expect(await status()).toMatchObject({ RunningTasks: 1 })
  expect((await gateway.get("/v1.41/services")).body[0].ServiceStatus).toBeUndefined()
  expect((await gateway.get("/v1.40/services?status=true")).body[0].ServiceStatus).toBeUndefined()
})

test("JB-23 a rollback begins a job again with what it was before", async () => {
  const gateway = await TestGateway.start()
  const Mode = { ReplicatedJob: { MaxConcurrent: 1, TotalCompletions: 1 } }
  await gateway.made("/services/create", serviceBody("job", { Mode }))
  const shown = async () => (await gateway.get("/services/job")).body
  const change = async (query: string, extra: Record<string, unknown>) => {
    const { Index } = (await shown()).Version
    const body = serviceBody("job", { Mode, ...extra })
    return (await gateway.post(`/services/job/update?version=${Index}${query}`, body)).status
  }
  expect(await change("", { Labels: { a: "b" } })).toBe(200)
  expect(await change("&rollback=previous", {})).toBe(200)
  expect(await shown()).toMatchObject({
    Spec: { Labels: {} },
    PreviousSpec: { Labels: { a: "b" } },
    JobStatus: { JobIteration: { Index: 2 } }
  })
})

test("JB-26 a job's status counts what its present iteration completed, and wants what may run at once", async () => {
  const gateway = await TestGateway.start()
  const id = await gateway.made(
    "/services/create",
    serviceBody("job", { Mode: { ReplicatedJob: { MaxConcurrent: 2, TotalCompletions: 5 } } })
  )
  const task = (ID: string, iteration: number, State: "running" | "complete") => ({
    ID,
    ServiceID: id,
    SpecVersion: 1,
    Slot: 1,
    JobIteration: { Index: iteration },
    Status: { Timestamp: "", State },
    DesiredState: "complete" as const
  })
  await gateway.write({
    type: "tasks.change",
    v: 1,
    create: [task("t1", 0, "running"), task("t2", 0, "complete"), task("t3", 1, "complete")],
    update: [],
    remove: []
  })
  const [listed] = (await gateway.get("/v1.41/services?status=true")).body
  expect(listed.ServiceStatus).toEqual({ RunningTasks: 1, DesiredTasks: 2, CompletedTasks: 1 })
  const { body: current } = await gateway.get('/tasks?filters={"_up-to-date":["true"]}')
  expect(current.map(({ ID }: { ID: string }) => ID)).toEqual(["t1", "t2"])
})

test("a shown service changes with the service", async () => {
  const gateway = await TestGateway.start()
  const id = await gateway.made("/services/create", serviceBody("web"))
  await gateway.get("/services")
  const { body } = await gateway.get(`/services/${id}`)
  body.Spec.Labels = { new: "label" }
  await gateway.post(`/services/${id}/update?version=${body.Version.Index}`, body.Spec)
  expect((await gateway.get("/services")).body[0].Spec.Labels).toEqual({ new: "label" })
})

test("a stack deployed twice is the same task to its nodes", async () => {
  const gateway = await TestGateway.start()
  await gateway.made("/networks/create", overlay("s1_net1"))
  const body = serviceBody("s1_web", {
    TaskTemplate: {
      ContainerSpec: {
        Image: "busybox:latest",
        Privileges: { CredentialSpec: null, SELinuxContext: null, NoNewPrivileges: false }
      },
      Resources: {},
      Placement: {},
      Networks: [{ Target: "s1_net1", Aliases: ["web"] }],
      ForceUpdate: 0
    },
    EndpointSpec: { Ports: [{ Protocol: "tcp", TargetPort: 80, PublishedPort: 8088 }] }
  })
  const id = await gateway.made("/services/create", body)
  const stored = () => gateway.ledger.read.get("service", id)
  const before = stored()?.SpecVersion
  const update = `/services/${id}/update?version=${stored()?.Version.Index}`
  expect((await gateway.post(update, body)).status).toBe(200)
  expect(stored()?.SpecVersion).toBe(before as number)
})

test("what only labels ask for is refused unless the cluster allows it, and where it is asked in the wrong place", async () => {
  const gateway = await TestGateway.start()
  const asking = (Labels: Readonly<Record<string, string>>) =>
    serviceBody("odd", { TaskTemplate: { ContainerSpec: { Image: "busybox", Labels } } })
  const privileged = asking({ "troupe.privileged": "true" })
  expect(await gateway.post("/services/create", privileged)).toMatchObject({
    status: 403,
    body: {
      message:
        "label troupe.privileged: this cluster does not allow it; `troupe allow privileged` lets every service have it"
    }
  })
  const { Version, Spec } = (await gateway.get("/swarm")).body
  const Labels = { "troupe.allow": "privileged" }
  await gateway.post(`/swarm/update?version=${Version.Index}`, { ...Spec, Labels })
  const id = await gateway.made("/services/create", privileged)
  expect(await gateway.post("/services/create", asking({ "troupe.gpus": "few" }))).toMatchObject({
    status: 400,
    body: { message: 'label troupe.gpus "few": expected all, or how many' }
  })
  const misplaced = serviceBody("odd2", { Labels: { "troupe.shm_size": "1g" } })
  expect(await gateway.post("/services/create", misplaced)).toMatchObject({
    status: 400,
    body: {
      message: expect.stringContaining(
        "label troupe.shm_size of the service: expected it among the container's"
      )
    }
  })
  const version = gateway.ledger.read.get("service", id)?.Version.Index
  const odd = { ...privileged, Labels: { "troupe.exlusive": "true" } }
  expect((await gateway.post(`/services/${id}/update?version=${version}`, odd)).body.message).toContain(
    'label troupe.exlusive "true": expected one of'
  )
})

test("labels that ask for scaling and cannot be meant are refused at create and update, by name", async () => {
  const gateway = await TestGateway.start()
  const labels = (max: string) => ({ Labels: { "troupe.autoscale.cpu": "70%", "troupe.autoscale.max": max } })
  const refused = await gateway.post("/services/create", serviceBody("web", labels("none")))
  expect(refused.status).toBe(400)
  expect(refused.body.message).toBe(
    'label troupe.autoscale.max "none": expected a whole number from 1 to 100000'
  )
  const counted = {
    Labels: { "troupe.http.host": "shop", "troupe.autoscale.rps": "9", "troupe.autoscale.max": "5" }
  }
  const before = await TestGateway.start({}, fakeEngine(), {}, levelOf["requests counted"] - 1)
  const early = await before.post("/services/create", serviceBody("web", counted))
  expect(early.body.message).toContain("label troupe.autoscale.rps: expected managers of this release only")
  const connected = (min: string) => ({
    Labels: { "troupe.autoscale.connections": "9", "troupe.autoscale.max": "5", "troupe.autoscale.min": min },
    EndpointSpec: { Ports: [{ TargetPort: 80, PublishedPort: 8088 }] }
  })
  const asleep = await before.post("/services/create", serviceBody("asleep", connected("0")))
  expect(asleep.body.message).toContain(
    "label troupe.autoscale.connections: expected managers of this release"
  )
  await before.made("/services/create", serviceBody("awake", connected("1")))
  const id = await gateway.made("/services/create", serviceBody("web", labels("5")))
  const { Version } = (await gateway.get(`/services/${id}`)).body
  const update = await gateway.post(
    `/services/${id}/update?version=${Version.Index}`,
    serviceBody("web", labels("0"))
  )
  expect(update.status).toBe(400)
  expect(update.body.message).toStartWith('label troupe.autoscale.max "0": expected')
})

test("a service that follows its load keeps its tasks where an update names no number of them, and no other does", async () => {
  const gateway = await TestGateway.start()
  const scaling = { "troupe.autoscale.cpu": "70%", "troupe.autoscale.max": "9" }
  const unsaid = (name: string, labels: object) =>
    serviceBody(name, { Labels: labels, Mode: { Replicated: {} } })
  const ids: Array<string> = []
  for (const [name, labels] of [["web", scaling] as const, ["plain", {}] as const])
    ids.push(await gateway.made("/services/create", unsaid(name, labels)))
  const replicas = () =>
    ids.map((id) => gateway.ledger.read.get("service", id)?.Spec.Mode?.Replicated?.Replicas)
  const update = async (mode: object): Promise<void> => {
    for (const id of ids) {
      const { Version, Spec } = (await gateway.get(`/services/${id}`)).body
      const body = { ...unsaid(Spec.Name, Spec.Labels), Mode: { Replicated: mode } }
      const { status } = await gateway.post(`/services/${id}/update?version=${Version.Index}`, body)
      expect(status).toBe(200)
    }
  }
  expect(replicas()).toEqual([1, 1])
  await update({ Replicas: 5 })
  await update({})
  expect(replicas()).toEqual([5, 1])
  await update({ Replicas: 2 })
  expect(replicas()).toEqual([2, 2])
})
