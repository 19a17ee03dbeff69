/** Ports of this machine that nobody has at the moment. */
import { randomInt } from "node:crypto"
import { createServer } from "node:net"

/**
 * Whoever keeps a port finds it again after a restart only if no outgoing connection got it meanwhile. Linux gives those
 * 32768 and more; the cluster publishes services from 30000.
 */
const lowest = 10_000
const beyond = 30_000
const attempts = 100

/**
 * A port that is free at `host`, without one at all addresses: `wanted` if that is free, else one that the system gives to
 * no outgoing connection, and none of `promised`. Whoever is slower to take it than another process finds it taken all the same.
 */
export async function freePort(
  host?: string,
  wanted = 0,
  promised: ReadonlyArray<number> = []
): Promise<number> {
  if (wanted !== 0 && (await isFree(wanted, host))) return wanted
  for (let attempt = 0; attempt < attempts; attempt++) {
    const port = randomInt(lowest, beyond)
    if (!promised.includes(port) && (await isFree(port, host))) return port
  }
  throw new Error(
    `No port between ${lowest} and ${beyond - 1} can be listened at on ${host ?? "this machine"}`
  )
}

function isFree(port: number, host: string | undefined): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once("error", () => resolve(false))
    server.listen({ port, ...(host !== undefined && { host }) }, () => server.close(() => resolve(true)))
  })
}
