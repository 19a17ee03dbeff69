import { expect, test } from "bun:test"
import net from "node:net"
import { Effect } from "effect"
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
