/**
 * An Engine whose containers cost nothing and do nothing: what is left is what an orchestrator costs by itself.
 *
 *     bun test/bench/creates/imitated-engine.ts SOCKET NAME
 */
import { randomBytes } from "node:crypto"
import { rmSync } from "node:fs"
import http, { type ServerResponse } from "node:http"
import { arch } from "node:os"
import process from "node:process"

interface Container {
  readonly Id: string
  readonly Name: string
  readonly Labels: Readonly<Record<string, string>>
  readonly StartedAt?: string
}

const [socket = "", name = ""] = process.argv.slice(2)
const version = { Version: "20.10.24", ApiVersion: "1.41", MinAPIVersion: "1.12", Os: "linux", Arch: arch() }
const info = {
  Name: name,
  ServerVersion: version.Version,
  NCPU: 4,
  MemTotal: 8 * 2 ** 30,
  Architecture: arch(),
  OSType: "linux"
}

const containers = new Map<string, Container>()
const following = new Set<ServerResponse>()

const tell = (Action: string, { Id, Labels }: Container): void => {
  const event = { Type: "container", Action, Actor: { ID: Id, Attributes: { ...Labels, exitCode: "0" } } }
  for (const response of following) response.write(`${JSON.stringify(event)}\n`)
}
const inspected = ({ Id, Name, Labels, StartedAt }: Container) => ({
  Id,
  Name: `/${Name}`,
  State: { Status: StartedAt === undefined ? "created" : "running", Pid: 0, ExitCode: 0, StartedAt },
  Config: { Labels },
  NetworkSettings: { Networks: {} }
})

interface Answer {
  readonly status: number
  readonly value?: unknown
}

const fixed: Readonly<Record<string, unknown>> = {
  _ping: "OK",
  version,
  info,
  images: { Id: `sha256:${"0".repeat(64)}`, RepoDigests: [], Config: {} },
  networks: [],
  plugins: []
}

/** The answer, or nothing where `response` stays open. */
function answer(method: string, url: URL, body: string, response: ServerResponse): Answer | undefined {
  const [, kind = "", key = "", action = ""] = url.pathname.replace(/^\/v1\.\d+/, "").split("/")
  if (method === "GET" && kind in fixed) return { status: 200, value: fixed[kind] }
  if (method === "GET" && kind === "events") {
    response.flushHeaders()
    following.add(response)
    response.once("close", () => following.delete(response))
    return undefined
  }
  if (kind !== "containers") return { status: 404, value: { message: "page not found" } }
  if (method === "GET" && key === "json") return { status: 200, value: [...containers.values()] }
  if (method === "POST" && key === "create") {
    const { Labels } = JSON.parse(body)
    const Id = randomBytes(32).toString("hex")
    containers.set(Id, { Id, Name: url.searchParams.get("name") ?? "", Labels })
    return { status: 201, value: { Id } }
  }
  const container = containers.get(key)
  if (container === undefined) return { status: 404, value: { message: `No such container: ${key}` } }
  if (method === "GET" && action === "json") return { status: 200, value: inspected(container) }
  if (method === "GET" && action === "logs") {
    // It says nothing, and goes on saying nothing.
    response.flushHeaders()
    return undefined
  }
  if (method === "POST" && action === "start") {
    containers.set(key, { ...container, StartedAt: new Date().toISOString() })
    tell("start", container)
    return { status: 204 }
  }
  // Stopped, killed or removed: gone in any case.
  tell("die", container)
  tell("destroy", container)
  containers.delete(key)
  return { status: 204 }
}

rmSync(socket, { force: true })
http
  .createServer((request, response) => {
    let body = ""
    request.setEncoding("utf8").on("data", (part) => {
      body += part
    })
    request.on("end", () => {
      const answered = answer(
        request.method ?? "",
        new URL(request.url ?? "/", "http://docker"),
        body,
        response
      )
      if (answered === undefined) return
      response.writeHead(answered.status, { "content-type": "application/json" })
      response.end(answered.value === undefined ? undefined : JSON.stringify(answered.value))
    })
  })
  .listen(socket)
