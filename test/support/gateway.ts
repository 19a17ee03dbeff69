/** The gateway's application over a real ledger in memory, and an Engine that answers as a test tells it. */
import { Effect } from "effect"
import { type AppOptions, makeApp } from "#actors/gateway/app.ts"
import {
  type EngineAnswer,
  type EngineClientService,
  EngineUnreachable
} from "#actors/gateway/engine-client.ts"
import type { Membership } from "#actors/gateway/gateway.ts"
import type { Applied, Command } from "#actors/ledger/commands.ts"
import { openLedger } from "#actors/ledger/ledger.ts"
import type { LedgerService } from "#actors/ledger/service.ts"
import { type Founding, foundingCommands } from "#actors/manager/found.ts"
import { Fresh } from "#runtime/ids.ts"
import { MemoryRaft } from "#test/support/memory-raft.ts"
import { mustFit } from "#test/support/openapi/complain.ts"
import { someKeys, somePorts, someRoots } from "#test/support/trust.ts"

export const nodeId = "oyqb8ci8oz67mq8otvbjcb0md"
export const clusterId = "v3dr5ibbccyyzeg61xkcf9cvy"
const second = 1_000_000_000

export interface Reply {
  readonly status: number
  readonly text: string
  // biome-ignore lint/suspicious/noExplicitAny: bodies are what the test is about
  readonly body: any
  readonly headers: Headers
}

/** What the Engine was asked, as `GET /path`. */
export interface FakeEngine extends EngineClientService {
  readonly asked: Array<string>
  readonly bodies: Array<unknown>
  reachable: boolean
  /** Answers by `GET /path`, with the query or without; anything else is 404. */
  readonly answers: Map<string, { status: number; body?: unknown }>
}

export function fakeEngine(version = "1.50"): FakeEngine {
  const engine: FakeEngine = {
    asked: [],
    bodies: [],
    reachable: true,
    answers: new Map<string, { status: number; body?: unknown }>([
      ["GET /networks", { status: 200, body: [] }],
      ["GET /volumes", { status: 200, body: { Volumes: [], Warnings: null } }]
    ]),
    apiVersion: () => version,
    call: (method, path, body) =>
      Effect.suspend((): Effect.Effect<EngineAnswer, EngineUnreachable> => {
        engine.asked.push(`${method} ${path}`)
        engine.bodies.push(body)
        if (!engine.reachable) {
          return Effect.fail(new EngineUnreachable({ message: "Cannot connect to the Docker daemon" }))
        }
        const known =
          engine.answers.get(`${method} ${path}`) ?? engine.answers.get(`${method} ${path.split("?")[0]}`)
        return Effect.succeed(
          known === undefined
            ? { status: 404, headers: {}, body: { message: `${path} not found` } }
            : { status: known.status, headers: {}, body: known.body }
        )
      })
  }
  return engine
}

export class TestGateway {
  readonly raft = new MemoryRaft()
  readonly engine: FakeEngine
  readonly defects: Array<unknown> = []
  membership: Membership = "active/manager"
  now = Date.parse("2026-11-22T21:01:30.950Z")
  ledger!: LedgerService
  app!: ReturnType<typeof makeApp>
  #tokens = 0

  private constructor(engine: FakeEngine) {
    this.engine = engine
  }

