/** Names as they were sent or kept, read by hand for the same reason as ports. */
import {
  listOf,
  parseObject,
  parsePortNumber,
  parseText,
  unexpected
} from "#actors/drivers/data-plane/parse.ts"
import type { Zone, ZoneService, ZoneTask } from "#actors/network/names/zone.ts"

/** Throws an error that names the field, the value and what is expected. */
export const parseZones = (value: unknown): ReadonlyArray<Zone> => listOf(value, "zones", parseZone)

function parseZone(value: unknown, at: string): Zone {
  const zone = parseObject(value, at)
  return {
    networkId: parseText(zone.networkId, `${at}.networkId`),
    name: parseText(zone.name, `${at}.name`),
    subnets: listOf(zone.subnets, `${at}.subnets`, parseSubnet),
    internal: parseTruth(zone.internal, `${at}.internal`),
    attachable: parseTruth(zone.attachable, `${at}.attachable`),
    ingress: parseTruth(zone.ingress, `${at}.ingress`),
    services: listOf(zone.services, `${at}.services`, parseService)
  }
}

function parseSubnet(value: unknown, at: string): Zone["subnets"][number] {
  const { subnet, gateway } = parseObject(value, at)
  return { subnet: parseText(subnet, `${at}.subnet`), gateway: parseText(gateway, `${at}.gateway`) }
}

function parseService(value: unknown, at: string): ZoneService {
  const service = parseObject(value, at)
  return {
    name: parseText(service.name, `${at}.name`),
    aliases: listOf(service.aliases, `${at}.aliases`, parseText),
    vips: listOf(service.vips, `${at}.vips`, parseText),
    ports: listOf(service.ports, `${at}.ports`, parsePort),
    tasks: listOf(service.tasks, `${at}.tasks`, parseTask)
  }
}

function parsePort(value: unknown, at: string): ZoneService["ports"][number] {
  const { name, protocol, targetPort } = parseObject(value, at)
  if (protocol !== "tcp" && protocol !== "udp") {
    throw unexpected(`${at}.protocol`, protocol, '"tcp" or "udp"')
  }
  return {
    ...(name !== undefined && { name: parseText(name, `${at}.name`) }),
    protocol,
    targetPort: parsePortNumber(targetPort, `${at}.targetPort`)
  }
}

function parseTask(value: unknown, at: string): ZoneTask {
  const task = parseObject(value, at)
  return {
    taskId: parseText(task.taskId, `${at}.taskId`),
    name: parseText(task.name, `${at}.name`),
    ...(task.hostname !== undefined && { hostname: parseText(task.hostname, `${at}.hostname`) }),
    addresses: listOf(task.addresses, `${at}.addresses`, parseText),
    serving: parseTruth(task.serving, `${at}.serving`),
    ...(task.resolvers !== undefined && {
      resolvers: listOf(task.resolvers, `${at}.resolvers`, parseText)
    })
  }
}

function parseTruth(value: unknown, at: string): boolean {
  if (typeof value !== "boolean") throw unexpected(at, value, "true or false")
  return value
}
