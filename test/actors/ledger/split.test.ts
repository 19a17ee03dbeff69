import { expect, test } from "bun:test"
import { Effect } from "effect"
import type { Command } from "#actors/ledger/commands.ts"
import { encodeEntry } from "#actors/ledger/encode.ts"
import { carryOut } from "#actors/ledger/proposer.ts"
import { Ledger, type WriteOutcome } from "#actors/ledger/service.ts"
import { split } from "#actors/ledger/split.ts"
import { propose } from "#actors/ledger/writer.ts"
import { maxEntryBytes } from "#actors/raft/entry.ts"
import { Failures } from "#actors/scheduler/failures.ts"
import { place } from "#actors/scheduler/place.ts"
import { address } from "#runtime/address.ts"
import { Stage } from "#test/support/stage.ts"

type TasksChange = Extract<Command, { type: "tasks.change" }>

const sizeOf = (command: Command): number =>
  encodeEntry({ command, proposer: "n", boot: "b", seq: 1, who: "leader", why: "", time: 0 }).length
const changes = (commands: ReadonlyArray<Command>) => commands as ReadonlyArray<TasksChange>

test("five thousand tasks that find a node at once fit into entries, and all are placed", () => {
  const stage = new Stage(Array.from({ length: 50 }, (_, at) => `node-${at}`.padEnd(25, "x")))
  for (const id of ["a", "b", "c"]) {
    stage.book.service(id, { Mode: { Replicated: { Replicas: 2_000 } } })
    stage.look(id)
  }
  stage.book.must({
    type: "tasks.change",
    v: 1,
    create: [],
    update: [...stage.book.tables.all("task")].map(({ ID }) => ({
      id: ID,
      Status: { Timestamp: "", State: "pending" as const }
    })),
    remove: []
  })
  const update = place(stage.book.tables, { now: stage.now, failures: new Failures(stage.now), most: 5_000 })
  const command: Command = { type: "tasks.change", v: 1, create: [], update, remove: [] }
  expect(sizeOf(command)).toBeGreaterThan(maxEntryBytes)
  const parts = changes(split(command))
  for (const part of parts) expect(sizeOf(part)).toBeLessThan(maxEntryBytes)
  expect(parts.flatMap((part) => part.update)).toEqual([...update])
})

test("a removed service's tasks, however many, and new ones go in order; what fits stays one entry", () => {
  const update = Array.from({ length: 40_000 }, (_, at) => ({
    id: String(at).padStart(25, "0"),
    DesiredState: "remove" as const
  }))
  const remove = update.map(({ id }) => id)
  const parts = changes(split({ type: "tasks.change", v: 1, create: [], update, remove }))
  for (const part of parts) expect(sizeOf(part)).toBeLessThan(maxEntryBytes)
  expect(parts.flatMap((part) => part.update)).toEqual(update)
  expect(parts.flatMap((part) => part.remove)).toEqual(remove)
  const small: Command = {
    type: "tasks.change",
    v: 1,
    create: [],
    update: update.slice(0, 2_000),
    remove: []
  }
  expect(split(small)).toEqual([small])
})

test("nor is what a leader says of thousands of nodes, networks, services or statuses at once too much for an entry", () => {
  const ids = Array.from({ length: 10_000 }, (_, at) => String(at).padStart(25, "0"))
  const gateways = ids.slice(0, 10).map((NetworkID) => ({ NetworkID, Addresses: ["10.123.124.125/24"] }))
  const status = { Timestamp: "2026-01-01T00:00:00.000Z", State: "failed", Err: "x".repeat(300) } as const
  const endpoint = {
    Ports: [],
    VirtualIPs: ids.slice(0, 4).map((NetworkID) => ({ NetworkID, Addr: "10.123.124.125/24" }))
  }
  const ipam = { Driver: "default", Config: [{ Subnet: "10.123.124.0/24", Gateway: "10.123.124.1" }] }
  const commands: ReadonlyArray<readonly [Command, string]> = [
    [{ type: "node.gateways", v: 1, nodes: ids.map((id) => ({ id, gateways })) }, "nodes"],
    [{ type: "node.observe", v: 1, nodes: ids.map((id) => ({ id, lastSeen: status.Err })) }, "nodes"],
    [{ type: "tasks.report", v: 1, node: "n1", statuses: ids.map((id) => ({ id, status })) }, "statuses"],
    [{ type: "service.allot", v: 1, services: ids.map((id) => ({ id, endpoint })) }, "services"],
    [{ type: "network.allot", v: 1, networks: ids.map((id, vni) => ({ id, ipam, vni })) }, "networks"]
  ]
  for (const [command, list] of commands) {
    const parts = split(command)
    const rest = ({ [list]: _list, ...other }: Record<string, unknown>) => other
    const listOf = (of: unknown) => (of as Record<string, ReadonlyArray<unknown>>)[list] ?? []
    for (const part of parts) {
      expect(sizeOf(part)).toBeLessThan(maxEntryBytes)
      expect(rest(part)).toEqual(rest(command))
    }
    expect(parts.flatMap(listOf)).toEqual([...listOf(command)])
  }
})

test("what an actor of the leader proposes is written in such parts, until one is not applied", async () => {
  const remove = Array.from({ length: 120_000 }, (_, at) => String(at).padStart(25, "0"))
  const asked = propose("gone", [{ type: "tasks.change", v: 1, create: [], update: [], remove }])
  for (const [applied, written] of [
    [9, 4],
    [1, 2]
  ] as const) {
    const sizes: Array<number> = []
    const ledger = {
      read: { index: 0 },
      propose: (command: Command) => {
        sizes.push(sizeOf(command))
        const outcome: WriteOutcome =
          sizes.length > applied
            ? { _tag: "Unknown", message: "" }
            : { _tag: "Applied", applied: { index: 1 } }
        return Effect.succeed(outcome)
      }
    } as unknown as Ledger["Service"]
    const step = carryOut(asked, address("leader", "service", "web"))
    const { outcome } = await Effect.runPromise(Effect.provideService(step, Ledger, ledger))
    expect(outcome._tag).toBe(applied < written ? "Unknown" : "Applied")
    expect(sizes).toHaveLength(written)
    expect(Math.max(...sizes)).toBeLessThan(maxEntryBytes)
  }
})
