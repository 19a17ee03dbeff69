/** Zones for tests of names: two networks that share a service, an internal one, and the ingress network. */
import type { Zone, ZoneService, ZoneTask } from "#actors/network/names/zone.ts"

export const task = (
  name: string,
  addresses: ReadonlyArray<string>,
  more: Partial<ZoneTask> = {}
): ZoneTask => ({
  taskId: name.split(".").at(-1) ?? name,
  name,
  addresses,
  serving: true,
  ...more
})

export const service = (name: string, more: Partial<ZoneService> = {}): ZoneService => ({
  name,
  aliases: [],
  vips: [],
  ports: [],
  tasks: [],
  ...more
})

export const zone = (
  name: string,
  subnet: string,
  services: ReadonlyArray<ZoneService>,
  more: Partial<Zone> = {}
): Zone => ({
  networkId: `id-${name}`,
  name,
  subnets: [{ subnet: `${subnet}.0/24`, gateway: `${subnet}.1` }],
  internal: false,
  attachable: false,
  ingress: false,
  services,
  ...more
})

const ports = [{ name: "http", protocol: "tcp", targetPort: 8080 }] as const

export const front = zone("front", "10.0.1", [
  service("web", {
    aliases: ["www"],
    vips: ["10.0.1.2"],
    ports,
    tasks: [
      task("web.1.w1", ["10.0.1.11"]),
      task("web.2.w2", ["10.0.1.12"]),
      task("web.3.w3", ["10.0.1.13"], { serving: false })
    ]
  }),
  service("Cache", { vips: ["10.0.1.4"], tasks: [task("Cache.1.c1", ["10.0.1.41"])] })
])

export const back = zone("shop_back", "10.0.2", [
  service("web", {
    vips: ["10.0.2.2"],
    tasks: [task("web.1.w1", ["10.0.2.11"]), task("web.2.w2", ["10.0.2.12"])]
  }),
  service("db", {
    ports,
    tasks: [
      task("db.1.d1", ["10.0.2.31"], { resolvers: ["192.0.2.53"] }),
      task("db.2.d2", ["10.0.2.32"]),
      task("db.3.d3", ["10.0.2.33"], { serving: false })
    ]
  })
])

export const vault = zone(
  "vault",
  "10.0.3",
  [service("keys", { vips: ["10.0.3.2"], tasks: [task("keys.1.k1", ["10.0.3.11"])] })],
  { internal: true, attachable: true }
)

export const ingress = zone(
  "ingress",
  "10.0.0",
  [service("web", { vips: ["10.0.0.2"], tasks: [task("web.1.w1", ["10.0.0.11"])] })],
  { ingress: true }
)
