/** Bad input over the real socket: the Engine's status, a message that says what is wrong, and nothing changed. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { type Cluster, startCluster } from "#test/support/cluster.ts"
import { dockerHost, engine, ensureTestImage, eventually, testImage } from "#test/support/engine.ts"

let cluster: Cluster
let before: unknown

const spec = (name: string, more: Readonly<Record<string, unknown>> = {}) => ({
  Name: name,
  TaskTemplate: { ContainerSpec: { Image: testImage, Command: ["sleep", "1000"], StopGracePeriod: 0 } },
  Mode: { Replicated: { Replicas: 1 } },
  ...more
})

/** What a bad request must leave as it was. */
async function everything(): Promise<unknown> {
  const versions = async (path: string) =>
    (await cluster.get(path))
      .map((one: { ID: string; Version: { Index: number } }) => [one.ID, one.Version.Index])
      .sort()
  return {
    services: await versions("/services"),
    secrets: await versions("/secrets"),
    configs: await versions("/configs"),
    swarm: (await cluster.get("/swarm")).Version.Index,
    node: (await cluster.get("/nodes"))[0].Spec,
    networks: (await cluster.get("/networks")).filter(({ Scope }: { Scope: string }) => Scope === "swarm")
      .length,
    tasks: (await cluster.get("/tasks")).map(({ ID }: { ID: string }) => ID).sort()
  }
}

beforeAll(async () => {
  await ensureTestImage()
  cluster = await startCluster()
  expect((await cluster.api("POST", "/services/create", spec("web"))).status).toBe(201)
  // Two ids that begin alike, however long that takes: there are 36 first letters.
  const first = new Set<string>()
  for (let made = 0; made < 60; made++) {
    const { body } = await cluster.api("POST", "/secrets/create", { Name: `s${made}`, Data: "eA==" })
    const letter = body.ID.slice(0, 1)
    if (first.has(letter)) break
    first.add(letter)
  }
  await eventually(async () => {
    const tasks: ReadonlyArray<{ Status: { State: string } }> = await cluster.get("/tasks")
    return tasks.length === 1 && tasks[0]?.Status.State === "running"
  }, "the service runs")
  before = await everything()
}, 90_000)
afterAll(() => cluster.cleanUp(), 60_000)

interface Bad {
  readonly title: string
  readonly method?: string
  readonly path: string | (() => Promise<string>)
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
  readonly status: number
  readonly message: string | RegExp
}

const create = "/services/create"
const task = (more: object) => ({ TaskTemplate: { ContainerSpec: { Image: testImage }, ...more } })

