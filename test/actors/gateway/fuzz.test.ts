/** A law: whatever is sent, the answer is a clear refusal, nothing breaks, and a refused request changes nothing. */
import { expect, test } from "bun:test"
import process from "node:process"
import { owns } from "#actors/gateway/app.ts"
import { Fresh } from "#runtime/ids.ts"
import { serviceBody, TestGateway } from "#test/support/gateway.ts"

const seed = Number(process.env.SEED ?? 17)

const odd: ReadonlyArray<unknown> = [
  null,
  true,
  -1,
  0,
  1.5,
  1e300,
  "",
  "x",
  "💥\u0000",
  "../../etc",
  "a".repeat(300),
  [],
  {},
  [null],
  [[]],
  { "": "" },
  { __proto__: null, constructor: 1 }
]

function mutate(fresh: Fresh, value: unknown): unknown {
  if (fresh.below(6) === 0) return odd[fresh.below(odd.length)]
  if (Array.isArray(value)) return value.map((entry) => mutate(fresh, entry))
  if (typeof value === "object" && value !== null) {
    const entries = Object.entries(value)
    if (entries.length > 0 && fresh.below(3) === 0) entries.splice(fresh.below(entries.length), 1)
    return Object.fromEntries(
      entries.map(([key, entry]) => [fresh.below(20) === 0 ? key.toUpperCase() : key, mutate(fresh, entry)])
    )
  }
  return fresh.below(3) === 0 ? odd[fresh.below(odd.length)] : value
}

function cut(fresh: Fresh, text: string): string {
  switch (fresh.below(12)) {
    case 0:
      return text.slice(0, fresh.below(text.length + 1))
    case 1:
      return `${text}${text}`
    case 2:
      return text.replace(/[{}[\]":,]/, "?")
    default:
      return text
  }
}

const full = serviceBody("fuzz", {
  Labels: { a: "b" },
  TaskTemplate: {
    ContainerSpec: {
      Image: "busybox",
      Env: ["A=b"],
      Mounts: [{ Type: "bind", Source: "/a", Target: "/b", BindOptions: { Propagation: "rprivate" } }],
      Healthcheck: { Test: ["CMD", "true"], Interval: 1e9, Retries: 3 },
      Secrets: [{ SecretID: "x", SecretName: "y", File: { Name: "z", Mode: 292 } }],
      Privileges: { CredentialSpec: null, NoNewPrivileges: false }
    },
    Resources: { Limits: { NanoCPUs: 1e9, MemoryBytes: 1e8 }, Reservations: {} },
    RestartPolicy: { Condition: "any", Delay: 1e9 },
    Placement: { Constraints: ["node.role==manager"], Preferences: [{ Spread: { SpreadDescriptor: "x" } }] },
    Networks: [{ Target: "host" }]
  },
  UpdateConfig: { Parallelism: 1, Order: "start-first", MaxFailureRatio: 0.5 },
  EndpointSpec: { Mode: "vip", Ports: [{ Protocol: "tcp", TargetPort: 80, PublishedPort: 8080 }] }
})

const bodies: ReadonlyArray<readonly [string, unknown]> = [
  ["/services/create", full],
  ["/services/web/update?version=3", full],
  ["/networks/create", { Name: "n", Driver: "overlay", IPAM: { Config: [{ Subnet: "10.1.0.0/24" }] } }],
  ["/secrets/create", { Name: "s", Labels: { a: "b" }, Data: "aGk=" }],
  ["/configs/create", { Name: "c", Labels: { a: "b" }, Data: "aGk=" }],
  ["/nodes/sk1/update?version=1", { Labels: {}, Role: "manager", Availability: "active" }],
  ["/swarm/update?version=1", { Name: "default", Orchestration: { TaskHistoryRetentionLimit: 5 } }],
  ["/networks/prune", {}]
]

test(`bodies of any kind, seed ${seed}`, async () => {
  const gateway = await TestGateway.start()
  gateway.engine.answers.set("POST /networks/prune", { status: 200, body: { NetworksDeleted: null } })
  await gateway.made("/services/create", serviceBody("web"))
  const fresh = Fresh.from(seed)
  let refusals = 0
  for (let round = 0; round < 1500; round++) {
    const [path, body] = bodies[fresh.below(bodies.length)] as readonly [string, unknown]
    const text = cut(fresh, JSON.stringify(mutate(fresh, body)))
    const reply = await gateway.call("POST", path, text)
    const sent = `${path} ${text}`
    expect(reply.text === "" || typeof reply.body === "object", sent).toBe(true)
    if (reply.status >= 400) {
      refusals += 1
      expect(typeof reply.body.message, sent).toBe("string")
      expect(reply.body.message, sent).not.toStartWith("internal error")
    }
  }
  expect(gateway.defects).toEqual([])
  expect(refusals).toBeGreaterThan(500)
  for (const list of ["/services", "/networks", "/secrets", "/configs", "/nodes", "/swarm", "/tasks"]) {
    expect((await gateway.get(list)).status, list).toBe(200)
  }
}, 30_000)

test(`a refused request changes no object, seed ${seed}`, async () => {
  const gateway = await TestGateway.start()
  await gateway.made("/services/create", serviceBody("web"))
  let changes = 0
  gateway.ledger.follow(() => {
    changes += 1
  })
  const fresh = Fresh.from(seed + 1)
  for (let round = 0; round < 800; round++) {
    const [path, body] = bodies[fresh.below(bodies.length)] as readonly [string, unknown]
    const before = changes
    const reply = await gateway.call("POST", path, cut(fresh, JSON.stringify(mutate(fresh, body))))
    if (reply.status >= 400) expect(changes, `${path}: ${reply.text}`).toBe(before)
  }
})

test(`paths and queries of any kind, seed ${seed}`, async () => {
  const gateway = await TestGateway.start()
  const fresh = Fresh.from(seed + 2)
  const words = [
    "services",
    "nodes",
    "tasks",
    "%",
    "%zz",
    "..",
    "",
    "a b",
    "{}",
    "ü",
    "create",
    "web",
    "json"
  ]
  for (let round = 0; round < 600; round++) {
    const parts = Array.from({ length: 1 + fresh.below(4) }, () => words[fresh.below(words.length)])
    const filters = odd[fresh.below(odd.length)]
    const query =
      fresh.below(2) === 0 ? `?filters=${encodeURIComponent(JSON.stringify(filters))}` : "?version=%"
    const path = `/${parts.join("/")}${query}`
    const method = ["GET", "DELETE"][fresh.below(2)] as string
    const reply = await gateway.call(method, path)
    expect(reply.body?.message ?? "", path).not.toStartWith("internal error")
    expect(typeof owns(method, path)).toBe("boolean")
  }
  expect(gateway.defects).toEqual([])
})
