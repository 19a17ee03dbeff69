import { expect, describe as suite, test } from "bun:test"
import type { ContainerSpec } from "#actors/model/spec.ts"
import type { AssignedTask } from "#actors/node/protocol.ts"
import { describe, withFiles } from "#actors/task/describe.ts"
import type { Pursue } from "#actors/task/protocol.ts"
import { aNetwork, aPursuit } from "#test/actors/task/build.ts"

function requestFor(
  spec: ContainerSpec = {},
  changes: Partial<AssignedTask> = {},
  rest: Partial<Pursue> = {},
  bridges: Record<string, string> = {}
) {
  const described = describe(aPursuit(changes, spec, rest), bridges)
  if ("problem" in described) throw new Error(described.problem)
  return described.request
}

function problemOf(
  spec: ContainerSpec,
  changes: Partial<AssignedTask> = {},
  rest: Partial<Pursue> = {}
): string {
  const described = describe(aPursuit(changes, spec, rest), {})
  return "problem" in described ? described.problem : "none"
}

const network = aNetwork({ name: "shop_default" })

suite("the container of a task", () => {
  test("of the smallest spec has Swarm's labels, no restart policy, and defaults for all else", () => {
    expect(requestFor()).toEqual({
      Image: "busybox:1",
      Labels: {
        "com.docker.swarm.task": "",
        "com.docker.swarm.task.id": "t1",
        "com.docker.swarm.task.name": "web.1.t1",
        "com.docker.swarm.node.id": "n1",
        "com.docker.swarm.service.id": "s1",
        "com.docker.swarm.service.name": "web",
        "io.troupe.cluster": "c1"
      },
      Env: [],
      HostConfig: { RestartPolicy: { Name: "no" } },
      Networks: []
    })
  })

  const full: ContainerSpec = {
    Command: ["/entry"],
    Args: ["-v"],
    Env: ["A=b", "SLOT={{.Task.Slot}}"],
    Dir: "/srv",
    User: "1000:1000",
    Groups: ["44", "audio"],
    Hostname: "{{.Service.Name}}-{{.Task.Slot}}",
    TTY: true,
    OpenStdin: true,
    ReadOnly: true,
    Init: true,
    StopSignal: "SIGINT",
    StopGracePeriod: 2_500_000_000,
    Healthcheck: { Test: ["CMD", "true"], Interval: 1e9, Timeout: 2e9, Retries: 3, StartPeriod: 4e9 },
    Hosts: ["10.0.0.1 db other", "broken"],
    DNSConfig: { Nameservers: ["1.1.1.1"], Search: ["shop"], Options: ["ndots:1"] },
    Isolation: "default",
    Sysctls: { "net.core.somaxconn": "100" },
    CapabilityAdd: ["CAP_NET_ADMIN"],
    CapabilityDrop: ["CAP_MKNOD"],
    Ulimits: [{ Name: "nofile", Soft: 10, Hard: 20 }],
    OomScoreAdj: 100,
    Labels: { a: "b", "com.docker.swarm.task.id": "forged" },
    Privileges: {
      CredentialSpec: { File: "spec.json" },
      SELinuxContext: { Disable: true, User: "u", Level: "s0" },
      Seccomp: { Mode: "custom", Profile: "e30=" },
      AppArmor: { Mode: "disabled" },
      NoNewPrivileges: true
    },
    Mounts: [
      {
        Type: "bind",
        Source: "/data",
        Target: "/d",
        ReadOnly: true,
        BindOptions: { Propagation: "rshared" }
      },
      { Type: "volume", Source: "v-{{.Task.Slot}}", Target: "/v", VolumeOptions: { NoCopy: true } },
      { Type: "tmpfs", Target: "/t", TmpfsOptions: { SizeBytes: 1024, Mode: 0o700 } }
    ]
  }

  test("carries every field of its container spec that the Engine knows", () => {
    const { Labels, Networks, ...request } = requestFor(full)
    expect(Labels).toMatchObject({ a: "b", "com.docker.swarm.task.id": "t1" })
    expect(Networks).toEqual([])
    expect(request).toEqual({
      Image: "busybox:1",
      Env: ["A=b", "SLOT=1"],
      Entrypoint: ["/entry"],
      Cmd: ["-v"],
      Hostname: "web-1",
      WorkingDir: "/srv",
      User: "1000:1000",
      StopSignal: "SIGINT",
      Tty: true,
      OpenStdin: true,
      StopTimeout: 3,
      Healthcheck: { Test: ["CMD", "true"], Interval: 1e9, Timeout: 2e9, Retries: 3, StartPeriod: 4e9 },
      HostConfig: {
        RestartPolicy: { Name: "no" },
        Mounts: [
          {
            Type: "bind",
            Source: "/data",
            Target: "/d",
            ReadOnly: true,
            BindOptions: { Propagation: "rshared" }
          },
          { Type: "volume", Source: "v-1", Target: "/v", VolumeOptions: { NoCopy: true } },
          { Type: "tmpfs", Target: "/t", TmpfsOptions: { SizeBytes: 1024, Mode: 0o700 } }
        ],
        GroupAdd: ["44", "audio"],
        ExtraHosts: ["db:10.0.0.1"],
        Dns: ["1.1.1.1"],
        DnsSearch: ["shop"],
        DnsOptions: ["ndots:1"],
        CapAdd: ["CAP_NET_ADMIN"],
        CapDrop: ["CAP_MKNOD"],
        ReadonlyRootfs: true,
        Init: true,
        Sysctls: { "net.core.somaxconn": "100" },
        OomScoreAdj: 100,
        Ulimits: [{ Name: "nofile", Soft: 10, Hard: 20 }],
        SecurityOpt: [
          "credentialspec=file://spec.json",
          "label=disable",
          "label=user:u",
          "label=level:s0",
          "seccomp={}",
          "apparmor=unconfined",
          "no-new-privileges=true"
        ]
      }
    })
  })

  test("is limited as its resources say, and logs as its log driver says", () => {
    const { HostConfig } = requestFor(
      {},
      {
        spec: {
          ContainerSpec: { Image: "busybox:1" },
          Resources: {
            Limits: { NanoCPUs: 5e8, MemoryBytes: 64 << 20, Pids: 10 },
            Reservations: { MemoryBytes: 32 << 20 },
            SwapBytes: 16 << 20,
            MemorySwappiness: 0
          },
          LogDriver: { Name: "json-file", Options: { "max-size": "1m" } }
        }
      }
    )
    expect(HostConfig).toEqual({
      RestartPolicy: { Name: "no" },
      Memory: 64 << 20,
      NanoCpus: 5e8,
      PidsLimit: 10,
      MemoryReservation: 32 << 20,
      MemorySwap: 80 << 20,
      MemorySwappiness: 0,
      LogConfig: { Type: "json-file", Config: { "max-size": "1m" } }
    })
  })

  test("opens its ports in host mode itself; without a published port the Engine chooses", () => {
    const { ExposedPorts, HostConfig } = requestFor(
      {},
      {
        hostPorts: [
          { Protocol: "tcp", TargetPort: 80, PublishedPort: 8080, PublishMode: "host" },
          { Protocol: "udp", TargetPort: 53, PublishMode: "host" }
        ]
      }
    )
    expect(ExposedPorts).toEqual({ "80/tcp": {}, "53/udp": {} })
    expect(HostConfig.PortBindings).toEqual({
      "80/tcp": [{ HostPort: "8080" }],
      "53/udp": [{ HostPort: "" }]
    })
  })

  test("joins its networks with the address it was given and all its names", () => {
    const { Networks } = requestFor(
      {},
      {
        id: "abcdefghijklmnopqrstuvwxy",
        spec: {
          ContainerSpec: { Image: "busybox:1" },
          Networks: [{ Target: "net1", Aliases: ["www", "web"] }]
        },
        attachments: [{ NetworkID: "net1", Addresses: ["10.0.1.5/24", "fd00::5/64"] }]
      },
      { networks: [network] },
      { net1: "engine-1" }
    )
    expect(Networks).toEqual([
      {
        networkId: "engine-1",
        endpoint: {
          Aliases: ["web", "tasks.web", "www", "abcdefghijkl"],
          IPAMConfig: { IPv4Address: "10.0.1.5", IPv6Address: "fd00::5" },
          MacAddress: "02:42:0a:00:01:05"
        }
      }
    ])
  })

  test("uses a network of the Engine itself by its name", () => {
    const on = (...targets: ReadonlyArray<string>) => ({
      spec: { ContainerSpec: { Image: "busybox:1" }, Networks: targets.map((Target) => ({ Target })) }
    })
    for (const name of ["host", "bridge", "none"]) {
      const { HostConfig, Networks } = requestFor({}, on(name))
      expect([HostConfig.NetworkMode, Networks]).toEqual([name, []])
    }
    const attachments = [{ NetworkID: "net1", Addresses: [] }]
    const beside = requestFor(
      {},
      { ...on("bridge", "net1"), attachments },
      { networks: [network] },
      { net1: "e1" }
    )
    expect(beside.Networks.map(({ networkId }) => networkId)).toEqual(["e1", "bridge"])
    expect(beside.HostConfig.NetworkMode).toBeUndefined()
    const described = describe(aPursuit({ ...on("host"), attachments }, undefined, { networks: [network] }), {
      net1: "e1"
    })
    expect(described).toEqual({ problem: "network host: a container on it has no other network" })
  })

  test("finds the generic resources it was given in its environment", () => {
    const { Env } = requestFor(
      { Env: ["A=b"] },
      {
        genericResources: [
          { NamedResourceSpec: { Kind: "gpu", Value: "uuid1" } },
          { NamedResourceSpec: { Kind: "gpu", Value: "uuid2" } },
          { DiscreteResourceSpec: { Kind: "ssd", Value: 3 } }
        ]
      }
    )
    expect(Env).toEqual(["A=b", "DOCKER_RESOURCE_GPU=uuid1,uuid2", "DOCKER_RESOURCE_SSD=3"])
  })
})

