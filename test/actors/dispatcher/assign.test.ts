import { describe, expect, test } from "bun:test"
import { completeAssignment, differenceOf, goalOf, nothing, portsOf } from "#actors/dispatcher/assign.ts"
import type { ServiceSpec } from "#actors/model/spec.ts"
import { Stage } from "#test/support/stage.ts"

const goal = (stage: Stage, node = "n1", before = nothing) => goalOf(stage.book.tables, node, before)

function secret(stage: Stage, id: string): void {
  stage.book.must({
    type: "secret.create",
    v: 1,
    secret: { ID: id, Spec: { Name: `${id}-name`, Data: "czNjcjN0" } }
  })
}

const using = (...ids: ReadonlyArray<string>): ServiceSpec => ({
  TaskTemplate: {
    ContainerSpec: { Secrets: ids.map((SecretID) => ({ SecretID, SecretName: `${SecretID}-name` })) }
  }
})

describe("what a node holds", () => {
  test("DI-07 its tasks from assigned on, with the files of those that may run, and nobody else's", () => {
    const stage = new Stage(["n1", "n2"])
    secret(stage, "s1")
    secret(stage, "s2")
    stage.create("web", { ...using("s1"), Mode: { Replicated: { Replicas: 1 } } })
    const node = stage.running("web")[0]?.NodeID ?? ""
    const other = node === "n1" ? "n2" : "n1"
    const { tasks, secrets } = goal(stage, node)
    expect([...tasks.values()]).toMatchObject([{ serviceName: "web", slot: 1, desired: "running" }])
    expect([...secrets.values()]).toEqual([{ id: "s1", name: "s1-name", data: "czNjcjN0" }])
    expect(goal(stage, other)).toEqual(nothing)
  })

  test("UP-02 JB-10 a task without a log driver of its own takes the cluster's default", () => {
    const stage = new Stage(["n1"])
    const drivers = () => [...goal(stage).tasks.values()].map(({ spec }) => spec.LogDriver?.Name)
    stage.create("plain", { Mode: { Replicated: { Replicas: 1 } } })
    expect(drivers()).toEqual([undefined])
    stage.create("own", {
      Mode: { Replicated: { Replicas: 1 } },
      TaskTemplate: { LogDriver: { Name: "local" } }
    })
    const { Spec, Version } = stage.book.tables.cluster() ?? {}
    stage.book.must({
      type: "cluster.update",
      v: 1,
      version: Version?.Index ?? 0,
      spec: { ...Spec, TaskDefaults: { LogDriver: { Name: "syslog", Options: { tag: "x" } } } }
    })
    expect(drivers().sort()).toEqual(["local", "syslog"])
  })

  test("a config that is a template says what fills it in", () => {
    const stage = new Stage(["n1"])
    const Spec = { Name: "site", Data: "czNjcjN0", Templating: { Name: "golang" } }
    stage.book.must({ type: "config.create", v: 1, config: { ID: "c1", Spec } })
    const Configs = [{ ConfigID: "c1", ConfigName: "site", File: { Name: "site" } }]
    stage.create("web", {
      TaskTemplate: { ContainerSpec: { Configs } },
      Mode: { Replicated: { Replicas: 1 } }
    })
    expect([...goal(stage).configs.values()]).toMatchObject([{ id: "c1", template: "golang" }])
  })

  test("a task that waits for its node is nobody's", () => {
    const stage = new Stage(["n1"])
    stage.book.service("agent", { Mode: { Global: {} } })
    stage.look("agent")
    expect(goal(stage).tasks.size).toBe(0)
  })

  test("a task is named after its service, slot and id, and carries its own version of the template", () => {
    const stage = new Stage().create("web", { TaskTemplate: { ContainerSpec: { Image: "one" } } })
    const [old] = stage.running("web")
    stage.update("web", (spec) => ({ ...spec, TaskTemplate: { ContainerSpec: { Image: "two" } } }))
    const task = goal(stage).tasks.get(old?.ID ?? "")
    expect(task?.name).toBe(`web.1.${old?.ID}`)
    expect(task?.spec.ContainerSpec?.Image).toBe("one")
  })

  test("a task of a global service is named after its node", () => {
    const stage = new Stage().create("agent", { Mode: { Global: {} } })
    const [task] = [...goal(stage).tasks.values()]
    expect(task?.name).toBe(`agent.n1.${task?.id}`)
  })

  test("a task brings the generic resources that the scheduler gave it", () => {
    const stage = new Stage().create("web", {})
    const [task] = stage.running("web")
    const given = [{ NamedResourceSpec: { Kind: "gpu", Value: "g1" } }]
    stage.book.must({
      type: "tasks.change",
      v: 1,
      create: [],
      update: [{ id: task?.ID ?? "", AssignedGenericResources: given }],
      remove: []
    })
    expect(goal(stage).tasks.get(task?.ID ?? "")?.genericResources).toEqual(given)
  })

  test("DI-14 a task whose secret is missing is sent all the same", () => {
    const stage = new Stage()
    secret(stage, "s1")
    stage.create("web", using("s1"))
    stage.update("web", (spec) => ({ ...spec, TaskTemplate: {} }))
    stage.book.must({ type: "secret.remove", v: 1, id: "s1" })
    const { tasks, secrets } = goal(stage)
    expect(tasks.size).toBe(1)
    expect(secrets.size).toBe(0)
  })

  test("the tasks of a removed service keep what they had while they end", () => {
    const stage = new Stage().create("web", { TaskTemplate: { ContainerSpec: { Image: "one" } } })
    const before = goal(stage)
    stage.stubborn.add(stage.running("web")[0]?.ID ?? "")
    stage.book.must({ type: "service.remove", v: 1, id: "web" })
    stage.converge()
    const [task] = [...goal(stage, "n1", before).tasks.values()]
    expect(task).toMatchObject({
      serviceName: "web",
      desired: "remove",
      spec: { ContainerSpec: { Image: "one" } }
    })
  })

  test("networks come with the addresses that its tasks were given", () => {
    const stage = new Stage()
    const id = "abcdefghijklmnopqrstuvwxy"
    stage.book.network(id, "front")
    stage.create("web", { TaskTemplate: { Networks: [{ Target: id }] } })
    const { networks, tasks } = goal(stage)
    expect([...networks.values()]).toMatchObject([
      { id, name: "front", subnets: [{ gateway: expect.any(String) }] }
    ])
    expect([...tasks.values()][0]?.attachments[0]?.Addresses[0]).toEndWith("/24")
  })
})

