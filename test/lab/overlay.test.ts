/** Overlays over three machines with Engines of their own: what only kernels, bridges and real packets show. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import process from "node:process"
import { keyChangeLabel } from "#actors/model/network-keys.ts"
import type { Machine } from "#test/lab/machines.ts"
import { ownLab } from "#test/lab/own-lab.ts"
import { docker } from "#test/support/docker-cli.ts"

setDefaultTimeout(90_000)

const { machines, machine, door, engine, on, containerOn, open, close } = await ownLab("to", "10.78.0")
const { call, containersOf, elapsed, specOf } = await import("#test/bench/vs-swarm/api.ts")
const { base, bridge, dataOf, engineOf, socketOf } = await import("#test/lab/machines.ts")
const { root } = await import("#test/lab/engine.ts")
const { startAgain } = await import("#test/lab/raise.ts")
const { signal, isAlive } = await import("#test/lab/processes.ts")

const devices = (at: Machine): ReadonlyArray<string> =>
  on(at, "ip", "-o", "link", "show", "type", "vxlan").match(/vx-t\w+/g) ?? []

interface Endpoint {
  readonly IPAddress: string
  readonly MacAddress: string
  readonly Gateway: string
  readonly GlobalIPv6Address: string
}
interface Place {
  readonly machine: Machine
  readonly id: string
  readonly networks: Readonly<Record<string, Endpoint>>
}

async function placed(id: string, at: Machine): Promise<Place> {
  const seen = await call<{ NetworkSettings: { Networks: Place["networks"] } }>(
    ...([engineOf(at.name), "GET", `/containers/${id}/json`] as const)
  )
  return { machine: at, id, networks: seen.NetworkSettings.Networks }
}
/** The service's one container on a machine. */
const placeOf = async (service: string, at: Machine): Promise<Place> =>
  placed(await containerOn(at, service), at)

const inside = ({ machine: at, id }: Place, ...command: ReadonlyArray<string>) =>
  docker(engine(at), ["exec", id, ...command])
/** By one packet, which may take so many seconds. */
const reaches = async (from: Place, address: string, seconds = 5): Promise<boolean> =>
  (await inside(from, "ping", "-c", "1", "-W", `${seconds}`, address)).code === 0

const runsEverywhere = (service: string): Promise<number> =>
  elapsed(
    `${service} on every machine`,
    async () => {
      for (const at of machines()) {
        if ((await containerOn(at, service)) === "") return false
      }
      return true
    },
    100,
    60_000
  )

async function deployEverywhere(service: string, ...networks: ReadonlyArray<string>): Promise<void> {
  const spec = specOf(service, 1)
  const serve = ["sh", "-c", "trap exit TERM; httpd -p 8080 -h /bin; while :; do sleep 1 & wait; done"]
  await call(door(), "POST", "/services/create", {
    ...spec,
    Mode: { Global: {} },
    TaskTemplate: {
      ...spec.TaskTemplate,
      ContainerSpec: { ...spec.TaskTemplate.ContainerSpec, Command: serve },
      Networks: networks.map((Target) => ({ Target }))
    }
  })
  await runsEverywhere(service)
}

const address = (place: Place, network: string): string => place.networks[network]?.IPAddress ?? ""

beforeAll(async () => {
  await open()
  await call(door(), "POST", "/networks/create", { Name: "front", Driver: "overlay" })
  await call(door(), "POST", "/networks/create", { Name: "back", Driver: "overlay", Internal: true })
  await deployEverywhere("web", "front")
  await deployEverywhere("db", "back")
  await deployEverywhere("both", "front", "back")
  await call(door(), "POST", "/networks/create", { Name: "six", Driver: "overlay", EnableIPv6: true })
  await deployEverywhere("six", "six")
  const Options = { encrypted: "" }
  await call(door(), "POST", "/networks/create", { Name: "safe", Driver: "overlay", Options })
  await deployEverywhere("safe", "safe")
}, 240_000)
afterAll(close, 60_000)

