/**
 * What a node's credentials are good for, by trying: those of a worker, of a node that was removed, and of a manager that
 * was demoted. All are real, and so is the nats-server that they are shown to.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test"
import { Buffer } from "node:buffer"
import tls from "node:tls"
import { Effect } from "effect"
import { headers, type NatsConnection, nkeys } from "nats"
import { renewMembership } from "#actors/authority/joining.ts"
import type { Held } from "#actors/authority/store.ts"
import { newRequest, signWords } from "#actors/authority/x509.ts"
import { signWithSeed } from "#actors/nats/creds.ts"
import type { FromLeader } from "#actors/node/protocol.ts"
import { header } from "#runtime/envelope.ts"
import { objectionTo } from "#test/actors/nats/support.ts"
import type { Cluster } from "#test/support/cluster.ts"
import { eventually } from "#test/support/engine.ts"
import { changeRole, mustWriteConfig } from "#test/support/managers.ts"
import { address, connectWith, heldBy, seedsOf, Trusting } from "#test/support/trusting.ts"

setDefaultTimeout(120_000)

let cluster: Trusting
let w1: Cluster
let w2: Cluster
const open: Array<NatsConnection> = []

beforeAll(async () => {
  cluster = await Trusting.start(3)
  w1 = cluster.worker
  w2 = await cluster.joinWorker("w2")
  await cluster.ready(5)
}, 180_000)
afterAll(async () => {
  await Promise.all(open.map((one) => one.close()))
  await cluster?.cleanUp()
}, 60_000)

async function connectAs(
  node: Cluster,
  options: {
    readonly to?: Cluster
    readonly which?: "daemon" | "api" | "raft" | "system"
    readonly held?: Held
  } = {}
): Promise<NatsConnection> {
  const { to = cluster.first, which = "daemon", held = heldBy(node) } = options
  const { nodeId } = held.membership
  const inbox = which === "daemon" ? nodeId : `${which}-${nodeId}`
  const connection = await connectWith(to, held, seedsOf(node)[which], `_INBOX.${inbox}`)
  open.push(connection)
  return connection
}

/** What the server objects to when `connection` publishes there. */
const publishing = (connection: NatsConnection, subject: string) =>
  objectionTo(connection, () => connection.publish(subject, Buffer.from("{}")))
const subscribing = (connection: NatsConnection, subject: string) =>
  objectionTo(connection, () => void connection.subscribe(subject, { callback: () => {} }))
const violation = expect.stringContaining("Permissions Violation")

/** Says a message to `leader/node/<id>` as a node does; the answer. */
async function ask(connection: NatsConnection, id: string, message: unknown) {
  const carried = headers()
  carried.set(header.id, crypto.randomUUID())
  carried.set(header.deadline, "5000")
  const subject = `troupe.v1.${heldBy(w1).membership.clusterId}.leader.node.${id}.in`
  const answer = await connection.request(subject, Buffer.from(JSON.stringify(message)), {
    timeout: 5_000,
    headers: carried
  })
  return JSON.parse(answer.string())
}

/** All that the leader says that node `id` shall hold, to whoever comes with its credentials. */
async function assignmentOf(connection: NatsConnection, id: string): Promise<FromLeader> {
  const { clusterId } = heldBy(w1).membership
  const description = (await cluster.first.get(`/nodes/${id}`)).Description
  const heard: Array<FromLeader> = []
  connection.subscribe(`troupe.v1.${clusterId}.${id}.session.main.in`, {
    callback: (_error, message) => void heard.push(JSON.parse(message.string()))
  })
  await connection.flush()
  const { session } = await ask(connection, id, {
    _tag: "Register",
    boot: "stolen",
    description,
    addr: address
  })
  await ask(connection, id, { _tag: "Heartbeat", session, applied: 0 })
  connection.publish(
    `troupe.v1.${clusterId}.leader.node.${id}.in`,
    Buffer.from(JSON.stringify({ _tag: "Resync", session }))
  )
  // What was said to the node itself may be on its way yet.
  const isOurs = (said: FromLeader): boolean =>
    said._tag === "Assign" && said.complete && said.session === session
  await eventually(() => heard.some(isOurs), "all of it is told")
  return heard.find(isOurs) as FromLeader
}

