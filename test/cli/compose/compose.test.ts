/** Compose files as they are read, translated and compared: plain calls on files of a folder of their own. */
// biome-ignore-all lint/suspicious/noTemplateCurlyInString: Compose writes its variables so
import { afterAll, expect, test } from "bun:test"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fill } from "#cli/compose/interpolate.ts"
import { type LoadOptions, loadProject, pasted } from "#cli/compose/load.ts"
import { diff, type Present, plan } from "#cli/compose/plan.ts"
import { translate } from "#cli/compose/translate.ts"
import { vet } from "#cli/compose/vet.ts"

const folder = mkdtempSync(join(tmpdir(), "compose-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function load(
  files: Readonly<Record<string, string>>,
  names: ReadonlyArray<string> = ["compose.yaml"],
  more: Partial<LoadOptions> = {}
) {
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
  return loadProject({
    files: names,
    projectName: "shop",
    profiles: [],
    envFiles: [],
    environment: { SET: "yes", EMPTY: "" },
    workingDirectory: folder,
    ...more
  })
}
const desired = (text: string, more: Readonly<Record<string, string>> = {}, names?: Array<string>) =>
  translate(load({ "compose.yaml": text, ...more }, names))
const nobody = { networks: [], secrets: [], configs: [], services: [], nodes: [], tasks: [] }

test.each([
  ["$SET", "yes"],
  ["${SET}", "yes"],
  ["${EMPTY:-d}", "d"],
  ["${EMPTY-d}", ""],
  ["${NONE-d${SET}}", "dyes"],
  ["${SET:+x}", "x"],
  ["${EMPTY:+x}", ""],
  ["${EMPTY+x}", "x"],
  ["$$SET", "$SET"]
])("%s is %s", (text, expected) => {
  expect(fill(text, { SET: "yes", EMPTY: "" }, () => {})).toBe(expected)
})

test("a variable that is required and missing says what it is for", () => {
  expect(fill("${NONE:?name it}", {}, () => {})).toEqual({
    problem: "required variable NONE is missing a value: name it"
  })
})

test("what is pasted reads no file, no folder and no variable of this machine", () => {
  const service = (lines: string): string => `name: shop\nservices:\n  web:\n    image: a\n${lines}`
  const problem = (text: string): string => {
    try {
      loadProject(pasted(text))
      return "none"
    } catch (cause) {
      return (cause as Error).message
    }
  }
  const own = join(folder, "own.yaml")
  writeFileSync(own, "services:\n  base:\n    image: stolen\n")
  for (const [text, at] of [
    [service(`    env_file: ${own}\n`), "compose.yaml:5:15: env_file: "],
    [service(`    extends: { file: ${own}, service: base }\n`), `compose.yaml:5:14: `],
    [`include: [${own}]\n${service("")}`, `compose.yaml:1:11: `],
    [`${service("")}secrets:\n  key: { file: ${own} }\n`, "secrets.key.file: "],
    [`${service("")}configs:\n  key: { file: ${own} }\n`, "configs.key.file: "]
  ] as const) {
    expect(problem(text)).toContain(at)
    expect(problem(text)).toContain("expected no file: what is pasted stands alone")
  }
  for (const volume of ['"./data:/data"', '"~/data:/data"', "{ type: bind, source: data, target: /data }"])
    expect(problem(service(`    volumes: [${volume}]\n`))).toContain("expected a path that begins with /")
  expect(problem(service("    volumes: [/srv/data:/data, named:/more]\nvolumes: { named: {} }\n"))).toBe(
    "none"
  )
  const { model } = loadProject(pasted(service("    environment: [PATH]\n    command: $${HOME} ${HOME}\n")))
  expect(model.services.web).toMatchObject({ command: "${HOME} ", environment: { PATH: null } })
  expect(problem("services:\n  web: { image: a }\n")).toContain("give one with --project-name or name:")
})

test("unknown keys and wrong values are all told, with line, column, path and what is expected", () => {
  const text = "services:\n  web:\n    image: a\n    scael: 2\n    deploy:\n      replicas: many\n"
  expect(() => load({ "compose.yaml": text })).toThrow(
    /compose\.yaml:4:5: services\.web\.scael: unknown key "scael": expected scale\ncompose\.yaml:6:17: services\.web\.deploy\.replicas: "many": expected a whole number/
  )
  expect(() =>
    load({ "compose.yaml": "services:\n  web:\n    image: a\n    scale: 1000000000000\n" })
  ).toThrow(
    'compose.yaml:4:12: services.web.scale: "1000000000000": expected a whole number from 0 to 1000000'
  )
})

test("what means nothing in a cluster is a warning with its line", () => {
  const { warnings } = load({ "compose.yaml": "services:\n  web:\n    image: a\n    build: .\n" })
  expect(warnings.map(({ at, path }) => [at.line, path])).toEqual([[4, "services.web.build"]])
})

test("a service becomes what docker stack deploy sends", () => {
  const { services, networks } = desired(
    "services:\n  web:\n    image: a:1\n    command: sh -c 'a b'\n    environment: {B: 2, A: 1.10}\n" +
      "    ports: ['8080:80']\n    restart: on-failure:3\n    shm_size: 64m\n"
  )
  expect(networks).toEqual([
    { Name: "shop_default", Driver: "overlay", Labels: { "com.docker.stack.namespace": "shop" } }
  ])
  expect(services[0]).toMatchObject({
    Name: "shop_web",
    Labels: { "com.docker.stack.image": "a:1", "com.docker.stack.namespace": "shop" },
    TaskTemplate: {
      ContainerSpec: {
        Args: ["sh", "-c", "a b"],
        Env: ["A=1.10", "B=2"],
        Labels: { "com.docker.stack.namespace": "shop", "troupe.shm_size": "67108864" }
      },
      RestartPolicy: { Condition: "on-failure", MaxAttempts: 3 },
      Networks: [{ Target: "shop_default", Aliases: ["web"] }]
    },
    Mode: { Replicated: { Replicas: 1 } },
    EndpointSpec: {
      Ports: [{ Protocol: "tcp", TargetPort: 80, PublishedPort: 8080, PublishMode: "ingress" }]
    }
  })
})

const webWith = (lines: string): string => `services:\n  web:\n    image: a\n${lines}`

test("mounts have the options that their short forms say, and labels of theirs beside those of their volume", () => {
  const { services } = desired(
    `${webWith(
      "    volumes: ['/srv:/srv:ro,rslave', 'named:/more:nocopy', /own]\n    tmpfs: ['/run:size=64m,mode=755', /tmp]\n"
    )}volumes: { named: { labels: [a=1] } }\n`
  )
  expect(services[0]?.TaskTemplate?.ContainerSpec?.Mounts).toEqual([
    { Type: "bind", Source: "/srv", Target: "/srv", ReadOnly: true, BindOptions: { Propagation: "rslave" } },
    {
      Type: "volume",
      Source: "shop_named",
      Target: "/more",
      VolumeOptions: { NoCopy: true, Labels: { a: "1", "com.docker.stack.namespace": "shop" } }
    },
    { Type: "volume", Target: "/own" },
    { Type: "tmpfs", Target: "/run", TmpfsOptions: { SizeBytes: 67_108_864, Mode: 0o755 } },
    { Type: "tmpfs", Target: "/tmp" }
  ])
  const long = webWith(
    "    volumes: [{ type: volume, source: named, target: /m, volume: { labels: { b: 2 } } }]\n"
  )
  const [web] = desired(`${long}volumes: { named: { labels: [a=1] } }\n`).services
  expect(web?.TaskTemplate?.ContainerSpec?.Mounts?.[0]?.VolumeOptions?.Labels).toMatchObject({
    a: "1",
    b: "2"
  })
})

test.each([
  ["enabled", {}],
  ["disabled", { NonRecursive: true }],
  ["writable", { ReadOnlyNonRecursive: true }],
  ["readonly", { ReadOnlyForceRecursive: true }]
])("bind.recursive %s is what the docker CLI makes of bind-recursive", (recursive, options) => {
  const mount = `{ type: bind, source: /a, target: /b, read_only: true, bind: { propagation: rprivate, recursive: ${recursive} } }`
  const [web] = desired(webWith(`    volumes: [${mount}]\n`)).services
  expect(web?.TaskTemplate?.ContainerSpec?.Mounts?.[0]?.BindOptions).toEqual({
    Propagation: "rprivate",
    ...options
  })
})

test.each([
  ["volumes: ['named:/more:r0']", 'services.web.volumes: "named:/more:r0": expected [SOURCE:]TARGET[:MODE]'],
  ["volumes: ['/a:/b:ro:x']", 'services.web.volumes: "/a:/b:ro:x": expected [SOURCE:]TARGET[:MODE]'],
  ["tmpfs: '/run:noexec'", 'services.web.tmpfs: "/run:noexec": expected PATH[:size=SIZE,mode=MODE]'],
  ["tmpfs: '/run:size=much'", 'services.web.tmpfs: "/run:size=much": expected PATH'],
  ["tmpfs: '/run:mode=999'", 'services.web.tmpfs: "/run:mode=999": expected PATH'],
  [
    "volumes: [{ type: bind, source: /a, target: /b, bind: { recursive: writable } }]",
    'services.web.volumes: bind.recursive "writable": expected read_only: true beside it'
  ],
  [
    "volumes: [{ type: bind, source: /a, target: /b, read_only: true, bind: { recursive: readonly } }]",
    'services.web.volumes: bind.recursive "readonly": expected bind.propagation rprivate beside it'
  ],
  [
    "volumes: [{ type: bind, source: /a, target: /b, bind: { recursive: deeply } }]",
    'services.web.volumes[0].bind.recursive: "deeply": expected one of enabled, disabled, writable, readonly'
  ],
  ["gpus: [{ count: 1 }, { count: 2 }]", "services.web.gpus[1]: a list of 2: expected one entry"],
  ["gpus: [{ count: some }]", 'services.web.gpus[0].count: "some": expected all or how many'],
  ["command: echo it's", `services.web.command: "echo it's": expected words as for a shell`],
  ["entrypoint: 'sh -c \"a'", "services.web.entrypoint: "]
])("what would be lost of %s is refused", (line, text) => {
  expect(() => desired(`${webWith(`    ${line}\n`)}volumes: { named: {} }\n`)).toThrow(text)
})

test.each([
  ["gpus: [{ device_ids: ['0'] }]", "services.web.gpus[0].device_ids"],
  ["gpus: [{ capabilities: [gpu, video] }]", "services.web.gpus[0].capabilities[1]"],
  ["depends_on: { db: { condition: service_healthy } }", "services.web.depends_on.db.condition"],
  ["depends_on: { db: { restart: true } }", "services.web.depends_on.db.restart"]
])("what nobody heeds of %s is told", (line, path) => {
  const { warnings } = load({ "compose.yaml": `${webWith(`    ${line}\n`)}  db: { image: b }\n` })
  expect(warnings.map((one) => one.path)).toEqual([path])
})

test("variables that are not set are told once each, with their place, and those with a default are not", () => {
  const { warnings } = load({
    "compose.yaml":
      "services:\n  web:\n    image: '$NONE-${NOWHERE}-${NONE:-a}-${OTHER-b}'\n    hostname: ${NONE}\n"
  })
  expect(warnings.map(({ at, text }) => [at.line, text])).toEqual([
    [3, "variable NONE is not set: a blank is used"],
    [3, "variable NOWHERE is not set: a blank is used"]
  ])
})

test("what is included has the variables that it names, and those of its own folder", () => {
  const other = join(folder, "other")
  mkdirSync(other, { recursive: true })
  writeFileSync(join(other, "compose.yaml"), "services:\n  db: { image: 'b:${TAG}-${SET}' }\n")
  writeFileSync(join(other, ".env"), "TAG=own\nSET=no\n")
  const image = (include: string): unknown => {
    const text = `include: [${include}]\nservices:\n  web: { image: 'a:\${TAG:-none}' }\n`
    const { model } = load({ "compose.yaml": text, "more.env": "TAG=named\n" })
    expect(model.services.web.image).toBe("a:none")
    return model.services.db.image
  }
  expect(image("other/compose.yaml")).toBe("b:own-yes")
  expect(image("{ path: other/compose.yaml, env_file: more.env }")).toBe("b:named-yes")
  expect(() => image("{ path: other/compose.yaml, env_file: nowhere.env }")).toThrow(
    "nowhere.env:1:1: expected a file of variables that exists"
  )
})

test("later files add to earlier ones; extends and anchors fill in", () => {
  const { services } = desired(
    "x-all: &all\n  environment: [A=1, B=1]\nservices:\n  base:\n    <<: *all\n    image: a\n    command: [one]\n" +
      "  web:\n    extends: base\n    command: [two]\n",
    { "more.yaml": "services:\n  web:\n    environment: {B: 2}\n    image: b\n" },
    ["compose.yaml", "more.yaml"]
  )
  const container = services.find(({ Name }) => Name === "shop_web")?.TaskTemplate?.ContainerSpec
  expect(container).toMatchObject({ Image: "b", Args: ["two"], Env: ["A=1", "B=2"] })
})

test("!reset takes away what earlier files say, !override says something else instead of more", () => {
  const { model } = load(
    {
      "compose.yaml":
        "services:\n  web:\n    image: a\n    ports: ['80:80']\n    user: me\n    dns: [1.1.1.1]\n",
      "more.yaml":
        "services:\n  web:\n    ports: !override ['81:81']\n    user: !reset null\n    dns: [8.8.8.8]\n"
    },
    ["compose.yaml", "more.yaml"]
  )
  expect(model.services.web).toEqual({ image: "a", ports: ["81:81"], dns: ["1.1.1.1", "8.8.8.8"] })
})

test("files of variables that are named stand for .env: later ones count, the environment before all", () => {
  const files = {
    "compose.yaml": "services:\n  web:\n    image: ${ONE}-${TWO}-${SET}-${THREE:-none}\n",
    ".env": "THREE=dotenv\n",
    "a.env": "ONE=a\nTWO=a\nSET=a\n",
    "b.env": "TWO=${ONE}b\n"
  }
  const { model } = load(files, ["compose.yaml"], { envFiles: ["a.env", "b.env"] })
  expect(model.services.web.image).toBe("a-ab-yes-none")
  expect(() => load(files, ["compose.yaml"], { envFiles: ["gone.env"] })).toThrow(
    "gone.env:1:1: expected a file of variables that exists"
  )
  rmSync(join(folder, ".env"))
})

test("services of a profile are there when it is asked for", () => {
  const text = "services:\n  web: {image: a}\n  debug: {image: b, profiles: [tools]}\n"
  const names = (profiles: ReadonlyArray<string>) =>
    Object.keys(load({ "compose.yaml": text }, ["compose.yaml"], { profiles }).model.services)
  expect([names([]), names(["tools"]), names(["*"]), names(["other"])]).toEqual([
    ["web"],
    ["web", "debug"],
    ["web", "debug"],
    ["web"]
  ])
})

test("services come after those that they depend on, and circles are refused", () => {
  const text = "services:\n  a:\n    image: i\n    depends_on: [b]\n  b:\n    image: i\n"
  expect(desired(text).services.map(({ Name }) => Name)).toEqual(["shop_b", "shop_a"])
  expect(() => desired(`${text}    depends_on: [a]\n`)).toThrow(/a circle: a → b → a/)
  expect(() => desired(`${text}    depends_on: [x]\n`)).toThrow(/b.depends_on: "x": expected one of a, b/)
  expect(() => desired(`${text}    profiles: [p]\n`)).toThrow(
    /a.depends_on: "b": expected a profile of it to be asked for \(--profile\)/
  )
})

test("an image's digest stays while its name does, and one changed field is one difference", () => {
  const before = desired("services:\n  web:\n    image: a\n").services[0]
  if (before === undefined) throw new Error("no service")
  const there = structuredClone(before) as typeof before & {
    TaskTemplate: { ContainerSpec: { Image: string } }
  }
  there.TaskTemplate.ContainerSpec.Image = "a:latest@sha256:1"
  const present = { ...nobody, services: [{ ID: "1", Version: { Index: 7 }, Spec: there }] }
  const steps = (text: string) =>
    plan(desired(text), present, () => false, false).filter(({ kind }) => kind === "service")
  expect(steps("services:\n  web:\n    image: a\n")[0]?.action).toBe("unchanged")
  expect(steps("services:\n  web:\n    image: a\n    scale: 2\n")[0]).toMatchObject({
    action: "update",
    version: 7,
    differences: [{ field: "Mode.Replicated.Replicas", before: 1, after: 2 }]
  })
})

test("a service that follows its load keeps its tasks where its file names no number of them", () => {
  const scaling = "    deploy: { labels: { troupe.autoscale.cpu: 70%, troupe.autoscale.max: '9' } }\n"
  const web = "services:\n  web:\n    image: a\n"
  const before = desired(`${web}${scaling}    scale: 5\n`).services[0]
  if (before === undefined) throw new Error("no service")
  const present = { ...nobody, services: [{ ID: "1", Version: { Index: 7 }, Spec: before }] }
  const step = (text: string) =>
    plan(desired(text), present, () => false, false).find(({ kind }) => kind === "service")
  expect(step(`${web}${scaling}`)?.action).toBe("unchanged")
  expect(step(`${web}${scaling}    init: true\n`)).toMatchObject({
    action: "update",
    differences: [{ field: "TaskTemplate.ContainerSpec.Init", after: true }],
    body: { Mode: { Replicated: { Replicas: 5 } } }
  })
  expect(step(`${web}${scaling}    scale: 2\n`)?.differences).toEqual([
    { field: "Mode.Replicated.Replicas", before: 5, after: 2 }
  ])
  expect(step(web)?.differences).toContainEqual({ field: "Mode.Replicated.Replicas", before: 5, after: 1 })
})

test("what a stack has and its file does not goes when that is asked for, tasks' part first, and nothing of others", () => {
  const wanted = desired(
    `${webWith("    secrets: [key]\n")}secrets: { key: { environment: SET } }\nconfigs: { page: { content: a } }\n`
  )
  const own = { "com.docker.stack.namespace": "shop" }
  const file = (Name: string, Labels: Readonly<Record<string, string>> = own) => ({
    ID: Name,
    Version: { Index: 1 },
    Spec: { Name, Labels, ...(Name === "shop_page" && { Data: "YQ==" }) }
  })
  const network = (Name: string, Labels: Readonly<Record<string, string>> = own) => ({
    Id: Name,
    Name,
    Driver: "overlay",
    Labels
  })
  const present: Present = {
    ...nobody,
    services: [file("shop_web"), file("shop_old"), file("other_web", {})],
    secrets: [file("shop_key"), file("shop_old"), file("other", {})],
    configs: [file("shop_page"), file("shop_old"), file("other", {})],
    networks: [network("shop_default"), network("shop_old"), network("other", {})]
  }
  const isOurs = (labels?: Readonly<Record<string, string>>) =>
    labels?.["com.docker.stack.namespace"] === "shop"
  const removed = (prune: boolean) =>
    plan(wanted, present, isOurs, prune)
      .filter(({ action }) => action === "remove")
      .map(({ kind, id }) => `${kind} ${id}`)
  expect(removed(true)).toEqual([
    "service shop_old",
    "secret shop_old",
    "config shop_old",
    "network shop_old"
  ])
  expect(removed(false)).toEqual([])
})

test("a file that is no mapping is refused where it begins", () => {
  expect(() => load({ "compose.yaml": "hello\n" })).toThrow(/^compose\.yaml:1:1: "hello": expected a mapping/)
})

test("an external network has to be there, unless every Engine has it", () => {
  const refused = (name: string) => {
    const text = `services:\n  web: { image: a, networks: [out] }\nnetworks:\n  out: { external: true, name: ${name} }\n`
    return plan(desired(text), nobody, () => false, false).filter(({ action }) => action === "refused")
  }
  expect(refused("mine")).toMatchObject([{ kind: "network", name: "mine" }])
  expect(refused("host")).toEqual([])
})

test("services that the cluster would refuse are refused by the plan, before anything is changed", () => {
  const service = (name: string, more: string) => `  ${name}: { image: a, ${more} }\n`
  const steps = (text: string, present: Present = nobody) =>
    vet(
      plan(desired(`services:\n${text}`), present, () => false, false),
      present
    ).filter(({ kind }) => kind === "service")
  const why = (text: string, present?: Present) => steps(text, present).map((step) => step.why ?? step.action)
  const ports = (text: string) => service("web", `ports: [${text}]`)
  expect(why(ports("'80:80', '80:81'"))).toEqual(["EndpointSpec: duplicate published ports provided"])
  expect(why(service("web", "deploy: { labels: { troupe.exlusive: 'true' } }"))).toEqual([
    expect.stringContaining('label troupe.exlusive "true": expected one of')
  ])
  const files =
    "secrets: { k: { file: ./compose.yaml } }\nconfigs: { c: { file: ./compose.yaml } }\nnetworks: { n: {} }\n"
  const uses = "secrets: [k], configs: [c], networks: [n], volumes: ['v:/v']"
  expect(why(`${service("web", uses)}${files}volumes: { v: {} }\n`)).toEqual(["create"])
  const privileged = service("web", "labels: { troupe.privileged: 'true' }")
  const denied = [expect.stringContaining("label troupe.privileged: this cluster does not allow it")]
  expect(why(privileged, { ...nobody, swarm: {} })).toEqual(denied)
  expect(why(privileged, { ...nobody, swarm: { Labels: { "troupe.allow": "privileged" } } })).toEqual([
    "create"
  ])
  expect(why(privileged)).toEqual(["create"])
  const taken = "port '80' is already in use by service"
  expect(why(`${ports("'80:80'")}${service("xy", "ports: ['80:80']")}`)).toEqual([
    "create",
    expect.stringContaining(`${taken} 'shop_web'`)
  ])
  const route = "deploy: { labels: { troupe.http.host: a.b } }"
  expect(why(`${service("web", route)}${service("xy", route)}`)).toEqual([
    "create",
    expect.stringContaining("but service 'shop_web'")
  ])

  const spec = steps(ports("'80:80'"))[0]?.body as Present["services"][number]["Spec"]
  const has = (Name: string, Labels = spec.Labels): Present => ({
    ...nobody,
    services: [{ ID: Name, Version: { Index: 1 }, Spec: { ...spec, Name, ...(Labels && { Labels }) } }]
  })
  expect(why(ports("'80:80'"), has("other"))).toEqual([expect.stringContaining(`${taken} 'other'`)])
  // What it has itself it may keep, and what it gives up another may have.
  expect(why(ports("'80:80', '81:81'"), has("shop_web"))).toEqual(["update"])
  expect(why(`${ports("'81:80'")}${service("xy", "ports: ['80:80']")}`, has("shop_web"))).toEqual([
    "update",
    "create"
  ])
})

test("an absent field and its zero are one, except where zero says something", () => {
  expect(diff({ a: 0, b: [] }, { c: null })).toEqual([])
  expect(diff({ Replicas: 0 }, {})).toHaveLength(1)
})
