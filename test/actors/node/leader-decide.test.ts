import { describe, expect, test } from "bun:test"
import { Schema } from "effect"
import type { RenewalRequest } from "#actors/authority/renew.ts"
import type { Command } from "#actors/ledger/commands.ts"
import type { WriteOutcome } from "#actors/ledger/service.ts"
import type { Propose } from "#actors/ledger/writer.ts"
import type { NodeDescription, WireGuard } from "#actors/model/objects.ts"
import type { ManagerPorts } from "#actors/model/trust.ts"
import {
  decide,
  heartbeatMs,
  type NodeAction,
  type NodeMessage,
  type NodeState,
  start
} from "#actors/node/decide.ts"
import { ToNodeAnswer } from "#actors/node/protocol.ts"
import type { CommonAction } from "#runtime/actions.ts"
import { address } from "#runtime/address.ts"
import type { ReplyTo, Step } from "#runtime/behaviour.ts"
import { Fresh } from "#runtime/ids.ts"
import { Book } from "#test/support/ledger.ts"
import { somePorts } from "#test/support/trust.ts"

const description: NodeDescription = {
  Hostname: "n1",
  Platform: { OS: "linux", Architecture: "x86_64" },
  Resources: { NanoCPUs: 2e9, MemoryBytes: 4e9 },
  Engine: { EngineVersion: "20.10.24" }
}

type Action = NodeAction | CommonAction

/** One node's actor with a clock, a timer and a ledger that a test moves. */
class Desk {
  readonly book = new Book().cluster()
  readonly fresh = Fresh.from(3)
  readonly answers: Array<unknown> = []
  readonly told: Array<unknown> = []
  readonly asked: Array<Propose> = []
  readonly issued: Array<RenewalRequest> = []
  readonly certified: Array<string> = []
  /** Where those were to be reached who asked for a certificate, in the same order. */
  readonly named: Array<string | undefined> = []
  state: NodeState
  checkAt: number | undefined
  /** When nobody would wait for its tasks any longer. */
  orphansAfterMs: number | undefined
  /** What the dispatcher makes of a node that is missed: lost, unless nobody else is heard either. */
  othersAreHeard = true
  #asks = 0

  constructor(ownId = "manager") {
    this.book.node("n1", { Description: description })
    this.state = undefined as never
    this.#follow(start({ ledger: this.book.tables, ownId }, this.#moment()))
  }

  get now(): number {
    return this.book.time
  }

  /** Another manager begins to lead, and with it another actor. */
  handOver(): this {
    this.checkAt = undefined
    this.#follow(start({ ledger: this.book.tables, ownId: "other" }, this.#moment()))
    return this
  }

  #moment(asker?: ReplyTo) {
    const self = address("leader", "node", "n1")
    return { now: this.now, fresh: this.fresh, self, ...(asker && { asker }) }
  }

  #follow(step: Step<NodeState, NodeAction>): void {
    this.state = step.state
    for (const action of step.actions as ReadonlyArray<Action>) {
      if (action._tag === "Reply") this.answers.push(action.message)
      else if (action._tag === "Tell") this.told.push(action.message)
      else if (action._tag === "Propose") this.asked.push(action)
      else if (action._tag === "Certify") {
        this.certified.push(action.csr)
        this.named.push(action.addr)
      } else if (action._tag === "Issue") this.issued.push(action.request)
      else if (action._tag === "Later" && action.key === "check") this.checkAt = this.now + action.afterMs
      else if (action._tag === "Later" && action.key === "orphan") this.orphansAfterMs = action.afterMs
    }
  }

  say(message: NodeMessage): this {
    this.#asks += 1
    this.#follow(
      decide(this.state, message, this.#moment({ to: `asker-${this.#asks}`, deadline: this.now + 1_000 }))
    )
    return this
  }

  /** Ends the write under way; the ledger applies it unless another outcome is given. */
  write(outcome?: WriteOutcome): this {
    const asked = this.asked.shift()
    if (asked === undefined) throw new Error("nothing is being written")
    const applied: WriteOutcome = { _tag: "Applied", applied: { index: 0 } }
    if (outcome === undefined) for (const command of asked.commands) this.book.must(command)
    return this.say({ _tag: "Proposed", why: asked.why, outcome: outcome ?? applied })
  }

  beatsEvery(seconds: number): void {
    const version = this.book.tables.cluster()?.Version.Index ?? 0
    const spec = { Dispatcher: { HeartbeatPeriod: seconds * 1_000_000_000 } }
    this.book.must({ type: "cluster.update", v: 1, version, spec })
  }

  register(): string {
    this.say({ _tag: "Register", boot: "b", description, addr: "192.168.0.1" })
    if (this.asked.length > 0) this.write()
    const answer = this.answers.at(-1) as { session: string }
    return answer.session
  }

  /** Lets time pass; the timer fires when it should, or `late` milliseconds after. */
  pass(ms: number, late = 0): this {
    const until = this.now + ms
    while (this.checkAt !== undefined && this.checkAt + late <= until) {
      this.book.time = Math.max(this.now, this.checkAt + late)
      this.checkAt = undefined
      const before = this.told.length
      this.say({ _tag: "Check" })
      if (this.othersAreHeard && tags(this.told.slice(before)).includes("Missed")) this.say({ _tag: "Lost" })
    }
    this.book.time = Math.max(this.now, until)
    return this
  }

  /** Sets the leader's clock ahead, or back; its timers go on as they were. */
  setClock(byMs: number): this {
    this.book.time += byMs
    if (this.checkAt !== undefined) this.checkAt += byMs
    return this
  }

  get status() {
    return this.book.tables.get("node", "n1")?.Status.State
  }
}