/** Whether a server of the cluster would let a server in that shows this. */
function joinsRoutes(to: Cluster, held: Held, password: string): Promise<boolean> {
  const { route: port } = heldBy(to).ports
  const { certificate: cert, root: ca, clusterId } = held.membership
  return new Promise((resolve) => {
    const options = { host: address, port, cert, key: held.key, ca, servername: "swarm-manager" }
    const secure = tls.connect(options, () => {
      const login = {
        user: "route",
        pass: password,
        tls_required: true,
        name: "stranger",
        cluster: clusterId
      }
      secure.write(`CONNECT ${JSON.stringify(login)}\r\nPING\r\n`)
    })
    let said = ""
    const end = (isIn: boolean): void => {
      secure.destroy()
      resolve(isIn)
    }
    secure.on("data", (part) => {
      said += part
      if (said.includes("PONG")) end(true)
      if (said.includes("-ERR")) end(false)
    })
    secure.on("error", () => end(false))
    secure.on("close", () => end(false))
  })
}

describe("the credentials of a worker", () => {
  test("say nothing in another's name, and nothing to another node, Raft, the ledger or other systems", async () => {
    const connection = await connectAs(w1)
    const { nodeId, clusterId } = heldBy(w1).membership
    const other = w2.nodeId
    const manager = cluster.first.nodeId
    const at = `troupe.v1.${clusterId}`
    expect(await publishing(connection, `${at}.leader.node.${nodeId}.in`)).toBeUndefined()
    expect(await publishing(connection, `troupe.copy.v1.${clusterId}.${other}.${nodeId}`)).toBeUndefined()
    expect(await publishing(connection, `troupe.log.v1.${clusterId}.web.t1.${nodeId}`)).toBeUndefined()
    for (const subject of [
      `${at}.leader.node.${other}.in`,
      `${at}.leader.node.${nodeId}.sys`,
      `${at}.leader.service.any.in`,
      `${at}.leader.dispatcher.main.in`,
      `${at}.leader.members.main.in`,
      `${at}.leader.keymaster.main.in`,
      `${at}.manager.ledger.main.in`,
      `${at}.${other}.session.main.in`,
      `${at}.${other}.certificate.main.sys`,
      `${at}.${manager}.nats.main.in`,
      `${at}.${manager}.raft.${nodeId}.control`,
      `${at}.${manager}.raft.${manager}.append`,
      `${at}.${nodeId}.task.any.out`,
      `${at}.${other}.system.main.sys`,
      `${at}.${other}.logs.main.in`,
      `troupe.copy.v1.${clusterId}.${manager}.${other}`,
      `troupe.log.v1.${clusterId}.web.t1.${other}`,
      `troupe.event.v1.${clusterId}.node.update.${other}`,
      `troupe.api.v1.service.create`,
      `_INBOX.${other}.answer`,
      "$SYS.REQ.SERVER.PING"
    ]) {
      expect([subject, await publishing(connection, subject)]).toEqual([subject, violation])
    }
  })

  test("show on its machine what runs there, and nothing of elsewhere", async () => {
    expect(await w1.troupe("tree")).toContain("session/main")
    expect(await w1.troupe("doctor").catch(({ message }) => message)).toContain("every actor is well")
    await expect(w1.troupe("tree", "--node", w2.nodeId)).rejects.toThrow()
  })

  test("hear nothing but what is said to itself", async () => {
    const connection = await connectAs(w1)
    const { nodeId, clusterId } = heldBy(w1).membership
    const other = w2.nodeId
    const at = `troupe.v1.${clusterId}`
    for (const subject of [`${at}.${nodeId}.>`, `_INBOX.${nodeId}.>`]) {
      expect([subject, await subscribing(connection, subject)]).toEqual([subject, undefined])
    }
    for (const subject of [
      ">",
      "troupe.>",
      `${at}.>`,
      `${at}.*.session.main.in`,
      `${at}.${other}.>`,
      `${at}.${other}.session.main.in`,
      `${at}.leader.>`,
      `${at}.leader.node.${nodeId}.in`,
      `${at}.*.raft.>`,
      `${at}.${cluster.first.nodeId}.raft.*.append`,
      `troupe.event.v1.>`,
      `troupe.log.v1.>`,
      `troupe.copy.v1.${clusterId}.${other}.${nodeId}`,
      `troupe.copy.v1.${clusterId}.*.*`,
      "troupe.api.v1.>",
      "_INBOX.>",
      `_INBOX.${other}.>`,
      `_INBOX.${cluster.first.nodeId}.>`,
      "$SYS.>"
    ]) {
      expect([subject, await subscribing(connection, subject)]).toEqual([subject, violation])
    }
  })

  test("open none of the other connections, and no route between servers", async () => {
    for (const which of ["api", "raft", "system"] as const) {
      await expect(connectAs(w1, { which })).rejects.toThrow("Authorization")
    }
    expect(await joinsRoutes(cluster.first, heldBy(w1), "")).toBe(false)
    expect(await joinsRoutes(cluster.first, heldBy(w1), "guessed")).toBe(false)
    const manager = heldBy(cluster.first)
    expect(await joinsRoutes(cluster.first, manager, manager.membership.routePassword ?? "")).toBe(true)
  })

  test("DI-03 open nothing without its certificate, nor its certificate without its nkey", async () => {
    const own = heldBy(w1)
    await expect(
      connectWith(
        cluster.first,
        { ...own, membership: { ...own.membership, certificate: "" }, key: "" },
        seedsOf(w1).daemon
      )
    ).rejects.toThrow()
    await expect(
      connectWith(cluster.first, own, new TextDecoder().decode(nkeys.createUser().getSeed()))
    ).rejects.toThrow("Authorization")
  })

  test("a task whose node is gone is read from the copy that another node has, which says so", async () => {
    const name = "talker"
    const service = await cluster.first.api("POST", "/services/create", {
      Name: name,
      TaskTemplate: {
        ContainerSpec: {
          Image: "host",
          Command: ["sh", "-c", "for i in 1 2 3 4 5; do echo word $i; done; exec sleep 600"]
        },
        Placement: { Constraints: ["node.hostname==w2"] }
      },
      Mode: { Replicated: { Replicas: 1 } }
    })
    expect(service.status).toBe(201)
    const manager = await connectAs(cluster.first)
    const { clusterId } = heldBy(w1).membership
    const copies = async () => {
      const nodes = (await cluster.nodes()).filter(({ ID }) => ID !== w2.nodeId)
      const found = nodes.map(async ({ ID }) => {
        const subject = `troupe.v1.${clusterId}.${ID}.logs.main.in`
        const list = Buffer.from(JSON.stringify({ _tag: "List", service: service.body.ID }))
        const carried = headers()
        carried.set(header.id, crypto.randomUUID())
        carried.set(header.deadline, "5000")
        const answer = await manager.request(subject, list, { timeout: 5_000, headers: carried })
        return JSON.parse(answer.string()).copies ?? []
      })
      return (await Promise.all(found)).flat()
    }
    const [task] = await (async () => {
      let tasks: ReadonlyArray<{ readonly ID: string; readonly Status: { readonly State: string } }> = []
      await eventually(async () => {
        tasks = await cluster.first.get(`/tasks?filters=${encodeURIComponent(`{"service":["${name}"]}`)}`)
        return tasks[0]?.Status.State === "running"
      }, "it runs")
      return tasks
    })()
    let fifth = ""
    await eventually(async () => {
      const { text } = await cluster.first.docker("service", "logs", "--raw", "--timestamps", task?.ID ?? "")
      fifth = /^(\S+) word 5$/m.exec(text)?.[1] ?? ""
      return fifth !== ""
    }, "it has said all of it")
    await eventually(
      async () => (await copies()).some((copy) => copy.task === task?.ID && copy.newest >= fifth),
      "there is a copy of it",
      30_000
    )
    await w2.kill9()
    await eventually(
      async () =>
        (await cluster.nodes()).some(({ ID, Status }) => ID === w2.nodeId && Status.State === "down"),
      "its node is missed",
      30_000
    )
    const { text, stderr } = await cluster.first.docker("service", "logs", "--raw", task?.ID ?? "")
    expect(text.trim().split("\n")).toEqual([1, 2, 3, 4, 5].map((n) => `word ${n}`))
    expect(stderr).toMatch(
      /^troupe: node w2 is not available: what follows is its copy on node (m\d|w1), up to \S+Z$/m
    )
    await w2.start()
    await cluster.ready(5)
    expect((await cluster.first.api("DELETE", `/services/${name}`)).status).toBe(200)
  })

  test("read no secret that its node does not need, where those of the other node do", async () => {
    const created = await cluster.first.api("POST", "/secrets/create", { Name: "hush", Data: "aHVzaC1odXNo" })
    expect(created.status).toBe(201)
    const service = await cluster.first.api("POST", "/services/create", {
      Name: "keeper",
      TaskTemplate: {
        ContainerSpec: {
          Image: "host",
          Command: ["sleep", "600"],
          Secrets: [
            {
              SecretID: created.body.ID,
              SecretName: "hush",
              File: { Name: "hush", UID: "0", GID: "0", Mode: 0o400 }
            }
          ]
        },
        Placement: { Constraints: ["node.hostname==w2"] }
      },
      Mode: { Replicated: { Replicas: 1 } }
    })
    expect(service.status).toBe(201)
    await eventually(async () => {
      const tasks = await cluster.first.get(`/tasks?filters=${encodeURIComponent('{"service":["keeper"]}')}`)
      return tasks.some((task: { NodeID: string }) => task.NodeID === w2.nodeId)
    }, "the task is the other node's")
    // Whoever stole the credentials speaks alone.
    await Promise.all([w1.stop(), w2.stop()])
    const thief = await connectAs(w1)
    const stolen = await assignmentOf(thief, w1.nodeId)
    expect(stolen.secrets).toEqual([])
    expect(JSON.stringify(stolen)).not.toContain("aHVzaC1odXNo")
    await expect(ask(thief, w2.nodeId, { _tag: "AskManagers" })).rejects.toThrow()
    expect((await assignmentOf(await connectAs(w2), w2.nodeId)).secrets).toMatchObject([
      { data: "aHVzaC1odXNo" }
    ])
    await Promise.all([w1.start(), w2.start()])
    await cluster.ready(5)
  })
})

