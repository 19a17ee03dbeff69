import { expect, test } from "bun:test"
import {
  translateContainer,
  translateEvent,
  translateInfo,
  translateStats
} from "#actors/drivers/engine/translate.ts"

const event = (Action: string, Attributes: Record<string, string> = {}) =>
  translateEvent({ Type: "container", Action, Actor: { ID: "c1", Attributes } })

test("events carry the container's labels, without what the Engine adds", () => {
  expect(event("die", { image: "i", name: "n", exitCode: "137", a: "b" })).toEqual({
    _tag: "Died",
    containerId: "c1",
    labels: { a: "b" },
    exitCode: 137
  })
  expect(event("start")?._tag).toBe("Started")
  expect(event("oom")?._tag).toBe("OutOfMemory")
  expect(event("destroy")?._tag).toBe("Destroyed")
  expect(event("health_status: unhealthy")).toMatchObject({ _tag: "Health", health: "unhealthy" })
  expect(event("exec_start: sh")).toBeUndefined()
  expect(translateEvent({ Type: "network", Action: "destroy", Actor: { ID: "n" } })).toBeUndefined()
})

test("a container without network, health check or labels is understood", () => {
  const state = translateContainer({
    Id: "c1",
    Name: "/web.1.x",
    State: { Status: "created" },
    Config: { Labels: null }
  })
  expect(state).toMatchObject({
    id: "c1",
    name: "web.1.x",
    labels: {},
    status: "created",
    ports: [],
    addresses: {}
  })
  expect("health" in state).toBe(false)
})

test("a container says how long it was promised when it is stopped, if anything was", () => {
  const graceOf = (StopTimeout?: number | null) =>
    translateContainer({
      Id: "c1",
      Name: "/x",
      State: { Status: "running" },
      Config: StopTimeout === undefined ? {} : { StopTimeout }
    }).graceMs
  expect([graceOf(20), graceOf(0), graceOf(null), graceOf()]).toEqual([20_000, 0, undefined, undefined])
})

test("a port bound for IPv4 and IPv6 is one port, and one that is only exposed is none", () => {
  const { ports } = translateContainer({
    Id: "c1",
    Name: "/x",
    State: { Status: "running", Health: { Status: "none" } },
    Config: {},
    NetworkSettings: {
      Networks: {
        a: null,
        b: { NetworkID: "n1", IPAddress: "10.0.0.2" },
        c: { NetworkID: "", IPAddress: "" }
      },
      Ports: {
        "53/udp": null,
        "80/tcp": [
          { HostIp: "0.0.0.0", HostPort: "8080" },
          { HostIp: "::", HostPort: "8080" }
        ]
      }
    }
  })
  expect(ports).toEqual([{ protocol: "tcp", targetPort: 80, publishedPort: 8080 }])
})

test("memory is counted without the page cache, on both generations of control groups", () => {
  const sample = (stats: Record<string, number>) =>
    translateStats({
      read: "2026-11-22T21:01:28.5Z",
      cpu_stats: { cpu_usage: { total_usage: 7 } },
      memory_stats: { usage: 100, stats },
      networks: { eth0: { rx_bytes: 1, tx_bytes: 2 }, eth1: { rx_bytes: 10, tx_bytes: 20 } }
    })
  expect(sample({ total_inactive_file: 40, inactive_file: 1 })).toEqual({
    at: Date.parse("2026-11-22T21:01:28.5Z"),
    cpuNanos: 7,
    memoryBytes: 60,
    rxBytes: 11,
    txBytes: 22
  })
  expect(sample({ inactive_file: 30 })?.memoryBytes).toBe(70)
  expect(translateStats({ read: "0001-01-01T00:00:00Z" })).toBeUndefined()
})

test("the machine is described in Swarm's words", () => {
  const description = translateInfo({
    Name: "n1",
    ServerVersion: "28.0.0",
    NCPU: 4,
    MemTotal: 1024,
    Architecture: "amd64",
    OSType: "linux",
    Labels: ["zone=a=b", "ssd"],
    Plugins: { Volume: ["local"], Network: ["overlay", "bridge"], Log: null, Authorization: null },
    GenericResources: [
      { NamedResourceSpec: { Kind: "GPU", Value: "g1" } },
      { DiscreteResourceSpec: { Kind: "SSD", Value: 3 } }
    ]
  })
  expect(description).toEqual({
    Hostname: "n1",
    Platform: { Architecture: "x86_64", OS: "linux" },
    Resources: {
      NanoCPUs: 4e9,
      MemoryBytes: 1024,
      GenericResources: [
        { NamedResourceSpec: { Kind: "GPU", Value: "g1" } },
        { DiscreteResourceSpec: { Kind: "SSD", Value: 3 } }
      ]
    },
    Engine: {
      EngineVersion: "28.0.0",
      Labels: { zone: "a=b", ssd: "" },
      Plugins: [
        { Type: "Network", Name: "bridge" },
        { Type: "Network", Name: "overlay" },
        { Type: "Volume", Name: "local" }
      ]
    },
    Executor: "docker"
  })
})