const tags = (messages: ReadonlyArray<unknown>) =>
  messages.map((message) => (message as { _tag: string })._tag)

describe("sessions", () => {
  test("DI-01 registering again gives another session, and the first is no longer known", () => {
    const desk = new Desk()
    const first = desk.register()
    const second = desk.register()
    expect(second).not.toBe(first)
    desk.say({ _tag: "Heartbeat", session: first, applied: 0 })
    expect(desk.answers.at(-1)).toEqual({ _tag: "SessionInvalid" })
  })

  test("a registration is answered when it is in the ledger, and the dispatcher hears of it", () => {
    const desk = new Desk()
    desk.book.must({ type: "node.observe", v: 1, nodes: [{ id: "n1", status: { State: "down" } }] })
    desk.say({ _tag: "Register", boot: "b", description, addr: "10.1.1.1" })
    expect(desk.answers).toEqual([])
    desk.write()
    expect(desk.book.tables.get("node", "n1")?.Status).toEqual({ State: "ready", Addr: "10.1.1.1" })
    expect(desk.answers).toMatchObject([{ _tag: "Registered", heartbeatMs: 1_000 }])
    expect(tags(desk.told)).toEqual(["SessionOpened"])
  })

  test("what others write of a node while its registration is on its way stays", () => {
    const desk = new Desk()
    const gateway = (NetworkID: string) => ({ NetworkID, Addresses: ["10.0.0.3/24"] })
    desk.book.must({ type: "node.gateways", v: 1, nodes: [{ id: "n1", gateways: [gateway("net1")] }] })
    desk.say({ _tag: "Register", boot: "b", description, addr: "10.1.1.1" })
    const gateways = [gateway("net1"), gateway("net2")]
    desk.book.must({ type: "node.gateways", v: 1, nodes: [{ id: "n1", gateways }] })
    desk.write()
    expect(desk.book.tables.get("node", "n1")).toMatchObject({
      Description: description,
      Status: { State: "ready", Addr: "10.1.1.1" },
      Gateways: gateways
    })
  })

  test("and one that is removed meanwhile is let in by no nats-server, whatever stands of it", () => {
    const desk = new Desk()
    const keys = { daemon: "d", api: "a", raft: "r", system: "s" }
    desk.book.node("n1", { Description: description, Keys: keys })
    desk.say({ _tag: "Register", boot: "b", description, addr: "10.1.1.1" })
    desk.book.must({ type: "node.remove", v: 1, id: "n1", force: true })
    desk.write()
    expect(desk.book.tables.get("node", "n1")?.Keys).toBeUndefined()
  })

  test("a node that says nothing new registers without an entry in the log, with a manager that leads still", () => {
    const desk = new Desk()
    desk.say({ _tag: "Register", boot: "b", description, addr: "192.168.0.1" })
    expect(desk.asked.map(({ commands }) => commands)).toEqual([[]])
    desk.write({ _tag: "Unknown", message: "nobody answers" })
    expect(desk.answers).toEqual([])
    desk.say({ _tag: "WriteAgain" }).write()
    expect(tags(desk.answers)).toEqual(["Registered"])
  })

  test("RF-15 a manager that registers from another address is known by it, and its join port, too", () => {
    const desk = new Desk()
    const status = { Reachability: "reachable", Addr: "192.168.0.1:2377", Ports: somePorts } as const
    desk.book.node("n1", { Description: description, ManagerStatus: status })
    desk.say({ _tag: "Register", boot: "b", description, addr: "10.1.1.1" }).write()
    const { Status, ManagerStatus } = desk.book.tables.get("node", "n1") ?? {}
    expect(Status?.Addr).toBe("10.1.1.1")
    expect(ManagerStatus).toEqual({ ...status, Addr: `10.1.1.1:${somePorts.join}` })
    // Those of earlier releases left the door where it was.
    desk.book.node("n1", {
      Description: description,
      Status: { State: "ready", Addr: "10.1.1.1" },
      ManagerStatus: status
    })
    desk.say({ _tag: "Register", boot: "b", description, addr: "10.1.1.1" }).write()
    expect(desk.book.tables.get("node", "n1")?.ManagerStatus?.Addr).toBe(`10.1.1.1:${somePorts.join}`)
    desk.say({ _tag: "Register", boot: "b", description, addr: "10.1.1.1" })
    expect(desk.asked.flatMap(({ commands }) => commands)).toEqual([])
  })

  test("what entrances are asked, and who waits, is told to services that scale, by a session that is known", () => {
    const desk = new Desk()
    for (const [id, Labels] of [
      ["web", { "troupe.autoscale.max": "3" }],
      ["plain", {}]
    ] as const) {
      const Spec = { Name: id, Labels, TaskTemplate: {} }
      desk.book.must({ type: "service.create", v: 1, service: { ID: id, SpecVersion: 1, Spec } })
    }
    const session = desk.register()
    desk.told.length = 0
    const services = ["web", "plain", "nobody"].map((id) => ({ id, rps: 2, inflight: 1, took: [2] }))
    desk.say({ _tag: "Requests", session, services })
    desk.say({ _tag: "Waiting", session, services: ["plain", "web", "nobody"] })
    desk.say({ _tag: "Requests", session: "other", services })
    desk.say({ _tag: "Waiting", session: "other", services: ["web"] })
    expect(desk.told).toEqual([
      { _tag: "Requests", node: "n1", rps: 2, inflight: 1, took: [2] },
      { _tag: "Waiting" }
    ])
  })

  test("DI-04 a valid heartbeat is answered with the period, a wrong one with SessionInvalid", () => {
    const desk = new Desk()
    const session = desk.register()
    desk.say({ _tag: "Heartbeat", session, applied: 3 })
    expect(desk.answers.at(-1)).toMatchObject({ _tag: "Beat", heartbeatMs: 1_000 })
    expect(desk.told.at(-1)).toEqual({ _tag: "Heard", nodeId: "n1", session, applied: 3 })
    desk.say({ _tag: "Heartbeat", session: "other", applied: 3 })
    expect(desk.answers.at(-1)).toEqual({ _tag: "SessionInvalid" })
  })

  test("a heartbeat tells who has the copy of the node's logs, once every manager lets nodes send them", () => {
    const desk = new Desk()
    const second = { ...description, Hostname: "n2", FeatureLevel: 11 }
    desk.book.node("n2", { Description: second })
    const session = desk.register()
    const told = (): unknown => {
      desk.say({ _tag: "Heartbeat", session, applied: 0 })
      return (desk.answers.at(-1) as { readonly copyTo?: string }).copyTo
    }
    desk.book.must({ type: "cluster.raise", v: 1, level: 10 })
    expect(told()).toBeUndefined()
    desk.book.must({ type: "cluster.raise", v: 1, level: 11 })
    expect(told()).toBe("n2")
    desk.book.must({ type: "node.observe", v: 1, nodes: [{ id: "n2", status: { State: "down" } }] })
    expect(told()).toBeUndefined()
  })

  test("a heartbeat says with another number that managers are reached elsewhere, and not that one was heard", () => {
    const desk = new Desk()
    const session = desk.register()
    const told = (): number | undefined => {
      desk.say({ _tag: "Heartbeat", session, applied: 0 })
      return (desk.answers.at(-1) as { readonly managers?: number }).managers
    }
    const keys = { daemon: "d", api: "a", raft: "r", system: "s" }
    const status = { Reachability: "reachable", Addr: "10.0.0.2:2377", RaftId: "r2" } as const
    const manager = (Ports: ManagerPorts): void => {
      desk.book.node("n2", { Keys: keys, ManagerStatus: { ...status, Ports } })
    }
    const numbers = [told()]
    manager({ join: 2377, nats: 4222, route: 6222 })
    numbers.push(told())
    manager({ join: 2377, nats: 4223, route: 6222 })
    numbers.push(told())
    expect(new Set(numbers).size).toBe(3)
    desk.book.must({ type: "node.observe", v: 1, nodes: [{ id: "n2", status: { State: "down" } }] })
    expect(told()).toBe(numbers[2])
  })

  test("DI-18 the period is the cluster's as it is now; Swarm's default stands for ours", () => {
    const desk = new Desk()
    desk.beatsEvery(5)
    expect(heartbeatMs(desk.book.tables)).toBe(1_000)
    desk.beatsEvery(2)
    expect(heartbeatMs(desk.book.tables)).toBe(2_000)
  })

  test("DI-18 of a period that is no whole number of milliseconds, or none at all, nodes are told one that they can keep", () => {
    for (const [seconds, ms] of [
      [0.333_3, 334],
      [0.000_000_001, 100]
    ] as const) {
      const desk = new Desk()
      desk.beatsEvery(seconds)
      const session = desk.register()
      desk.say({ _tag: "Heartbeat", session, applied: 0 })
      for (const answer of desk.answers) {
        expect(Schema.decodeUnknownSync(ToNodeAnswer)(answer)).toMatchObject({ heartbeatMs: ms })
      }
    }
  })

  test("DI-18 a node is missed by the period that it was told, until it beats and is told another one", () => {
    const desk = new Desk()
    desk.beatsEvery(30)
    const session = desk.register()
    desk.pass(85_000).say({ _tag: "Heartbeat", session, applied: 0 })
    desk.beatsEvery(1)
    desk.pass(20_000)
    expect(tags(desk.told)).not.toContain("Missed")
    desk.say({ _tag: "Heartbeat", session, applied: 0 })
    expect(desk.answers.at(-1)).toMatchObject({ _tag: "Beat", heartbeatMs: 1_000 })
    // It was in time by what it had been told before.
    desk.say({ _tag: "Heartbeat", session, applied: 0 }).pass(7_000)
    expect(tags(desk.told)).toContain("Missed")
  })

  test("a session that the dispatcher forgot has to be opened again", () => {
    const desk = new Desk()
    const session = desk.register()
    desk.say({ _tag: "Expire", session }).say({ _tag: "Heartbeat", session, applied: 0 })
    expect(desk.answers.at(-1)).toEqual({ _tag: "SessionInvalid" })
  })

  test("DI-19 a changed description is written down", () => {
    const desk = new Desk()
    const session = desk.register()
    const more = { ...description, Resources: { NanoCPUs: 8e9, MemoryBytes: 4e9 } }
    desk.say({ _tag: "Describe", session, description: more }).write()
    expect(desk.book.tables.get("node", "n1")?.Description).toEqual(more)
    desk.say({ _tag: "Describe", session, description: more })
    expect(desk.asked).toEqual([])
  })
})

