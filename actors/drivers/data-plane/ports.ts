/**
 * All published ports of this node: brought to what a table says, one table after the other, and kept on disk so
 * that a process that starts again goes on where the last one was.
 */

import { BlockList } from "node:net"
import { networkInterfaces } from "node:os"
import { type DataPlanePaths, type PortStatus, parseTable } from "#actors/drivers/data-plane/protocol.ts"
import { TcpPort } from "#actors/drivers/data-plane/tcp.ts"
import { UdpPort } from "#actors/drivers/data-plane/udp.ts"
import type { PortProblem } from "#actors/drivers/data-plane.ts"
import { readIfThere, writePrivate } from "#actors/drivers/machine/files.ts"
import { keyOfPort, type PublishedPort } from "#actors/network/plan.ts"
import { wordsOf } from "#runtime/words-of.ts"

/** Whoever holds a port may let go of it: it is tried again this often. */
const reopenEveryMs = 2_000

interface Opened {
  readonly port: TcpPort | UdpPort
  problem: string | undefined
}

interface Place {
  /** Every address where absent. */
  readonly host?: string
}

const ownAddresses = (): ReadonlyArray<string> =>
  Object.values(networkInterfaces()).flatMap((some) => (some ?? []).map(({ address }) => address))

/** Once for each of this machine's addresses where it is to be open at some alone. */
export function placesOf(
  port: PublishedPort,
  own: ReadonlyArray<string>
): ReadonlyArray<PublishedPort & Place> {
  if (port.only === undefined) return [port]
  const subnets = new BlockList()
  for (const subnet of port.only) {
    const [address = "", length] = subnet.split("/")
    subnets.addSubnet(address, Number(length), address.includes(":") ? "ipv6" : "ipv4")
  }
  const isOne = (address: string): boolean => subnets.check(address, address.includes(":") ? "ipv6" : "ipv4")
  return [...new Set(own)].filter(isOne).map((host) => ({ ...port, host }))
}

export class Ports {
  readonly #paths: DataPlanePaths
  readonly #open = new Map<string, Opened>()
  #table: ReadonlyArray<PublishedPort> = []
  #last: Promise<unknown> = Promise.resolve()
  #timer: ReturnType<typeof setInterval> | undefined
  #closed = false

  constructor(paths: DataPlanePaths) {
    this.#paths = paths
  }

  /** Goes on with the table that was kept, if there is one that can be read. */
  async restore(): Promise<void> {
    const text = readIfThere(this.#paths.table)
    if (text === undefined) return
    try {
      await this.#inTurn(parseTable(JSON.parse(text)))
    } catch (error) {
      console.error(`Cannot use ${this.#paths.table}: ${wordsOf(error)}`)
    }
  }

  /** Makes exactly these ports answer. Yields what keeps some of them from it. */
  async publish(table: ReadonlyArray<PublishedPort>): Promise<ReadonlyArray<PortProblem>> {
    writePrivate(this.#paths.table, JSON.stringify(table))
    return this.#inTurn(table)
  }

  status(): ReadonlyArray<PortStatus> {
    return [...this.#open.values()].map(({ port, problem }) => ({
      ...port.status(),
      ...(problem === undefined ? {} : { problem })
    }))
  }

  /** Closes every port and breaks nothing that is under way, until the process ends. */
  close(): void {
    this.#closed = true
    clearInterval(this.#timer)
    for (const { port } of this.#open.values()) port.close()
    this.#open.clear()
  }

  #inTurn(table: ReadonlyArray<PublishedPort>): Promise<ReadonlyArray<PortProblem>> {
    const turn = this.#last.then(() => this.#apply(table))
    this.#last = turn.catch(() => {})
    return turn
  }

  async #apply(table: ReadonlyArray<PublishedPort>): Promise<ReadonlyArray<PortProblem>> {
    if (this.#closed) return []
    this.#table = table
    const wanted = new Map<string, PublishedPort & Place>()
    const problems: Array<PortProblem> = []
    const own = ownAddresses()
    for (const port of table.flatMap((one) => placesOf(one, own))) {
      const key = `${keyOfPort(port)} ${port.host ?? ""}`
      const rival = wanted.get(key)
      if (rival === undefined) wanted.set(key, port)
      else {
        const message = `Port ${port.publishedPort}/${port.protocol} is published by service ${rival.serviceName} already`
        problems.push({ protocol: port.protocol, publishedPort: port.publishedPort, message })
      }
    }
    for (const [key, { port }] of this.#open) {
      if (wanted.has(key)) continue
      port.close()
      this.#open.delete(key)
    }
    await Promise.all(Array.from(wanted, ([key, port]) => this.#bring(key, port)))
    for (const [key, { problem }] of this.#open) {
      const port = wanted.get(key)
      if (problem === undefined || port === undefined) continue
      problems.push({ protocol: port.protocol, publishedPort: port.publishedPort, message: problem })
    }
    // Addresses come and go.
    this.#retryLater(problems.length > 0 || table.some(({ only }) => only !== undefined))
    return problems
  }

  async #bring(key: string, wanted: PublishedPort & Place): Promise<void> {
    const opened = this.#open.get(key)
    opened?.port.update(wanted)
    if (opened !== undefined && opened.problem === undefined) return
    const { protocol, host } = wanted
    const at = host === undefined ? {} : { host }
    const port = opened?.port ?? (protocol === "tcp" ? new TcpPort(wanted, at) : new UdpPort(wanted, at))
    this.#open.set(key, { port, problem: await port.open() })
  }

  #retryLater(needed: boolean): void {
    if (needed) this.#timer ??= setInterval(() => void this.#inTurn(this.#table), reopenEveryMs)
    else {
      clearInterval(this.#timer)
      this.#timer = undefined
    }
  }
}