  /** A manager of a cluster that has nothing but itself. */
  static async start(
    options: Partial<AppOptions> = {},
    engine = fakeEngine(),
    trust: Partial<Pick<Founding, "roots" | "tokens">> = {},
    level?: number
  ): Promise<TestGateway> {
    const gateway = new TestGateway(engine)
    gateway.ledger = await Effect.runPromise(
      Effect.scoped(
        openLedger({
          openRaft: gateway.raft.open,
          directory: "/nowhere",
          clusterId,
          nodeId,
          boot: "boot",
          host: {
            now: () => gateway.now++,
            monotonic: () => gateway.now,
            random: () => 0.5,
            defer: (turn) => queueMicrotask(turn),
            after: () => () => {}
          }
        })
      )
    )
    const [first] = foundingCommands({ ...founding, ...trust })
    if (first?.type !== "cluster.create") throw new Error("a cluster is created first")
    const FeatureLevel = level ?? first.cluster.FeatureLevel
    await gateway.write({ ...first, cluster: { ...first.cluster, FeatureLevel } })
    gateway.app = makeApp({
      ledger: gateway.ledger,
      run: Effect.runPromise,
      nodeId,
      engine,
      who: () => "local",
      clock: () => gateway.now,
      fresh: Fresh.from(7),
      newUnlockKey: () => `SWMKEY-1-${"k".repeat(42)}${++gateway.#tokens}`,
      newToken: (role) => `SWMTKN-1-${role}-${++gateway.#tokens}`,
      membership: () => gateway.membership,
      onDefect: (defect) => gateway.defects.push(defect),
      ...options
    })
    return gateway
  }

  /** Writes as the orchestrator would; must not be refused. */
  async write(command: Command): Promise<Applied> {
    const outcome = await Effect.runPromise(this.ledger.propose(command, { who: "test", why: "test" }))
    if (outcome._tag !== "Applied") throw new Error(`${command.type}: ${JSON.stringify(outcome)}`)
    return outcome.applied
  }

  /** One request; a body that is no string is sent as JSON. */
  async call(
    method: string,
    path: string,
    body?: unknown,
    headers: Readonly<Record<string, string>> = {}
  ): Promise<Reply> {
    const text = body === undefined || typeof body === "string" ? body : JSON.stringify(body)
    const response = await this.app.request(`http://docker${path}`, {
      method,
      headers: { ...(text === undefined ? {} : { "content-type": "application/json" }), ...headers },
      ...(text === undefined ? {} : { body: text })
    })
    const answer = await response.text()
    let parsed: unknown
    try {
      parsed = answer === "" ? undefined : JSON.parse(answer)
    } catch {
      parsed = answer
    }
    const { status, headers: told } = response
    const type = told.get("content-type") ?? ""
    mustFit({ method, path, type, version: this.engine.apiVersion() ?? "1.50", status, body: parsed })
    return { status, text: answer, body: parsed, headers: told }
  }

  get = (path: string): Promise<Reply> => this.call("GET", path)
  post = (path: string, body?: unknown, headers?: Readonly<Record<string, string>>): Promise<Reply> =>
    this.call("POST", path, body, headers)
  delete = (path: string): Promise<Reply> => this.call("DELETE", path)

  /** Creates what must be created, and gives its id. */
  async made(path: string, body: unknown): Promise<string> {
    const reply = await this.post(path, body)
    if (reply.status !== 201) throw new Error(`${path}: ${reply.status} ${reply.text}`)
    return reply.body.ID ?? reply.body.Id
  }
}

const founding: Founding = {
  clusterId,
  ingressId: "unused",
  addrPool: ["10.0.0.0/8"],
  node: {
    id: nodeId,
    addr: "10.78.0.11",
    keys: someKeys,
    ports: somePorts,
    availability: "active",
    description: {
      Hostname: "sk1",
      Platform: { Architecture: "x86_64", OS: "linux" },
      Resources: { NanoCPUs: 2 * second, MemoryBytes: 25_276_502_016 },
      Engine: { EngineVersion: "28.2.2", Plugins: [{ Type: "Log", Name: "json-file" }] },
      Executor: "docker"
    }
  },
  roots: someRoots,
  tokens: { Worker: "SWMTKN-1-worker", Manager: "SWMTKN-1-manager" }
}

/** The body that `docker service create` sends. */
export const serviceBody = (name: string | undefined, extra: Record<string, unknown> = {}) => ({
  ...(name === undefined ? {} : { Name: name }),
  Labels: {},
  TaskTemplate: {
    ContainerSpec: { Image: "busybox:latest", Args: ["top"], Init: false, DNSConfig: {} },
    Resources: { Limits: {}, Reservations: {} },
    Placement: {},
    ForceUpdate: 0
  },
  Mode: { Replicated: {} },
  EndpointSpec: { Mode: "vip" },
  ...extra
})
