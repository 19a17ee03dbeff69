import { expect, test } from "bun:test"
import { featureLevel } from "#actors/ledger/features.ts"
import { nextChange, observed, risenLevel } from "#actors/manager/members/choose.ts"
import type { Cluster, Node } from "#actors/model/objects.ts"
import type { GroupView, MemberView } from "#actors/raft/protocol.ts"

const node = (
  id: string,
  role: "manager" | "worker",
  more: Partial<Node["ManagerStatus"]> | "none" = {}
): Node => ({
  ID: id,
  Version: { Index: 1 },
  CreatedAt: "",
  UpdatedAt: "",
  Spec: { Role: role, Availability: "active", Labels: {} },
  Status: { State: "ready" },
  ...(more === "none" ? {} : { ManagerStatus: { Reachability: "reachable", Addr: `${id}:2377`, ...more } })
})
const member = (id: string, more: Partial<MemberView> = {}): MemberView => ({
  id,
  voter: true,
  reachable: true,
  ...more
})
const group = (...members: ReadonlyArray<MemberView>): GroupView => ({ members, removed: [], settled: true })

test("who is a manager and not in the group is added, one after the other", () => {
  const nodes = [node("a", "manager"), node("c", "manager"), node("b", "manager")]
  expect(nextChange(nodes, group(member("a")), "a")).toEqual({ _tag: "AddLearner", node: "b" })
})

test("nothing is changed while a change is under way", () => {
  const nodes = [node("a", "manager"), node("b", "manager")]
  expect(nextChange(nodes, { members: [member("a")], removed: [], settled: false }, "a")).toBeUndefined()
})

test("a promoted worker is added once it says how it is reached", () => {
  expect(
    nextChange([node("a", "manager"), node("b", "manager", "none")], group(member("a")), "a")
  ).toBeUndefined()
})

test("RF-24 a demoted manager leaves the group, a leader that was demoted after all others", () => {
  const nodes = [node("a", "worker"), node("b", "worker"), node("c", "manager")]
  const all = group(member("a"), member("b"), member("c"))
  expect(nextChange(nodes, all, "a")).toEqual({ _tag: "Remove", node: "b" })
  expect(nextChange(nodes, group(member("a"), member("c")), "a")).toEqual({ _tag: "Remove", node: "a" })
})

test("a member whose node was removed leaves the group", () => {
  expect(nextChange([node("a", "manager")], group(member("a"), member("gone")), "a")).toEqual({
    _tag: "Remove",
    node: "gone"
  })
})

test("a node is known in the group by the name that its log has", () => {
  const nodes = [node("a", "manager"), node("b", "manager", { RaftId: "b2" })]
  expect(nextChange(nodes, group(member("a"), member("b")), "a")).toEqual({ _tag: "AddLearner", node: "b2" })
  expect(nextChange(nodes, group(member("a"), member("b"), member("b2")), "a")).toEqual({
    _tag: "Remove",
    node: "b"
  })
})

test("what the ledger says of a manager follows what the leader sees of it", () => {
  const nodes = [node("a", "manager", { Leader: true }), node("b", "manager"), node("c", "manager")]
  const seen = group(member("a"), member("b", { reachable: false }), member("c", { voter: false }))
  expect(observed(nodes, seen, "a")).toEqual([
    { id: "b", reachability: "unreachable" },
    { id: "c", reachability: "unknown" }
  ])
  const all = group(member("a"), member("b"), member("c"))
  expect(observed(nodes, all, "a")).toEqual([])
  // As a new leader finds it, and until its word is written.
  expect(observed(nodes, all, "b")).toEqual([
    { id: "a", reachability: "reachable", leader: false },
    { id: "b", reachability: "reachable", leader: true }
  ])
})

test("RF-24 a demoted manager is one until it has left the group", () => {
  const nodes = [node("a", "manager", { Leader: true }), node("b", "worker")]
  expect(observed(nodes, group(member("a"), member("b")), "a")).toEqual([])
  expect(observed(nodes, group(member("a")), "a")).toEqual([{ id: "b", retired: true }])
})

const able = (id: string, FeatureLevel: number | undefined): Node => ({
  ...node(id, "manager"),
  Description: {
    Hostname: id,
    Platform: { OS: "linux", Architecture: "x86_64" },
    Resources: { NanoCPUs: 1e9, MemoryBytes: 1e9 },
    Engine: { EngineVersion: "1" },
    ...(FeatureLevel === undefined ? {} : { FeatureLevel })
  }
})
const clusterOf = (FeatureLevel: number) => ({ FeatureLevel }) as Cluster

test("the feature level rises to what all managers can, and no further than the leader itself can", () => {
  const level = (has: number, ...can: ReadonlyArray<number | undefined>) =>
    risenLevel([...can.map((one, at) => able(`m${at}`, one)), node("w", "worker", "none")], clusterOf(has))
  expect(level(1, featureLevel, featureLevel)).toBe(featureLevel)
  expect(level(1, featureLevel + 5, featureLevel + 1)).toBe(featureLevel)
  expect(level(featureLevel, featureLevel)).toBeUndefined()
  // One that has not said what it can is of a release from before there were levels, or has yet to come up.
  expect(level(1, featureLevel, undefined)).toBeUndefined()
  expect(level(1, featureLevel, 1)).toBeUndefined()
  expect(risenLevel([able("m", featureLevel)], undefined)).toBeUndefined()
})
