/** Cluster volumes by the API: what is refused and in which words, and what the Engine's own volumes have to do with it. */
import { describe, expect, test } from "bun:test"
import { levelOf } from "#actors/ledger/features.ts"
import { fakeEngine, TestGateway } from "#test/support/gateway.ts"

const rpc = (code: string, text: string): string => `rpc error: code = ${code} desc = ${text}`
const invalid = (text: string) => ({ status: 400, body: { message: rpc("InvalidArgument", text) } })

const whole = {
  Name: "data",
  Driver: "folders",
  DriverOpts: { size: "1" },
  Labels: { a: "b" },
  ClusterVolumeSpec: {
    Group: "fast",
    AccessMode: { Scope: "multi", Sharing: "onewriter", MountVolume: { FsType: "ext4" } },
    AccessibilityRequirements: { Requisite: [{ Segments: { zone: "a" } }] },
    CapacityRange: { RequiredBytes: 1024 },
    Availability: "pause"
  }
}
/** The same, with another part. */
const but = (part: object, more: object = {}) => ({
  ...whole,
  ...more,
  ClusterVolumeSpec: { ...whole.ClusterVolumeSpec, ...part }
})

describe("CT-22 a cluster volume", () => {
  test("is shown as it was asked for, with what was left out filled in", async () => {
    const gateway = await TestGateway.start()
    const { status, body } = await gateway.post("/volumes/create", whole)
    expect(status).toBe(201)
    const { Volumes } = (await gateway.get("/volumes")).body
    expect(Volumes).toEqual([body])
    expect((await gateway.get("/volumes/data")).body).toEqual(body)
    expect((await gateway.get(`/volumes/${body.ClusterVolume.ID}`)).body).toEqual(body)
    expect(body).toMatchObject({
      Name: "data",
      Driver: "folders",
      Scope: "global",
      Labels: { a: "b" },
      Mountpoint: ""
    })
    expect(body.ClusterVolume.Spec).toEqual({
      ...whole.ClusterVolumeSpec,
      CapacityRange: { RequiredBytes: 1024, LimitBytes: 0 }
    })
    const plain = { Name: "p", Driver: "folders", ClusterVolumeSpec: { AccessMode: { BlockVolume: {} } } }
    const { AccessMode, Availability } = (await gateway.post("/volumes/create", plain)).body.ClusterVolume
      .Spec
    expect([AccessMode, Availability]).toEqual([
      { Scope: "single", Sharing: "none", BlockVolume: {} },
      "active"
    ])
  })

  test("needs a driver, a name and an access mode, in Swarm's words, and known words everywhere", async () => {
    const gateway = await TestGateway.start()
    const create = (body: object) => gateway.post("/volumes/create", body)
    expect(await create(but({}, { Driver: "" }))).toMatchObject(invalid("driver must be specified"))
    expect(await create(but({}, { Name: "" }))).toMatchObject(invalid("meta: name must be provided"))
    expect(await create({ ...whole, ClusterVolumeSpec: {} })).toMatchObject(
      invalid("AccessMode must not be nil")
    )
    expect(await create(but({ AccessMode: { Scope: "single" } }))).toMatchObject(
      invalid("Volume AccessMode must specify either Mount or Block access type")
    )
    const mode = whole.ClusterVolumeSpec.AccessMode
    expect(await create(but({ AccessMode: { ...mode, Scope: "many" } }))).toMatchObject(
      invalid('AccessMode.Scope "many": expected single or multi')
    )
    expect(await create(but({ AccessMode: { ...mode, Sharing: "some" } }))).toMatchObject(
      invalid('AccessMode.Sharing "some": expected none, readonly, onewriter or all')
    )
    expect(await create(but({ Availability: "off" }))).toMatchObject(
      invalid('Availability "off": expected active, pause or drain')
    )
    expect(await create(but({ CapacityRange: { RequiredBytes: 2, LimitBytes: 1 } }))).toMatchObject(
      invalid("CapacityRange.LimitBytes 1: expected RequiredBytes, 2, or more")
    )
    expect(await create(but({ Secrets: [{ Key: "a", Secret: "x" }] }))).toMatchObject(
      invalid("secret not found: x")
    )
    expect((await gateway.get("/volumes")).body.Volumes ?? []).toEqual([])
  })

  test("has a name of its own", async () => {
    const gateway = await TestGateway.start()
    await gateway.post("/volumes/create", whole)
    expect(await gateway.post("/volumes/create", whole)).toMatchObject({
      status: 409,
      body: {
        message: rpc("AlreadyExists", "name conflicts with an existing object: volume data already exists")
      }
    })
  })

  test("changes in its availability alone, and only from its newest version", async () => {
    const gateway = await TestGateway.start()
    const { ClusterVolume } = (await gateway.post("/volumes/create", whole)).body
    const version = ClusterVolume.Version.Index
    const update = (part: object, at = version) =>
      gateway.call("PUT", `/volumes/data?version=${at}`, { Spec: { ...ClusterVolume.Spec, ...part } })
    expect(await update({ Group: "slow" })).toMatchObject(invalid("Group cannot be updated"))
    expect(await update({ AccessMode: { ...ClusterVolume.Spec.AccessMode, Scope: "single" } })).toMatchObject(
      invalid("AccessMode cannot be updated")
    )
    expect(await update({ CapacityRange: { RequiredBytes: 9 } })).toMatchObject(
      invalid("CapacityRange cannot be updated")
    )
    expect(await update({ Availability: "drain" }, version - 1)).toMatchObject({
      status: 500,
      body: { message: rpc("Unknown", "update out of sequence") }
    })
    expect((await update({ Availability: "drain" })).status).toBe(200)
    expect((await gateway.get("/volumes/data")).body.ClusterVolume.Spec.Availability).toBe("drain")
    expect((await gateway.call("PUT", "/volumes/nope?version=1", { Spec: {} })).status).toBe(404)
  })

  test("is removed once nobody has it, unless by force", async () => {
    const gateway = await TestGateway.start()
    const { ID } = (await gateway.post("/volumes/create", whole)).body.ClusterVolume
    expect((await gateway.call("DELETE", "/volumes/data")).status).toBe(204)
    expect(gateway.ledger.read.get("volume", ID)?.PendingDelete).toBe(true)
    expect((await gateway.call("DELETE", "/volumes/data?force=1")).status).toBe(204)
    expect(gateway.ledger.read.get("volume", ID)).toBeUndefined()
    expect((await gateway.call("DELETE", "/volumes/data")).status).toBe(404)
  })

  test("waits until all managers know such volumes", async () => {
    const level = levelOf["volume.create"] - 1
    const gateway = await TestGateway.start({}, fakeEngine(), {}, level)
    expect(await gateway.post("/volumes/create", whole)).toMatchObject({
      status: 400,
      body: { message: expect.stringContaining("cluster volumes: expected managers of this release only") }
    })
  })
})

