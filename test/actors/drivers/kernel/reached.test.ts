import { expect, test } from "bun:test"
import { execFileSync } from "node:child_process"
import net from "node:net"
import process from "node:process"
import { Effect } from "effect"
import { hindrance } from "#actors/drivers/kernel/hindrance.ts"
import { Reached } from "#actors/drivers/kernel/reached.ts"

const listen = (port: number): Promise<net.Server> =>
  new Promise((resolve) => {
    const server = net.createServer((socket) => socket.end()).listen(port, "127.0.0.1", () => resolve(server))
  })
const portOf = (server: net.Server): number => (server.address() as net.AddressInfo).port
const end = (server: net.Server): Promise<void> => new Promise((resolve) => server.close(() => resolve()))

test("a task is reached once it takes connections, stays so, and is forgotten when it is no target any more", async () => {
  const reached = new Reached()
  const server = await listen(0)
  const target = { address: "127.0.0.1", port: portOf(server) }
  const tries = (...targets: ReadonlyArray<typeof target>) => Effect.runPromise(reached.try(targets))
  await end(server)
  expect([await tries(target), reached.keys.size]).toEqual([false, 0])
  const again = await listen(target.port)
  while (!(await tries(target))) {}
  await end(again)
  // One that was reached is not asked again: whether it is healthy is known by others.
  expect([await tries(target), [...reached.keys]]).toEqual([true, [`127.0.0.1 ${target.port}`]])
  expect([await tries(), reached.keys.size]).toEqual([true, 0])
  expect(await tries(target)).toBe(false)
})

test.skipIf(hindrance("unix://") !== undefined)(
  "a task whose first packet is lost is reached in the same attempt",
  async () => {
    const server = await listen(0)
    const port = portOf(server)
    const table = `inet reached_${process.pid}`
    // The first packet that opens a connection to this port, and no other.
    const first = `ip daddr 127.0.0.1 tcp dport ${port} tcp flags & (syn | ack) == syn limit rate 1/hour burst 1 packets drop`
    execFileSync("nft", ["-f", "-"], {
      input: `table ${table} {\n  chain input {\n    type filter hook input priority 0;\n    ${first}\n  }\n}\n`
    })
    try {
      const reached = new Reached()
      const target = { address: "127.0.0.1", port }
      await Effect.runPromise(reached.try([target]))
      // Nobody tries anew: what is under way gets there, or this goes on for good.
      while (reached.keys.size === 0) await new Promise(setImmediate)
    } finally {
      execFileSync("nft", ["delete", "table", ...table.split(" ")])
      await end(server)
    }
  }
)
