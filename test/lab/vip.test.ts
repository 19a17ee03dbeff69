/** Virtual addresses and published ports over three machines with Engines of their own. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test"
import { type ChildProcess, spawn } from "node:child_process"
import dgram from "node:dgram"
import process from "node:process"
import { setTimeout as pause } from "node:timers/promises"
import type { Machine } from "#test/lab/machines.ts"
import { ownLab } from "#test/lab/own-lab.ts"

setDefaultTimeout(90_000)

const { machines, machine, door, on, containerOn, inside, open, close } = await ownLab("tv", "10.80.0")
const { call, elapsed, running, specOf } = await import("#test/bench/vs-swarm/api.ts")
const { engineOf, subnet } = await import("#test/lab/machines.ts")
const { startAgain } = await import("#test/lab/raise.ts")
const { signal, isAlive } = await import("#test/lab/processes.ts")

/** Answers with its host's name, which is its container's id; `who` also with whom it takes for its client. */
const serving = (first = ""): ReadonlyArray<string> => [
  "sh",
  "-c",
  `trap exit TERM; mkdir -p /www/cgi-bin; hostname > /www/name
printf '#!/bin/sh\\nprintf "Content-Type: text/plain\\\\n\\\\n%%s %%s" "$(hostname)" "$REMOTE_ADDR"' > /www/cgi-bin/who
chmod +x /www/cgi-bin/who; httpd -p 8080 -h /www; ${first}
while :; do sleep 1 & wait; done`
]
const published = 18080
let [front, webId] = ["", ""]
/** The lab's own address in its network. */
const outside = `${subnet}.1`
const get = (address: string): string => `timeout 15 wget -qO- http://${address}:8080/name`

interface View {
  readonly ID: string
  readonly Version: { readonly Index: number }
  readonly Spec: Readonly<Record<string, unknown>>
  readonly Endpoint: {
    readonly VirtualIPs?: ReadonlyArray<{ readonly NetworkID: string; readonly Addr: string }>
  }
}
const view = (service: string): Promise<View> => call<View>(door(), "GET", `/services/${service}`)
/** Its address on the network that is not the ingress one. */
async function vipOf(service: string): Promise<string> {
  const { VirtualIPs = [] } = (await view(service)).Endpoint
  return VirtualIPs.find(({ NetworkID }) => NetworkID === front)?.Addr.split("/")[0] ?? ""
}

/** Which container answers at the address, asked from inside the service's container on a machine; empty where none does. */
const answers = async (at: Machine, service: string, address: string): Promise<string> =>
  (await inside(service, at, "sh", "-c", get(address))).text.trim()

const hostnames = async (service: string): Promise<ReadonlyArray<string>> =>
  (await Promise.all(machines().map((at) => containerOn(at, service)))).map((id) => id.slice(0, 12)).sort()

async function create(service: string, Mode: unknown, port: object, Command = serving()): Promise<string> {
  const spec = specOf(service, 1)
  const { ID } = await call<View>(door(), "POST", "/services/create", {
    ...spec,
    Mode,
    EndpointSpec: { Ports: [port] },
    TaskTemplate: {
      ...spec.TaskTemplate,
      ContainerSpec: { ...spec.TaskTemplate.ContainerSpec, Command },
      Networks: [{ Target: "front" }]
    }
  })
  return ID
}

beforeAll(async () => {
  await open()
  const { Id } = await call<{ Id: string }>(door(), "POST", "/networks/create", {
    Name: "front",
    Driver: "overlay"
  })
  front = Id
  webId = await create("web", { Global: {} }, { Protocol: "tcp", TargetPort: 8080, PublishedPort: published })
  await elapsed(
    "web on every machine",
    async () => {
      const names = await Promise.all(machines().map((at) => answers(at, "web", "127.0.0.1")))
      return names.every((name) => name !== "")
    },
    100,
    60_000
  )
}, 240_000)
afterAll(close, 60_000)

test("a virtual address leads from every machine to the tasks of all of them, the asking one included", async () => {
  const vip = await vipOf("web")
  const all = await hostnames("web")
  for (const at of machines()) {
    const seen = new Set<string>()
    await elapsed(
      `all tasks answered ${at.name}`,
      async () => {
        for (let asked = 0; asked < 6; asked++) seen.add(await answers(at, "web", vip))
        return all.every((name) => seen.has(name))
      },
      10,
      40_000
    )
    // Nobody was left without an answer on the way.
    expect([...seen].sort()).toEqual([...all])
  }
})