describe("the Engine's volumes", () => {
  const own = { Name: "own", Driver: "local", Scope: "local" }

  test("are listed before the cluster's, and filters are for both", async () => {
    const engine = fakeEngine()
    engine.answers.set("GET /volumes", { status: 200, body: { Volumes: [own], Warnings: null } })
    const gateway = await TestGateway.start({}, engine)
    const names = async (filters: object) =>
      (await gateway.get(`/volumes?filters=${encodeURIComponent(JSON.stringify(filters))}`)).body.Volumes.map(
        ({ Name }: { Name: string }) => Name
      )
    expect(await names({})).toEqual(["own"])
    await gateway.post("/volumes/create", whole)
    expect(await names({})).toEqual(["own", "data"])
    expect(await names({ driver: ["other"] })).toEqual(["own"])
    expect(await names({ name: ["dat"], label: ["a=b"], dangling: ["true"] })).toEqual(["own", "data"])
    engine.reachable = false
    expect(await names({})).toEqual(["data"])
    expect((await gateway.get("/volumes?filters=%7B%22colour%22%3A%5B%22x%22%5D%7D")).status).toBe(400)
  })

  test("are the Engine's to make, show and remove, also where the cluster has one of that name", async () => {
    const engine = fakeEngine()
    const gateway = await TestGateway.start({}, engine)
    const { ID } = (await gateway.post("/volumes/create", { ...whole, Name: "own" })).body.ClusterVolume
    engine.answers.set("GET /volumes/own", { status: 200, body: own })
    engine.answers.set("DELETE /volumes/own", { status: 204 })
    engine.answers.set("POST /volumes/create", { status: 201, body: own })
    expect((await gateway.get("/volumes/own")).body).toEqual(own)
    expect((await gateway.call("DELETE", "/volumes/own")).status).toBe(204)
    expect(gateway.ledger.read.get("volume", ID)?.PendingDelete).toBeUndefined()
    expect((await gateway.post("/volumes/create", { Name: "own" })).body).toEqual(own)
    expect(engine.asked.at(-1)).toBe("POST /volumes/create")
    expect(engine.bodies.at(-1)).toEqual({ Name: "own" })
  })

  test("are all that a node without a cluster has", async () => {
    const engine = fakeEngine()
    engine.answers.set("GET /volumes", { status: 200, body: { Volumes: [own], Warnings: null } })
    const gateway = await TestGateway.start({}, engine)
    gateway.membership = "active/worker"
    expect((await gateway.get("/volumes")).body.Volumes).toEqual([own])
    expect((await gateway.post("/volumes/create", whole)).status).toBe(503)
  })
})
