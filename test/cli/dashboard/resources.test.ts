/** Networks, volumes, secrets and configs as pages show them, and who uses each. */
import { expect, test } from "bun:test"
import type { Service } from "#cli/dashboard/page/objects.ts"
import { bodyOf, commandOf, emptyDraft, isUsedBy, readResources } from "#cli/dashboard/page/resources.ts"

const service = (template: object, more: object = {}): Service =>
  ({
    ID: "s",
    Version: { Index: 1 },
    UpdatedAt: "",
    Spec: { Name: "web", Mode: {}, TaskTemplate: template },
    ...more
  }) as Service

const network = (name: string, more: object = {}) => ({
  Id: `id of ${name}`,
  Name: name,
  Created: "2026-11-28T06:50:34Z",
  Scope: "swarm",
  Driver: "overlay",
  Internal: false,
  Attachable: false,
  Ingress: false,
  EnableIPv6: false,
  IPAM: { Config: [{ Subnet: "10.0.1.0/24", Gateway: "10.0.1.1" }] },
  Options: { "com.docker.network.driver.overlay.vxlanid_list": "4097", encrypted: "" },
  Labels: null,
  ...more
})

test("a list has people's own first, by name, and what the Engine has of its own last", () => {
  const all = readResources("network", [
    network("bridge", { Scope: "local", Driver: "bridge" }),
    network("z10"),
    network("ingress", { Ingress: true }),
    network("z9")
  ])
  expect(all.map(({ name, isOwn }) => [name, isOwn])).toEqual([
    ["z9", false],
    ["z10", false],
    ["bridge", true],
    ["ingress", true]
  ])
  expect(Object.fromEntries(all[0]?.facts ?? [])).toMatchObject({
    VXLAN: "4097",
    Encrypted: "yes",
    Options: "encrypted"
  })
})

test("whoever uses one is told, by whatever name it goes", () => {
  const [backend, ingress] = readResources("network", [
    network("backend"),
    network("ingress", { Ingress: true })
  ])
  const [secret] = readResources("secret", [
    { ID: "x1", CreatedAt: "", UpdatedAt: "", Spec: { Name: "key" } }
  ])
  const [config] = readResources("config", [
    { ID: "c1", CreatedAt: "", UpdatedAt: "", Spec: { Name: "motto", Data: "w7w=" } }
  ])
  const group = { ClusterVolume: { ID: "v", Spec: { Group: "fast" } } }
  const [data, shared] = readResources("volume", {
    Volumes: [
      { Name: "data", Driver: "local", Labels: null, Options: null },
      { Name: "shared", Driver: "csi", Labels: null, Options: null, ...group }
    ]
  })
  if (!backend || !ingress || !secret || !config || !data || !shared)
    throw new Error("they are not all there")
  expect(config.text).toBe("ü")
  expect([secret.text, JSON.stringify(secret)]).toEqual([
    undefined,
    expect.not.stringContaining("Data")
  ] as never)
  const mount = (Type: string, Source: string) => service({ ContainerSpec: { Mounts: [{ Type, Source }] } })
  const cases: ReadonlyArray<readonly [typeof backend, Service, boolean]> = [
    [backend, service({ Networks: [{ Target: backend.id }] }), true],
    [backend, service({ Networks: [{ Target: "backend" }] }), true],
    [backend, service({ Networks: [{ Target: "other" }] }), false],
    [ingress, service({}, { Endpoint: { Ports: [{ TargetPort: 80 }] } }), true],
    [ingress, service({}, { Endpoint: { Ports: [{ TargetPort: 80, PublishMode: "host" }] } }), false],
    [secret, service({ ContainerSpec: { Secrets: [{ SecretID: "x1" }] } }), true],
    [secret, service({ ContainerSpec: { Configs: [{ ConfigID: "x1" }] } }), false],
    [config, service({ ContainerSpec: { Configs: [{ ConfigID: "c1" }] } }), true],
    [data, mount("volume", "data"), true],
    [data, mount("bind", "data"), false],
    [shared, mount("cluster", "group:fast"), true],
    [shared, mount("cluster", "shared"), true],
    // The Engine's of the same name.
    [shared, mount("volume", "shared"), false],
    [data, mount("cluster", "data"), false],
    [data, mount("cluster", "group:"), false]
  ]
  for (const [at, [one, user, expected]] of cases.entries())
    expect([at, isUsedBy(one, user)]).toEqual([at, expected])
})