suite("the files of a task", () => {
  const spec: ContainerSpec = {
    Secrets: [
      { SecretID: "x", SecretName: "key", File: { Name: "key.pem", UID: "7", GID: "8", Mode: 0o400 } },
      { SecretID: "y", SecretName: "cert", File: { Name: "/etc/cert" } }
    ],
    Configs: [
      { ConfigID: "z", ConfigName: "site", File: { Name: "site.conf" } },
      { ConfigID: "cred", ConfigName: "cred", Runtime: {} }
    ]
  }
  const given = {
    secrets: [
      { id: "x", name: "key", data: "eA==" },
      { id: "y", name: "cert", data: "eQ==" }
    ],
    configs: [{ id: "z", name: "site", data: "eg==" }]
  }

  test("that are templates are filled in, or keep the container from being made", () => {
    const withTemplate = (text: string) =>
      describe(
        aPursuit(
          {},
          { Configs: [{ ConfigID: "z", ConfigName: "site", File: { Name: "site" } }] },
          {
            configs: [{ id: "z", name: "site", data: btoa(text), template: "golang" }]
          }
        ),
        {}
      )
    expect(withTemplate("{{.Task.Slot}}")).toMatchObject({ files: [{ data: btoa("1"), target: "/site" }] })
    expect(withTemplate("{{if}}")).toMatchObject({
      problem: expect.stringContaining("expanding config site failed: template: cannot evaluate {{if}}")
    })
  })

  test("go to /run/secrets and to the root, unless their names are paths", () => {
    const described = describe(aPursuit({}, spec, given), {})
    if ("problem" in described) throw new Error(described.problem)
    expect(described.files).toEqual([
      { key: "secret-0-x", data: "eA==", uid: 7, gid: 8, mode: 0o400, target: "/run/secrets/key.pem" },
      { key: "secret-1-y", data: "eQ==", uid: 0, gid: 0, mode: 0o444, target: "/etc/cert" },
      { key: "config-2-z", data: "eg==", uid: 0, gid: 0, mode: 0o444, target: "/site.conf" }
    ])
    const request = withFiles(described.request, described.files, { "secret-0-x": "/mem/t1/x" })
    expect((request.HostConfig.Mounts as ReadonlyArray<unknown>)[0]).toEqual({
      Type: "bind",
      Source: "/mem/t1/x",
      Target: "/run/secrets/key.pem",
      ReadOnly: true
    })
    expect(JSON.stringify(request)).not.toContain("eA==")
  })

  test("must have been given, and have owners that are numbers", () => {
    expect(problemOf(spec, {}, { ...given, configs: [] })).toBe("config site was not given to this node")
    const withheld = { x: "driver vault: connection refused" }
    expect(problemOf(spec, { withheld }, { ...given, secrets: [] })).toBe(
      "secret key is not to be had: driver vault: connection refused"
    )
    const named = { Secrets: [{ SecretID: "x", SecretName: "key", File: { Name: "k", UID: "nobody" } }] }
    expect(problemOf(named, {}, given)).toBe(
      'secret key: File.UID "nobody": expected a number from 0 to 4294967294'
    )
  })
})

