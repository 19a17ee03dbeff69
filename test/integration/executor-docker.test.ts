/** The Docker executor against a real Engine: the contract, and what only containers have. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test"
import { Effect, Layer, Stream } from "effect"
import { EngineClient } from "#actors/drivers/engine/client.ts"
import { DockerExecutor } from "#actors/drivers/engine/executor.ts"
import { bridgeName } from "#actors/drivers/kernel/names.ts"
import type { NetworkPlan } from "#actors/network/plan.ts"
import { allLogs, Bench, type ExecutorUnderTest, executorContract, textOf } from "#test/contract/executor.ts"
import { PrivateEngine } from "#test/support/dockerd.ts"
import {
  cleanUp,
  dockerHost,
  engine,
  ensureTestImage,
  eventually,
  testImage,
  uniqueName
} from "#test/support/engine.ts"
import { openRegistry, openSilence } from "#test/support/registry.ts"

const mark = "io.troupe.test"
const own = { [mark]: uniqueName("docker") }
const docker = engine()

// A busy machine takes a second to start a container.
setDefaultTimeout(60_000)
beforeAll(() => ensureTestImage())
afterAll(() => cleanUp(`${mark}=${own[mark]}`))

const under: ExecutorUnderTest = {
  kind: "docker",
  image: testImage,
  open: () => DockerExecutor.layer({ dockerHost, own })
}

executorContract(under)

describe("the docker executor", () => {
  const bench = new Bench(under)
  afterAll(() => bench.close())

  test("speaks the Engine's API version, or ours where that is older", async () => {
    const version = await Effect.runPromise(
      EngineClient.use((client) => client.apiVersion).pipe(Effect.provide(EngineClient.layer({ dockerHost })))
    )
    const { ApiVersion } = await docker.version()
    expect(version).toBe(Number(ApiVersion.split(".")[1]) < 50 ? ApiVersion : "1.50")
  })

  test("describes the Engine with its drivers, as Swarm does", async () => {
    const { Engine } = await bench.run((executor) => executor.describe)
    expect(Engine.EngineVersion).toBe((await docker.version()).Version)
    expect(Engine.Plugins).toContainEqual({ Type: "Network", Name: "overlay" })
    expect(Engine.Plugins).toContainEqual({ Type: "Volume", Name: "local" })
    expect(Engine.Plugins).toContainEqual({ Type: "Log", Name: "json-file" })
  })

  test("lists nothing of another node on the same Engine", async () => {
    const other = new Bench({
      ...under,
      open: () => DockerExecutor.layer({ dockerHost, own: { [mark]: uniqueName("other") } })
    })
    const id = await other.create("exit 0")
    expect((await bench.run((executor) => executor.list)).map((state) => state.id)).not.toContain(id)
    await other.close()
  })

  test("tells of health, and has it in what it finds", async () => {
    const Test = ["CMD", "test", "-e", "/tmp/ok"]
    // Its first check is an hour away.
    const young = await bench.start("sleep 1000", { Healthcheck: { Test, Interval: 3.6e12 } })
    expect((await bench.state(young)).health).toBe("starting")
    await bench.run((executor) => executor.remove(young))
    const events = await bench.listen((executor) => executor.events)
    const id = await bench.start("sleep 1000", { Healthcheck: { Test, Interval: 1e8, Retries: 2 } })
    const healths = () =>
      events.seen.flatMap((event) =>
        event._tag === "Health" && event.containerId === id ? [event.health] : []
      )
    await eventually(() => healths().includes("unhealthy"), "it becomes unhealthy")
    await (await docker.getContainer(id).exec({ Cmd: ["touch", "/tmp/ok"] })).start({})
    await eventually(() => healths().includes("healthy"), "it becomes healthy")
    expect(healths()).toEqual(["unhealthy", "healthy"])
    expect((await bench.state(id)).health).toBe("healthy")
    await events.close()
    await bench.run((executor) => executor.remove(id))
  })

  test("tells that a task was killed for want of memory", async () => {
    const events = await bench.listen((executor) => executor.events)
    // An Engine that looks not yet misses it, and one that hears of a container's end first says no more: this one lives on.
    const id = await bench.start("while sleep 0.2; do tail /dev/zero; done", {
      HostConfig: { Memory: 16 * 1024 * 1024 }
    })
    const tags = () => events.seen.flatMap((event) => (event.containerId === id ? [event._tag] : []))
    await eventually(() => tags().includes("OutOfMemory"), "it is told")
    await bench.run((executor) => executor.kill(id))
    expect(await bench.exited(id)).toMatchObject({ oomKilled: true, exitCode: 137 })
    await eventually(() => tags().includes("Died"), "its end is told")
    await events.close()
  })

  test("reads the log of a terminal, and the details that the log driver adds", async () => {
    const id = await bench.start("echo one; sleep 0.1; echo two >&2", { Tty: true })
    await bench.exited(id)
    expect((await bench.logs(id)).map((line) => [line.stream, textOf(line)])).toEqual([
      ["stdout", "one\r\n"],
      ["stdout", "two\r\n"]
    ])
    const detailed = await bench.start("echo one; sleep 0.1; echo", {
      Labels: { colour: "dark blue" },
      HostConfig: { LogConfig: { Type: "json-file", Config: { labels: "colour" } } }
    })
    await bench.exited(detailed)
    expect(
      (await bench.logs(detailed, { details: true })).map((line) => [line.details, textOf(line)])
    ).toEqual([
      ["colour=dark+blue", "one\n"],
      ["colour=dark+blue", "\n"]
    ])
  })

  test("tells which host ports the Engine chose", async () => {
    const id = await bench.start("sleep 1000", {
      ExposedPorts: { "80/tcp": {}, "53/udp": {} },
      HostConfig: { PortBindings: { "80/tcp": [{ HostPort: "" }] } }
    })
    const { ports } = await bench.state(id)
    // The Engine chooses for IPv4 and for IPv6, and not always the same one.
    expect(ports.length).toBeGreaterThan(0)
    for (const port of ports) {
      expect(port).toEqual({ protocol: "tcp", targetPort: 80, publishedPort: expect.any(Number) })
      expect(port.publishedPort).toBeGreaterThan(0)
    }
    await bench.run((executor) => executor.remove(id))
  })

  test("does not take a port that is in use for a passing trouble", async () => {
    const first = await bench.start("sleep 1000", {
      ExposedPorts: { "80/tcp": {} },
      HostConfig: { PortBindings: { "80/tcp": [{ HostPort: "" }] } }
    })
    const HostPort = String((await bench.state(first)).ports[0]?.publishedPort)
    const second = await bench.create("sleep 1000", {
      ExposedPorts: { "80/tcp": {} },
      HostConfig: { PortBindings: { "80/tcp": [{ HostPort }] } }
    })
    const refusal = await bench.refusal((executor) => executor.start(second))
    expect(refusal.message).toContain("already allocated")
    expect(refusal.temporary).toBe(false)
  })
})

describe("overlays on one Engine", () => {
  const bench = new Bench(under)
  const third = 100 + Math.floor(Math.random() * 100)
  let used = 0
  const plan = (name = uniqueName("net")): NetworkPlan => {
    const subnet = `10.${third}.${used++}`
    return {
      id: uniqueName("n").replace("-", "") + uniqueName("n").slice(2),
      name,
      subnets: [{ subnet: `${subnet}.0/24`, gateway: `${subnet}.1` }],
      internal: false,
      attachable: true,
      ipv6: false,
      labels: { team: "blue" },
      options: { encrypted: "", "com.docker.network.driver.mtu": "1400" }
    }
  }
  afterAll(async () => {
    await bench.close()
    await cleanUp(`${mark}=${own[mark]}`)
  })

  test("are bridges of a fixed name, made once however many tasks ask", async () => {
    const wanted = plan()
    const ids = await bench.run((executor) =>
      Effect.all(
        Array.from({ length: 10 }, () => executor.ensureNetwork(wanted)),
        { concurrency: 10 }
      )
    )
    expect(new Set(ids).size).toBe(1)
    const made = await docker.getNetwork(ids[0] ?? "").inspect()
    expect(made.Name).toBe(wanted.name)
    expect(made.Driver).toBe("bridge")
    expect(made.Options?.["com.docker.network.bridge.name"]).toBe(bridgeName(wanted.id))
    expect(made.Options?.encrypted).toBeUndefined()
    expect(made.Options?.["com.docker.network.driver.mtu"]).toBe("1400")
    expect(made.Labels).toEqual({ team: "blue", "io.troupe.network.id": wanted.id, ...own })
    expect(made.IPAM?.Config?.[0]).toMatchObject({
      Subnet: wanted.subnets[0]?.subnet,
      Gateway: wanted.subnets[0]?.gateway
    })
    expect(await bench.run((executor) => executor.listNetworks)).toContain(wanted.id)
    await bench.run((executor) => executor.removeNetwork(wanted.id))
    await bench.run((executor) => executor.removeNetwork(wanted.id))
    expect(await bench.run((executor) => executor.listNetworks)).not.toContain(wanted.id)
  })

  test("carry names and addresses of tasks that are on several of them", async () => {
    const [front, back] = [plan(), plan()]
    const [frontId, backId] = await bench.run((executor) =>
      Effect.all([executor.ensureNetwork(front), executor.ensureNetwork(back)])
    )
    const address = (of: NetworkPlan, last: number) =>
      of.subnets[0]?.subnet.replace("0/24", String(last)) ?? ""
    const server = await bench.start("echo hello > /tmp/x; httpd -f -p 80 -h /tmp", {
      Networks: [
        {
          networkId: frontId,
          endpoint: { Aliases: ["web"], IPAMConfig: { IPv4Address: address(front, 77) } }
        },
        { networkId: backId, endpoint: { Aliases: ["db"], IPAMConfig: { IPv4Address: address(back, 88) } } }
      ]
    })
    expect((await bench.state(server)).addresses).toEqual({
      [frontId]: address(front, 77),
      [backId]: address(back, 88)
    })
    const client = await bench.start(
      "until wget -qO- http://web/x; do sleep 0.1; done; until wget -qO- http://db/x; do sleep 0.1; done; nslookup db 127.0.0.11",
      {
        Networks: [front, back].map((_, index) => ({
          networkId: index === 0 ? frontId : backId,
          endpoint: {}
        }))
      }
    )
    await bench.exited(client)
    const said = (await bench.logs(client)).map(textOf).join("")
    expect(said.match(/hello/g)?.length).toBe(2)
    expect(said).toContain(address(back, 88))
    const refusal = await bench.refusal((executor) => executor.removeNetwork(front.id))
    expect(refusal.temporary).toBe(true)
    await bench.run((executor) => executor.remove(server))
    await bench.run((executor) => executor.remove(client))
    for (const { id } of [front, back]) await bench.run((executor) => executor.removeNetwork(id))
  })

  test("are completed on a container whose making was interrupted", async () => {
    const [front, back] = [plan(), plan()]
    const [frontId, backId] = await bench.run((executor) =>
      Effect.all([executor.ensureNetwork(front), executor.ensureNetwork(back)])
    )
    const name = uniqueName("contract")
    const both = bench.request("sleep 1000", {
      Networks: [
        { networkId: frontId, endpoint: {} },
        { networkId: backId, endpoint: {} }
      ]
    })
    const half = await bench.run((executor) =>
      executor.create(name, { ...both, Networks: both.Networks.slice(0, 1) })
    )
    expect(await bench.run((executor) => executor.create(name, both))).toBe(half)
    await bench.run((executor) => executor.start(half))
    expect(Object.keys((await bench.state(half)).addresses).sort()).toEqual([frontId, backId].sort())
    await bench.run((executor) => executor.remove(half))
  })

  test("are kept while a task is about to start on them", async () => {
    const wanted = plan()
    const networkId = await bench.run((executor) => executor.ensureNetwork(wanted))
    const waiting = await bench.create("exit 0", { Networks: [{ networkId, endpoint: {} }] })
    expect((await bench.refusal((executor) => executor.removeNetwork(wanted.id))).temporary).toBe(true)
    await bench.run((executor) => executor.remove(waiting))
    await bench.run((executor) => executor.removeNetwork(wanted.id))
  })

  test("leave a network of the same name alone when it is not ours", async () => {
    const wanted = plan()
    const foreign = await docker.createNetwork({ Name: wanted.name, Driver: "bridge", Labels: own })
    const id = await bench.run((executor) => executor.ensureNetwork(wanted))
    expect(id).not.toBe(foreign.id)
    // Told an id, the Engine still starts a container by its network's name: the two must not be confused.
    const task = await bench.start("sleep 1000", { Networks: [{ networkId: id, endpoint: {} }] })
    expect(Object.keys((await bench.state(task)).addresses)).toEqual([id])
    await bench.run((executor) => executor.remove(task))
    expect((await foreign.inspect()).Id).toBe(foreign.id)
    await bench.run((executor) => executor.removeNetwork(wanted.id))
    expect((await foreign.inspect()).Id).toBe(foreign.id)
    await foreign.remove()
  })

  test("take the place of an older overlay of the same name that nothing uses", async () => {
    const old = plan()
    const oldId = await bench.run((executor) => executor.ensureNetwork(old))
    const newer = plan(old.name)
    const newId = await bench.run((executor) => executor.ensureNetwork(newer))
    expect(newId).not.toBe(oldId)
    const ids = await bench.run((executor) => executor.listNetworks)
    expect(ids).toContain(newer.id)
    expect(ids).not.toContain(old.id)
    await bench.run((executor) => executor.removeNetwork(newer.id))
  })

  test("take over the addresses of a removed overlay as soon as its last container is gone", async () => {
    const old = plan()
    const networkId = await bench.run((executor) => executor.ensureNetwork(old))
    const last = await bench.start("sleep 1000", { Networks: [{ networkId, endpoint: {} }] })
    const newer = { ...plan(), subnets: old.subnets }
    expect((await bench.refusal((executor) => executor.ensureNetwork(newer))).temporary).toBe(true)
    await bench.run((executor) => executor.remove(last))
    await bench.run((executor) => executor.ensureNetwork(newer))
    expect(await bench.run((executor) => executor.listNetworks)).not.toContain(old.id)
    await bench.run((executor) => executor.removeNetwork(newer.id))
  })

  test("a network of somebody else's that has its addresses is named", async () => {
    const wanted = plan()
    const [{ subnet = "" } = {}] = wanted.subnets
    const theirs = await docker.createNetwork({
      Name: uniqueName("theirs"),
      IPAM: { Driver: "default", Config: [{ Subnet: subnet }] }
    })
    const { message } = await bench.refusal((executor) => executor.ensureNetwork(wanted))
    await theirs.remove()
    expect(message).toContain(`(${theirs.id.slice(0, 12)}) has ${subnet}; remove that one there`)
  })
})

describe("images", () => {
  const bench = new Bench({
    ...under,
    open: () => DockerExecutor.layer({ dockerHost, own, registryPatienceMs: 300 })
  })
  const left: Array<string> = []
  afterAll(async () => {
    await bench.close()
    for (const image of left)
      await docker
        .getImage(image)
        .remove({ force: true })
        .catch(() => {})
  })
  const pull = (image: string, auth?: string) => bench.run((executor) => executor.pull(image, auth))
  const present = (image: string) =>
    docker
      .getImage(image)
      .inspect()
      .then(
        () => true,
        () => false
      )
  const credentials = (password: string) =>
    Buffer.from(JSON.stringify({ username: "ada", password })).toString("base64url")

  test("that exist nowhere are refused in the Engine's words", async () => {
    const image = uniqueName("nosuch")
    const refusal = await bench.refusal((executor) => executor.pull(image, undefined))
    expect(refusal.message).toBe(`No such image: ${image}:latest`)
    expect(refusal.status).toBe(404)
    expect(refusal.temporary).toBe(false)
  })

  test("that are here will do when their registry cannot be reached", async () => {
    await pull(testImage)
    const image = `127.0.0.1:1/${uniqueName("local")}`
    await docker.getImage(testImage).tag({ repo: image, tag: "1" })
    left.push(`${image}:1`)
    await pull(`${image}:1`)
  })

  test("that are here are waited for only until it is clear that the registry is silent", async () => {
    const silence = await openSilence()
    const image = `${silence.host}/team/app`
    await docker.getImage(testImage).tag({ repo: image, tag: "1" })
    left.push(`${image}:1`)
    await pull(`${image}:1`)
    await eventually(() => silence.waiting() === 1, "the Engine itself goes on waiting")
    await docker.getImage(testImage).tag({ repo: image, tag: "2" })
    left.push(`${image}:2`)
    await pull(`${image}:2`)
    expect(silence.waiting()).toBe(1)
    await silence.close()
  })

  test("that are not here are waited for, until nobody wants them any more", async () => {
    const silence = await openSilence()
    const pulling = await bench.listen((executor) =>
      Stream.fromEffect(executor.pull(`${silence.host}/team/app:1`, undefined))
    )
    await eventually(() => silence.asked() > 0, "the registry is asked")
    await pulling.close()
    expect(pulling.ended()).toBe(true)
    await silence.close()
  })

  test("are pulled with the credentials that the service carries", async () => {
    const registry = await openRegistry({ password: "lovelace" })
    left.push(`${registry.image}:1`)
    const nobody = await bench.refusal((executor) => executor.pull(`${registry.image}:1`, undefined))
    expect(nobody.message).toBe(`No such image: ${registry.image}:1`)
    await bench.refusal((executor) => executor.pull(`${registry.image}:1`, credentials("byron")))
    expect(await present(`${registry.image}:1`)).toBe(false)
    await pull(`${registry.image}:1`, credentials("lovelace"))
    expect(await present(`${registry.image}:1`)).toBe(true)
    const garbage = await bench.refusal((executor) => executor.pull(`${registry.image}:1`, "%%%"))
    expect(garbage.message).toContain("registry credentials")
    await registry.close()
  })

  test("are asked for once when many tasks want one at the same time", async () => {
    const registry = await openRegistry()
    left.push(`${registry.image}:1`)
    await bench.run((executor) =>
      Effect.forEach(Array.from({ length: 30 }), () => executor.pull(`${registry.image}:1`, undefined), {
        concurrency: "unbounded",
        discard: true
      })
    )
    const asked = registry.asked()
    await pull(`${registry.image}:1`)
    expect(registry.asked()).toBe(asked)
    expect(asked).toBeLessThanOrEqual(2)
    await registry.close()
  })

  test("that are pinned to a digest and here are not asked for again", async () => {
    const registry = await openRegistry()
    const pinned = `${registry.image}:1@${registry.digest}`
    left.push(`${registry.image}@${registry.digest}`)
    await pull(pinned)
    const asked = registry.asked()
    expect(asked).toBeGreaterThan(0)
    const later = new Bench(under)
    await later.run((executor) => executor.pull(pinned, undefined))
    expect(registry.asked()).toBe(asked)
    await later.leave()
    await registry.close()
  })
})

describe("an Engine that goes away", () => {
  test("is a passing trouble, whatever was asked", async () => {
    const bench = new Bench({
      ...under,
      open: () => DockerExecutor.layer({ dockerHost: "unix:///tmp/troupe-no-such.sock" })
    })
    for (const refusal of [
      await bench.refusal((executor) => executor.describe),
      await bench.refusal((executor) => executor.pull("a", undefined)),
      await bench.refusal((executor) => Stream.runDrain(executor.events))
    ]) {
      expect(refusal.temporary).toBe(true)
      expect(refusal.message).toContain("Cannot talk to the Docker Engine at unix:///tmp/troupe-no-such.sock")
    }
    await bench.leave()
  })

  test("has an address that is understood, or is refused with what was expected", async () => {
    for (const wrong of ["nonsense", "unix://relative", "ssh://there", "tcp://host"]) {
      const exit = await Effect.runPromiseExit(
        Effect.scoped(Layer.build(DockerExecutor.layer({ dockerHost: wrong })))
      )
      expect(String(exit)).toContain(`docker-host "${wrong}": expected`)
    }
  })

  test("fails its streams when it is killed; its containers are found again with live-restore", async () => {
    const private1 = await PrivateEngine.open({ liveRestore: true })
    try {
      await ensureTestImage(private1.docker)
      const bench = new Bench({
        ...under,
        open: () => DockerExecutor.layer({ dockerHost: private1.dockerHost })
      })
      const id = await bench.start("echo up; sleep 1000", { HostConfig: { NetworkMode: "none" } })
      const { pid } = await bench.state(id)
      const events = await bench.listen((executor) => executor.events)
      const log = await bench.listen((executor) => executor.logs(id, { ...allLogs, follow: true }))
      await eventually(() => log.seen.length === 1, "the log is followed")
      await private1.kill()
      await eventually(() => events.ended() && log.ended(), "both streams end")
      expect((await bench.refusal((executor) => executor.list)).temporary).toBe(true)
      await private1.start()
      expect(await bench.state(id)).toMatchObject({ status: "running", pid })
      await bench.run((executor) => executor.remove(id))
      const until = await bench.listen((executor) => executor.events)
      await bench.run((executor) => executor.describe)
      await private1.stop()
      await eventually(() => until.ended(), "events end also when it is stopped in good order")
      await bench.leave()
    } finally {
      await private1.close()
    }
  })
})
