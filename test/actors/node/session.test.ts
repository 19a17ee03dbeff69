import { describe, expect, test } from "bun:test"
import { nothingNew } from "#actors/dispatcher/parts.ts"
import { featureLevel } from "#actors/ledger/features.ts"
import type { NodeDescription, TaskStatus } from "#actors/model/objects.ts"
import type { AssignedTask, FromNode, ToNodeAnswer } from "#actors/node/protocol.ts"
import { decide, type Session, type SessionProps, start } from "#actors/node/session/decide.ts"
import type { Assign, SessionAction, SessionMessage } from "#actors/node/session/protocol.ts"
import type { CommonAction } from "#runtime/actions.ts"
import { Fresh } from "#runtime/ids.ts"
import { aContainer, aMoment, aNetwork, aTask } from "#test/actors/task/build.ts"
import { overlayTable } from "#test/support/overlay-table.ts"

const facts: NodeDescription = {
  Hostname: "host-1",
  Platform: { OS: "linux", Architecture: "x86_64" },
  Resources: { NanoCPUs: 2e9, MemoryBytes: 1e9 },
  Engine: { EngineVersion: "20.10.24" }
}

/** A session to talk to: keeps what it asked for in the last turn. */
class Subject {
  state: Session
  asked: ReadonlyArray<SessionAction | CommonAction> = []
  now = 1_000_000
  readonly #fresh = Fresh.from(3)
  readonly #self = { home: "n1", kind: "session", id: "main" }