suite("cluster volumes", () => {
  const mounts: ContainerSpec = {
    Mounts: [
      { Type: "cluster", Source: "group:fast", Target: "/data", ReadOnly: true },
      { Type: "cluster", Source: "disk", Target: "/dev/own" }
    ]
  }
  const volumes = [
    { ID: "v1", Source: "group:fast", Target: "/data" },
    { ID: "v2", Source: "disk", Target: "/dev/own" }
  ]
  const points = { v1: { path: "/m/v1", block: false }, v2: { path: "/m/v2", block: true } }

  test("DI-16 are folders or devices of the machine, and named on the container", () => {
    const described = describe(aPursuit({ volumes }, mounts), {}, undefined, points)
    if ("problem" in described) throw new Error(described.problem)
    expect(described.request.HostConfig).toMatchObject({
      Mounts: [{ Type: "bind", Source: "/m/v1", Target: "/data", ReadOnly: true }],
      Devices: [{ PathOnHost: "/m/v2", PathInContainer: "/dev/own", CgroupPermissions: "rwm" }]
    })
    expect(described.request.Labels["io.troupe.volumes"]).toBe("v1,v2")
  })
})

suite("a task that cannot be described", () => {
  test("says which part of it is wrong", () => {
    expect(problemOf({ Env: ["A={{.Nope}}"] })).toStartWith("expanding env failed: template: cannot evaluate")
    expect(problemOf({ Hostname: "{{.Nope}}" })).toStartWith("expanding hostname failed: ")
    expect(problemOf({ Mounts: [{ Type: "volume", Source: "{{.Nope}}", Target: "/a" }] })).toStartWith(
      "expanding mounts failed: "
    )
    expect(problemOf({ Mounts: [{ Type: "cluster", Source: "c", Target: "/a" }] })).toBe(
      "mount /a: no cluster volume c is mounted here"
    )
    expect(problemOf({}, { attachments: [{ NetworkID: "gone", Addresses: [] }] })).toBe(
      "network gone is not known on this node"
    )
    expect(problemOf({}, { spec: {} })).toBe("TaskTemplate.ContainerSpec: expected a container, found none")
  })
})

