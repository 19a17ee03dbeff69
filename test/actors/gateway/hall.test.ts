/** Who comes to a node's doors while nothing answers there: they wait, not for ever, and not too many of them. */
import { afterEach, expect, test } from "bun:test"
import { Buffer } from "node:buffer"
import { mkdtemp, rm } from "node:fs/promises"
import http from "node:http"
import net from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Duplex } from "node:stream"
import { Effect, Exit, Scope } from "effect"
import { type Hall, makeHall } from "#actors/gateway/hall.ts"
import type { Listener } from "#actors/gateway/listener.ts"
import { eventually } from "#test/support/engine.ts"

const cleanups: Array<() => unknown> = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function opened(patience = { withinMs: 60_000, atMost: 10 }) {
  const folder = await mkdtemp(join(tmpdir(), "troupe-hall-"))
  cleanups.push(() => rm(folder, { recursive: true, force: true }))
  const socketPath = join(folder, "door")
  const hall = makeHall(() => "1.41", patience)
  let come = 0
  const nowhere = { forward: () => {}, tunnel: () => {}, close: () => {} }
  const { onRequest, onUpgrade } = hall.open({ kind: "socket", self: nowhere })
  const server = http.createServer((request, response) => {
    onRequest(request, response)
    come += 1
  })
  const upgrading: Array<Duplex> = []
  server.on("upgrade", (request, socket, head) => {
    onUpgrade(request, socket, head)
    upgrading.push(socket)
    come += 1
  })
  await new Promise<void>((resolve) => server.listen(socketPath, () => resolve()))
  cleanups.push(() => server.closeAllConnections())
  cleanups.push(() => server.close())
  const ask = (method = "GET", body?: Buffer, signal?: AbortSignal) =>
    new Promise<{ status: number; text: string; headers: http.IncomingHttpHeaders }>((resolve, reject) => {
      const request = http.request(
        { socketPath, method, path: "/here", agent: false, ...(signal && { signal }) },
        (response) => {
          let text = ""
          response.on("data", (part) => {
            text += String(part)
          })
          response.on("end", () =>
            resolve({ status: response.statusCode ?? 0, text, headers: response.headers })
          )
        }
      )
      request.on("error", reject)
      request.end(body)
    })
  /** It keeps its side open whatever it is told. */
  const upgrade = () => {
    const client = net.connect({ path: socketPath, allowHalfOpen: true })
    cleanups.push(() => client.destroy())
    let [heard, isOver] = ["", false]
    client.on("data", (part) => {
      heard += String(part)
    })
    client.on("error", () => {})
    for (const event of ["end", "close"])
      client.on(event, () => {
        isOver = true
      })
    client.write("POST /exec/1/start HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
    return { heard: () => heard, isOver: () => isOver }
  }
  const breakAll = (): void => {
    for (const socket of upgrading) socket.destroy(new Error("reset"))
  }
  const areIn = (count: number): Promise<void> => eventually(() => come === count, `${count} have come`)
  return { hall, ask, areIn, upgrade, breakAll }
}

/** Says its name and what it was sent. */
const answering = (name: string): Listener => ({
  onRequest: async (request, response) => {
    let size = 0
    for await (const part of request) size += (part as Buffer).length
    response.end(`${name} ${request.method} ${size}`)
  },
  onUpgrade: (_request, socket) => {
    socket.end(`HTTP/1.1 101 Switching Protocols\r\n\r\n${name}`)
  },
  end: async () => {}
})

/** Leads to it until what is returned is called. */
async function leads(hall: Hall, to: Listener): Promise<() => Promise<void>> {
  const scope = Scope.makeUnsafe()
  await Effect.runPromise(
    Scope.provide(
      hall.lead(() => to),
      scope
    )
  )
  return () => Effect.runPromise(Scope.close(scope, Exit.void))
}

test("who comes while nothing answers is led to what answers next, whole", async () => {
  const { hall, ask, areIn, upgrade } = await opened()
  const size = 3_000_000
  const uploading = ask("POST", Buffer.alloc(size, 1))
  const asking = ask()
  const upgrading = upgrade()
  await areIn(3)
  const end = await leads(hall, answering("first"))
  expect((await uploading).text).toBe(`first POST ${size}`)
  expect((await asking).text).toBe("first GET 0")
  await eventually(() => upgrading.heard().endsWith("first"), "the upgrade is answered")
  await end()
  const waiting = ask()
  await areIn(4)
  await leads(hall, answering("second"))
  expect((await waiting).text).toBe("second GET 0")
})

test("the last one answers, and the one before it again where the last one ends first", async () => {
  const { hall, ask } = await opened()
  const endFirst = await leads(hall, answering("first"))
  const endSecond = await leads(hall, answering("second"))
  expect((await ask()).text).toStartWith("second")
  await endSecond()
  expect((await ask()).text).toStartWith("first")
  const endThird = await leads(hall, answering("third"))
  await endFirst()
  expect((await ask()).text).toStartWith("third")
  await endThird()
})

test("nobody waits for ever, and not more than some: they are told to try again", async () => {
  const { ask, areIn } = await opened({ withinMs: 300, atMost: 2 })
  const [got, head] = [ask(), ask("HEAD")]
  await areIn(2)
  expect(JSON.parse((await ask()).text).message).toBe(
    "This node is starting or changing its role, and too many wait for that. Try again in a moment."
  )
  expect(await got).toMatchObject({
    status: 503,
    text: '{"message":"This node is starting or changing its role, and does not answer yet. Try again in a moment."}\n',
    headers: { "api-version": "1.41", "content-type": "application/json" }
  })
  expect(await head).toMatchObject({ status: 503, text: "" })
})

test("who goes away while waiting takes nobody's place", async () => {
  const { hall, ask, areIn } = await opened({ withinMs: 60_000, atMost: 1 })
  const leaving = new AbortController()
  const gone = ask("GET", undefined, leaving.signal).catch(() => "gone")
  await areIn(1)
  leaving.abort()
  expect(await gone).toBe("gone")
  let text = ""
  await eventually(async () => {
    const asking = ask()
    const turnedAway = await Promise.race([asking, Bun.sleep(100)])
    if (turnedAway) return false
    await leads(hall, answering("it"))
    text = (await asking).text
    return true
  }, "another one may wait")
  expect(text).toBe("it GET 0")
})

test("who was led in is not told that it is late, and takes nobody's place, however long the answer takes", async () => {
  const { hall, ask, areIn } = await opened({ withinMs: 100, atMost: 1 })
  const slow = ask()
  await areIn(1)
  let answer = (): void => {}
  const onRequest: Listener["onRequest"] = (_request, response) => {
    answer = () => response.end("at last")
  }
  const end = await leads(hall, { ...answering("it"), onRequest })
  await end()
  // It comes after the other, so that by then it would be too late for that one, too.
  expect((await ask()).text).toContain("does not answer yet")
  answer()
  expect(await slow).toMatchObject({ status: 200, text: "at last" })
})

test("an upgrade waits no longer than others; what was refused takes nobody's place, also where it does not go", async () => {
  const { hall, ask, areIn, upgrade } = await opened({ withinMs: 100, atMost: 1 })
  const upgrading = upgrade()
  await areIn(1)
  await eventually(() => upgrading.isOver(), "it is refused")
  expect(upgrading.heard()).toStartWith("HTTP/1.1 503 Service Unavailable\r\n")
  expect(upgrading.heard()).toEndWith(
    '{"message":"This node is starting or changing its role, and does not answer yet. Try again in a moment."}\n'
  )
  const waiting = ask()
  await areIn(2)
  await leads(hall, answering("it"))
  expect((await waiting).text).toBe("it GET 0")
})

test("an upgrade whose connection breaks while it waits is nobody's trouble", async () => {
  const { hall, ask, areIn, upgrade, breakAll } = await opened({ withinMs: 60_000, atMost: 1 })
  const upgrading = upgrade()
  await areIn(1)
  breakAll()
  await eventually(() => upgrading.isOver(), "it is broken")
  const waiting = ask()
  await areIn(2)
  await leads(hall, answering("it"))
  expect((await waiting).text).toBe("it GET 0")
})

test("when the doors close who waits is told", async () => {
  const { hall, ask, areIn } = await opened()
  const waiting = ask()
  await areIn(1)
  hall.close()
  for (const asked of [waiting, ask()])
    expect(JSON.parse((await asked).text)).toEqual({ message: "This node is shutting down." })
})