test("rules that somebody deletes are back, and so are addresses", async () => {
  const vip = await vipOf("web")
  const at = machine(0)
  // It must not mend what is not seen to be broken yet.
  signal(at.nodePid, "SIGSTOP")
  const table = on(at, "nft", "list", "tables").match(/troupe_vip_\w+/)?.[0] ?? ""
  on(at, "nft", "flush", "table", "inet", table)
  const bridge = on(at, "ip", "-o", "address", "show", "to", vip).match(/br-t\w+/)?.[0] ?? ""
  on(at, "ip", "address", "delete", `${vip}/32`, "dev", bridge)
  expect(on(at, "ip", "-o", "address", "show", "to", vip)).toBe("")
  signal(at.nodePid, "SIGCONT")
  await elapsed("an answer", async () => (await answers(at, "web", vip)) !== "", 100, 20_000)
})

test("a container whose first instruction connects to a virtual address succeeds every time", async () => {
  const vip = await vipOf("web")
  const spec = specOf("first", 9)
  const Command = ["timeout", "10", "wget", "-qO-", `http://${vip}:8080/name`]
  await call(door(), "POST", "/services/create", {
    ...spec,
    TaskTemplate: {
      ...spec.TaskTemplate,
      ContainerSpec: { ...spec.TaskTemplate.ContainerSpec, Command },
      RestartPolicy: { Condition: "none" },
      Networks: [{ Target: "front" }]
    }
  })
  const states = async (): Promise<ReadonlyArray<string>> => {
    const filters = encodeURIComponent(JSON.stringify({ service: ["first"] }))
    const tasks = await call<ReadonlyArray<{ Status: { State: string } }>>(
      door(),
      "GET",
      `/tasks?filters=${filters}`
    )
    return tasks.map(({ Status }) => Status.State)
  }
  await elapsed(
    "all nine have ended",
    async () => (await states()).filter((state) => ["failed", "complete"].includes(state)).length === 9,
    100,
    60_000
  )
  expect(await states()).toEqual(Array(9).fill("complete"))
})

test("a task that connects to its own service as soon as it listens reaches itself, and at once from then on", async () => {
  const ask = "cut -d' ' -f1 /proc/uptime; wget -qO- http://itself:8080/name"
  const asking = `for _ in 1 2 3; do ${ask}; done > /tmp/asked; cut -d' ' -f1 /proc/uptime >> /tmp/asked; mv /tmp/asked /www/asked`
  await create(
    "itself",
    { Replicated: { Replicas: 1 } },
    { Protocol: "tcp", TargetPort: 8080 },
    serving(asking)
  )
  await elapsed("it runs", async () => (await running(door(), "itself")).length === 1, 50, 60_000)
  const [{ NodeID = "" } = {}] = await running(door(), "itself")
  const nodes = await call<ReadonlyArray<{ ID: string; Description: { Hostname: string } }>>(
    door(),
    "GET",
    "/nodes"
  )
  const hostname = nodes.find(({ ID }) => ID === NodeID)?.Description.Hostname
  const at = machines().find(({ name }) => name === hostname) as Machine
  let said = ""
  await elapsed(
    "its answers",
    async () => {
      said = (await inside("itself", at, "cat", "/www/asked")).text
      return said.includes("\n")
    },
    50,
    30_000
  )
  const lines = said.trim().split("\n")
  const own = hostOf(await containerOn(at, "itself"))
  expect(lines.filter((_, place) => place % 2 === 1)).toEqual([own, own, own])
  const times = lines.filter((_, place) => place % 2 === 0).map(Number)
  console.log(
    `a task that gets itself: ${times
      .slice(1)
      .map((time, place) => `${((time - (times[place] ?? 0)) * 1_000).toFixed(0)} ms`)
      .join(", ")}`
  )
})

const hostOf = (id: string): string => id.slice(0, 12)

/** Who answers at a machine's published port, and whom it takes for its client; asked from outside of all machines. */
async function who(at: Machine): Promise<readonly [host: string, client: string]> {
  const options = { signal: AbortSignal.timeout(15_000), headers: { connection: "close" } }
  const answer = await fetch(`http://${at.address}:${published}/cgi-bin/who`, options)
  const [host = "", client = ""] = (await answer.text()).split(" ")
  return [host, client.replace(/[[\]]|::ffff:/g, "")]
}

/** The sum of the leader's figures that begin so. */
async function counts(figure: string): Promise<number> {
  const told = await fetch("http://leader/metrics", { unix: door() })
  const lines = (await told.text()).split("\n").filter((line) => line.startsWith(figure))
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" ") + 1)), 0)
}