test("containers on different machines reach each other by address, with large packets, from the first one on", async () => {
  const places = await Promise.all(machines().map((at) => placeOf("web", at)))
  for (const from of places) {
    for (const to of places) {
      if (from === to) continue
      expect(await reaches(from, address(to, "front"))).toBe(true)
      const { code, stdout } = await inside(
        from,
        ...["sh", "-c", `timeout 5 wget -qO- http://${address(to, "front")}:8080/busybox | wc -c`]
      )
      expect(code).toBe(0)
      expect(Number(stdout.toString())).toBeGreaterThan(500_000)
    }
    const mtu = await inside(from, "cat", "/sys/class/net/eth0/mtu")
    expect(mtu.text).toBe("1450")
  }
})

test("AL-10 each machine has an address of its own, which the others' containers reach, too", async () => {
  const places = await Promise.all(machines().map((at) => placeOf("web", at)))
  const gateways = places.map(({ networks }) => networks.front?.Gateway ?? "")
  expect(new Set(gateways).size).toBe(3)
  for (const from of places) for (const to of gateways) expect(await reaches(from, to)).toBe(true)
})

test("a container on two networks reaches both, and from one of them the other is not reached", async () => {
  const [web, db] = [await placeOf("web", machine(0)), await placeOf("db", machine(1))]
  const both = await placeOf("both", machine(2))
  expect(await reaches(both, address(web, "front"))).toBe(true)
  expect(await reaches(both, address(db, "back"))).toBe(true)
  for (const at of machines()) {
    expect(await reaches(web, address(await placeOf("db", at), "back"), 1)).toBe(false)
  }
})

test("containers reach each other by IPv6, too", async () => {
  const [from, to] = [await placeOf("six", machine(0)), await placeOf("six", machine(2))]
  const address6 = to.networks.six?.GlobalIPv6Address ?? ""
  expect(address6).toStartWith("fd00:")
  expect((await inside(from, "ping", "-6", "-c", "2", "-W", "2", address6)).code).toBe(0)
})

test("a service on a network with IPv6 has a virtual address of each family, which its name says and every task is behind", async () => {
  const places = await Promise.all(machines().map((at) => placeOf("six", at)))
  const { Endpoint } = await call<{ Endpoint: { VirtualIPs: ReadonlyArray<{ Addr: string }> } }>(
    ...([door(), "GET", "/services/six"] as const)
  )
  const [four = "", six = ""] = Endpoint.VirtualIPs.map(({ Addr }) => Addr.split("/")[0] ?? "")
  expect([four, six]).toEqual([expect.stringContaining("10."), expect.stringContaining("fd00:")])
  for (const from of places) {
    expect((await inside(from, "ping", "-6", "-c", "1", "-W", "2", "six")).text).toContain(`(${six})`)
    for (const host of [four, `[${six}]`]) {
      // The task itself is among those it gets.
      const fetched = "timeout 5 wget -qO /dev/null http://HOST:8080/busybox || exit 1".replace("HOST", host)
      const { code, stderr } = await inside(from, "sh", "-c", `for n in $(seq 12); do ${fetched}; done`)
      expect([host, code, stderr]).toEqual([host, 0, ""])
    }
  }
})

/** Pings once a second for as long; says how many of a hundred were lost. */
const losses = async (from: Place, to: string, seconds: number): Promise<string> => {
  const { text } = await inside(from, "ping", "-q", "-c", String(seconds), to)
  return /(\d+)% packet loss/.exec(text)?.[1] ?? text
}

/** All that passes the machines' bridge while `during` runs, as it is on the wire. */
async function overheard(during: () => Promise<void>): Promise<string> {
  const file = join(base, "overheard.pcap")
  const listener = spawn("tcpdump", ["-i", bridge, "-s", "0", "-U", "-w", file], {
    stdio: ["ignore", "ignore", "pipe"]
  })
  const ended = once(listener, "exit")
  await once(listener.stderr, "data")
  try {
    await during()
  } finally {
    listener.kill("SIGINT")
    await ended
  }
  return readFileSync(file, "latin1")
}