const requests: ReadonlyArray<Bad> = [
  {
    title: "a body that breaks off",
    path: create,
    body: '{"Name": "web2", "TaskTemplate": {',
    status: 400,
    message: "invalid JSON: unexpected EOF"
  },
  { title: "no JSON at all", path: create, body: "hello", status: 400, message: /^invalid JSON: / },
  {
    title: "two bodies in one",
    path: create,
    body: `${JSON.stringify(spec("web2"))}{}`,
    status: 400,
    message: "unexpected content after JSON"
  },
  {
    title: "a body that does not say it is JSON",
    path: create,
    body: "{}",
    headers: { "content-type": "text/plain" },
    status: 400,
    message: "unsupported Content-Type header (text/plain): must be 'application/json'"
  },
  {
    title: "a number where a name belongs",
    path: create,
    body: { ...spec("x"), Name: 7 },
    status: 400,
    message: /^invalid JSON: Name: expected string.*got 7$/
  },
  {
    title: "a word where a number belongs",
    path: create,
    body: spec("x", { Mode: { Replicated: { Replicas: "three" } } }),
    status: 400,
    message: /^invalid JSON: Mode\.Replicated\.Replicas: expected .*got "three"$/
  },
  {
    title: "a list where an object belongs",
    path: create,
    body: spec("x", { TaskTemplate: [] }),
    status: 400,
    message: /^invalid JSON: TaskTemplate: expected .*got a list$/
  },
  {
    title: "no image",
    path: create,
    body: { Name: "x", TaskTemplate: { ContainerSpec: {} } },
    status: 400,
    message: "rpc error: code = InvalidArgument desc = ContainerSpec: image reference must be provided"
  },
  {
    title: "an image that cannot be one",
    path: create,
    body: spec("x", { TaskTemplate: { ContainerSpec: { Image: "Not An Image" } } }),
    status: 400,
    message: /"Not An Image" is not a valid repository\/tag$/
  },
  {
    title: "no container",
    path: create,
    body: { Name: "x" },
    status: 400,
    message: "mismatched Runtime and *Spec fields"
  },
  {
    title: "a name nobody could look up",
    path: create,
    body: spec("not a name!"),
    status: 400,
    message: /^rpc error: code = InvalidArgument desc = name must be valid as a DNS name component/
  },
  {
    title: "negative replicas",
    path: create,
    body: spec("x", { Mode: { Replicated: { Replicas: -1 } } }),
    status: 400,
    message: /Number of replicas must be non-negative$/
  },
  {
    title: "two modes",
    path: create,
    body: spec("x", { Mode: { Replicated: {}, Global: {} } }),
    status: 400,
    message: "must specify only one service mode"
  },
  {
    title: "too little memory",
    path: create,
    body: spec("x", task({ Resources: { Limits: { MemoryBytes: 5 } } })),
    status: 400,
    message: /invalid memory value 5: Must be at least 4MiB$/
  },
  {
    title: "a port that is none",
    path: create,
    body: spec("x", { EndpointSpec: { Ports: [{ TargetPort: 70_000, PublishedPort: 80 }] } }),
    status: 400,
    message: /TargetPort must be from 1 to 65535, got 70000$/
  },
  {
    title: "a name that is taken",
    path: create,
    body: spec("web"),
    status: 409,
    message:
      "rpc error: code = AlreadyExists desc = name conflicts with an existing object: service web already exists"
  },
  {
    title: "a network that is not there",
    path: create,
    body: spec("x", task({ Networks: [{ Target: "nowhere" }] })),
    // The Engine's own choice.
    status: 500,
    message: "network nowhere not found"
  },
  {
    title: "a secret that is not there",
    path: create,
    body: spec("x", {
      TaskTemplate: {
        ContainerSpec: {
          Image: testImage,
          Secrets: [
            { SecretID: "none", SecretName: "key", File: { Name: "key", UID: "0", GID: "0", Mode: 292 } }
          ]
        }
      }
    }),
    status: 400,
    message: "rpc error: code = InvalidArgument desc = secret not found: key"
  },
  {
    title: "a body beyond the limit",
    path: create,
    body: spec("x", { Labels: { long: "x".repeat(5 * 1024 * 1024) } }),
    status: 413,
    message: /request body is too large/
  },
  {
    title: "a secret beyond 500 KiB",
    path: "/secrets/create",
    body: { Name: "big", Data: Buffer.alloc(600 * 1024).toString("base64") },
    status: 400,
    message:
      "rpc error: code = InvalidArgument desc = secret data must be larger than 0 and less than 512000 bytes"
  },
  {
    title: "an update of a version that is no more",
    path: "/services/web/update?version=1",
    body: spec("web", { Labels: { a: "b" } }),
    status: 500,
    message: "rpc error: code = Unknown desc = update out of sequence"
  },
  {
    title: "an update without a version",
    path: "/services/web/update",
    body: spec("web"),
    status: 400,
    message: /^invalid service version ''/
  },
  {
    title: "an update that renames",
    path: async () => `/services/web/update?version=${(await cluster.get("/services/web")).Version.Index}`,
    body: spec("other"),
    status: 501,
    message: "rpc error: code = Unimplemented desc = renaming services is not supported"
  },
  {
    title: "an update of what is not there",
    path: "/services/nothing/update?version=1",
    body: spec("nothing"),
    status: 404,
    message: "service nothing not found"
  },
  ...(["services", "tasks", "nodes", "secrets", "configs"] as const).map(
    (kind): Bad => ({
      title: `an unknown id among the ${kind}`,
      method: "GET",
      path: `/${kind}/nothing`,
      status: 404,
      message: `${kind.slice(0, -1)} nothing not found`
    })
  ),
  {
    title: "the removal of what is not there",
    method: "DELETE",
    path: "/services/nothing",
    status: 404,
    message: "service nothing not found"
  },
  {
    title: "an id's beginning that several share",
    method: "GET",
    path: async () => {
      const ids: ReadonlyArray<string> = (await cluster.get("/secrets")).map(({ ID }: { ID: string }) => ID)
      const shared = ids.find((id) => ids.some((other) => other !== id && other[0] === id[0]))
      return `/secrets/${shared?.slice(0, 1)}`
    },
    status: 400,
    message: /^secret . is ambiguous \(\d+ matches found\)$/
  },
  {
    title: "filters that are no JSON",
    method: "GET",
    path: "/services?filters=nonsense",
    status: 400,
    message: /^invalid (filter|character|JSON)/
  },
  {
    title: "a filter nobody knows",
    method: "GET",
    path: `/services?filters=${encodeURIComponent('{"colour":["red"]}')}`,
    status: 400,
    message: /^invalid filter 'colour'/
  },
  {
    title: "a node that is to be something new",
    path: async () => {
      const [node] = await cluster.get("/nodes")
      return `/nodes/${node.ID}/update?version=${node.Version.Index}`
    },
    body: { Role: "manager", Availability: "asleep" },
    status: 400,
    message: /Availability|asleep/
  },
  {
    title: "a swarm where there is one",
    path: "/swarm/init",
    body: { ListenAddr: "0.0.0.0:2377" },
    status: 503,
    message: /This node is already part of a swarm/
  },
  {
    title: "a newer API than there is",
    method: "GET",
    path: "/v9.99/services",
    status: 400,
    message: /client version 9\.99 is too new\. Maximum supported API version is \d\.\d+/
  }
]

