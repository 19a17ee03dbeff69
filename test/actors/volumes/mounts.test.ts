/** What a node mounts and unmounts, whom it tells, and what it does when a plugin refuses. */
import { expect, test } from "bun:test"
import { Effect } from "effect"
import { type ContainerState, Executor, type ExecutorService } from "#actors/drivers/executor.ts"
import { volumesLabel } from "#actors/drivers/labels.ts"
import { VolumePlugins } from "#actors/drivers/volume-plugins.ts"
import type { AssignedVolume } from "#actors/node/protocol.ts"
import { mounts } from "#actors/volumes/mounts/actor.ts"
import { decide, type Mounts, start, summary } from "#actors/volumes/mounts/decide.ts"
import type { MountsAction, MountsMessage } from "#actors/volumes/mounts/protocol.ts"
import type { CommonAction } from "#runtime/actions.ts"
import { address } from "#runtime/address.ts"
import { Fresh } from "#runtime/ids.ts"

const volume = (id: string, more: Partial<AssignedVolume> = {}): AssignedVolume => ({
  id,
  driver: "folders",
  volumeId: id,
  accessMode: { Scope: "single", Sharing: "all", MountVolume: {} },
  context: {},
  publishContext: {},
  secrets: {},
  ...more
})
const leaving = (id: string) => volume(id, { leaving: true })

class Node {
  state: Mounts
  /** Of the last turn. */
  actions: ReadonlyArray<MountsAction | CommonAction>
  readonly #fresh = Fresh.from(4)