const fetches = (path: string, address: string): string =>
  `timeout 5 wget -qO- http://${address}:8080/${path} | wc -c`

/** Through which of WireGuard's devices the machine sends, each once. */
const tunnelsOf = (at: Machine): ReadonlyArray<string> => [
  ...new Set(on(at, "bridge", "fdb", "show").match(/(?<=via )wg\S+/g))
]

test("on an encrypted network nothing is readable between machines, and what is there is not interrupted by other keys", async () => {
  const [open0, open1] = [await placeOf("web", machine(0)), await placeOf("web", machine(1))]
  const [from, to] = [await placeOf("safe", machine(0)), await placeOf("safe", machine(1))]
  await elapsed("a way through a tunnel", () => reaches(from, address(to, "safe"), 1), 100, 20_000)
  const tunnels = () => machines().map((at) => tunnelsOf(at).map((name) => name.slice(0, 3)))
  await elapsed("tunnels on every machine", async () => tunnels().flat().length === 3, 100, 20_000)
  expect(tunnels()).toEqual([["wg1"], ["wg1"], ["wg1"]])
  const heard = await overheard(async () => {
    await inside(open0, "sh", "-c", fetches("plainly-said", address(open1, "front")))
    // Open from before the keys change until after.
    const request =
      "while [ ! -e /go ]; do sleep 0.1; done; printf 'GET /busybox?quietly-said HTTP/1.0\\r\\n\\r\\n'; sleep 1"
    const answer = inside(
      from,
      "sh",
      "-c",
      `(${request}) | timeout 60 nc ${address(to, "safe")} 8080 | wc -c`
    )
    const lost = losses(from, address(to, "safe"), 10)
    const { Version, Spec } = await call<{ Version: { Index: number }; Spec: object }>(
      door(),
      "GET",
      "/swarm"
    )
    const Labels = { [keyChangeLabel]: "once" }
    await call(door(), "POST", `/swarm/update?version=${Version.Index}`, { ...Spec, Labels })
    const changed = async () =>
      machines().every((at) => tunnelsOf(at).every((name) => name.startsWith("wg0")))
    await elapsed("other keys everywhere", changed, 100, 30_000)
    await inside(from, "touch", "/go")
    expect(Number((await answer).text)).toBeGreaterThan(500_000)
    expect(await lost).toBe("0")
  })
  expect(heard).toContain("plainly-said")
  expect(heard).not.toContain("quietly-said")
  const mtu = await inside(from, "cat", "/sys/class/net/eth0/mtu")
  expect(mtu.text).toBe("1370")
})

test("a published port answers on every machine, also where no task of it runs", async () => {
  const spec = specOf("site", 1)
  const serve = ["sh", "-c", "trap exit TERM; httpd -p 80 -h /bin; while :; do sleep 1 & wait; done"]
  await call(door(), "POST", "/services/create", {
    ...spec,
    TaskTemplate: {
      ...spec.TaskTemplate,
      ContainerSpec: { ...spec.TaskTemplate.ContainerSpec, Command: serve }
    },
    EndpointSpec: { Ports: [{ TargetPort: 80, PublishedPort: 8088 }] }
  })
  const fetch = (at: Machine, host: string): string =>
    on(at, "curl", "-gfsS", "-o", "/dev/null", "--max-time", "15", `http://${host}:8088/busybox`)
  for (const at of machines()) {
    const answers = async () => {
      fetch(at, at.address)
      return true
    }
    await elapsed(`an answer of ${at.name}`, answers, 200, 30_000)
  }
  const six = (at: Machine): string => `fd77::${at.address.split(".").at(-1)}`
  for (const at of machines()) on(at, "ip", "address", "add", `${six(at)}/64`, "dev", "eth0", "nodad")
  for (const at of machines()) {
    for (const host of ["127.0.0.1", "[::1]", ...machines().map((other) => `[${six(other)}]`)])
      fetch(at, host)
  }
})