describe("the difference", () => {
  test("from nothing is everything, and from the same is nothing to say", () => {
    const stage = new Stage().create("web", { Mode: { Replicated: { Replicas: 3 } } })
    const now = goal(stage)
    expect(completeAssignment(now).tasks).toHaveLength(3)
    expect(differenceOf(now, goal(stage))).toBeUndefined()
  })

  test("DI-08 a secret is dropped when the last task that needs it is on its way out", () => {
    const stage = new Stage()
    secret(stage, "s1")
    stage.create("web", { ...using("s1"), Mode: { Replicated: { Replicas: 2 } } })
    const two = goal(stage)
    stage.scale("web", 1).look("web")
    const one = goal(stage)
    expect(differenceOf(two, one)).toMatchObject({ tasks: [{ desired: "remove" }], dropped: [] })
    stage.scale("web", 0).look("web")
    expect(differenceOf(one, goal(stage))).toMatchObject({ dropped: ["s1"] })
  })

  test("DI-10 how far a task has come is not echoed to its node", () => {
    const stage = new Stage()
    stage.book.service("web", {})
    stage.look("web")
    stage.place()
    const before = goal(stage)
    const [task] = stage.tasks("web")
    for (const state of ["accepted", "preparing", "running"] as const) stage.report(task?.ID ?? "", state)
    expect(differenceOf(before, goal(stage))).toBeUndefined()
  })

  test("a task that was deleted is to be ended and forgotten", () => {
    const stage = new Stage().create("web")
    const before = goal(stage)
    const [task] = stage.tasks("web")
    stage.book.must({ type: "tasks.change", v: 1, create: [], update: [], remove: [task?.ID ?? ""] })
    expect(differenceOf(before, goal(stage))).toMatchObject({ tasks: [], removed: [task?.ID ?? ""] })
  })

  test("DI-11 what came and went between two looks is not mentioned", () => {
    const stage = new Stage().create("web")
    const before = goal(stage)
    stage.scale("web", 2).look("web")
    stage.place()
    const added = stage.tasks("web").find((task) => task.Slot === 2)
    stage.book.must({ type: "tasks.change", v: 1, create: [], update: [], remove: [added?.ID ?? ""] })
    expect(differenceOf(before, goal(stage))).toBeUndefined()
  })
})