/** Whether nobody lets these credentials in: not one nats-server. */
async function isShutOut(node: Cluster, held: Held, seed: string): Promise<boolean> {
  for (const manager of cluster.managers.all) {
    if (manager === node) continue
    const connection = await connectWith(manager, held, seed).catch(() => undefined)
    if (connection === undefined) continue
    await connection.close()
    return false
  }
  return true
}

const renewAtDoor = async (held: Held, seed: string): Promise<string> => {
  const { pem: csr } = await Effect.runPromise(newRequest)
  const { certificate, root } = held.membership
  const asked = renewMembership(`${address}:${heldBy(cluster.first).ports.join}`, root, {
    certificate,
    csr,
    signature: signWords(csr, held.key),
    nkeySignature: signWithSeed(csr, seed)
  })
  return Effect.runPromise(
    Effect.match(asked, { onSuccess: ({ role }) => role, onFailure: ({ message }) => message })
  )
}

describe("who is no longer what it was", () => {
  test("CA-04 a node that is removed is refused everywhere at once, and its living connections end", async () => {
    const [held, { daemon: seed }] = [heldBy(w2), seedsOf(w2)]
    const living = await Promise.all(cluster.managers.all.map((to) => connectAs(w2, { to })))
    expect(await renewAtDoor(held, seed)).toBe("worker")
    await cluster.first.must("node", "rm", "--force", "w2")
    await Promise.all(living.map((one) => one.closed()))
    expect(living.every((one) => one.isClosed())).toBe(true)
    expect(await isShutOut(w2, held, seed)).toBe(true)
    expect(await renewAtDoor(held, seed)).toContain(`node ${w2.nodeId} is not of this cluster`)
    expect((await cluster.nodes()).map(({ ID }) => ID)).not.toContain(w2.nodeId)
  })

  test("RF-24 a manager that is demoted loses its rights, its connections, and the routes' password", async () => {
    const [, , third] = cluster.managers.all as [Cluster, Cluster, Cluster]
    const held = heldBy(third)
    const { clusterId, nodeId, raftId, routePassword = "" } = held.membership
    const leaders = `troupe.v1.${clusterId}.leader.service.any.in`
    const living = await connectAs(third)
    expect(await publishing(living, leaders)).toBeUndefined()
    const speaker = await connectAs(third, { which: "raft" })
    expect(await publishing(speaker, `troupe.v1.${clusterId}.x.raft.${raftId}.control`)).toBeUndefined()
    expect(await joinsRoutes(cluster.first, held, routePassword)).toBe(true)

    const writes = writing()
    await changeRole(cluster.first, "demote", "m3")
    await speaker.closed()
    // The key of its actors is a worker's now, also on the connection that it has.
    await eventually(
      async () => (await publishing(living, leaders))?.includes("Permissions Violation") === true,
      "what it may say has changed"
    )
    for (const which of ["api", "raft", "system"] as const) {
      await expect(connectAs(third, { which, held })).rejects.toThrow("Authorization")
    }
    const later = await connectAs(third, { held })
    expect(await publishing(later, leaders)).toEqual(violation)
    expect(await publishing(later, `troupe.v1.${clusterId}.leader.node.${nodeId}.in`)).toBeUndefined()
    await eventually(
      async () => !(await joinsRoutes(cluster.first, held, routePassword)),
      "the old password opens no route",
      30_000
    )
    expect(await renewAtDoor(held, seedsOf(third).daemon)).toBe("worker")
    // The others found to each other again, by another password.
    await eventually(
      async () => heldBy(cluster.first).membership.routePassword !== routePassword,
      "there is another password"
    )
    await eventually(
      async () => (await third.api("GET", "/info")).body.Swarm?.ControlAvailable === false,
      "it is a worker",
      30_000
    )
    await cluster.ready(4)
    expect(await writes.end()).toBeGreaterThan(0)
  })

  test("a manager that was away while routes got another password finds back to the others, or out", async () => {
    const [, second, third] = cluster.managers.all as [Cluster, Cluster, Cluster]
    // Four, so that there is a majority without two of them.
    for (const name of ["m3", "w1"]) await changeRole(cluster.first, "promote", name)
    for (const name of ["m3", "w1"]) {
      await eventually(async () => (await reachability(name)) === "reachable", `${name} is a manager`, 60_000)
    }
    const before = heldBy(cluster.first).membership.routePassword
    expect(heldBy(second).membership.routePassword).toBe(before)
    // One that is away is demoted, then another one is away while the password changes.
    await third.stop()
    await eventually(async () => (await reachability("m3")) === "unreachable", "m3 is missed", 30_000)
    await changeRole(cluster.first, "demote", "m3")
    await eventually(async () => (await reachability("m3")) === undefined, "m3 is no manager", 30_000)
    // At once: the password changes five seconds after.
    await second.kill9()
    await eventually(
      async () => heldBy(cluster.first).membership.routePassword !== before,
      "there is another password",
      60_000
    )
    expect(heldBy(second).membership.routePassword).toBe(before)
    await second.start()
    await eventually(async () => (await reachability("m2")) === "reachable", "m2 is back", 60_000)
    await third.start()
    await eventually(
      async () => (await third.api("GET", "/info")).body.Swarm?.ControlAvailable === false,
      "m3 is a worker",
      60_000
    )
    await eventually(
      async () => (await cluster.nodes()).every(({ Status }) => Status.State === "ready"),
      "every node is there",
      60_000
    )
  })
})

const reachability = async (name: string): Promise<string | undefined> =>
  (await cluster.nodes()).find(({ Description }) => Description.Hostname === name)?.ManagerStatus
    ?.Reachability

/** Writes through the first manager until told to end; how many there were. */
function writing() {
  let isOver = false
  let writes = 0
  const done = (async () => {
    while (!isOver) {
      await mustWriteConfig(cluster.first, `rights-${writes++}`)
    }
  })()
  return {
    end: async (): Promise<number> => {
      isOver = true
      await done
      return writes
    }
  }
}
