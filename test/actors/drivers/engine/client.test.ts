/** The client against an imitated Engine that misbehaves on purpose. */
import { afterEach, expect, test } from "bun:test"
import http from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Cause, Effect, Exit, Fiber } from "effect"
import { EngineClient, type EngineClientService } from "#actors/drivers/engine/client.ts"
import { DockerExecutor } from "#actors/drivers/engine/executor.ts"
import type { ExecutorError } from "#actors/drivers/executor.ts"
import { Executor } from "#actors/drivers/executor.ts"
import { eventually, uniqueName } from "#test/support/engine.ts"

let server: http.Server | undefined
afterEach(() => {
  server?.closeAllConnections()
  server?.close()
})

/** Answers `/version` by itself, and the rest as told. */
async function imitate(
  answer: (request: http.IncomingMessage, response: http.ServerResponse) => void,
  version: object = { ApiVersion: "1.41", MinAPIVersion: "1.12" }
): Promise<string> {
  const path = join(tmpdir(), `${uniqueName("troupe-engine")}.sock`)
  const made = http.createServer((request, response) => {
    if (request.url?.startsWith("/version")) response.end(JSON.stringify(version))
    else answer(request, response)
  })
  server = made
  await new Promise<void>((resolve) => made.listen(path, resolve))
  return `unix://${path}`
}

const ask = <A>(dockerHost: string, use: (client: EngineClientService) => Effect.Effect<A, ExecutorError>) =>
  Effect.runPromise(EngineClient.use(use).pipe(Effect.provide(EngineClient.layer({ dockerHost }))))

const refusal = async <A>(
  dockerHost: string,
  use: (client: EngineClientService) => Effect.Effect<A, ExecutorError>
): Promise<ExecutorError> => {
  const exit = await Effect.runPromiseExit(
    EngineClient.use(use).pipe(Effect.provide(EngineClient.layer({ dockerHost })))
  )
  if (Exit.isSuccess(exit)) throw new Error(`Expected a failure, got ${JSON.stringify(exit.value)}`)
  return Cause.squash(exit.cause) as ExecutorError
}
const look = { operation: "look", method: "GET", path: "/thing" } as const

test("asks in our newest version where the Engine has a newer one", async () => {
  const asked: Array<string | undefined> = []
  const host = await imitate(
    (request, response) => {
      asked.push(request.url)
      response.end("{}")
    },
    { ApiVersion: "1.99", MinAPIVersion: "1.44" }
  )
  await ask(host, (client) => client.call({ ...look, query: { a: "b c", none: undefined } }))
  expect(asked).toEqual(["/v1.50/thing?a=b%20c"])
})

test("refuses an Engine that has given up every version we speak", async () => {
  const host = await imitate((_, response) => response.end("{}"), {
    ApiVersion: "1.99",
    MinAPIVersion: "1.60"
  })
  const error = await refusal(host, (client) => client.call(look))
  expect(error.message).toContain("speaks API 1.60 and newer, we speak 1.50 and older")
  expect(error.temporary).toBe(false)
})

test("refuses what is no Engine at all", async () => {
  const host = await imitate((_, response) => response.end("{}"), { hello: "world" })
  expect((await refusal(host, (client) => client.call(look))).message).toContain("is not a Docker Engine")
})

test("gives the Engine's own words, and tells trouble that passes from trouble that stays", async () => {
  const answers: Record<string, [number, string, boolean]> = {
    a: [404, "No such container: x - y", false],
    b: [409, "Conflict - of a kind", false],
    c: [500, "something broke", true],
    d: [500, "driver failed: port is already allocated", false],
    e: [503, "later", true],
    f: [429, "too many", true]
  }
  const host = await imitate((request, response) => {
    const [status, message] = answers[request.url?.at(-2) ?? ""] ?? [200, ""]
    response.writeHead(status, { "Content-Type": "application/json" })
    response.end(JSON.stringify({ message }))
  })
  for (const [path, [status, message, temporary]] of Object.entries(answers)) {
    const error = await refusal(host, (client) => client.call({ ...look, path: `/${path}` }))
    expect({ status: error.status, message: error.message, temporary: error.temporary }).toEqual({
      status,
      message,
      temporary
    } as never)
  }
})

test("does not wait for the rest of an answer that was cut off", async () => {
  const host = await imitate((_, response) => {
    response.writeHead(200, { "Content-Length": 1000 })
    response.write('{"half":')
    setTimeout(() => response.destroy(), 20)
  })
  const error = await refusal(host, (client) => client.call(look))
  expect(error.temporary).toBe(true)
})

test("gives up after the time it was given", async () => {
  const host = await imitate(() => {})
  const error = await refusal(host, (client) => client.call({ ...look, within: "50 millis" }))
  expect(error.temporary).toBe(true)
  expect(error.message).toBe("the Engine did not answer in time")
})

test("hangs up when nobody waits for the answer any more", async () => {
  let [asked, closed] = [false, false]
  const host = await imitate((request) => {
    asked = true
    request.socket.on("close", () => (closed = true))
  })
  await Effect.runPromise(
    Effect.gen(function* () {
      const client = yield* EngineClient
      const fiber = yield* Effect.forkChild(client.call(look))
      yield* Effect.promise(() => eventually(() => asked, "the Engine is asked"))
      yield* Fiber.interrupt(fiber)
    }).pipe(Effect.provide(EngineClient.layer({ dockerHost: host })))
  )
  await eventually(() => closed, "the connection is closed")
})

test("learns the version again after the Engine was away", async () => {
  let version = { ApiVersion: "1.41", MinAPIVersion: "1.12" }
  const asked: Array<string> = []
  const path = join(tmpdir(), `${uniqueName("troupe-engine")}.sock`)
  const open = () => {
    const made = http.createServer((request, response) => {
      if (!request.url?.startsWith("/version")) asked.push(request.url?.split("/")[1] ?? "")
      response.end(JSON.stringify(request.url?.startsWith("/version") ? version : {}))
    })
    server = made
    return new Promise<void>((resolve) => made.listen(path, resolve))
  }
  await open()
  await ask(`unix://${path}`, (client) =>
    Effect.gen(function* () {
      yield* client.call(look)
      server?.closeAllConnections()
      yield* Effect.promise(() => new Promise((resolve) => server?.close(resolve)))
      yield* Effect.exit(client.call(look))
      version = { ApiVersion: "1.43", MinAPIVersion: "1.12" }
      yield* Effect.promise(open)
      yield* client.call(look)
    })
  )
  expect(asked).toEqual(["v1.41", "v1.43"])
})

test("an executor has no more than its number of creations and starts in flight", async () => {
  let [inFlight, most, count] = [0, 0, 0]
  const host = await imitate((request, response) => {
    if (request.method === "GET") {
      response.end("[]")
      return
    }
    inFlight++
    most = Math.max(most, inFlight)
    setTimeout(() => {
      inFlight--
      response.writeHead(request.url?.includes("/create") ? 201 : 204)
      response.end(request.url?.includes("/create") ? JSON.stringify({ Id: `c${count++}` }) : undefined)
    }, 5)
  })
  const request = { Image: "i", Labels: {}, HostConfig: {}, Networks: [] }
  await Effect.runPromise(
    Executor.use((executor) =>
      Effect.forEach(
        Array.from({ length: 40 }, (_, index) => index),
        (index) => Effect.flatMap(executor.create(`n${index}`, request), executor.start),
        { concurrency: "unbounded", discard: true }
      )
    ).pipe(Effect.provide(DockerExecutor.layer({ dockerHost: host, inFlight: 5 })))
  )
  expect(count).toBe(40)
  expect(most).toBe(5)
})
