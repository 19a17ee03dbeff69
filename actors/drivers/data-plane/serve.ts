/** The data-plane process from the inside: takes its last tables up, then listens to one daemon after another. */
import { chmodSync, rmSync } from "node:fs"
import net from "node:net"
import process from "node:process"
import { Names } from "#actors/drivers/data-plane/names.ts"
import { parseZones } from "#actors/drivers/data-plane/parse-zones.ts"
import { Ports } from "#actors/drivers/data-plane/ports.ts"
import {
  type Answer,
  type Ask,
  type DataPlanePaths,
  eachLine,
  parseTable,
  protocolVersion,
  type Response
} from "#actors/drivers/data-plane/protocol.ts"
import { privateDirectory, writePrivate } from "#actors/drivers/machine/files.ts"
import { identityOf } from "#actors/drivers/machine/process-identity.ts"
import { wordsOf } from "#runtime/words-of.ts"

interface Parts {
  readonly ports: Ports
  readonly names: Names
}

/** Runs until it is told to stop or signalled. Rejects when the control socket cannot be opened. */
export async function serveDataPlane(paths: DataPlanePaths): Promise<void> {
  // What this process makes is its owner's, the control socket included.
  process.umask(0o077)
  privateDirectory(paths.root)
  writePrivate(paths.process, JSON.stringify(identityOf(process.pid)))
  const parts: Parts = { ports: new Ports(paths), names: new Names(paths.names) }
  await Promise.all([parts.ports.restore(), parts.names.restore()])

  await new Promise<void>((stop, fail) => {
    process.on("SIGTERM", stop)
    const control = net.createServer((socket) => converse(socket, parts, stop))
    control.on("error", fail)
    rmSync(paths.socket, { force: true })
    control.listen(paths.socket, () => chmodSync(paths.socket, 0o600))
  })
  parts.ports.close()
  parts.names.close()
  rmSync(paths.socket, { force: true })
  rmSync(paths.process, { force: true })
}

function converse(socket: net.Socket, parts: Parts, stop: () => void): void {
  const take = eachLine((line) => {
    const { id, ask } = parseAsk(line)
    answer(ask, parts).then((given) => {
      const response: Response = { id, ...given }
      const after = "stopped" in given ? stop : undefined
      if (socket.writable) socket.write(`${JSON.stringify(response)}\n`, after)
      else after?.()
    })
  })
  socket.setEncoding("utf8")
  socket.on("data", take)
  // A daemon that dies is no reason to stop.
  socket.on("error", () => {})
}

function parseAsk(line: string): { readonly id: number; readonly ask: Ask | { readonly ask: "nonsense" } } {
  try {
    const { id, ...ask } = JSON.parse(line)
    return { id: Number(id), ask }
  } catch {
    return { id: 0, ask: { ask: "nonsense" } }
  }
}

async function answer(ask: Ask | { readonly ask: "nonsense" }, { ports, names }: Parts): Promise<Answer> {
  try {
    switch (ask.ask) {
      case "publish":
        return { problems: await ports.publish(parseTable(ask.ports)) }
      case "names":
        return { named: await names.tell(parseZones(ask.zones)) }
      case "status":
        return {
          status: {
            version: protocolVersion,
            pid: process.pid,
            ports: ports.status(),
            names: names.status()
          }
        }
      case "stop":
        return { stopped: true }
      default:
        return {
          error: `Cannot understand ${JSON.stringify(ask).slice(0, 200)}: expected publish, names, status or stop`
        }
    }
  } catch (error) {
    return { error: wordsOf(error) }
  }
}