test("a published port leads from every machine to the tasks of all of them; a task there sees its client's address, and each connection is counted", async () => {
  const all = await hostnames("web")
  for (const at of machines()) {
    const own = hostOf(await containerOn(at, "web"))
    const clients = new Map<string, string>()
    let asked = 0
    await elapsed(
      `all tasks answered by way of ${at.name}`,
      async () => {
        asked++
        clients.set(...(await who(at)))
        return clients.size === all.length
      },
      1,
      20_000
    )
    for (const [host, client] of clients) {
      if (host === own) expect(client).toBe(outside)
      else expect(client).toStartWith("10.0.0.")
    }
    await answers(at, "web", await vipOf("web"))
    const whose = `{service="web",service_id="${webId}",node="${at.name}"`
    const isCounted = async (): Promise<boolean> =>
      (await counts(`troupe_service_port_connections_total${whose}`)) === asked &&
      (await counts(`troupe_service_vip_connections_total${whose}`)) > 0
    await elapsed("its counters", isCounted, 200, 20_000)
  }
})

test("a published port answers at all of its machine's own addresses, of both families", () => {
  for (const at of machines()) {
    for (const address of [at.address, "127.0.0.1", "[::1]"]) {
      expect(on(at, "busybox", "wget", "-qO-", `http://${address}:${published}/name`)).not.toBe("")
    }
  }
})

test("published ports answer while an Engine is restarted and a node is killed; a rule of ours that is lost is back", async () => {
  const at = machine(1)
  const failures: Array<string> = []
  let [asked, goesOn] = [0, true]
  const asking = (async () => {
    while (goesOn) {
      asked++
      await who(at).catch((error: Error) => failures.push(error.message))
      await pause(5)
    }
  })()
  signal(at.nodePid, "SIGKILL")
  signal(at.enginePid, "SIGTERM")
  await elapsed("their end", async () => !isAlive(at.nodePid) && !isAlive(at.enginePid), 20, 30_000)
  await startAgain(at)
  await elapsed("its return", async () => (await containerOn(at, "web")) !== "", 50, 30_000)
  goesOn = false
  await asking
  expect([asked > 0, failures]).toEqual([true, []])

  const rules = (): string => on(at, "iptables", "-S", "DOCKER-USER")
  await elapsed("our rule", async () => rules().includes("troupe_ingress_"), 20, 30_000)
  on(at, "iptables", "-F", "DOCKER-USER")
  on(at, "iptables", "-A", "DOCKER-USER", "-j", "RETURN")
  await elapsed("our rule", async () => rules().includes("troupe_ingress_"), 20, 30_000)
  expect(rules().indexOf("troupe_ingress_")).toBeLessThan(rules().indexOf("RETURN"))
})

test("a client that speaks UDP to a task that leaves is given another", async () => {
  const ID = await create(
    "talk",
    { Replicated: { Replicas: 3 } },
    { Protocol: "udp", TargetPort: 9000, PublishedPort: 19000 }
  )
  await elapsed("three", async () => (await running(door(), "talk")).length === 3, 50, 60_000)
  const answering =
    "require('dgram').createSocket('udp4').on('message', function (m, { port, address }) { this.send(process.argv[1], port, address) }).bind(9000)"
  const servers: Array<ChildProcess> = []
  const clients: Array<dgram.Socket> = []
  try {
    for (const at of machines()) {
      const id = await containerOn(at, "talk")
      const { State } = await call<{ readonly State: { readonly Pid: number } }>(
        ...([engineOf(at.name), "GET", `/containers/${id}/json`] as const)
      )
      const args = [`--net=/proc/${State.Pid}/ns/net`, process.execPath, "-e", answering, id]
      servers.push(spawn("nsenter", args, { stdio: "ignore" }))
    }
    const last = new Map<dgram.Socket, string>()
    const ask = (): void => {
      for (const client of clients) client.send("?", 19000, machine(0).address)
    }
    await elapsed(
      "answers of all three",
      async () => {
        // Each stays with the task that it was given.
        const client = dgram.createSocket("udp4")
        client.on("message", (text) => void last.set(client, String(text)))
        clients.push(client)
        ask()
        return new Set(last.values()).size === 3
      },
      50,
      20_000
    )
    const { Version, Spec } = await view("talk")
    await call(door(), "POST", `/services/${ID}/update?version=${Version.Index}`, {
      ...Spec,
      Mode: { Replicated: { Replicas: 1 } }
    })
    last.clear()
    await elapsed(
      "answers of the one that is left, to all",
      async () => {
        ask()
        return last.size === clients.length && new Set(last.values()).size === 1
      },
      50,
      20_000
    )
  } finally {
    for (const server of servers) server.kill()
    for (const client of clients) client.close()
  }
})
