/**
 * All published ports of this node: brought to what a table says, one table after the other, and kept on disk so
 * that a process that starts again goes on where the last one was.
 */

import { type DataPlanePaths, type PortStatus, parseTable } from "#actors/drivers/data-plane/protocol.ts"
import { TcpPort } from "#actors/drivers/data-plane/tcp.ts"
import { UdpPort } from "#actors/drivers/data-plane/udp.ts"
import type { PortProblem } from "#actors/drivers/data-plane.ts"
import { readIfThere, writePrivate } from "#actors/drivers/machine/files.ts"
import { keyOfPort, type PublishedPort } from "#actors/network/plan.ts"

/** Whoever holds a port may let go of it: it is tried again this often. */
const reopenEveryMs = 2_000

interface Opened {
  readonly port: TcpPort | UdpPort
  problem: string | undefined
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
      console.error(`Cannot use ${this.#paths.table}: ${error instanceof Error ? error.message : error}`)
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
    const wanted = new Map<string, PublishedPort>()
    const problems: Array<PortProblem> = []
    for (const port of table) {
      const rival = wanted.get(keyOfPort(port))
      if (rival === undefined) wanted.set(keyOfPort(port), port)
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
    this.#retryLater(problems.length > 0)
    return problems
  }

  async #bring(key: string, wanted: PublishedPort): Promise<void> {
    const opened = this.#open.get(key)
    opened?.port.update(wanted)
    if (opened !== undefined && opened.problem === undefined) return
    const port = opened?.port ?? (wanted.protocol === "tcp" ? new TcpPort(wanted) : new UdpPort(wanted))
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