describe("where managers are", () => {
  const manager = (port: number) => ({
    ManagerStatus: {
      Reachability: "reachable" as const,
      Addr: "",
      Ports: { join: port, nats: port + 1, route: port + 2 }
    },
    Keys: { daemon: `D${port}`, api: `A${port}`, raft: `R${port}`, system: `S${port}` }
  })

  test("DI-17 is told to a node that asks, with the address and key of each, and as it is by now", () => {
    const desk = new Desk()
    const asked = () => desk.say({ _tag: "AskManagers" }).answers.at(-1)
    expect(asked()).toEqual({ _tag: "Managers", managers: [] })
    desk.book.node("m1", manager(100))
    desk.book.node("m2", { ...manager(200), Status: { State: "ready", Addr: "192.168.0.2" } })
    expect(asked()).toEqual({
      _tag: "Managers",
      managers: [
        {
          nodeId: "m1",
          raftId: "m1",
          address: "192.168.0.1",
          ports: { join: 100, nats: 101, route: 102 },
          keys: { daemon: "D100", api: "A100", raft: "R100", system: "S100" }
        },
        {
          nodeId: "m2",
          raftId: "m2",
          address: "192.168.0.2",
          ports: { join: 200, nats: 201, route: 202 },
          keys: { daemon: "D200", api: "A200", raft: "R200", system: "S200" }
        }
      ]
    })
  })
})

