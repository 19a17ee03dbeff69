/** Ports for servers that tests start. */
import { freePort as freeNow } from "#cli/free-port.ts"

const given: Array<number> = []

/** One that nobody has at the moment, and that nobody else of this process was given, who may not listen there yet. */
export async function freePort(host?: string): Promise<number> {
  for (;;) {
    const port = await freeNow(host, 0, given)
    if (given.includes(port)) continue
    given.push(port)
    return port
  }
}
