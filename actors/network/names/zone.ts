/** An overlay as the names on it are answered from: its services and who stands behind them. */
import type { OverlayTable, ServedPort, ServiceRow, TaskRow } from "#actors/network/table.ts"

export interface Zone
  extends Pick<OverlayTable, "networkId" | "name" | "subnets" | "internal" | "attachable" | "ingress"> {
  readonly services: ReadonlyArray<
    Pick<ServiceRow, "name" | "aliases" | "vips"> & {
      readonly ports: ReadonlyArray<Pick<ServedPort, "name" | "protocol" | "targetPort">>
      readonly tasks: ReadonlyArray<
        Pick<TaskRow, "taskId" | "name" | "hostname" | "addresses" | "serving" | "resolvers">
      >
    }
  >
}
export type ZoneService = Zone["services"][number]
export type ZoneTask = ZoneService["tasks"][number]

/** What the table says of names, and nothing else: what it says of nodes changes more often and is larger. */
export const zoneOf = (table: OverlayTable): Zone => ({
  networkId: table.networkId,
  name: table.name,
  subnets: table.subnets,
  internal: table.internal,
  attachable: table.attachable,
  ingress: table.ingress,
  services: table.services.map(({ name, aliases, vips, ports, tasks }) => ({
    name,
    aliases,
    vips,
    ports: ports.map((port) => ({
      protocol: port.protocol,
      targetPort: port.targetPort,
      ...(port.name !== undefined && { name: port.name })
    })),
    tasks: tasks.map((task) => ({
      taskId: task.taskId,
      name: task.name,
      ...(task.hostname !== undefined && { hostname: task.hostname }),
      addresses: task.addresses,
      serving: task.serving,
      ...(task.resolvers !== undefined && { resolvers: task.resolvers })
    }))
  }))
})