describe("reports", () => {
  const report = (session: string, ...ids: ReadonlyArray<string>): NodeMessage => ({
    _tag: "Report",
    session,
    statuses: ids.map((id) => ({ id, status: { Timestamp: "2026-01-01T00:00:00.000Z", State: "running" } }))
  })

  test("are answered only once they are in the ledger, and those that come meanwhile travel together", () => {
    const desk = new Desk()
    const session = desk.register()
    desk.answers.length = 0
    desk.say(report(session, "a")).say(report(session, "b")).say(report(session, "c"))
    expect(desk.asked).toHaveLength(1)
    expect(desk.answers).toEqual([])
    desk.write()
    expect(tags(desk.answers)).toEqual(["Noted"])
    expect(desk.asked[0]?.commands).toMatchObject([
      { type: "tasks.report", node: "n1", statuses: [{ id: "b" }, { id: "c" }] }
    ])
    desk.write()
    expect(tags(desk.answers)).toEqual(["Noted", "Noted", "Noted"])
  })

  test("what could not be written is written again before anyone is answered", () => {
    const desk = new Desk()
    const session = desk.register()
    desk.answers.length = 0
    desk.say(report(session, "a")).write({ _tag: "Unknown", message: "no answer" })
    desk.say({ _tag: "WriteAgain" })
    expect(desk.asked[0]?.commands).toMatchObject([{ statuses: [{ id: "a" }] }])
    desk.write()
    expect(tags(desk.answers)).toEqual(["Noted"])
  })

  test("that are said again and again while nothing can be written are written once, as they are by then", () => {
    const desk = new Desk()
    const session = desk.register()
    const ids = Array.from({ length: 200 }, (_, at) => `task-${at}`.padEnd(25, "x"))
    const full: WriteOutcome = {
      _tag: "Refused",
      refusal: { code: "unavailable", message: "the disk is full" }
    }
    desk.say(report(session, ...ids)).write(full)
    for (let times = 0; times < 200; times++) {
      desk
        .say(report(session, ...ids))
        .say({ _tag: "WriteAgain" })
        .write(full)
    }
    const failed = { Timestamp: "2026-01-01T00:00:01.000Z", State: "failed" } as const
    desk.say({ _tag: "Report", session, statuses: [{ id: ids[7] as string, status: failed }] })
    // One that came late.
    desk
      .say(report(session, ids[7] as string))
      .write(full)
      .say({ _tag: "WriteAgain" })
    const [command] = desk.asked[0]?.commands ?? []
    const { statuses } = command as Extract<Command, { type: "tasks.report" }>
    expect(statuses.map(({ id }) => id)).toEqual(ids)
    expect(statuses[7]?.status).toEqual(failed)
    desk.answers.length = 0
    desk.write()
    expect(tags(desk.answers)).toEqual(Array.from({ length: 203 }, () => "Noted"))
    expect(desk.asked).toEqual([])
  })

  test("of a session that is over are not taken", () => {
    const desk = new Desk()
    desk.register()
    desk.say(report("old", "a"))
    expect(desk.answers.at(-1)).toEqual({ _tag: "SessionInvalid" })
    expect(desk.asked).toEqual([])
  })
})

