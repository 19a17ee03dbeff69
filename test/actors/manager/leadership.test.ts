/** The leader's tree over the real runtime, ledger and clock: started and stopped as leadership comes and goes. */
import { expect, test } from "bun:test"
import { Effect, Scope } from "effect"
import { openLedger } from "#actors/ledger/ledger.ts"
import { Ledger, type LedgerService } from "#actors/ledger/service.ts"
import { leadership } from "#actors/manager/leadership.ts"
import type { Leadership } from "#actors/raft/protocol.ts"
import { makeLiveHost } from "#runtime/host-live.ts"
import { makeSystem } from "#runtime/live.ts"
import { System } from "#runtime/system.ts"
import { MemoryBus } from "#runtime/transport/memory.ts"
import { MemoryRaft } from "#test/support/memory-raft.ts"

/** Waits until `holds`; fails the test when it does not come to hold. */
const until = async (holds: () => boolean): Promise<void> => {
  for (let tries = 0; tries < 500; tries++) {
    if (holds()) return
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  throw new Error("it did not come to hold")
}

test("whoever leads answers for the leader's home and acts; whoever does not is silent", async () => {
  const host = makeLiveHost()
  const system = makeSystem({
    cluster: "c1",
    nodeId: "m1",
    host,
    transport: new MemoryBus(host).connect("m1")
  })
  const scope = Effect.runSync(Scope.make())
  const inScope = <A, E>(effect: Effect.Effect<A, E, Scope.Scope>) =>
    effect.pipe(Effect.provideService(Scope.Scope, scope))
  const opened = await Effect.runPromise(
    inScope(
      openLedger({
        openRaft: new MemoryRaft().open,
        directory: "",
        clusterId: "c1",
        nodeId: "m1",
        host,
        boot: "b"
      })
    )
  )
  const listeners = new Set<(word: Leadership) => void>()
  let now: Leadership = { _tag: "Following", term: 0 }
  const say = (word: Leadership): void => {
    now = word
    for (const listen of listeners) listen(word)
  }
  const ledger: LedgerService = {
    ...opened,
    leadership: () => now,
    onLeadership: (listen) => {
      listeners.add(listen)
      listen(now)
      return { unsubscribe: () => listeners.delete(listen) }
    }
  }
  const fiber = Effect.runFork(
    Effect.scoped(leadership({ clusterId: "c1", nodeId: "m1" })).pipe(
      Effect.provideService(Ledger, ledger),
      Effect.provideService(System, system)
    )
  )
  const write = (command: Parameters<LedgerService["propose"]>[0]) =>
    Effect.runPromise(opened.propose(command, { who: "test", why: "test" }))
  const service = (id: string) =>
    write({
      type: "service.create",
      v: 1,
      service: { ID: id, SpecVersion: 1, Spec: { Name: id, Mode: { Replicated: { Replicas: 2 } } } }
    })
  const tasksOf = (id: string): number => [...opened.read.tasksOfService(id)].length

  await service("early")
  expect(tasksOf("early")).toBe(0)

  say({ _tag: "Leading", term: 1 })
  await until(() => tasksOf("early") === 2)
  await service("web")
  await until(() => tasksOf("web") === 2)
  expect(system.trees().map(({ name }) => name)).toEqual(["leader of term 1"])

  say({ _tag: "Following", term: 2 })
  await until(() => system.trees().length === 0)
  await service("late")
  expect(tasksOf("late")).toBe(0)

  say({ _tag: "Leading", term: 3 })
  await until(() => tasksOf("late") === 2)
  expect(system.trees().map(({ name }) => name)).toEqual(["leader of term 3"])

  fiber.interruptUnsafe()
  await until(() => system.trees().length === 0)
  system.close()
})
