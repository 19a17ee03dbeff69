/** What the leader has plugins do with volumes, step by step, and what it does when they refuse. */
import { expect, test } from "bun:test"
import type { CsiInfo } from "#actors/drivers/volume-plugins.ts"
import { decide, start, summary, type VolumesState } from "#actors/volumes/decide.ts"
import type { Observation, VolumeCall, VolumesMessage } from "#actors/volumes/protocol.ts"
import { address } from "#runtime/address.ts"
import { Fresh } from "#runtime/ids.ts"
import { Book } from "#test/support/ledger.ts"

const info = { VolumeID: "v-1", CapacityBytes: 0, VolumeContext: {}, AccessibleTopology: [] }
const unmade = (name: string) => ({
  ID: name,
  Spec: {
    Name: name,
    Labels: {},
    Driver: { Name: "folders" },
    Group: "",
    AccessMode: { Scope: "multi" as const, Sharing: "all" as const, MountVolume: {} },
    Secrets: [],
    Availability: "active" as const
  },
  PublishStatus: []
})

/** The actor over a ledger, with plugins that answer when a test says so. */
class Keeper {
  readonly book = new Book().cluster()
  state: VolumesState
  /** Asked for and not answered. */
  calls: Array<VolumeCall> = []
  wakeAfterMs: number | undefined
  now = 1_000_000
  readonly #fresh = Fresh.from(3)