describe("silence", () => {
  test("DI-05 after three seconds the node is down and its session is over", () => {
    const desk = new Desk()
    const session = desk.register()
    desk.pass(2_990)
    expect(desk.asked).toEqual([])
    desk.pass(10).write()
    expect(desk.status).toBe("down")
    expect(tags(desk.told)).toContain("SessionClosed")
    desk.say({ _tag: "Heartbeat", session, applied: 0 })
    expect(desk.answers.at(-1)).toEqual({ _tag: "SessionInvalid" })
  })

  test("a heartbeat in the last moment saves it", () => {
    const desk = new Desk()
    const session = desk.register()
    desk.pass(2_900).say({ _tag: "Heartbeat", session, applied: 0 }).pass(2_900)
    expect(desk.asked).toEqual([])
  })

  test("a timer that fires late says that we were held up: what was queued is heard first", () => {
    const desk = new Desk()
    const session = desk.register()
    desk.pass(60_000, 10_000)
    expect(desk.asked).toEqual([])
    desk.say({ _tag: "Heartbeat", session, applied: 0 })
    desk.pass(2_000)
    expect(desk.asked).toEqual([])
    expect(desk.status).toBe("ready")
  })

  test("who was held up waits a whole heartbeat, and a little, for what was queued", () => {
    const desk = new Desk()
    desk.register()
    const dueAt = desk.checkAt ?? 0
    desk.pass(dueAt + 10_000 - desk.now, 10_000)
    expect((desk.checkAt ?? 0) - desk.now).toBe(1_250)
  })

  test("but silence that goes on after that is the node's", () => {
    const desk = new Desk()
    desk.register()
    desk.pass(13_000, 10_000)
    expect(desk.asked).toEqual([])
    desk.pass(2_000).write()
    expect(desk.status).toBe("down")
  })

  for (const hours of [1, -1, 24, -24]) {
    test(`a leader whose clock is set by ${hours} h loses nobody by that, and misses who falls silent`, () => {
      const desk = new Desk()
      const session = desk.register()
      desk
        .pass(900)
        .setClock(hours * 3_600_000)
        .pass(100)
      desk.say({ _tag: "Heartbeat", session, applied: 0 })
      expect(tags(desk.told)).not.toContain("Missed")
      desk.pass(7_000)
      expect(tags(desk.told)).toContain("Missed")
    })

    test(`nor is a node waited for that dies as the clock is set by ${hours} h`, () => {
      const desk = new Desk()
      desk.register()
      desk
        .pass(500)
        .setClock(hours * 3_600_000)
        .pass(7_000)
      expect(tags(desk.told)).toContain("Missed")
    })
  }

  test("a leader that begins an hour behind the last one misses a node as soon as any", () => {
    const desk = new Desk()
    desk.register()
    desk.book.must({
      type: "node.observe",
      v: 1,
      nodes: [{ id: "n1", lastSeen: new Date(desk.now).toISOString() }]
    })
    desk.setClock(-3_600_000).handOver().pass(4_000)
    expect(tags(desk.told)).toContain("Missed")
  })

  test("the tasks of a node that is down are given up a day later, and by another clock not before an hour", () => {
    const desk = new Desk()
    desk.register()
    const lastSeen = new Date(desk.now).toISOString()
    desk.book.must({ type: "node.observe", v: 1, nodes: [{ id: "n1", lastSeen }] })
    // Of those who led before it was a day behind.
    desk.setClock(86_400_000).pass(7_000).write()
    expect(desk.status).toBe("down")
    const hour = 3_600_000
    expect(desk.orphansAfterMs).toBe(24 * hour)
    expect(desk.handOver().orphansAfterMs).toBe(hour)
    desk.setClock(-80 * hour)
    expect(desk.handOver().orphansAfterMs).toBe(hour)
    desk.setClock(60 * hour)
    expect(desk.handOver().orphansAfterMs).toBe(20 * hour - 7_000)
  })

  test("they are given up a little later where that cannot be written just then", () => {
    const desk = new Desk()
    desk.book.service("web")
    const running = { Timestamp: "", State: "running" } as const
    const [task = ""] = desk.book.tasks("web", 1, { NodeID: "n1", Status: running })
    desk.register()
    desk.pass(4_000).write()
    const orphan = (): Desk => {
      desk.orphansAfterMs = undefined
      return desk.say({ _tag: "Orphan" })
    }
    expect(orphan().write({ _tag: "Unknown", message: "no answer" }).orphansAfterMs).toBe(60_000)
    desk.say({ _tag: "WriteAgain" })
    orphan().write()
    expect(desk.book.tables.get("task", task)?.Status.State).toBe("orphaned")
    expect(orphan()).toMatchObject({ asked: [], orphansAfterMs: undefined })
  })

  test("the leader's own node may take longer to come up", () => {
    const desk = new Desk("n1")
    desk.pass(25_000)
    expect(desk.asked).toEqual([])
    desk.pass(10_000)
    expect(desk.asked).toHaveLength(1)
  })

  test("silence that all nodes share is not the node's until the dispatcher says so", () => {
    const desk = new Desk()
    const session = desk.register()
    desk.othersAreHeard = false
    desk.pass(9_000)
    expect(desk.asked).toEqual([])
    expect(desk.told.at(-1)).toMatchObject({ _tag: "Missed", nodeId: "n1" })
    desk.say({ _tag: "Heartbeat", session, applied: 0 }).say({ _tag: "Lost" })
    expect(desk.asked).toEqual([])
    desk.othersAreHeard = true
    desk.pass(12_000).write()
    expect(desk.status).toBe("down")
  })

  test("a node that has been late is given as much again, and less with every heartbeat in time", () => {
    const desk = new Desk()
    const session = desk.register()
    const beatAfter = (ms: number) => desk.pass(ms).say({ _tag: "Heartbeat", session, applied: 0 })
    beatAfter(2_500)
    desk.pass(4_400)
    expect(desk.asked).toEqual([])
    for (let beats = 0; beats < 60; beats++) beatAfter(beats === 0 ? 0 : 1_000)
    desk.pass(3_020).write()
    expect(desk.status).toBe("down")
  })

  test("a node whose executor does not answer is down at once, with the reason, until it registers", () => {
    const desk = new Desk()
    const session = desk.register()
    desk.say({ _tag: "Unable", session: "another", reason: "no answer" })
    expect(desk.asked).toEqual([])
    desk.say({ _tag: "Unable", session, reason: "no answer" }).write()
    expect(desk.book.tables.get("node", "n1")?.Status).toMatchObject({ State: "down", Message: "no answer" })
    expect(tags(desk.told)).toContain("SessionClosed")
    desk.register()
    expect(desk.status).toBe("ready")
  })

  test("a node that left says when its tasks have ended: then they have, with its session, and it is answered", () => {
    const desk = new Desk()
    const session = desk.register()
    desk.book.service("db")
    desk.book.tasks("db", 1, { NodeID: "n1", Status: { Timestamp: "", State: "running" } })
    desk.say({ _tag: "Unable", session, reason: "node left the swarm" }).write()
    const state = () =>
      [...desk.book.tables.tasksOfNode("n1")].map(({ Status }) => [Status.State, Status.Message])
    expect(state()).toEqual([["running", undefined]])
    desk.say({ _tag: "Ended" })
    expect(tags(desk.answers)).not.toContain("Noted")
    desk.write()
    expect(desk.answers.at(-1)).toEqual({ _tag: "Noted" })
    expect(state()).toEqual([["shutdown", "node left the swarm"]])
  })

  test("a node that ended its tasks is down also where nobody heard that it leaves", () => {
    const desk = new Desk()
    desk.register()
    desk.say({ _tag: "Ended" }).write()
    expect(desk.book.tables.get("node", "n1")?.Status).toMatchObject({
      State: "down",
      Message: "node left the swarm"
    })
    expect(tags(desk.told)).toContain("SessionClosed")
  })

  test("a node that restarts is not missed for as long as it asked for, and no longer, also by the next leader", () => {
    const desk = new Desk()
    desk.register()
    desk.say({ _tag: "Away", forMs: 15_000 })
    expect(tags(desk.answers)).not.toContain("Noted")
    desk.write()
    expect(desk.answers.at(-1)).toEqual({ _tag: "Noted" })
    expect(desk.book.tables.get("node", "n1")?.Status).toMatchObject({
      State: "ready",
      Message: "restarting"
    })
    desk.pass(5_000).handOver().pass(9_000)
    expect(desk.asked).toEqual([])
    desk.pass(1_100).write()
    expect(desk.status).toBe("down")
  })

  test("a node that restarted is missed like any other again", () => {
    const desk = new Desk()
    desk.register()
    desk.say({ _tag: "Away", forMs: 600_000 }).write()
    desk.pass(2_000).register()
    expect(desk.book.tables.get("node", "n1")?.Status).toEqual({ State: "ready", Addr: "192.168.0.1" })
    desk.handOver().pass(5_100).write()
    expect(desk.status).toBe("down")
  })

  test("a node that restarts is waited for half a minute at most", () => {
    const desk = new Desk()
    desk.register()
    desk.say({ _tag: "Away", forMs: 600_000 }).write()
    desk.pass(29_900)
    expect(desk.asked).toEqual([])
    desk.pass(200).write()
    expect(desk.status).toBe("down")
  })

  test("DI-02 a node that registers again and again is put off for a while", () => {
    const desk = new Desk()
    for (let times = 0; times < 3; times++) desk.register()
    desk.say({ _tag: "Register", boot: "b", description, addr: "192.168.0.1" })
    expect(desk.answers.at(-1)).toMatchObject({ _tag: "Unavailable" })
    desk.book.time += 8_001
    desk.register()
    expect(desk.answers.at(-1)).toMatchObject({ _tag: "Registered" })
  })

  test("DI-06 a node that was down registers and is ready again", () => {
    const desk = new Desk()
    desk.register()
    desk.pass(4_000).write()
    desk.register()
    expect(desk.status).toBe("ready")
  })
})

