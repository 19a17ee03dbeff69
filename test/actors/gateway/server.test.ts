/** The two doors: who may come in, and what is in the way of opening them. */
import { afterEach, expect, test } from "bun:test"
import { spawn } from "node:child_process"
import { readFileSync } from "node:fs"
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises"
import http, { type IncomingMessage } from "node:http"
import net from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import process from "node:process"
import { Cause, Effect, Exit, Scope } from "effect"
import { openAccess } from "#actors/gateway/access/open.ts"
import { type DoorOptions, type Doors, openDoors } from "#actors/gateway/doors.ts"
import { type ServeOptions, serveGateway } from "#actors/gateway/server.ts"
import { eventually } from "#test/support/engine.ts"

const cleanups: Array<() => Promise<unknown>> = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function folderOfItsOwn(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "troupe-doors-"))
  cleanups.push(() => rm(folder, { recursive: true, force: true }))
  return folder
}

type Options = Partial<DoorOptions & ServeOptions> & { readonly dataDir: string }

interface Opened extends Doors {
  readonly token: string
  readonly close: () => Promise<void>
}

const routes: ServeOptions["routes"] = [
  {
    owns: (_method, path) => path === "/services",
    fetch: (request) => new Response(`services for ${request.headers.get("authorization") ?? "nobody"}`)
  },
  {
    owns: (_method, path) => path === "/endless",
    fetch: () => new Response(new ReadableStream({ start: (c) => c.enqueue(new Uint8Array([65])) }))
  }
]

const opening = Effect.fnUntraced(function* (options: Options) {
  const doors = yield* openDoors({ engine: undefined, engineVersion: () => undefined, ...options })
  const token = yield* serving({ ...options, doors })
  return { ...doors, token }
})
const serving = Effect.fnUntraced(function* ({ dataDir, ...options }: Options & Pick<ServeOptions, "doors">) {
  const { url } = options.doors
  const own = { nodeId: "n1", dataDir, ledger: () => undefined, clock: Date.now, onProblem: () => {} }
  const access = yield* openAccess({ ...own, ...(url !== undefined && { http: url }) })
  yield* serveGateway({
    ...access,
    engineVersion: () => undefined,
    headers: () => ({ "Api-Version": "1.50" }),
    audit: { note: () => {} },
    clock: Date.now,
    routes,
    ...options
  })
  return access.token
})

async function open(options: Options): Promise<Opened> {
  const scope = Scope.makeUnsafe()
  const close = (): Promise<void> => Effect.runPromise(Scope.close(scope, Exit.void))
  cleanups.push(close)
  return { ...(await Effect.runPromise(Scope.provide(opening(options), scope))), close }
}

/** The error that keeps the doors shut. */
async function refused(options: Options) {
  const scope = Scope.makeUnsafe()
  const exit = await Effect.runPromiseExit(Scope.provide(opening(options), scope))
  await Effect.runPromise(Scope.close(scope, Exit.void))
  if (Exit.isSuccess(exit)) throw new Error("the doors are open")
  return Cause.squash(exit.cause) as {
    readonly _tag: string
    readonly flag?: string
    readonly message: string
  }
}

interface Asked {
  readonly status: number
  readonly text: string
  readonly headers: IncomingMessage["headers"]
}
const ask = (
  where: { readonly socketPath: string } | { readonly url: string },
  path: string,
  headers: Record<string, string> = {},
  method = "GET"
): Promise<Asked> =>
  new Promise((resolve, reject) => {
    const answered = (response: IncomingMessage): void => {
      let text = ""
      response.on("data", (part) => {
        text += String(part)
      })
      response.on("end", () => resolve({ status: response.statusCode ?? 0, text, headers: response.headers }))
    }
    const request =
      "url" in where
        ? http.request(`${where.url}${path}`, { headers, method }, answered)
        : http.request({ ...where, path, headers, method }, answered)
    request.on("error", reject)
    request.end()
  })

