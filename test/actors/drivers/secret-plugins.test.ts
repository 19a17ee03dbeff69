import { afterEach, describe, expect, test } from "bun:test"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import http from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"
import { secretPlugins } from "#actors/drivers/secret-providers/plugins.ts"
import type { SecretQuestion } from "#actors/drivers/secret-providers.ts"

const question: SecretQuestion = {
  SecretName: "key",
  SecretLabels: {},
  ServiceID: "web-id",
  ServiceName: "web",
  ServiceHostname: "",
  ServiceLabels: {},
  ServiceEndpointSpec: { Mode: 0, Ports: [] },
  TaskID: "t1",
  TaskName: "web.1.t1",
  TaskImage: "nginx",
  NodeID: "n1"
}

const folders: Array<string> = []
const servers: Array<http.Server> = []
afterEach(() => {
  for (const server of servers.splice(0)) server.close()
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})

function places() {
  const folder = mkdtempSync(join(tmpdir(), "troupe-plugins-"))
  folders.push(folder)
  return { sockets: join(folder, "run"), specs: [join(folder, "etc")] }
}

/** A plugin behind a socket; what it heard. */
async function plugin(socket: string, answer: unknown, implemented = ["secretprovider"]) {
  const heard: Array<readonly [string | undefined, string]> = []
  const server = http.createServer((request, response) => {
    let body = ""
    request.on("data", (part) => {
      body += part
    })
    request.on("end", () => {
      heard.push([request.url, body])
      response.end(JSON.stringify(request.url === "/Plugin.Activate" ? { Implements: implemented } : answer))
    })
  })
  servers.push(server)
  mkdirSync(join(socket, ".."), { recursive: true })
  await new Promise<void>((resolve) => server.listen(socket, resolve))
  return heard
}

const ask = (where: ReturnType<typeof places>, driver: string) =>
  Effect.runPromise(
    secretPlugins(where)
      .ask(driver, question)
      .pipe(Effect.catch(({ message }) => Effect.succeed(message)))
  )

describe("DI-15 a secret plugin", () => {
  test("is found by its socket, activated, and asked by SwarmKit's words", async () => {
    const where = places()
    const heard = await plugin(join(where.sockets, "vault.sock"), { Value: "b25l", DoNotReuse: true })
    expect(await ask(where, "vault")).toEqual({ data: "b25l", own: true })
    expect(heard.map(([path]) => path)).toEqual(["/Plugin.Activate", "/SecretProvider.GetSecret"])
    expect(JSON.parse(heard[1]?.[1] ?? "")).toEqual(question)
  })

  test("is found in a folder of its own and by a file that names its socket, too", async () => {
    const where = places()
    await plugin(join(where.sockets, "one", "one.sock"), { Value: "b25l" })
    expect(await ask(where, "one")).toEqual({ data: "b25l", own: false })
    const elsewhere = join(where.sockets, "elsewhere.sock")
    await plugin(elsewhere, { Value: "dHdv" })
    for (const folder of where.specs) mkdirSync(folder, { recursive: true })
    writeFileSync(join(where.specs[0] as string, "two.spec"), `unix://${elsewhere}\n`)
    expect(await ask(where, "two")).toEqual({ data: "dHdv", own: false })
  })

  test("that is not there, keeps no secrets, refuses or gives nothing is an error that says so", async () => {
    const where = places()
    expect(await ask(where, "vault")).toStartWith("there is no secret driver vault: ")
    expect(await ask(where, "../vault")).toBe("secret driver '../vault': expected the name of a plugin")
    await plugin(join(where.sockets, "logs.sock"), {}, ["LogDriver"])
    expect(await ask(where, "logs")).toBe("plugin logs keeps no secrets")
    await plugin(join(where.sockets, "sealed.sock"), { Err: "sealed" })
    expect(await ask(where, "sealed")).toBe("plugin sealed refused: sealed")
    await plugin(join(where.sockets, "empty.sock"), {})
    expect(await ask(where, "empty")).toContain("gave 0 bytes")
    await plugin(join(where.sockets, "odd.sock"), { Value: 7 })
    expect(await ask(where, "odd")).not.toContain("7")
  })
})
