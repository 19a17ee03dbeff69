/** Tasks, containers and moments for tests of the node's side. */
import type { ContainerState } from "#actors/drivers/executor.ts"
import type { ContainerSpec } from "#actors/model/spec.ts"
import type { NetworkPlan } from "#actors/network/plan.ts"
import type { AssignedTask } from "#actors/node/protocol.ts"
import type { Place, Pursue } from "#actors/task/protocol.ts"
import type { Moment } from "#runtime/behaviour.ts"
import { Fresh } from "#runtime/ids.ts"

export const place: Place = {
  clusterId: "c1",
  nodeId: "n1",
  hostname: "host-1",
  os: "linux",
  architecture: "x86_64"
}

export const aTask = (changes: Partial<AssignedTask> = {}, spec: ContainerSpec = {}): AssignedTask => ({
  id: "t1",
  serviceId: "s1",
  serviceName: "web",
  name: "web.1.t1",
  slot: 1,
  spec: { ContainerSpec: { Image: "busybox:1", ...spec } },
  attachments: [],
  desired: "running",
  state: "assigned",
  ...changes
})

export const aNetwork = (changes: Partial<NetworkPlan> = {}): NetworkPlan => ({
  id: "net1",
  name: "n",
  subnets: [],
  internal: false,
  attachable: false,
  ipv6: false,
  labels: {},
  options: {},
  ...changes
})

export const aPursuit = (
  changes: Partial<AssignedTask> = {},
  spec: ContainerSpec = {},
  rest: Partial<Pursue> = {}
): Pursue => ({
  _tag: "Pursue",
  assigned: aTask(changes, spec),
  networks: [],
  secrets: [],
  configs: [],
  place,
  ...rest
})

export const aContainer = (changes: Partial<ContainerState> = {}): ContainerState => ({
  id: "k1",
  name: "web.1.t1",
  labels: {
    "com.docker.swarm.task.id": "t1",
    "com.docker.swarm.node.id": "n1",
    "io.troupe.cluster": "c1"
  },
  status: "running",
  pid: 77,
  exitCode: 0,
  oomKilled: false,
  error: "",
  startedAt: "",
  finishedAt: "",
  addresses: {},
  ports: [],
  ...changes
})

export const aMoment = (
  now = 1_000_000,
  fresh = Fresh.from(1),
  self = { home: "n1", kind: "task", id: "t1" }
): Moment => ({
  now,
  fresh,
  self
})