describe("a request is refused", () => {
  test.each([...requests])(
    "for $title",
    async ({ method = "POST", path, body, headers, status, message }) => {
      const answer = await cluster.api(method, typeof path === "string" ? path : await path(), body, headers)
      expect(Object.keys(answer.body)).toEqual(["message"])
      if (typeof message === "string") expect(answer).toEqual({ status, body: { message } })
      else {
        expect(answer.body.message).toMatch(message)
        expect(answer.status).toBe(status)
      }
    }
  )

  test("and afterwards nothing has changed, and no actor was disturbed", async () => {
    expect(await everything()).toEqual(before as object)
    expect(await cluster.crashes()).toEqual([])
    expect(await cluster.restarts()).toEqual({})
  }, 30_000)
})

test("fields nobody knows are ignored, as the Engine does, and are not kept", async () => {
  const body = spec("tolerant", { Colour: "red", Mode: { Replicated: { Replicas: 0, Speed: "high" } } })
  const made = await cluster.api("POST", create, body)
  expect(made.status).toBe(201)
  const service = await cluster.get(`/services/${made.body.ID}`)
  expect(JSON.stringify(service)).not.toMatch(/Colour|Speed/)
  expect(service.Spec.Mode).toEqual({ Replicated: { Replicas: 0 } })
  expect((await cluster.api("DELETE", "/services/tolerant")).status).toBe(200)
})

test("what is refused by the Engine behind us comes in its own words", async () => {
  const { status, body } = await cluster.api("GET", "/containers/no-such-container/json")
  expect(dockerHost).toStartWith("unix://")
  const straight = await engine()
    .getContainer("no-such-container")
    .inspect()
    .then(
      () => undefined,
      (error: { statusCode: number; json: { message: string } }) => error
    )
  expect({ status, message: body.message }).toEqual({
    status: straight?.statusCode ?? 0,
    message: straight?.json.message ?? ""
  })
})

test("a command that the image has not is what each attempt says, also on a network of its own", async () => {
  await cluster.must("network", "create", "-d", "overlay", "lonely")
  await cluster.must(
    ...["service", "create", "-d", "--no-resolve-image", "--name", "lost", "--network", "lonely"],
    ...["--restart-delay", "0s", "--restart-max-attempts", "2", testImage, "no-such-command"]
  )
  const filters = encodeURIComponent(JSON.stringify({ service: ["lost"] }))
  let said: ReadonlyArray<string> = []
  await eventually(
    async () => {
      const tasks = await cluster.get(`/tasks?filters=${filters}`)
      said = tasks.map(({ Status }: { Status: { Err?: string } }) => Status.Err ?? "")
      return said.length === 3 && !said.includes("")
    },
    "all three attempts failed",
    60_000
  )
  expect(said.filter((words) => !words.includes('"no-such-command": executable file not found'))).toEqual([])
  await cluster.must("service", "rm", "lost")
}, 90_000)
