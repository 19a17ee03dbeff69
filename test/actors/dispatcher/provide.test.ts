import { describe, expect, test } from "bun:test"
import { type DispatcherState, decide, start } from "#actors/dispatcher/decide.ts"
import type { DispatcherAction, DispatcherMessage } from "#actors/dispatcher/protocol.ts"
import type { Provision } from "#actors/drivers/secret-providers.ts"
import type { ServiceSpec } from "#actors/model/spec.ts"
import type { FromLeader } from "#actors/node/protocol.ts"
import type { CommonAction } from "#runtime/actions.ts"
import { address } from "#runtime/address.ts"
import { Fresh } from "#runtime/ids.ts"
import { Stage } from "#test/support/stage.ts"

type Assign = Extract<FromLeader, { _tag: "Assign" }>
type Ask = Extract<DispatcherAction, { _tag: "Provide" }>

const web: ServiceSpec = {
  Labels: { tier: "front" },
  Mode: { Replicated: { Replicas: 2 } },
  TaskTemplate: {
    ContainerSpec: {
      Image: "nginx",
      Hostname: "www",
      Secrets: [{ SecretID: "s1", SecretName: "key", File: { Name: "key" } }]
    }
  }
}

const one: ServiceSpec = { ...web, Mode: { Replicated: { Replicas: 1 } } }

/** A dispatcher whose one node has a session, and a secret that a driver keeps. */
class Desk {
  readonly stage = new Stage(["n1"])
  readonly asked: Array<Ask> = []
  readonly told: Array<Assign> = []
  state: DispatcherState

  constructor() {
    const secret = { ID: "s1", Spec: { Name: "key", Labels: { env: "prod" }, Driver: { Name: "vault" } } }
    this.stage.book.must({ type: "secret.create", v: 1, secret })
    this.state = start({ ledger: this.stage.book.tables, nodeId: "manager" }, this.#moment()).state
    this.say({ _tag: "SessionOpened", nodeId: "n1", session: "one" })
  }

  #moment() {
    return { now: this.stage.now, fresh: Fresh.from(1), self: address("leader", "dispatcher", "main") }
  }

