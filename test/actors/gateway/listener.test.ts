/** How what answers at a door ends: with what it is answering, and without what it does not answer itself. */
import { afterEach, expect, test } from "bun:test"
import { mkdtemp, rm } from "node:fs/promises"
import http from "node:http"
import net from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Duplex } from "node:stream"
import { Effect } from "effect"
import { local } from "#actors/gateway/access/role.ts"
import { makeListener, type Verdict } from "#actors/gateway/listener.ts"
import { eventually } from "#test/support/engine.ts"

const cleanups: Array<() => unknown> = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

const never = 60_000

async function opened() {
  const folder = await mkdtemp(join(tmpdir(), "troupe-listener-"))
  cleanups.push(() => rm(folder, { recursive: true, force: true }))
  const socketPath = join(folder, "door")
  const under = {
    answer: Promise.withResolvers<Response>(),
    verdict: Promise.withResolvers<Verdict>(),
    console: undefined as Duplex | undefined,
    judging: false,
    forwarded: 0,
    asked: 0
  }
  const listener = makeListener(
    {
      routes: [
        {
          owns: (_method, path) => /^\/(services|swarm)/.test(path),
          fetch: () => {
            under.asked += 1
            return under.answer.promise
          },
          upgrade: ({ path, socket }) => {
            if (path !== "/console") return false
            under.console = socket
            return true
          }
        }
      ],
      interceptor: {
        wants: (_method, path) => path === "/containers/create",
        judge: () => {
          under.judging = true
          return Effect.promise(() => under.verdict.promise)
        }
      },
      proxy: {
        forward: () => {
          under.forwarded += 1
        },
        tunnel: () => {},
        close: () => {}
      },
      engineVersion: () => undefined,
      headers: () => ({})
    },
    { judge: () => ({ _tag: "In", identity: local }) },
    [],
    { tunnel: () => {} }
  )
  const server = http.createServer(listener.onRequest)
  server.on("upgrade", listener.onUpgrade)
  await new Promise<void>((resolve) => server.listen(socketPath, () => resolve()))
  cleanups.push(() => server.closeAllConnections())
  cleanups.push(() => server.close())
  const ask = (head: string): void => {
    const client = net.connect({ path: socketPath })
    cleanups.push(() => client.destroy())
    client.on("error", () => {})
    client.write(`${head}\r\n\r\n`)
  }
  return { listener, under, ask }
}

type Under = Awaited<ReturnType<typeof opened>>["under"]

for (const [what, head, isThere, finish] of [
  [
    "a request",
    "GET /services HTTP/1.1\r\nHost: x",
    ({ asked }: Under) => asked === 1,
    ({ answer }: Under) => answer.resolve(new Response("all"))
  ],
  [
    "a console",
    "GET /console HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket",
    (under: Under) => under.console !== undefined,
    (under: Under) => under.console?.destroy()
  ],
  [
    "a look at what goes to the Engine, which goes on there",
    "POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Length: 0",
    ({ judging }: Under) => judging,
    ({ verdict }: Under) => verdict.resolve({ _tag: "Pass" })
  ]
] as const)
  test(`it has ended once what it answers has: ${what}`, async () => {
    const { listener, under, ask } = await opened()
    ask(head)
    await eventually(() => isThere(under), "it is there")
    let isOver = false
    const ended = listener.end(never).then(() => {
      isOver = true
    })
    await Bun.sleep(0)
    expect(isOver).toBe(false)
    finish(under)
    await ended
    expect(under.forwarded).toBe(under.judging ? 1 : 0)
  })

test("it ends before what is answered only by the next one, and at once where it answers nothing", async () => {
  const { listener, under, ask } = await opened()
  await listener.end(never)
  ask("POST /swarm/leave HTTP/1.1\r\nHost: x\r\nContent-Length: 0")
  await eventually(() => under.asked === 1, "it is there")
  await listener.end(never)
})