test("a container whose first instruction speaks to another machine is answered, every time", async () => {
  const to = address(await placeOf("web", machine(0)), "front")
  const spec = specOf("first", 1)
  const words = ["sh", "-c", `timeout 5 wget -qO /dev/null http://${to}:8080/busybox`]
  await call(door(), "POST", "/services/create", {
    ...spec,
    Mode: { ReplicatedJob: { MaxConcurrent: 6, TotalCompletions: 12 } },
    TaskTemplate: {
      ContainerSpec: { ...spec.TaskTemplate.ContainerSpec, Command: words },
      RestartPolicy: { Condition: "none" },
      Networks: [{ Target: "front" }]
    }
  })
  const states = async (): Promise<ReadonlyArray<string>> => {
    const filters = encodeURIComponent(JSON.stringify({ service: ["first"] }))
    const tasks = await call<ReadonlyArray<{ Status: { State: string } }>>(
      ...([door(), "GET", `/tasks?filters=${filters}`] as const)
    )
    return tasks.map(({ Status }) => Status.State)
  }
  const areOver = async () => {
    const all = await states()
    return all.length >= 12 && all.every((state) => state === "complete" || state === "failed")
  }
  await elapsed("twelve tasks", areOver, 200, 60_000)
  expect((await states()).filter((state) => state !== "complete")).toEqual([])
})

test("hardware addresses are the ones that were written down ahead", async () => {
  const both = await placeOf("both", machine(1))
  for (const { IPAddress, MacAddress } of Object.values(both.networks)) {
    const bytes = IPAddress.split(".").map((byte) => Number(byte).toString(16).padStart(2, "0"))
    expect(MacAddress).toBe(`02:42:${bytes.join(":")}`)
  }
})

test("what is deleted by hand is there again", async () => {
  const [from, to] = [await placeOf("web", machine(0)), await placeOf("web", machine(1))]
  // It must not mend what is not seen to be broken yet.
  signal(machine(0).nodePid, "SIGSTOP")
  const tunnels = tunnelsOf(machine(0))
  expect(tunnels).toHaveLength(1)
  for (const device of [...devices(machine(0)), ...tunnels]) on(machine(0), "ip", "link", "delete", device)
  expect(await reaches(from, address(to, "front"), 1)).toBe(false)
  signal(machine(0).nodePid, "SIGCONT")
  const [hidden, there] = [await placeOf("safe", machine(0)), await placeOf("safe", machine(1))]
  const back = async () =>
    (await reaches(from, address(to, "front"), 1)) && (await reaches(hidden, address(there, "safe"), 1))
  await elapsed("a way again", back, 50, 20_000)
  on(machine(1), "sh", "-c", `for d in ${devices(machine(1)).join(" ")}; do bridge fdb flush dev $d; done`)
  await elapsed("a way again", back, 50, 20_000)
  // On the first machine what it was told when it woke may have mended all, which counts as no repair.
  const { name } = machine(1)
  for (const place of [
    ["--data-dir", dataOf(name)],
    ["--socket", socketOf(name)]
  ]) {
    const doctor = [process.execPath, join(root, "cli/main.ts"), "doctor", "network", ...place]
    // Other networks than those that were asked for may take a moment longer.
    const isWhole = async () =>
      /[1-9]\d* repair[\s\S]*the kernel is as it should be\n$/.test(on(machine(1), ...doctor))
    await elapsed("the doctor's word", isWhole, 200, 20_000)
  }
})