describe("published ports", () => {
  const published = (stage: Stage) => portsOf(stage.book.tables, stage.service("web"))
  const make = (): Stage => {
    const stage = new Stage(["n1"])
    stage.book.network("ingress-id", "ingress", { Ingress: true })
    return stage.create("web", {
      Mode: { Replicated: { Replicas: 3 } },
      TaskTemplate: { RestartPolicy: { Delay: 0 } },
      EndpointSpec: {
        Ports: [
          { Protocol: "tcp", TargetPort: 80, PublishedPort: 8080 },
          { Protocol: "tcp", TargetPort: 81, PublishedPort: 8081, PublishMode: "host" }
        ]
      }
    })
  }

  test("are answered by the running tasks, at their address on the ingress network", () => {
    const stage = new Stage(["n1"])
    stage.book.network("ingress-id", "ingress", { Ingress: true })
    stage.create("web", {
      Mode: { Replicated: { Replicas: 2 } },
      EndpointSpec: { Ports: [{ Protocol: "tcp", TargetPort: 80, PublishedPort: 8080 }] }
    })
    const [port] = published(stage)
    expect(port).toMatchObject({ serviceName: "web", protocol: "tcp", publishedPort: 8080, targetPort: 80 })
    expect(port?.backends.map(({ taskId }) => taskId)).toEqual(
      stage
        .running("web")
        .map(({ ID }) => ID)
        .sort()
    )
    for (const { address, nodeId } of port?.backends ?? []) {
      expect(address).toMatch(/^10\.\d+\.\d+\.\d+$/)
      expect(nodeId).toBe("n1")
    }
  })

  test("in host mode are the node's own business", () => {
    const stage = make()
    expect(published(stage).map(({ publishedPort }) => publishedPort)).toEqual([8080])
    const [task] = [...goal(stage).tasks.values()]
    expect(task?.hostPorts?.map(({ PublishedPort }) => PublishedPort)).toEqual([8081])
  })

  test("lose a task the moment it is not wanted any more", () => {
    const stage = new Stage(["n1"])
    stage.book.network("ingress-id", "ingress", { Ingress: true })
    stage.create("web", {
      Mode: { Replicated: { Replicas: 2 } },
      EndpointSpec: { Ports: [{ Protocol: "tcp", TargetPort: 80, PublishedPort: 8080 }] }
    })
    stage.scale("web", 1).look("web")
    expect(published(stage)[0]?.backends).toHaveLength(1)
  })
})

describe("DI-16 cluster volumes of a node", () => {
  function staged() {
    const stage = new Stage([])
    const { book } = stage
    book.node("n1", {
      Description: {
        Hostname: "n1",
        Platform: { OS: "linux", Architecture: "x86_64" },
        Resources: { NanoCPUs: 4e9, MemoryBytes: 8e9 },
        Engine: { EngineVersion: "1" },
        CSIInfo: [{ PluginName: "folders", NodeID: "there" }]
      }
    })
    secret(stage, "s1")
    book.volume("data", { Secrets: [{ Key: "password", Secret: "s1" }] })
    const Mounts = [{ Type: "cluster", Source: "data", Target: "/data" }] as const
    stage.create("web", { TaskTemplate: { ContainerSpec: { Mounts } } })
    return stage
  }

  test("are told once they are published, with their secrets, and tasks name them from the start", () => {
    const stage = staged()
    const first = goal(stage)
    expect([...first.tasks.values()]).toMatchObject([
      { volumes: [{ ID: "data", Source: "data", Target: "/data" }] }
    ])
    expect(first.volumes.size).toBe(0)
    const context = { device: "x" }
    const nodes = [{ node: "n1", state: "published", context } as const]
    stage.book.must({ type: "volume.observe", v: 1, volumes: [{ id: "data", nodes }] })
    const second = goal(stage)
    expect(differenceOf(first, second)?.volumes).toEqual([
      {
        id: "data",
        driver: "folders",
        volumeId: "data",
        accessMode: { Scope: "single", Sharing: "all", MountVolume: {} },
        context: {},
        publishContext: context,
        secrets: { password: "s3cr3t" }
      }
    ])
    expect(completeAssignment(second).volumes).toHaveLength(1)
    expect(differenceOf(second, goal(stage))).toBeUndefined()
  })

  test("are asked back, and stay the node's until it has said that it let go", () => {
    const stage = staged()
    stage.book.step("data", "n1", "published")
    const [task] = stage.running("web")
    stage.report(task?.ID ?? "", "complete")
    const before = goal(stage)
    stage.book.step("data", "n1", "pending-node-unpublish")
    const asked = goal(stage)
    expect(differenceOf(before, asked)).toMatchObject({
      volumes: [{ id: "data", leaving: true, secrets: {} }],
      dropped: []
    })
    stage.book.step("data", "n1", "pending-controller-unpublish")
    expect(differenceOf(asked, goal(stage))).toMatchObject({ dropped: ["data"] })
  })
})
