/** A process with one tree on imitated time, for the tests of supervision. */
import type { AnyActor } from "#runtime/actor.ts"
import { type Address, address } from "#runtime/address.ts"
import { type ChildSpec, type SupervisorSpec, supervisor } from "#runtime/supervisor.ts"
import type { ChildRef, Order, OrderOutcome, TreeFailed, TreeNode } from "#runtime/system.ts"
import { type CounterProps, counter, World } from "#test/runtime/world.ts"

export const at = (kind: string, id = "main"): Address => address("n1", kind, id)

export function grow(spec: Partial<SupervisorSpec> & { children: ReadonlyArray<ChildSpec> }) {
  const world = new World()
  const { system, stage, events } = world.process("n1")
  let failure: TreeFailed | undefined
  let ended = false
  const handle = system.startTree(supervisor({ name: "top", ...spec }), "n1", {
    ended: (error) => {
      ended = true
      failure = error
    }
  })
  world.host.settle()
  const tell = (kind: string, message: object, id = "main"): void => {
    system.tell(at(kind, id), message)
    world.host.settle()
  }
  const sum = (kind: string, id = "main"): unknown => {
    const outcome = world.ask(system, at(kind, id), { _tag: "Get" })
    return outcome?._tag === "Answer" ? (outcome.value as { sum: number }).sum : outcome?._tag
  }
  /** What came of an order by hand, or undefined while it is still being carried out. */
  const order = (what: Order, child: ChildRef): OrderOutcome | undefined => {
    let heard: OrderOutcome | undefined
    system.order(child, what, (outcome) => {
      heard = outcome
    })
    world.host.settle()
    return heard
  }
  /** The children of the top, or of the supervisor at `path`, each with its state, in their order. */
  const children = (...path: ReadonlyArray<string>): ReadonlyArray<string> =>
    system
      .inspectChild(["top", ...path])
      ?.children.map((child: TreeNode) => `${child.name} ${child.state}`) ?? []
  return {
    world,
    system,
    stage,
    events,
    handle,
    tell,
    sum,
    order,
    children,
    failure: () => failure,
    ended: () => ended,
    /** What happens now or within the next `ms`. */
    after: (ms: number) => world.host.advance(ms)
  }
}

/** Actors a, b, c… that write their starts into a diary and hold something while they live. */
export function band(diary: string[], ...kinds: ReadonlyArray<string>): ReadonlyArray<AnyActor> {
  return kinds.map((kind) => counter(kind, { onStart: () => diary.push(kind) }))
}

export const hold: CounterProps = { actions: [{ _tag: "Hold" }] }
export const explode = { _tag: "Explode" }
export const finish = { _tag: "Finish" }
export const add = (amount: number): object => ({ _tag: "Add", amount })
export const doing = (action: object): object => ({ _tag: "Do", action })
