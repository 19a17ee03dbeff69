import { expect, test } from "bun:test"
import { Effect } from "effect"
import { networkLabel } from "#actors/drivers/labels.ts"
import { makeAttachments } from "#actors/gateway/attachments.ts"
import { placeInConnect, placeInCreate } from "#actors/gateway/name-networks.ts"
import { Fresh } from "#runtime/ids.ts"

type Answers = Record<string, unknown>

/** A leader, a network actor and an Engine that say what a test lets them. */
class Around {
  readonly told: Array<unknown> = []
  readonly asked: Array<Record<string, unknown>> = []
  leader: Answers = { _tag: "AttachedAt", networkId: "net1", addresses: ["10.0.1.193"] }
  /** As long as it is positive, the bridge is not there yet. */
  slow = 0
  tasks: Array<Answers> = []
  containers: Array<Answers> = []
  readonly attachments = makeAttachments({
    nodeId: "n1",
    fresh: Fresh.from(1),
    engine: {
      call: (_method, path) =>
        Effect.succeed({
          status: 200,
          headers: {},
          body: path.startsWith("/containers")
            ? this.containers
            : [{ Id: "e1", Name: "tools", Labels: { [networkLabel]: "net1" } }]
        })
    },
    system: {
      tell: (_to, message) => void this.told.push(message),
      ask: ((to: { kind: string }, message: Record<string, unknown>) => {
        if (to.kind !== "network") {
          this.asked.push(message)
          return Effect.succeed(this.leader)
        }
        const id = this.asked.at(-1)?.id
        const services =
          this.slow-- > 0
            ? []
            : [
                { serviceId: id, tasks: [] },
                ...this.tasks.map((task) => ({ serviceId: task.taskId, tasks: [task] }))
              ]
        return Effect.succeed({
          tables: [{ networkId: "net1", services }],
          problems: [],
          bridgeless: [],
          isLaying: false
        })
      }) as never
    }
  })
}

test("a container's place is the leader's address, once this node takes part in the network", async () => {
  const around = new Around()
  around.slow = 3
  const asked = { network: "tools", name: "one", aliases: ["uno"], ipv4: "10.0.1.193" }
  expect(await Effect.runPromise(around.attachments.join(asked))).toEqual({
    bridge: "tools",
    addresses: ["10.0.1.193"]
  })
  expect(around.slow).toBe(-1)
  expect(around.asked).toMatchObject([{ _tag: "Attach", ...asked, id: expect.any(String) }])
})

test("what the leader refuses is refused in its words", async () => {
  const around = new Around()
  around.leader = { _tag: "NotAttached", code: "forbidden", reason: "Address already in use" }
  const refused = await Effect.runPromise(Effect.flip(around.attachments.join({ network: "tools" })))
  expect(refused.refusal).toEqual({ code: "forbidden", message: "Address already in use" })
})

test("a container that two looks do not find gives its address back; a stopped one keeps it", async () => {
  const around = new Around()
  const row = (taskId: string, address: string, nodeId = "n1") => ({ taskId, nodeId, addresses: [address] })
  around.tasks = [row("a", "10.0.1.193"), row("b", "10.0.1.194"), row("c", "10.0.1.195", "n2")]
  const stopped = { IPAddress: "", IPAMConfig: { IPv4Address: "10.0.1.194" } }
  around.containers = [{ NetworkSettings: { Networks: { tools: stopped, other: null } } }]
  await Effect.runPromise(around.attachments.look)
  expect(around.told).toEqual([])
  await Effect.runPromise(around.attachments.look)
  expect(around.told).toEqual([{ _tag: "Detach", attached: ["a"] }])
})

test("the Engine is told the bridge, the address and the hardware address that follows from it", () => {
  const place = { bridge: "e1", addresses: ["10.0.1.193", "fd00::c1"] }
  const endpoint = {
    IPAMConfig: { IPv4Address: "10.0.1.193", IPv6Address: "fd00::c1" },
    MacAddress: "02:42:0a:00:01:c1"
  }
  const places = new Map([["tools", place]])
  expect(placeInCreate({ Image: "i", HostConfig: { NetworkMode: "tools" } }, places)).toEqual({
    Image: "i",
    HostConfig: { NetworkMode: "e1" },
    NetworkingConfig: { EndpointsConfig: { e1: endpoint } }
  })
  const named = { NetworkingConfig: { EndpointsConfig: { tools: { Aliases: ["x"] }, mine: {} } } }
  expect(placeInCreate(named, places)).toEqual({
    NetworkingConfig: { EndpointsConfig: { e1: { Aliases: ["x"], ...endpoint }, mine: {} } }
  })
  expect(placeInConnect({ Container: "c" }, place)).toEqual({ Container: "c", EndpointConfig: endpoint })
  // Where the Engine chooses, only the name changes.
  const bare = new Map([["tools", { bridge: "e1" }]])
  expect(placeInCreate({ HostConfig: { NetworkMode: "tools" } }, bare)).toEqual({
    HostConfig: { NetworkMode: "e1" }
  })
})
