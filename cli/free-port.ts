/** Ports of this machine that nobody has at the moment. */
import { createServer } from "node:net"

/**
 * A port that is free at `host`, without one at all addresses: `wanted` if that is free, else any. Whoever is slower to
 * take it than another process finds it taken all the same.
 */
export function freePort(host?: string, wanted = 0): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once("error", (error) => (wanted === 0 ? reject(error) : resolve(freePort(host))))
    server.listen({ port: wanted, ...(host !== undefined && { host }) }, () => {
      const address = server.address()
      const port = typeof address === "object" && address !== null ? address.port : wanted
      server.close(() => resolve(port))
    })
  })
}