describe("what a node is to be", () => {
  const ports = { join: 2377, nats: 4222, route: 6222 }
  const renew: NodeMessage = { _tag: "Renew", csr: "a request", addr: "10.0.0.1", ports }
  const manager = { Reachability: "reachable", Addr: "10.0.0.1:2377", RaftId: "r1" } as const
  const told = (role: "manager" | "worker", ManagerStatus?: typeof manager): Desk => {
    const desk = new Desk()
    const Spec = { Role: role, Availability: "active", Labels: {} } as const
    desk.book.node("n1", { Description: description, ...(ManagerStatus && { ManagerStatus }) })
    const version = desk.book.tables.get("node", "n1")?.Version.Index ?? 0
    desk.book.must({ type: "node.update", v: 1, id: "n1", version, spec: Spec })
    desk.register()
    return desk
  }
  const standing = (desk: Desk): unknown => {
    const { role, raftId } = desk.answers.at(-1) as { role?: string; raftId?: string }
    return raftId === undefined ? role : `${role} ${raftId}`
  }

  test("is said when it registers: a worker, a manager under its name in the group", () => {
    expect(standing(told("worker"))).toBe("worker")
    expect(standing(told("manager", manager))).toBe("manager r1")
  })

  test("a demoted manager is one until it is out of the group, and gets no other certificate before", () => {
    const desk = told("worker", manager)
    expect(standing(desk)).toBe("manager r1")
    expect(desk.say(renew).answers.at(-1)).toMatchObject({ _tag: "NotRenewed" })
    expect(desk.issued).toEqual([])
  })

  test("a promoted worker has no name in the group yet, and is given a new one each time it asks", () => {
    const desk = told("manager")
    expect(standing(desk)).toBe("manager")
    desk.say(renew).say(renew)
    const names = desk.issued.map(({ raftId }) => raftId)
    expect(names.every((name) => name !== undefined)).toBe(true)
    expect(new Set(names).size).toBe(2)
  })

  test("a worker is renewed as a worker", () => {
    const desk = told("worker").say(renew)
    expect(desk.issued.map(({ raftId }) => raftId)).toEqual([undefined])
  })

  const begins = (desk: Desk): Desk => {
    const membership = {
      nodeId: "n1",
      clusterId: "c1",
      role: "worker",
      certificate: "",
      root: "",
      managers: []
    } as const
    const asker = { to: "asker", deadline: desk.now + 1_000 }
    return desk.say({ _tag: "Issued", asker, answer: { _tag: "Renewed", membership } })
  }

  test("a node that was given another membership has time to begin again before it counts as down", () => {
    const desk = begins(told("worker"))
    expect(desk.state.heardAt).toBeGreaterThan(desk.now + 20_000)
    desk.register()
    expect(desk.state.heardAt).toBe(desk.now)
  })

  test("DI-02 a node that changes its role again and again is not put off", () => {
    const desk = told("worker")
    for (let times = 0; times < 5; times++) begins(desk).register()
    expect(desk.answers.at(-1)).toMatchObject({ _tag: "Registered" })
    // The third of its own accord.
    desk.register()
    desk.register()
    desk.say({ _tag: "Register", boot: "b", description, addr: "192.168.0.1" })
    expect(desk.answers.at(-1)).toMatchObject({ _tag: "Unavailable" })
    begins(desk).register()
    expect(desk.answers.at(-1)).toMatchObject({ _tag: "Registered" })
  })

  const TLSInfo = { TrustRoot: "root 1", CertIssuerSubject: "s", CertIssuerPublicKey: "k1" }
  /** A node that says what it is certified by, in a cluster whose root is another one unless given. */
  const certified = (certificate = "root 1"): Desk => {
    const desk = new Desk()
    const cluster = desk.book.tables.cluster()
    if (cluster === undefined) throw new Error("there is a cluster")
    desk.book.must({
      type: "cluster.trust",
      v: 1,
      roots: { ca: { certificate, key: "" }, routePassword: "" },
      tokens: cluster.JoinTokens
    })
    desk.book.must({
      type: "node.observe",
      v: 1,
      nodes: [{ id: "n1", description: { ...description, TLSInfo } }]
    })
    return desk
  }
  const beat = (desk: Desk): unknown => {
    desk.say({ _tag: "Heartbeat", session: desk.state.session ?? "", applied: 0 })
    const { issuer, root } = desk.answers.at(-1) as { issuer?: string; root?: string }
    return { ...(issuer !== undefined && { issuer }), ...(root !== undefined && { root }) }
  }
  const says = (desk: Desk, more: Partial<typeof TLSInfo>): void => {
    const nodes = [{ id: "n1", description: { ...description, TLSInfo: { ...TLSInfo, ...more } } }]
    desk.book.must({ type: "node.observe", v: 1, nodes })
  }
  const open = (desk: Desk): Desk => {
    desk.say({ _tag: "Register", boot: "b", description: { ...description, TLSInfo }, addr: "192.168.0.1" })
    if (desk.asked.length > 0) desk.write()
    return desk
  }

  test("CA-13 a node that shall renew hears so with every heartbeat, until it says that it did", () => {
    const desk = open(certified())
    expect(beat(desk)).toEqual({})
    desk.say({ _tag: "Recertify", issuer: "k2" })
    expect(beat(desk)).toEqual({ issuer: "k2" })
    expect(beat(desk)).toEqual({ issuer: "k2" })
    says(desk, { CertIssuerPublicKey: "k2" })
    expect(beat(desk)).toEqual({})
  })

  test("CA-13 a node that trusts another root than the cluster hears of that root, until it trusts it", () => {
    const desk = open(certified("root 2"))
    expect(beat(desk)).toEqual({ root: "root 2" })
    says(desk, { TrustRoot: "root 2" })
    expect(beat(desk)).toEqual({})
  })

  test("a node that has no key of the present epoch hears so, until it has one; one that can have none does not", () => {
    const desk = open(certified())
    const keyEpoch = (): unknown => {
      desk.say({ _tag: "Heartbeat", session: desk.state.session ?? "", applied: 0 })
      return (desk.answers.at(-1) as { keyEpoch?: number }).keyEpoch
    }
    const has = (WireGuard: WireGuard): void => {
      const nodes = [{ id: "n1", description: { ...description, TLSInfo, WireGuard } }]
      desk.book.must({ type: "node.observe", v: 1, nodes })
    }
    expect(keyEpoch()).toBeUndefined()
    has({ Keys: [] })
    expect(keyEpoch()).toBe(1)
    has({ Keys: [{ Epoch: 1, PublicKey: "k", Port: 51820 }] })
    expect(keyEpoch()).toBeUndefined()
    desk.book.must({ type: "cluster.keys", v: 1, epoch: 2 })
    expect(keyEpoch()).toBe(2)
    has({ Keys: [], Refusal: "there is no wg here" })
    expect(keyEpoch()).toBeUndefined()
  })

  test("CA-12 another certificate is for the role that the node has: who is to be another one asks for that", () => {
    const desk = told("worker")
    const certify = (role: "manager" | "worker"): unknown =>
      desk.say({ _tag: "Certify", csr: "a request", role }).answers.at(-1)
    expect(certify("manager")).toEqual({
      _tag: "NotRenewed",
      reason: "this node is to be a worker: it asks for that role first"
    })
    const before = desk.answers.length
    desk.say({ _tag: "Certify", csr: "a request", role: "worker" })
    expect(desk.certified).toEqual(["a request"])
    expect(desk.answers).toHaveLength(before)
    // Nothing else of it changes: it is not given time for another life.
    expect(desk.state.changingRole).toBe(false)
  })

  test("RF-15 a manager's certificate names where it says it is reached, a worker's never does", () => {
    const [worker, manager] = [told("worker"), told("manager")]
    worker.say({ _tag: "Certify", csr: "a request", role: "worker", addr: "10.0.0.1" })
    manager.say({ _tag: "Certify", csr: "a request", role: "manager", addr: "10.0.0.5" })
    manager.say({ _tag: "Certify", csr: "a request of an earlier release", role: "manager" })
    expect(worker.named).toEqual([undefined])
    expect(manager.named).toEqual(["10.0.0.5", undefined])
  })

  test("CA-04 a node that was removed is given no certificate", () => {
    const desk = told("worker")
    desk.book.must({ type: "node.remove", v: 1, id: "n1", force: true })
    desk.say({ _tag: "Certify", csr: "a request", role: "worker" })
    expect(desk.answers.at(-1)).toEqual({ _tag: "NotRenewed", reason: "this node is not of this cluster" })
    expect(desk.certified).toEqual([])
  })
})

test("DI-16 a volume that a node let go of goes on its way back, if it was asked for, and is said once", () => {
  const desk = new Desk()
  const session = desk.register()
  desk.book.volume("data", {}, { PublishStatus: [{ NodeID: "n1", State: "published" }] })
  desk.say({ _tag: "Unmounted", session, volumes: ["data"] })
  expect(desk.asked).toEqual([])
  desk.book.step("data", "n1", "pending-node-unpublish")
  desk.say({ _tag: "Unmounted", session: "the one before", volumes: ["data"] })
  expect(desk.asked).toEqual([])
  desk.say({ _tag: "Unmounted", session, volumes: ["data"] }).write()
  expect(desk.book.publishedTo("data")).toEqual(["n1: pending-controller-unpublish"])
  desk.say({ _tag: "Unmounted", session, volumes: ["data"] })
  expect(desk.asked).toEqual([])
})