  constructor(props: Partial<SessionProps> = {}) {
    const moment = aMoment(this.now, this.#fresh, this.#self)
    const step = start({ clusterId: "c1", addr: "10.0.0.1", ...props }, moment)
    this.state = step.state
    this.asked = step.actions
  }

  tell(...messages: ReadonlyArray<SessionMessage>): this {
    this.asked = []
    for (const message of messages) {
      this.now += 10
      const step = decide(this.state, message, aMoment(this.now, this.#fresh, this.#self))
      this.state = step.state
      this.asked = [...this.asked, ...step.actions]
    }
    return this
  }

  /** Messages to an actor, `task/t1` or `network/main` or `node/n1`. */
  told(whom: string): ReadonlyArray<{ readonly _tag: string; readonly [field: string]: unknown }> {
    return this.asked.flatMap((action) =>
      action._tag === "Tell" && `${action.to.kind}/${action.to.id}` === whom ? [action.message as never] : []
    )
  }

  tags(whom: string): ReadonlyArray<string> {
    return this.told(whom).map(({ _tag }) => _tag)
  }

  asks(tag: FromNode["_tag"]): FromNode | undefined {
    for (const action of this.asked)
      if (action._tag === "Ask" && action.message._tag === tag) return action.message
    return undefined
  }

  timer(key: string): number | undefined {
    const action = this.asked.findLast((action) => action._tag === "Later" && action.key === key)
    return action?._tag === "Later" ? action.afterMs : undefined
  }

  answer(about: FromNode["_tag"], answer: ToNodeAnswer, session = this.state.session): this {
    return this.tell({ _tag: "Answered", about, session, answer })
  }

  silence(about: FromNode["_tag"], session = this.state.session): this {
    return this.tell({ _tag: "Unanswered", about, session, reason: "nobody is there" })
  }
}

const assign = (seq: number, changes: Partial<Assign> = {}): Assign => ({
  _tag: "Assign",
  session: "s1",
  seq,
  ...nothingNew,
  complete: seq === 1,
  ...changes
})
const tasks = (...ids: ReadonlyArray<string>): AssignedTask[] =>
  ids.map((id) => aTask({ id, name: `web.1.${id}` }))
const status = (State: TaskStatus["State"], more: Partial<TaskStatus> = {}): TaskStatus => ({
  Timestamp: `2026-01-01T00:00:00.000Z`,
  State,
  ...more
})
const reported = (
  id: string,
  State: TaskStatus["State"],
  more: Partial<TaskStatus> = {}
): SessionMessage => ({
  _tag: "Reported",
  id,
  status: status(State, more)
})
const registered: ToNodeAnswer = { _tag: "Registered", session: "s1", heartbeatMs: 1_000 }
const described: SessionMessage = { _tag: "Described", description: facts }
const nothingFound: SessionMessage = { _tag: "Surveyed", containers: [] }
const joined = (): Subject => new Subject().tell(described, nothingFound).answer("Register", registered)
const holding = (...ids: ReadonlyArray<string>): Subject => joined().tell(assign(1, { tasks: tasks(...ids) }))

test("the output of tasks whose service asks for it is published until they are gone, or the label is", () => {
  const session = joined()
  const told = (message: SessionMessage) =>
    session.tell(message).asked.filter(({ _tag }) => _tag === "PublishLogs")
  const labelled = (id: string, text: string): AssignedTask => ({
    ...aTask({ id }),
    labels: { "troupe.log.publish": text }
  })
  const first = [labelled("t1", "true"), labelled("t2", "true"), labelled("t3", "false")]
  expect(told(assign(1, { tasks: first }))).toEqual([{ _tag: "PublishLogs", tasks: ["t1", "t2"] }])
  expect(told(assign(2, { tasks: [labelled("t4", "false")] }))).toEqual([])
  expect(told(assign(3, { tasks: [labelled("t1", "false")] }))).toEqual([
    { _tag: "PublishLogs", tasks: ["t2"] }
  ])
  // Whose label is gone stops in silence; who has one may say so.
  expect(told(assign(4, { removed: ["t1"] }))).toEqual([])
  expect(told(assign(5, { removed: ["t2"] }))).toEqual([])
  expect(told({ _tag: "Forgotten", id: "t2" })).toEqual([{ _tag: "PublishLogs", tasks: [] }])
})

test("where an assignment asks for it, the leader is told that traffic goes as that one says", () => {
  const session = holding()
  session.tell(assign(2, { ports: [], confirm: true }))
  expect(session.tags("network/main")).toEqual(["Publish", "Confirm"])
  expect(session.told("network/main")[1]).toMatchObject({ session: "s1", seq: 2 })
  session.tell({ _tag: "Routed", session: "s1", seq: 2 })
  expect(session.told("node/n1")).toEqual([{ _tag: "Routed", session: "s1", seq: 2 }])
  session.tell({ _tag: "Routed", session: "the one before", seq: 2 })
  expect(session.told("node/n1")).toEqual([])
})

test("DI-16 the node's volumes are told to who mounts them, and what that one lets go to the leader", () => {
  const volume = {
    id: "v1",
    driver: "folders",
    volumeId: "data",
    accessMode: { Scope: "single", Sharing: "all", MountVolume: {} },
    context: {},
    publishContext: {},
    secrets: {}
  } as const
  const session = holding()
  session.tell(assign(2, { volumes: [volume] }))
  const kept = [{ _tag: "Keep", volumes: [volume] }]
  expect(session.told("mounts/main")).toEqual(kept)
  expect(session.tell({ _tag: "MountsAwake" }).told("mounts/main")).toEqual(kept)
  expect(session.tell(assign(3, { tasks: tasks("t1") })).told("mounts/main")).toEqual([])
  session.tell({ _tag: "LetGo", volumes: ["v1"] })
  expect(session.told("node/n1")).toEqual([{ _tag: "Unmounted", session: "s1", volumes: ["v1"] }])
  session.tell(assign(4, { dropped: ["v1"] }))
  expect(session.told("mounts/main")).toEqual([{ _tag: "Keep", volumes: [] }])
})

describe("a session that begins", () => {
  test("registers as soon as it knows what the machine is", () => {
    const session = new Subject()
    expect(session.tags("engine-watch/main")).toEqual(["Look"])
    session.tell(described)
    expect(session.asks("Register")).toMatchObject({ description: facts, addr: "10.0.0.1" })
  })

  test("goes by the name it was given rather than by its machine's", () => {
    const session = new Subject({ name: "alpha" })
    session.tell(described)
    expect(session.asks("Register")).toMatchObject({ description: { ...facts, Hostname: "alpha" } })
  })

  test("tries again, each time later, until somebody leads", () => {
    const session = new Subject().tell(described)
    const pauses = Array.from({ length: 12 }, () => {
      const pause = session.silence("Register", "").timer("register") ?? -1
      expect(session.tell({ _tag: "RegisterNow" }).asks("Register")).toBeDefined()
      return pause
    })
    expect(Math.min(...pauses)).toBeGreaterThanOrEqual(50)
    expect(Math.max(...pauses)).toBeLessThanOrEqual(5_000)
    expect(pauses.at(-1)).toBeGreaterThan(2_000)
  })

  test("takes an assignment that overtook its own admission", () => {
    const session = new Subject().tell(described, nothingFound, assign(1, { tasks: tasks("t1") }))
    expect(session.state.holdings.tasks.size).toBe(0)
    session.answer("Register", registered)
    expect([...session.state.holdings.tasks.keys()]).toEqual(["t1"])
  })

  test("takes no assignment before it knows what containers there are, so that tasks adopt theirs", () => {
    const session = new Subject().tell(described).answer("Register", registered)
    session.tell(assign(1, { tasks: [aTask({ state: "running" })] }))
    expect(session.tags("task/t1")).toEqual([])
    session.tell({ _tag: "Surveyed", containers: [aContainer({ id: "k9", name: "other" })] })
    expect(session.told("task/t1")[0]).toMatchObject({ _tag: "Pursue", containerId: "k9" })
  })

  test("asks for everything when nothing came", () => {
    const session = joined()
    expect(session.timer("resync")).toBe(1_000)
    expect(session.tell({ _tag: "ResyncNow" }).told("node/n1")).toEqual([{ _tag: "Resync", session: "s1" }])
    expect(session.timer("resync")).toBe(1_000)
  })
})

describe("heartbeats", () => {
  test("pass on who has the copy of the logs, when that is another one", () => {
    const session = holding("t1")
    const told = (copyTo?: string) => {
      session.answer("Heartbeat", {
        _tag: "Beat",
        heartbeatMs: 1_000,
        ...(copyTo !== undefined && { copyTo })
      })
      return session.asked.filter(({ _tag }) => _tag === "CopyTo")
    }
    expect(told()).toEqual([])
    expect(told("n2")).toEqual([{ _tag: "CopyTo", node: "n2" }])
    expect(told("n2")).toEqual([])
    expect(told("n3")).toEqual([{ _tag: "CopyTo", node: "n3" }])
    expect(told()).toEqual([{ _tag: "CopyTo" }])
  })

  test("pass on that managers are reached elsewhere, once for each number that says so", () => {
    const session = holding("t1")
    const told = (managers?: number): number => {
      session.answer("Heartbeat", {
        _tag: "Beat",
        heartbeatMs: 1_000,
        ...(managers !== undefined && { managers })
      })
      return session.asked.filter(({ _tag }) => _tag === "ManagersChanged").length
    }
    expect([told(), told(7), told(7), told(), told(8)]).toEqual([0, 1, 0, 0, 1])
  })

  test("come a little before they are due, and tell how far the node has come", () => {
    const session = holding("t1")
    const pause = session.answer("Heartbeat", { _tag: "Beat", heartbeatMs: 5_000 }).timer("beat") ?? 0
    expect(pause).toBeGreaterThan(4_000)
    expect(pause).toBeLessThanOrEqual(5_000)
    expect(session.tell({ _tag: "BeatNow" }).asks("Heartbeat")).toEqual({
      _tag: "Heartbeat",
      session: "s1",
      applied: 1
    })
  })

  test("that nobody answers are sent again soon, and end nothing", () => {
    const session = holding("t1")
    for (let miss = 0; miss < 10; miss++) {
      session.tell({ _tag: "BeatNow" }).silence("Heartbeat")
      expect(session.timer("beat")).toBeLessThanOrEqual(1_000)
    }
    expect([...session.state.holdings.tasks.keys()]).toEqual(["t1"])
    expect(session.tags("task/t1")).toEqual([])
  })

  test("that nobody answers for longer than a leader takes to be followed have the node connect anew, and rarely again", () => {
    const session = holding("t1")
    const reconnects: Array<number> = []
    for (let now = 500; now <= 20_000; now += 500) {
      session.now += 500
      session.tell({ _tag: "BeatNow" }).silence("Heartbeat")
      if (session.asked.some(({ _tag }) => _tag === "Reconnect")) reconnects.push(now)
    }
    expect(reconnects).toEqual([3_000, 9_000, 15_000])
    session.answer("Heartbeat", { _tag: "Beat", heartbeatMs: 1_000 })
    session.now += 2_900
    expect(session.silence("Heartbeat").asked.map(({ _tag }) => _tag)).not.toContain("Reconnect")
    session.now += 100
    expect(session.silence("Heartbeat").asked.map(({ _tag }) => _tag)).toContain("Reconnect")
  })

  test("DI-20 to a leader who does not know the session lead to a new one, with everything kept", () => {
    const session = holding("t1").tell(reported("t1", "running"))
    session.answer("Heartbeat", { _tag: "SessionInvalid" })
    expect(session.timer("register")).toBeLessThanOrEqual(200)
    expect(session.tell({ _tag: "RegisterNow" }).asks("Register")).toBeDefined()
    session.answer("Register", { ...registered, session: "s2" }, "")
    expect(session.state.holdings.tasks.size).toBe(1)
    expect(session.tell({ _tag: "ReportNow" }).asks("Report")).toMatchObject({
      session: "s2",
      statuses: [{ id: "t1", status: { State: "running" } }]
    })
  })

  test("to whoever leads next are followed by what tasks have come to, also where it was noted before", () => {
    const session = holding("t1", "t2").tell(reported("t1", "running"), { _tag: "ReportNow" })
    session.answer("Report", { _tag: "Noted" }).answer("Heartbeat", { _tag: "SessionInvalid" })
    session.tell({ _tag: "RegisterNow" }).answer("Register", { ...registered, session: "s2" }, "")
    const report = session.tell({ _tag: "ReportNow" }).asks("Report")
    expect(report?._tag === "Report" && report.statuses.map(({ id }) => id)).toEqual(["t1"])
  })

  test("answered late, in an older session, change nothing", () => {
    const session = holding("t1")
    session.tell({
      _tag: "Answered",
      about: "Heartbeat",
      session: "s0",
      answer: { _tag: "SessionInvalid" }
    })
    expect(session.state.phase).toBe("joined")
  })
})

describe("assignments", () => {
  test("start an actor per task and send it its goal with all that it refers to", () => {
    const session = joined().tell(
      assign(1, {
        tasks: [
          aTask(
            { attachments: [{ NetworkID: "net1", Addresses: [] }] },
            {
              Secrets: [{ SecretID: "x", SecretName: "key" }],
              Configs: [{ ConfigID: "z", ConfigName: "site" }]
            }
          )
        ],
        networks: [aNetwork()],
        secrets: [
          { id: "x", name: "key", data: "eA==" },
          { id: "other", name: "o", data: "" }
        ],
        configs: [{ id: "z", name: "site", data: "eg==" }]
      })
    )
    expect(session.asked).toContainEqual({ _tag: "Spawn", kind: "task", id: "t1", props: undefined })
    expect(session.told("task/t1")[0]).toMatchObject({
      _tag: "Pursue",
      networks: [{ id: "net1" }],
      secrets: [{ id: "x" }],
      configs: [{ id: "z" }],
      place: { clusterId: "c1", nodeId: "n1", hostname: "host-1", os: "linux", architecture: "x86_64" }
    })
    expect(session.tags("network/main")).toEqual(["Tables", "Keep"])
  })

  test("bring the certificates that hosts are shown by to the entrance, and no other secret", () => {
    const http = { host: "a", path: "/", port: 80, protocol: "http1" as const }
    const service = { serviceId: "s", name: "web", aliases: [], vips: [], ports: [], tasks: [] }
    const shown = { ...service, http: { ...http, tls: { secret: "cert", redirect: true } } }
    const { peers: _peers, services: _services, ...head } = overlayTable({ ingress: true })
    const overlay = {
      networkId: head.networkId,
      head,
      peers: [],
      peersGone: [],
      services: [shown],
      servicesGone: []
    }
    const cert = { id: "c", name: "cert", data: "eA==" }
    const other = { id: "o", name: "other", data: "eQ==" }
    const session = holding()
    const certificates = () => session.told("network/main").map((message) => message.certificates)
    session.tell(assign(2, { secrets: [other], overlays: [overlay] }))
    expect(certificates()).toEqual([[]])
    session.tell(assign(3, { secrets: [cert] }))
    expect(certificates()).toEqual([[cert]])
    session.tell(assign(4, { secrets: [{ ...other, id: "p" }] }))
    expect(certificates()).toEqual([])
    session.tell({ _tag: "NetworkAwake" })
    expect(certificates()).toContainEqual([cert])
  })

  test("that show a service asleep have it watched for callers at once, others nobody", () => {
    const { peers: _peers, services: _services, ...head } = overlayTable({ ingress: true })
    const service = { serviceId: "s", name: "web", aliases: [], vips: [], ports: [], tasks: [] }
    const change = { networkId: head.networkId, head, peers: [], peersGone: [], servicesGone: [] }
    const session = holding()
    const watched = (...services: ReadonlyArray<typeof service & { readonly awaits?: "caller" }>) =>
      session
        .tell(assign(session.state.applied + 1, { overlays: [{ ...change, services }] }))
        .told("activator/main")
    expect(watched(service)).toEqual([])
    expect(watched({ ...service, awaits: "caller" })).toEqual([
      { _tag: "Watch", session: "s1", sleepers: [{ id: "s", routed: false, ports: [] }] }
    ])
  })

  test("are taken in order; one that comes twice or late changes nothing", () => {
    const session = holding("t1").tell(assign(2, { tasks: tasks("t2") }))
    session.tell(
      assign(2, { tasks: tasks("t3") }),
      assign(1, { tasks: [] }),
      assign(0, { tasks: tasks("t9") })
    )
    expect([...session.state.holdings.tasks.keys()]).toEqual(["t1", "t2"])
    expect(session.state.applied).toBe(2)
    expect(session.told("node/n1")).toEqual([])
  })

  test("with a gap are not taken; everything is asked for, again until it comes", () => {
    const session = holding("t1").tell(assign(3, { removed: ["t1"] }))
    expect(session.told("node/n1")).toEqual([{ _tag: "Resync", session: "s1" }])
    expect(session.tell(assign(4)).told("node/n1")).toEqual([])
    expect(session.tell({ _tag: "ResyncNow" }).tags("node/n1")).toEqual(["Resync"])
    session.tell(assign(5, { complete: true, tasks: tasks("t2") }))
    expect(session.tags("task/t1")).toEqual(["Forget"])
    expect([...session.state.holdings.tasks.keys()]).toEqual(["t2"])
    expect(session.tell({ _tag: "ResyncNow" }).told("node/n1")).toEqual([])
    expect(session.tell(assign(6, { tasks: tasks("t3") })).state.applied).toBe(6)
  })

  test("of another session are nobody's", () => {
    const session = holding("t1").tell(assign(2, { session: "s0", removed: ["t1"] }))
    expect([...session.state.holdings.tasks.keys()]).toEqual(["t1"])
  })

  test("that remove a task make its actor forget it, and the actor goes when it has", () => {
    const session = holding("t1", "t2").tell(assign(2, { removed: ["t1"] }))
    expect(session.told("task/t1")).toEqual([{ _tag: "Forget", container: "web.1.t1", graceMs: 10_000 }])
    expect(session.tell({ _tag: "Forgotten", id: "t1" }).asked).toContainEqual({
      _tag: "Dismiss",
      kind: "task",
      id: "t1"
    })
  })

  test("drop networks that no task here needs, and publish ports", () => {
    const network = aNetwork()
    const session = joined().tell(assign(1))
    expect(session.tell(assign(2, { networks: [network] })).told("network/main")).toEqual([
      { _tag: "Want", plans: [network] }
    ])
    expect(session.tell(assign(3, { dropped: ["net1", "x"], ports: [] })).told("network/main")).toEqual([
      { _tag: "Drop", networks: ["net1"] },
      { _tag: "Publish", ports: [] }
    ])
    expect(session.tell({ _tag: "NetworkAwake" }).tags("network/main")).toEqual([
      "MakeKey",
      "Tables",
      "Keep",
      "Publish"
    ])
  })

  test("in any order, with losses and repetitions, end at what the leader last said (300 seeds)", () => {
    for (let seed = 1; seed <= 300; seed++) {
      const fresh = Fresh.from(seed)
      const session = joined()
      // The leader: what each message says, and what all of them together come to.
      const truth = new Set<string>()
      let seq = 0
      const wire: Assign[] = []
      const complete = () => wire.push(assign(++seq, { complete: true, tasks: tasks(...truth) }))
      complete()
      for (let step = 0; step < 60; step++) {
        const id = `t${fresh.below(8)}`
        if (fresh.below(2) === 0) {
          truth.add(id)
          wire.push(assign(++seq, { complete: false, tasks: tasks(id) }))
        } else if (truth.delete(id)) wire.push(assign(++seq, { complete: false, removed: [id] }))
        for (let count = fresh.below(4); count > 0; count--) {
          const at = fresh.below(wire.length)
          const message = wire[at]
          // Sometimes delivered and kept for a second time, sometimes lost.
          if (message && fresh.below(5) > 0) session.tell(message)
          if (fresh.below(3) > 0) wire.splice(at, 1)
          if (session.tags("node/n1").includes("Resync")) complete()
        }
      }
      // A heartbeat shows the leader that the node lags; it says everything again.
      if (session.state.applied !== seq)
        session.tell(assign(++seq, { complete: true, tasks: tasks(...truth) }))
      expect([...session.state.holdings.tasks.keys()].sort()).toEqual([...truth].sort())
    }
  })
})

describe("reports", () => {
  test("gather what tasks say and are repeated until the leader has noted them", () => {
    const session = holding("t1", "t2").tell(reported("t1", "preparing"), reported("t2", "running"))
    expect(session.timer("report")).toBe(5)
    session.tell(reported("t1", "ready"), { _tag: "ReportNow" })
    expect(session.asks("Report")).toMatchObject({
      statuses: [
        { id: "t1", status: { State: "ready" } },
        { id: "t2", status: { State: "running" } }
      ]
    })
    session.silence("Report")
    expect(session.timer("report")).toBeGreaterThan(0)
    session.tell({ _tag: "ReportNow" }).answer("Report", { _tag: "Noted" })
    expect(session.state.unreported.size).toBe(0)
    expect(session.tell({ _tag: "ReportNow" }).asks("Report")).toBeUndefined()
  })

  test("keep what came while one was on its way", () => {
    const session = holding("t1").tell(reported("t1", "preparing"), { _tag: "ReportNow" })
    session.tell(reported("t1", "running"), { _tag: "ReportNow" })
    expect(session.asks("Report")).toBeUndefined()
    session.answer("Report", { _tag: "Noted" })
    expect(session.tell({ _tag: "ReportNow" }).asks("Report")).toMatchObject({
      statuses: [{ status: { State: "running" } }]
    })
  })

  test("never go back, and a task said twice is said once", () => {
    const session = holding("t1").tell(reported("t1", "running"), { _tag: "ReportNow" })
    session.answer("Report", { _tag: "Noted" })
    session.tell(reported("t1", "running"), reported("t1", "preparing"))
    expect(session.state.unreported.size).toBe(0)
  })

  test("of a task that nobody has make its actor forget it", () => {
    expect(holding("t1").tell(reported("t9", "running")).tags("task/t9")).toEqual(["Forget"])
  })

  test("travel in bounded messages", () => {
    const ids = Array.from({ length: 600 }, (_, at) => `t${at}`)
    const session = holding(...ids).tell(...ids.map((id) => reported(id, "running")), { _tag: "ReportNow" })
    let rounds = 0
    for (let report = session.asks("Report"); report?._tag === "Report"; report = session.asks("Report")) {
      expect(report.statuses.length).toBeLessThanOrEqual(256)
      session.answer("Report", { _tag: "Noted" }).tell({ _tag: "ReportNow" })
      rounds++
    }
    expect([rounds, session.state.unreported.size]).toEqual([3, 0])
  })
})

describe("task actors", () => {
  test("that begin again get their goal, with the state they had come to", () => {
    const session = holding("t1").tell(reported("t1", "running"), { _tag: "Awake", id: "t1" })
    expect(session.told("task/t1")[0]).toMatchObject({ _tag: "Pursue", assigned: { state: "running" } })
  })

  test("that begin again on their way out are told to go", () => {
    const session = holding("t1").tell(assign(2, { removed: ["t1"] }), { _tag: "Awake", id: "t1" })
    expect(session.tags("task/t1")).toEqual(["Forget", "Forget"])
  })

  test("whose task was assigned again while they left are replaced", () => {
    const session = holding("t1").tell(assign(2, { removed: ["t1"] }), assign(3, { tasks: tasks("t1") }))
    session.tell({ _tag: "Forgotten", id: "t1" })
    expect(session.asked.map(({ _tag }) => _tag)).toEqual(["Dismiss", "Spawn"])
  })
})

describe("a survey", () => {
  const stray = aContainer({
    id: "k7",
    labels: {
      "com.docker.swarm.task.id": "t7",
      "com.docker.swarm.node.id": "n1",
      "io.troupe.cluster": "c1"
    }
  })

  test("DI-21 puts away containers of no task, once the leader has said which tasks there are", () => {
    const session = joined().tell({ _tag: "Surveyed", containers: [stray] })
    expect(session.asked).toEqual([])
    session.tell(assign(1, { tasks: tasks("t1") }))
    expect(session.tags("engine-watch/main")).toEqual(["Look"])
    session.tell({ _tag: "Surveyed", containers: [stray, aContainer()] })
    expect(session.asked).toContainEqual({ _tag: "Discard", container: "k7", graceMs: 10_000 })
    expect(session.asked.filter(({ _tag }) => _tag === "Discard")).toHaveLength(1)
    expect(session.told("task/t1")).toEqual([{ _tag: "Observed", container: aContainer() }])
  })

  test("leaves alone what is another cluster's, another node's, or already going", () => {
    const foreign = { ...stray, labels: { ...stray.labels, "io.troupe.cluster": "c2" } }
    const elsewhere = { ...stray, labels: { ...stray.labels, "com.docker.swarm.node.id": "n2" } }
    const session = holding("t1", "t7").tell(assign(2, { removed: ["t7"] }))
    session.tell({ _tag: "Surveyed", containers: [foreign, elsewhere, stray] })
    expect(session.asked.filter(({ _tag }) => _tag === "Discard")).toEqual([])
  })

  test("tells a task whose container is not there", () => {
    expect(holding("t1").tell(nothingFound).told("task/t1")).toEqual([{ _tag: "Observed" }])
  })
})

describe("an executor that does not answer", () => {
  const silent: SessionMessage = { _tag: "ExecutorSilent", reason: "no answer" }

  test("ends the session, and nothing more is heard of the node; its tasks are kept", () => {
    const session = holding("t1").tell(silent)
    expect(session.told("node/n1")).toEqual([{ _tag: "Unable", session: "s1", reason: "no answer" }])
    session.tell({ _tag: "BeatNow" }, { _tag: "RegisterNow" }, described, reported("t1", "running"))
    expect(session.asked.map(({ _tag }) => _tag)).not.toContain("Ask")
    expect([...session.state.holdings.tasks.keys()]).toEqual(["t1"])
  })

  test("lets the node register again when it does; tasks that were replaced meanwhile go", () => {
    const session = holding("t1", "t2").tell(silent, { _tag: "ExecutorAnswers" })
    expect(session.timer("register")).toBeLessThanOrEqual(200)
    session.tell({ _tag: "RegisterNow" }).answer("Register", { ...registered, session: "s2" }, "")
    session.tell({ ...assign(1, { tasks: tasks("t2") }), session: "s2" })
    expect(session.tags("task/t1")).toEqual(["Forget"])
    expect(session.tags("task/t2")).toEqual(["Pursue"])
  })

  test("is what a node that leaves its cluster says at once, and who asked it to hears when it has", () => {
    const session = holding("t1").tell({ _tag: "Leave", reason: "node left the swarm" })
    expect(session.told("node/n1")).toEqual([
      { _tag: "Unable", session: "s1", reason: "node left the swarm" }
    ])
    session.tell({ _tag: "BeatNow" }, { _tag: "RegisterNow" }, described)
    expect(session.asked.map(({ _tag }) => _tag)).not.toContain("Ask")
  })

  test("is no news to a node that registered meanwhile", () => {
    const session = joined().tell({ _tag: "ExecutorAnswers" })
    expect(session.asked).toEqual([])
  })

  test("that is silent before the node is let in keeps it out", () => {
    const session = new Subject().tell(described, silent)
    session.answer("Register", registered)
    expect(session.state.phase).toBe("without executor")
  })
})

describe("a machine that changes", () => {
  test("is described to the leader, until it registers again; one that stays the same is not", () => {
    const more = { ...facts, Resources: { NanoCPUs: 4e9, MemoryBytes: 1e9 } }
    const session = joined()
    expect(session.tell(described).told("node/n1")).toEqual([])
    for (let round = 0; round < 2; round++) {
      expect(session.tell({ _tag: "Described", description: more }).told("node/n1")).toEqual([
        { _tag: "Describe", session: "s1", description: { ...more, FeatureLevel: featureLevel } }
      ])
    }
  })

  test("says where the traffic of overlays reaches it, where that is elsewhere", () => {
    const asked = new Subject({ dataPath: "10.9.0.1" }).tell(described).asked
    expect(asked).toMatchObject([
      { _tag: "Ask", message: { _tag: "Register", addr: "10.0.0.1", description: { DataPath: "10.9.0.1" } } }
    ])
  })

  test("says that its HTTP entrance ends TLS, where it does", () => {
    const says = (tlsEntrance: boolean) => {
      const { description } = new Subject({ tlsEntrance })
        .tell(described, nothingFound)
        .asks("Register") as never
      return (description as NodeDescription).TlsEntrance
    }
    expect([says(true), says(false)]).toEqual([true, undefined])
  })

  test("that has another certificate says so, and keeps saying it with whatever else changes", () => {
    const info = { TrustRoot: "root", CertIssuerSubject: "s", CertIssuerPublicKey: "k" }
    const certified = { ...facts, FeatureLevel: featureLevel, TLSInfo: info }
    const session = joined().tell({ _tag: "Certified", info })
    expect(session.told("node/n1")).toMatchObject([{ _tag: "Describe", description: certified }])
    const Resources = { NanoCPUs: 4e9, MemoryBytes: 1e9 }
    session.tell({ _tag: "Described", description: { ...facts, Resources } })
    expect(session.told("node/n1")).toMatchObject([{ description: { ...certified, Resources } }])
  })

  test("asks for its certificate when it begins, where it has one, and registers with it", () => {
    expect(new Subject().told("certificate/main")).toEqual([])
    const session = new Subject({ certified: true })
    expect(session.told("certificate/main")).toEqual([{ _tag: "Introduce" }])
    const info = { TrustRoot: "root", CertIssuerSubject: "s", CertIssuerPublicKey: "k" }
    session.tell({ _tag: "Certified", info }, described, nothingFound)
    expect(session.asks("Register")).toMatchObject({ description: { TLSInfo: info } })
  })

  test("hands on what the leader wants of its certificate, for as long as it does", () => {
    const session = joined()
    const beat = { _tag: "Beat", heartbeatMs: 1_000 } as const
    expect(session.answer("Heartbeat", { ...beat, keyEpoch: 2 }).told("network/main")).toEqual([
      { _tag: "MakeKey", epoch: 2 }
    ])
    expect(session.answer("Heartbeat", { ...beat, issuer: "k2" }).told("certificate/main")).toEqual([
      { _tag: "Wanted", issuer: "k2" }
    ])
    expect(session.answer("Heartbeat", { ...beat, root: "root 2" }).told("certificate/main")).toEqual([
      { _tag: "Wanted", root: "root 2" }
    ])
    expect(session.answer("Heartbeat", beat).told("certificate/main")).toEqual([])
  })
})