test("the socket is for its owner and Docker's group alone", async () => {
  const dataDir = await folderOfItsOwn()
  const socket = join(dataDir, "deep/down/docker.sock")
  await open({ dataDir, socket })
  const found = await stat(socket)
  expect(found.mode & 0o777).toBe(0o660)
  const group = /^docker:[^:]*:(\d+):/m.exec(readFileSync("/etc/group", "utf8"))?.[1]
  if (group !== undefined && process.getuid?.() === 0) expect(found.gid).toBe(Number(group))
  expect((await ask({ socketPath: socket }, "/v1.41/services")).text).toBe("services for nobody")
})

test("a stale socket is replaced; a live one and a file are left alone, with the flag to change", async () => {
  const dataDir = await folderOfItsOwn()
  const socket = join(dataDir, "docker.sock")
  // A process that was killed leaves its socket behind.
  const child = spawn(process.execPath, [
    "-e",
    `require("node:net").createServer().listen(${JSON.stringify(socket)}, () => console.log("up"))`
  ])
  await new Promise((resolve) => child.stdout.once("data", resolve))
  child.kill("SIGKILL")
  await new Promise((resolve) => child.once("exit", resolve))
  expect((await stat(socket)).isSocket()).toBe(true)

  const first = await open({ dataDir, socket })
  expect((await ask({ socketPath: socket }, "/services")).status).toBe(200)
  const live = await refused({ dataDir, socket })
  expect(live).toMatchObject({ _tag: "CannotListen", flag: "--socket" })
  expect(live.message).toBe(
    `--socket ${socket}: another process answers there; stop it or choose another path`
  )
  expect((await ask({ socketPath: socket }, "/services")).status).toBe(200)

  await first.close()
  await expect(stat(socket)).rejects.toThrow("ENOENT")
  await writeFile(socket, "precious")
  expect((await refused({ dataDir, socket })).message).toContain("something that is not a socket is there")
  expect(await readFile(socket, "utf8")).toBe("precious")
})