test("labels ask for what Swarm's API has no field for", () => {
  const labels = {
    "troupe.devices": "/dev/fuse",
    "troupe.gpus": "1",
    "troupe.privileged": "true",
    "troupe.shm_size": "1k"
  }
  expect(describe(aPursuit({}, { Labels: labels }), {})).toMatchObject({
    request: {
      HostConfig: {
        Devices: [{ PathOnHost: "/dev/fuse", PathInContainer: "/dev/fuse", CgroupPermissions: "rwm" }],
        DeviceRequests: [{ Count: 1, Capabilities: [["gpu"]] }],
        Privileged: true,
        ShmSize: 1024
      }
    }
  })
  expect(describe(aPursuit({}, { Labels: { "troupe.gpus": "-" } }), {})).toMatchObject({
    problem: expect.stringContaining("troupe.gpus")
  })
})

suite("the resolv.conf of a task", () => {
  const resolver = {
    nameserver: "10.0.1.9",
    host: { nameservers: ["192.0.2.53"], search: ["corp.test"], options: ["edns0"] }
  }
  const ownFile = (spec: ContainerSpec) => {
    const described = describe(aPursuit({}, spec), {}, resolver)
    if ("problem" in described) throw new Error(described.problem)
    return described
  }

  test("asks the node, in a file of its own that it may write to unless its root is read-only", () => {
    const { request, files } = ownFile({})
    expect(files).toMatchObject([{ target: "/etc/resolv.conf", mode: 0o644, uid: 0, gid: 0 }])
    expect(atob(files[0]?.data ?? "")).toBe("nameserver 10.0.1.9\nsearch corp.test\noptions edns0 ndots:0\n")
    const mounted = (spec: ContainerSpec) =>
      withFiles(request, ownFile(spec).files, { "resolv.conf": "/run/r" }).HostConfig.Mounts as unknown
    const mount = { Type: "bind", Source: "/run/r", Target: "/etc/resolv.conf" }
    expect(mounted({})).toEqual([{ ...mount, ReadOnly: false }])
    expect(mounted({ ReadOnly: true })).toEqual([{ ...mount, ReadOnly: true }])
  })

  test("says what the service wants of it", () => {
    const { files } = ownFile({ DNSConfig: { Search: ["shop.test"], Options: ["ndots:5"] } })
    expect(atob(files[0]?.data ?? "")).toBe("nameserver 10.0.1.9\nsearch shop.test\noptions ndots:5\n")
  })

  test("is the service's own where it brings one, and the Engine's where the node answers no names", () => {
    const own = { Type: "bind" as const, Source: "/srv/resolv.conf", Target: "/etc/resolv.conf" }
    expect(ownFile({ Mounts: [own] }).files).toEqual([])
    const described = describe(aPursuit({}, {}), {})
    expect("files" in described && described.files).toEqual([])
  })
})