test("an Engine that ends and begins again leaves traffic alone, and what it carries is as it was", async () => {
  const [from, to] = [await placeOf("web", machine(0)), await placeOf("web", machine(2))]
  const lost = losses(from, address(to, "front"), 8)
  signal(to.machine.enginePid, "SIGTERM")
  await elapsed("its end", async () => !isAlive(to.machine.enginePid), 20, 30_000)
  await startAgain(to.machine)
  expect(await lost).toBe("0")
  expect((await placeOf("web", machine(2))).id).toBe(to.id)
})

test("a node that is killed leaves traffic alone, and takes up where it was when it is back", async () => {
  const [from, to] = [await placeOf("web", machine(0)), await placeOf("web", machine(2))]
  const [hidden, there] = [await placeOf("safe", machine(0)), await placeOf("safe", machine(2))]
  const processes = () =>
    readdirSync(join(dataOf(machine(2).name), "wireguard")).map((name) =>
      readFileSync(join(dataOf(machine(2).name), "wireguard", name), "utf8")
    )
  signal(to.machine.nodePid, "SIGKILL")
  await elapsed("its end", async () => !isAlive(to.machine.nodePid), 20, 30_000)
  const lost = losses(hidden, address(there, "safe"), 8)
  expect(await losses(from, address(to, "front"), 8)).toBe("0")
  expect(await lost).toBe("0")
  const before = processes()
  await startAgain(to.machine)
  const again = async () => reaches(from, address(await placeOf("web", machine(2)), "front"), 1)
  await elapsed("a way again", again, 200, 30_000)
  expect(processes()).toEqual(before)
})

test("containers that people attach, on nodes of any role, reach each other and tasks, and give their addresses back", async () => {
  const made = await call<{ Id: string }>(door(), "POST", "/networks/create", {
    ...{ Name: "tools", Driver: "overlay", Attachable: true }
  })
  await deployEverywhere("tool", "tools")
  const run = (at: Machine, name: string, ...args: ReadonlyArray<string>) =>
    docker(`unix://${socketOf(at.name)}`, [
      ...["run", "-d", "--network", "tools", "--name", name, ...args],
      ...[specOf("", 1).TaskTemplate.ContainerSpec.Image, "sleep", "600"]
    ])
  const [first, second] = await Promise.all([run(machine(1), "one"), run(machine(2), "two")])
  expect([first.stderr, second.stderr]).toEqual(["", ""])
  const [one, two] = [await placed(first.text, machine(1)), await placed(second.text, machine(2))]
  expect(address(one, "tools")).not.toBe(address(two, "tools"))
  const task = await placeOf("tool", machine(0))
  expect(await reaches(one, address(two, "tools"))).toBe(true)
  expect(await reaches(two, address(task, "tools"))).toBe(true)
  expect(await reaches(task, address(one, "tools"))).toBe(true)
  const same = await run(machine(0), "same", "--ip", address(one, "tools"))
  expect(same.stderr).toContain("Address already in use")
  await call(door(), "DELETE", "/services/tool")
  const isOver = async () => (await containersOf(engineOf(machine(0).name), "tool")).length === 0
  await elapsed("its tasks' end", isOver, 100, 30_000)
  // Two are left, on two machines.
  expect(await reaches(one, address(two, "tools"))).toBe(true)
  await docker(engine(machine(1)), ["rm", "-f", "one"])
  await docker(engine(machine(2)), ["rm", "-f", "two"])
  const remove = async () => {
    await call(door(), "DELETE", `/networks/${made.Id}`)
    return true
  }
  await elapsed("an unused network", remove, 500, 40_000)
})

test("nothing of a network is left when it is gone", async () => {
  for (const service of ["web", "db", "both", "six", "safe", "site", "first"])
    await call(door(), "DELETE", `/services/${service}`)
  const isBare = async (): Promise<boolean> =>
    machines().every((at) => devices(at).length === 0 && !/ (br|wg.)-t/.test(on(at, "ip", "-o", "link")))
  await elapsed("bare machines", isBare, 200, 60_000)
  for (const network of ["front", "back", "six", "safe"]) await call(door(), "DELETE", `/networks/${network}`)
})