test("over HTTP nothing but /healthz answers without the token", async () => {
  const dataDir = await folderOfItsOwn()
  const { url = "", token = "" } = await open({ dataDir, http: "127.0.0.1:0" })
  expect(await ask({ url }, "/healthz")).toMatchObject({ status: 200, text: "ok\n" })
  for (const path of ["/services", "/v1.41/services", "/", "/healthz/", "/containers/json"]) {
    expect((await ask({ url }, path)).status).toBe(401)
    expect((await ask({ url }, path, { Authorization: `Bearer ${token}x` })).status).toBe(401)
    expect((await ask({ url }, path, { Authorization: `Basic ${token}` })).status).toBe(401)
  }
  expect((await ask({ url }, "/healthz", {}, "POST")).status).toBe(401)
  expect((await ask({ url }, "/services", { Authorization: `Bearer ${token}` })).status).toBe(200)
  const upgrade = net.connect({ host: "127.0.0.1", port: Number(new URL(url).port) })
  let heard = ""
  upgrade.on("data", (part) => {
    heard += String(part)
  })
  upgrade.write("POST /exec/1/start HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
  await eventually(() => heard.includes("401 Unauthorized"), "the hijack is refused")
  upgrade.destroy()
})

test("IPv6's loopback is one too, with brackets or without", async () => {
  const dataDir = await folderOfItsOwn()
  for (const http of ["[::1]:0", "::1:0"]) {
    const { url = "", token = "" } = await open({ dataDir, http })
    expect(url).toMatch(/^http:\/\/\[::1\]:\d+$/)
    expect((await ask({ url }, "/services", { Authorization: `Bearer ${token}` })).status).toBe(200)
  }
})

test("the token is made once, for its owner alone, and kept", async () => {
  const dataDir = await folderOfItsOwn()
  const first = await open({ dataDir, http: "127.0.0.1:0" })
  const file = join(dataDir, "http-token")
  expect((await stat(file)).mode & 0o777).toBe(0o600)
  expect(first.token).toMatch(/^[0-9a-f]{64}$/)
  await first.close()
  expect((await open({ dataDir, http: "127.0.0.1:0" })).token).toBe(first.token as string)
})

test("a token file that holds no token is refused, not replaced", async () => {
  const dataDir = await folderOfItsOwn()
  await writeFile(join(dataDir, "http-token"), "short\n", { mode: 0o644 })
  expect(await refused({ dataDir, http: "127.0.0.1:0" })).toMatchObject({
    _tag: "HttpTokenError",
    message: expect.stringContaining("holds no token")
  })
})

test("an address that others can reach is refused without TLS, and so is what is no address", async () => {
  const dataDir = await folderOfItsOwn()
  for (const address of [
    "0.0.0.0:4500",
    "10.0.0.1:4500",
    "[::]:4500",
    "example.org:4500",
    "127.evil.org:80"
  ]) {
    const error = await refused({ dataDir, http: address })
    expect(error).toMatchObject({ _tag: "CannotListen", flag: "--http" })
    expect(error.message).toContain("expected a loopback address")
  }
  for (const address of ["4500", "127.0.0.1", "127.0.0.1:70000", ""]) {
    expect((await refused({ dataDir, http: address })).message).toContain("expected HOST:PORT")
  }
  const taken = await open({ dataDir, http: "127.0.0.1:0" })
  const port = new URL(taken.url ?? "").port
  expect((await refused({ dataDir, http: `127.0.0.1:${port}` })).message).toContain("cannot listen there")
})

test("versions beyond what is spoken are answered before anything else sees them", async () => {
  const dataDir = await folderOfItsOwn()
  const socket = join(dataDir, "docker.sock")
  await open({ dataDir, socket, engineVersion: () => "1.41" })
  const tooNew = await ask({ socketPath: socket }, "/v1.99/services")
  expect(tooNew).toMatchObject({
    status: 400,
    text: '{"message":"client version 1.99 is too new. Maximum supported API version is 1.41"}\n'
  })
  expect(tooNew.headers["api-version"]).toBe("1.50")
})

test("stopping refuses new requests and does not wait for endless ones", async () => {
  const dataDir = await folderOfItsOwn()
  const socket = join(dataDir, "docker.sock")
  let told = false
  const doors = await open({
    dataDir,
    socket,
    onStop: () => {
      told = true
    }
  })
  const endless = net.connect({ path: socket })
  let ended = false
  endless.on("error", () => {})
  endless.on("close", () => {
    ended = true
  })
  endless.write("GET /endless HTTP/1.1\r\nHost: x\r\n\r\n")
  await new Promise((resolve) => endless.once("data", resolve))
  await doors.close()
  expect(told).toBe(true)
  await eventually(() => ended, "the endless answer is cut off")
  await expect(ask({ socketPath: socket }, "/services")).rejects.toThrow()
})

test("the Engine sees nothing of who came in at our door", async () => {
  const dataDir = await folderOfItsOwn()
  const socket = join(dataDir, "engine.sock")
  const seen: Array<http.IncomingHttpHeaders> = []
  const engine = http.createServer((request, response) => {
    seen.push(request.headers)
    response.end("[]")
  })
  await new Promise<void>((resolve) => engine.listen(socket, () => resolve()))
  cleanups.push(async () => engine.close())
  const doors = await open({ dataDir, http: "127.0.0.1:0", engine: { _tag: "Unix", path: socket } })
  const headers = {
    authorization: `Bearer ${doors.token}`,
    cookie: "troupe-session-4500=secret",
    "troupe-csrf": "secret",
    "x-registry-auth": "e30="
  }
  const answer = await fetch(`${doors.url}/containers/json`, { headers })
  expect([answer.status, await answer.text()]).toEqual([200, "[]"])
  expect(seen).toHaveLength(1)
  expect(seen[0]).toMatchObject({ "x-registry-auth": "e30=" })
  expect(JSON.stringify(seen)).not.toContain("secret")
  expect(seen[0]?.authorization).toBeUndefined()
})

test("what is changed by the socket is noted as the machine's own", async () => {
  const dataDir = await folderOfItsOwn()
  const socketPath = join(dataDir, "docker.sock")
  const noted: Array<object> = []
  await open({ dataDir, socket: socketPath, audit: { note: ({ at, ...line }) => void noted.push(line) } })
  await ask({ socketPath }, "/v1.41/services")
  await ask({ socketPath }, "/v1.41/services?force=1", {}, "DELETE")
  await eventually(() => noted.length > 0, "it is noted")
  expect(noted).toEqual([{ who: "local", role: "admin", method: "DELETE", path: "/services", status: 200 }])
})

test("an upgrade is noted by whatever method it is asked for, and by whom", async () => {
  const dataDir = await folderOfItsOwn()
  const socket = join(dataDir, "engine.sock")
  const engine = http.createServer()
  engine.on("upgrade", (_request, raw) => raw.end("HTTP/1.1 101 Switching Protocols\r\n\r\n"))
  await new Promise<void>((resolve) => engine.listen(socket, () => resolve()))
  cleanups.push(async () => engine.close())
  const noted: Array<object> = []
  const doors = await open({
    dataDir,
    http: "127.0.0.1:0",
    engine: { _tag: "Unix", path: socket },
    audit: { note: ({ who, method, path, status }) => void noted.push({ who, method, path, status }) }
  })
  const client = net.connect(Number(new URL(doors.url ?? "").port), "127.0.0.1")
  cleanups.push(async () => client.destroy())
  client.write(
    `GET /containers/abc/attach/ws?stdin=1 HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer ${doors.token}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`
  )
  let heard = ""
  client.on("data", (part) => {
    heard += String(part)
  })
  await eventually(() => heard.startsWith("HTTP/1.1 101"), "the Engine has answered")
  expect(noted).toEqual([
    { who: "http-token", method: "GET", path: "/containers/abc/attach/ws", status: 101 }
  ])
})

test("what has gone to the Engine goes on when somebody else answers at the doors; what was answered here is cut off", async () => {
  const dataDir = await folderOfItsOwn()
  const socket = join(dataDir, "docker.sock")
  const engineSocket = join(dataDir, "engine.sock")
  let say = (_text: string): void => {}
  const engine = http.createServer((_request, response) => {
    response.writeHead(200)
    response.flushHeaders()
    say = (text) => void response.write(text)
  })
  let sayUpgraded = (_text: string): void => {}
  engine.on("upgrade", (_request, raw) => {
    raw.write("HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
    sayUpgraded = (text) => void raw.write(text)
  })
  await new Promise<void>((resolve) => engine.listen(engineSocket, () => resolve()))
  cleanups.push(async () => engine.closeAllConnections())
  cleanups.push(async () => engine.close())
  const daemon = Scope.makeUnsafe()
  const doors = await Effect.runPromise(
    openDoors({
      socket,
      engine: { _tag: "Unix", path: engineSocket },
      engineVersion: () => undefined
    }).pipe(Scope.provide(daemon))
  )
  cleanups.push(() => Effect.runPromise(Scope.close(daemon, Exit.void)))
  const live = async (): Promise<() => Promise<void>> => {
    const life = Scope.makeUnsafe()
    await Effect.runPromise(serving({ dataDir, doors }).pipe(Scope.provide(life)))
    return () => Effect.runPromise(Scope.close(life, Exit.void))
  }
  const heard = (head: string) => {
    const client = net.connect({ path: socket })
    cleanups.push(async () => client.destroy())
    const told = { text: "", isOver: false }
    client.on("data", (part) => {
      told.text += String(part)
    })
    client.on("error", () => {})
    client.on("close", () => {
      told.isOver = true
    })
    client.write(`${head} HTTP/1.1\r\nHost: x\r\n`)
    return { client, told }
  }
  const endFirst = await live()
  const following = heard("GET /containers/1/logs?follow=1")
  following.client.write("\r\n")
  const attached = heard("POST /containers/1/attach")
  attached.client.write("Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
  const own = heard("GET /endless")
  own.client.write("\r\n")
  await eventually(
    () => [following, attached, own].every(({ told }) => told.text.includes("HTTP/1.1")),
    "all are answered"
  )
  await endFirst()
  await eventually(() => own.told.isOver, "our own stream is cut off")
  say("between")
  await eventually(() => following.told.text.includes("between"), "the log goes on")
  const endSecond = await live()
  expect((await ask({ socketPath: socket }, "/services")).status).toBe(200)
  sayUpgraded("more")
  say("after")
  await eventually(() => attached.told.text.endsWith("more"), "the attached one goes on")
  await eventually(() => following.told.text.includes("after"), "and the log")
  await endSecond()
})