test("a volume of the cluster's tells how far it is, where it is, and what it is for", () => {
  const spec = {
    Availability: "pause",
    AccessMode: { Scope: "multi", Sharing: "onewriter", MountVolume: {} }
  }
  const Info = {
    VolumeID: "at the plugin",
    CapacityBytes: 1_073_741_824,
    AccessibleTopology: [{ Segments: { zone: "a" } }, { Segments: { zone: "b" } }]
  }
  const published = [
    { NodeID: "n1", State: "published" },
    { NodeID: "n2", State: "pending-node-unpublish" }
  ]
  const volume = (ID: string, more: object) => ({
    Name: "data",
    Driver: "csi",
    Labels: null,
    Options: null,
    ClusterVolume: { ID, Spec: spec, ...more }
  })
  const all = readResources("volume", {
    Volumes: [
      { Name: "data", Driver: "local", Labels: null, Options: null },
      volume("v1", {}),
      volume("v2", { Info }),
      volume("v3", { Info, PublishStatus: published }),
      volume("v4", { Info: { VolumeID: "x" }, PublishStatus: published.slice(1) })
    ]
  })
  expect(all.map(({ id, about }) => [id, about])).toEqual([
    ["data", "local, this node's"],
    ["v1", "csi, the cluster's, pause, pending creation"],
    ["v2", "csi, the cluster's, pause, created"],
    ["v3", "csi, the cluster's, pause, in use (2 nodes)"],
    ["v4", "csi, the cluster's, pause, in use (1 node)"]
  ])
  expect(all.map(({ cluster }) => cluster?.published.length)).toEqual([undefined, 0, 0, 2, 1])
  expect(Object.fromEntries(all[3]?.facts ?? [])).toMatchObject({
    Status: "in use (2 nodes)",
    Availability: "pause",
    "Used as": "a folder",
    On: "several nodes at a time",
    "Shared by": "one task that writes, others that read",
    Capacity: "1G",
    "Accessible from": "zone=a or zone=b"
  })
})

test("what is made is what the command would make, and no command has a secret's contents", () => {
  const draft = { ...emptyDraft, name: "new one", labels: "a=b\nc", text: "grüße" }
  expect(bodyOf("secret", draft)).toEqual({
    Name: "new one",
    Data: "Z3LDvMOfZQ==",
    Labels: { a: "b", c: "" }
  })
  expect(commandOf("secret", draft)).toBe("docker secret create --label a=b --label c 'new one' FILE")
  const net = {
    ...emptyDraft,
    name: "n",
    subnet: " 10.9.0.0/24 ",
    attachable: true,
    internal: true,
    encrypted: true
  }
  expect(bodyOf("network", net)).toMatchObject({
    Driver: "overlay",
    Attachable: true,
    Internal: true,
    Options: { encrypted: "" },
    IPAM: { Config: [{ Subnet: "10.9.0.0/24" }] }
  })
  expect(commandOf("network", net)).toBe(
    "docker network create --driver overlay --subnet 10.9.0.0/24 --attachable --internal --opt encrypted n"
  )
  const volume = { ...emptyDraft, name: "v", options: "type=tmpfs\no=size=100m" }
  expect(bodyOf("volume", volume)).toMatchObject({
    Driver: "local",
    DriverOpts: { type: "tmpfs", o: "size=100m" }
  })
  expect(commandOf("volume", volume)).toBe("docker volume create --opt type=tmpfs --opt o=size=100m v")
})