  constructor(prepare: (book: Book) => void = () => {}) {
    prepare(this.book)
    const step = start({ ledger: this.book.tables }, this.#moment())
    this.state = step.state
    this.#follow(step.actions)
  }

  #moment() {
    return { now: this.now, fresh: this.#fresh, self: address("leader", "volumes", "main") }
  }

  tell(message: VolumesMessage): this {
    this.wakeAfterMs = undefined
    const step = decide(this.state, message, this.#moment())
    this.state = step.state
    this.#follow(step.actions)
    return this
  }

  look(): this {
    return this.tell({ _tag: "Look" })
  }

  /** The plugin has done what was asked first. */
  done(observation: Omit<Observation, "id">): this {
    const [call] = this.calls.splice(0, 1)
    if (call === undefined) throw new Error("nothing was asked")
    return this.tell({ _tag: "Called", call, observation: { id: call.id, ...observation } })
  }

  refuse(message: string): this {
    const [call] = this.calls.splice(0, 1)
    if (call === undefined) throw new Error("nothing was asked")
    return this.tell({ _tag: "NotCalled", call, message })
  }

  #follow(actions: ReturnType<typeof decide>["actions"]): void {
    for (const action of actions) {
      if (action._tag === "Later") this.wakeAfterMs = action.afterMs
      else if (action._tag === "Call") {
        const { _tag: _call, ...call } = action
        this.calls.push(call)
      } else if (action._tag === "Propose") {
        for (const command of action.commands) this.book.must(command)
        const outcome = { _tag: "Applied", applied: { index: this.book.tables.index } } as const
        this.tell({ _tag: "Proposed", why: action.why, outcome })
      }
    }
  }
}

const plugin: CsiInfo = { PluginName: "folders", NodeID: "there" }
const nodeWith = (book: Book, id: string, CSIInfo: ReadonlyArray<CsiInfo> = [plugin]) =>
  book.node(id, {
    Description: {
      Hostname: id,
      Platform: { OS: "linux", Architecture: "x86_64" },
      Resources: { NanoCPUs: 4e9, MemoryBytes: 8e9 },
      Engine: { EngineVersion: "1" },
      CSIInfo
    }
  })
/** A task on the node, which has the volume by its placement. */
function use(book: Book, volume: string, node: string): string {
  if (book.tables.get("service", "web") === undefined) book.service("web")
  const [id = ""] = book.tasks("web", 1)
  const patch = {
    id,
    NodeID: node,
    Status: { Timestamp: "", State: "assigned" as const },
    Volumes: [{ ID: volume, Source: volume, Target: "/data" }]
  }
  book.must({ type: "tasks.change", v: 1, create: [], update: [patch], remove: [] })
  return id
}
const end = (book: Book, id: string) =>
  book.must({ type: "tasks.change", v: 1, create: [], update: [], remove: [id] })

test("DI-16 a volume is made, published, taken back after its node let go, and deleted, each once", () => {
  const keeper = new Keeper((book) => nodeWith(book, "n1"))
  const { book } = keeper
  book.must({ type: "volume.create", v: 1, volume: unmade("data") })
  keeper.look().look()
  expect(keeper.calls).toEqual([{ step: "create", id: "data" }])
  keeper.done({ info })
  expect(book.tables.get("volume", "data")?.Info).toEqual(info)
  const task = use(book, "data", "n1")
  keeper.look().look()
  expect(keeper.calls).toEqual([{ step: "publish", id: "data", node: "n1", plugin: "there" }])
  keeper.done({ nodes: [{ node: "n1", state: "published", plugin: "there" }] }).look()
  expect([keeper.calls, book.publishedTo("data")]).toEqual([[], ["n1: published"]])
  end(book, task)
  keeper.look().look()
  // From here on it is the node's turn.
  expect([keeper.calls, book.publishedTo("data")]).toEqual([[], ["n1: pending-node-unpublish"]])
  book.step("data", "n1", "pending-controller-unpublish")
  keeper.look()
  expect(keeper.calls).toEqual([{ step: "unpublish", id: "data", node: "n1", plugin: "there" }])
  keeper.done({ nodes: [{ node: "n1", state: "unpublished" }] })
  book.must({ type: "volume.remove", v: 1, id: "data", force: false })
  keeper.look()
  expect(keeper.calls).toEqual([{ step: "delete", id: "data" }])
  keeper.done({ deleted: true })
  expect(book.tables.count("volume")).toBe(0)
})

test("what a plugin refuses is asked again, ever later, while other volumes and nodes go on", () => {
  const keeper = new Keeper((book) => {
    nodeWith(book, "n1")
    nodeWith(book, "n2")
    book.volume("data", { AccessMode: { Scope: "multi", Sharing: "all", MountVolume: {} } })
    use(book, "data", "n1")
    use(book, "data", "n2")
  })
  expect(keeper.calls).toMatchObject([{ step: "publish", node: "n1" }])
  keeper.refuse("no space")
  expect(summary(keeper.state)).toBe("1 volumes, 1 in trouble: no space")
  expect(keeper.calls).toMatchObject([{ step: "publish", node: "n2" }])
  keeper.done({ nodes: [{ node: "n2", state: "published" }] })
  expect(keeper.calls).toEqual([])
  const waits: Array<number> = []
  for (let tries = 0; tries < 4; tries++) {
    keeper.look()
    expect(keeper.calls).toEqual([])
    waits.push(keeper.wakeAfterMs ?? 0)
    keeper.now += keeper.wakeAfterMs ?? 0
    keeper.look()
    expect(keeper.calls).toMatchObject([{ step: "publish", node: "n1" }])
    keeper.refuse("no space")
  }
  expect(waits.at(-1)).toBeGreaterThan(2 * (waits[0] ?? 0))
})

test("a volume on a node that is gone is taken back without its word, by what the plugin knew the node by", () => {
  const keeper = new Keeper((book) => {
    nodeWith(book, "n1")
    book.volume("data")
    use(book, "data", "n1")
  })
  keeper.done({ nodes: [{ node: "n1", state: "published", plugin: "there" }] })
  const { book } = keeper
  book.must({ type: "node.observe", v: 1, nodes: [{ id: "n1", status: { State: "down" } }] })
  keeper.look()
  // One that is merely silent may still write.
  expect([keeper.calls, book.publishedTo("data")]).toEqual([[], ["n1: published"]])
  book.must({ type: "node.remove", v: 1, id: "n1", force: true })
  keeper.look()
  expect(keeper.calls).toEqual([{ step: "unpublish", id: "data", node: "n1", plugin: "there" }])
})

test("a volume that is not wanted before it was made is forgotten, one that is being made is deleted after", () => {
  const keeper = new Keeper((book) => {
    for (const name of ["idle", "busy"]) book.must({ type: "volume.create", v: 1, volume: unmade(name) })
  })
  const { book } = keeper
  expect(keeper.calls.map(({ id }) => id)).toEqual(["idle", "busy"])
  keeper.refuse("not here")
  for (const id of ["idle", "busy"]) book.must({ type: "volume.remove", v: 1, id, force: false })
  keeper.look()
  expect([...book.tables.all("volume")].map(({ ID }) => ID)).toEqual(["busy"])
  keeper.done({ info })
  expect(keeper.calls).toEqual([{ step: "delete", id: "busy" }])
})

test("another leader asks for what the one before may have asked for", () => {
  const { book } = new Keeper((made) => made.must({ type: "volume.create", v: 1, volume: unmade("data") }))
  const next = new Keeper((made) => made.must({ type: "volume.create", v: 1, volume: unmade("data") }))
  expect(book.tables.get("volume", "data")?.Info).toBeUndefined()
  expect(next.calls).toEqual([{ step: "create", id: "data" }])
})