  constructor() {
    const step = start(undefined, this.#moment())
    this.state = step.state
    this.actions = step.actions
  }

  #moment() {
    return { now: 0, fresh: this.#fresh, self: address("n1", "mounts", "main") }
  }

  tell(message: MountsMessage): this {
    const step = decide(this.state, message, this.#moment())
    this.state = step.state
    this.actions = step.actions
    return this
  }

  keep(...volumes: ReadonlyArray<AssignedVolume>): this {
    return this.tell({ _tag: "Keep", volumes })
  }

  /** What it does: `Mount a`. */
  get does(): ReadonlyArray<string> {
    return this.actions.flatMap((action) =>
      action._tag === "Mount" || action._tag === "Unmount" ? [`${action._tag} ${action.volume.id}`] : []
    )
  }

  /** What it says: to whom, and what. */
  get says(): ReadonlyArray<unknown> {
    return this.actions.flatMap((action) =>
      action._tag === "Tell" ? [[`${action.to.kind}/${action.to.id}`, action.message]] : []
    )
  }
}

test("DI-16 a volume is mounted when it is the node's, and the tasks that wait for it are told where", () => {
  const node = new Node()
  expect(node.says).toEqual([["session/main", { _tag: "MountsAwake" }]])
  node.tell({ _tag: "Need", taskId: "t1", volumes: ["a", "b"] })
  expect([node.does, node.says]).toEqual([[], []])
  const block = { Scope: "single", Sharing: "all", BlockVolume: {} } as const
  expect(node.keep(volume("a"), volume("b", { accessMode: block })).does).toEqual(["Mount a", "Mount b"])
  expect(node.keep(volume("a"), volume("b", { accessMode: block })).does).toEqual([])
  expect(node.tell({ _tag: "MountDone", id: "a", path: "/m/a" }).says).toEqual([])
  expect(node.tell({ _tag: "MountDone", id: "b", path: "/m/b" }).says).toEqual([
    [
      "task/t1",
      { _tag: "Mounted", points: { a: { path: "/m/a", block: false }, b: { path: "/m/b", block: true } } }
    ]
  ])
  expect(node.tell({ _tag: "Need", taskId: "t2", volumes: ["a"] }).says).toMatchObject([
    ["task/t2", { _tag: "Mounted" }]
  ])
})

test("DI-16 a volume that is asked back is unmounted, and that is said until the leader has it down", () => {
  const node = new Node().keep(volume("a")).tell({ _tag: "MountDone", id: "a", path: "/m/a" })
  expect(node.keep(leaving("a")).does).toEqual(["Unmount a"])
  expect(node.says).toEqual([])
  const said = [["session/main", { _tag: "LetGo", volumes: ["a"] }]]
  expect(node.tell({ _tag: "UnmountDone", id: "a" }).says).toEqual(said)
  expect(node.tell({ _tag: "TellAgain" }).says).toEqual(said)
  expect(node.keep(leaving("a")).does).toEqual([])
  node.keep()
  expect(node.tell({ _tag: "TellAgain" }).says).toEqual([])
  expect(summary(node.state)).toBe("0 of 0 volumes mounted")
})

test("what an earlier life left mounted is unmounted when it is asked back, and what nobody knows any more, too", () => {
  expect(new Node().keep(leaving("a")).does).toEqual(["Unmount a"])
  const node = new Node().keep(volume("a")).tell({ _tag: "MountDone", id: "a", path: "/m/a" })
  expect(node.keep().does).toEqual(["Unmount a"])
  // Nobody waits to hear of it.
  expect(node.tell({ _tag: "UnmountDone", id: "a" }).says).toEqual([])
})

test("one that comes back while it is unmounted is mounted again, and not given back", () => {
  const node = new Node()
    .keep(volume("a"))
    .tell({ _tag: "MountDone", id: "a", path: "/m/a" })
    .keep(leaving("a"))
  expect(node.keep(volume("a")).does).toEqual([])
  node.tell({ _tag: "UnmountDone", id: "a" })
  expect([node.does, node.says]).toEqual([["Mount a"], []])
})

test("a plugin that refuses is asked again, tasks are told why, and what is wanted by then is what is asked", () => {
  const node = new Node().keep(volume("a")).tell({ _tag: "Need", taskId: "t1", volumes: ["a"] })
  node.tell({ _tag: "Refused", id: "a", message: "no such device" })
  expect(node.says).toEqual([["task/t1", { _tag: "NotMounted", message: "no such device" }]])
  expect(node.tell({ _tag: "Refused", id: "a", message: "late" }).says).toEqual([])
  expect(node.keep(volume("a")).does).toEqual([])
  expect(node.tell({ _tag: "Need", taskId: "t2", volumes: ["a"] }).says).toEqual([
    ["task/t2", { _tag: "NotMounted", message: "no such device" }]
  ])
  expect(node.tell({ _tag: "TryAgain", id: "a" }).does).toEqual(["Mount a"])
  node.tell({ _tag: "Refused", id: "a", message: "no such device" }).keep(leaving("a"))
  expect(node.does).toEqual([])
  expect(node.tell({ _tag: "TryAgain", id: "a" }).does).toEqual(["Unmount a"])
  expect(node.tell({ _tag: "UnmountDone", id: "a" }).says).toHaveLength(1)
})

test("a volume is unmounted when no container that uses it runs, whatever else there is", async () => {
  const unmounted: Array<string> = []
  const plugins = {
    ...VolumePlugins.defaultValue(),
    unmount: (id: string) => Effect.sync(() => void unmounted.push(id))
  }
  const outcome = (status: ContainerState["status"], volumes: string) => {
    const list = Effect.succeed([{ name: "web.1.t1", status, labels: { [volumesLabel]: volumes } }])
    const action: MountsAction = { _tag: "Unmount", volume: volume("b") }
    const { perform } = mounts
    if (perform === undefined) throw new Error("mounts perform what they decide")
    return perform(action, address("n1", "mounts", "main")).pipe(
      Effect.provideService(Executor, { list } as unknown as ExecutorService),
      Effect.provideService(VolumePlugins, plugins),
      Effect.runPromise
    )
  }
  for (const status of ["running", "paused", "restarting"] as const)
    expect(await outcome(status, "a,b")).toEqual({
      _tag: "Refused",
      id: "b",
      message: "container web.1.t1 uses it still"
    })
  expect(unmounted).toEqual([])
  for (const status of ["created", "exited", "dead"] as const)
    expect(await outcome(status, "a,b")).toEqual({ _tag: "UnmountDone", id: "b" })
  expect(await outcome("running", "a,bb")).toEqual({ _tag: "UnmountDone", id: "b" })
})