  say(message: DispatcherMessage): this {
    const step = decide(this.state, message, this.#moment())
    this.state = step.state
    for (const action of step.actions as ReadonlyArray<DispatcherAction | CommonAction>) {
      if (action._tag === "Provide") this.asked.push(action)
      if (action._tag === "Tell") this.told.push(action.message as Assign)
    }
    return this
  }

  /** What changed in the ledger since the last time is heard of, and sent. */
  hear(): this {
    const { changes } = this.stage.book.changes()
    return this.say({ _tag: "Changed", changes }).say({ _tag: "Flush" })
  }

  /** The service and its tasks, each placed and not begun. */
  placed(spec = web): this {
    this.stage.book.service("web", spec)
    this.stage.look("web")
    this.stage.place()
    return this.hear()
  }

  answer({ secretId, question }: Ask, provision: Provision): this {
    const { TaskID: taskId, NodeID: nodeId } = question
    return this.say({ _tag: "Provided", taskId, secretId, nodeId, provision }).say({ _tag: "Flush" })
  }

  secretsOf(assign: Assign | undefined): ReadonlyArray<string> {
    return (assign?.secrets ?? []).map(({ id, data }) => `${id}=${data}`)
  }
}

describe("DI-15 a secret that a driver keeps", () => {
  test("is asked for when a task is assigned, with all that the driver may want to know of it", () => {
    const Ports = [
      { Name: "metrics", Protocol: "udp", TargetPort: 90, PublishedPort: 9090, PublishMode: "host" } as const
    ]
    const desk = new Desk().placed({ ...one, EndpointSpec: { Mode: "dnsrr", Ports } })
    expect(desk.asked.map(({ driver }) => driver)).toEqual(["vault"])
    const [task] = desk.stage.tasks("web")
    expect(desk.asked[0]?.question).toEqual({
      SecretName: "key",
      SecretLabels: { env: "prod" },
      ServiceID: "web",
      ServiceName: "web",
      ServiceHostname: "www",
      ServiceLabels: { tier: "front" },
      ServiceEndpointSpec: {
        Mode: 1,
        Ports: [{ Name: "metrics", Protocol: 1, TargetPort: 90, PublishedPort: 9090, PublishMode: 1 }]
      },
      TaskID: task?.ID ?? "",
      TaskName: `web.1.${task?.ID}`,
      TaskImage: "nginx",
      NodeID: "n1"
    })
  })

  test("is waited for: the task goes to its node together with it, and the driver is asked once", () => {
    const desk = new Desk().placed()
    desk.say({ _tag: "Refresh" }).say({ _tag: "Flush" })
    expect(desk.asked).toHaveLength(2)
    expect(desk.told.flatMap(({ tasks }) => tasks)).toEqual([])
    desk.answer(desk.asked[0] as Ask, { data: "b25l", own: false })
    const sent = desk.told.at(-1)
    expect(sent?.tasks.map(({ id }) => id)).toContain(desk.asked[0]?.question.TaskID ?? "none")
    expect(desk.secretsOf(sent)).toEqual(["s1=b25l"])
  })

  test("is good for the node's next tasks, unless the driver wants to be asked for each", () => {
    const shared = new Desk().placed(one)
    shared.answer(shared.asked[0] as Ask, { data: "b25l", own: false })
    shared.stage.scale("web", 3)
    shared.stage.look("web")
    shared.stage.place()
    shared.hear()
    expect(shared.asked).toHaveLength(1)
    expect(shared.told.at(-1)?.tasks).toHaveLength(2)

    const each = new Desk().placed()
    const [first, second] = each.asked as [Ask, Ask]
    each.answer(first, { data: "b25l", own: true }).answer(second, { data: "dHdv", own: true })
    expect(each.told.flatMap((assign) => each.secretsOf(assign))).toEqual([
      `s1.${first.question.TaskID}=b25l`,
      `s1.${second.question.TaskID}=dHdv`
    ])
    const reads = each.told.flatMap(({ tasks }) =>
      tasks.map(({ id, spec }) => [id, spec.ContainerSpec?.Secrets?.[0]?.SecretID])
    )
    expect(reads).toEqual([first, second].map(({ question: { TaskID } }) => [TaskID, `s1.${TaskID}`]))
  })

  test("that the driver does not give keeps no task back: its node says what is missing, and why", () => {
    const desk = new Desk().placed()
    desk.answer(desk.asked[0] as Ask, { problem: "the vault is sealed" })
    expect(desk.told.at(-1)?.tasks.map(({ withheld }) => withheld)).toEqual([{ s1: "the vault is sealed" }])
    expect(desk.told.at(-1)?.secrets).toEqual([])
  })

  test("is forgotten with its task, and not asked for again for one that runs", () => {
    const desk = new Desk().placed()
    for (const ask of desk.asked) desk.answer(ask, { data: "b25l", own: true })
    desk.stage.converge()
    desk.hear().say({ _tag: "SessionOpened", nodeId: "n1", session: "two" })
    expect(desk.told.at(-1)).toMatchObject({ complete: true })
    expect(desk.secretsOf(desk.told.at(-1))).toHaveLength(2)
    // Another leader has no value of it, and the tasks have read it.
    const next = start(
      { ledger: desk.stage.book.tables, nodeId: "manager" },
      {
        now: desk.stage.now,
        fresh: Fresh.from(1),
        self: address("leader", "dispatcher", "main")
      }
    )
    desk.state = next.state
    desk.say({ _tag: "SessionOpened", nodeId: "n1", session: "three" })
    expect(desk.asked).toHaveLength(2)
    expect(desk.told.at(-1)?.tasks).toHaveLength(2)
    desk.stage.scale("web", 0).converge()
    expect(desk.secretsOf(desk.hear().told.at(-1))).toEqual([])
  })
})
