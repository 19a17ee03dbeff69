/** A secret's value is looked for everywhere it must not be, while a container that may read it does. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { Buffer } from "node:buffer"
import { createHash, randomBytes } from "node:crypto"
import { existsSync } from "node:fs"
import { readdir, readFile } from "node:fs/promises"
import { dirname, join } from "node:path"
import { type Cluster, startCluster } from "#test/support/cluster.ts"
import { engine, ensureTestImage, eventually, testImage } from "#test/support/engine.ts"

const secret = `canary-${randomBytes(24).toString("base64url")}`
const config = `finch-${randomBytes(24).toString("base64url")}`
const began = Math.floor(Date.now() / 1000)

let cluster: Cluster
/** Where this node keeps sockets, and below `tasks`, in memory, its tasks' files. */
let runDirectory = ""
let container = ""

beforeAll(async () => {
  await ensureTestImage()
  cluster = await startCluster()
  const created = [
    await cluster.cli(["secret", "create", "canary", "-"], { input: Buffer.from(secret) }),
    await cluster.cli(["config", "create", "finch", "-"], { input: Buffer.from(config) })
  ]
  expect(created.map(({ code }) => code)).toEqual([0, 0])
  const script = "sha256sum /run/secrets/canary /etc/finch; exec sleep 1000"
  const mounts = ["--secret", "canary", "--config", "source=finch,target=/etc/finch"]
  await cluster.must(
    "service",
    "create",
    "--name",
    "cage",
    "--stop-grace-period",
    "0s",
    ...mounts,
    testImage,
    "sh",
    "-c",
    script
  )
  container = await cluster.must(
    "ps",
    "-q",
    "--no-trunc",
    "--filter",
    "label=com.docker.swarm.service.name=cage"
  )
  const { Mounts } = await engine().getContainer(container).inspect()
  const source = Mounts.find(({ Destination }) => Destination === "/run/secrets/canary")?.Source ?? ""
  expect(source).toContain("/tasks/")
  runDirectory = source.slice(0, source.indexOf("/tasks/"))
}, 120_000)
afterAll(() => cluster.cleanUp(), 60_000)

/** The ways in which a value may hide: as it is, in hex, and in base64 wherever in a longer text it stands. */
function disguises(value: string): ReadonlyArray<string> {
  const bytes = Buffer.from(value)
  const base64 = [0, 1, 2].flatMap((offset) => {
    const whole = Buffer.concat([Buffer.alloc(offset), bytes])
      .toString("base64")
      .replace(/=+$/, "")
    // What the neighbours on either side have a part in is left out.
    const own = whole.slice(offset === 0 ? 0 : offset + 1, -1)
    return [own, own.replaceAll("+", "-").replaceAll("/", "_")]
  })
  return [...new Set([value, bytes.toString("hex"), bytes.toString("hex").toUpperCase(), ...base64])]
}

const isIn = (content: string | Buffer, value: string): boolean =>
  disguises(value).some((form) => content.includes(form))

/** All regular files below, but for those below `except`. */
async function filesBelow(folder: string, except = ""): Promise<ReadonlyArray<string>> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true })
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => except === "" || !path.startsWith(`${except}/`))
}

/** Files that hold `value`, and how many were looked at. */
async function searchDisk(
  value: string
): Promise<{ readonly looked: number; readonly found: ReadonlyArray<string> }> {
  const paths = [
    ...(await filesBelow(cluster.folder)),
    ...(await filesBelow(runDirectory, join(runDirectory, "tasks"))),
    ...(await engineFiles())
  ]
  const found: Array<string> = []
  for (const path of paths) {
    // A segment or a temporary file may go while we look.
    const content = await readFile(path).catch(() => undefined)
    if (content !== undefined && isIn(content, value)) found.push(path)
  }
  return { looked: paths.length, found }
}

/** What the Engine itself writes down about the container, where this machine lets us see it. */
async function engineFiles(): Promise<ReadonlyArray<string>> {
  const folder = dirname((await engine().getContainer(container).inspect()).ResolvConfPath)
  return existsSync(folder) ? filesBelow(folder) : []
}

/** Everything that is shown to people and programs. */
async function shown(): Promise<Readonly<Record<string, string>>> {
  const [task = ""] = (await cluster.must("service", "ps", "-q", "--no-trunc", "cage")).split("\n")
  const until = Math.ceil(Date.now() / 1000)
  return {
    container: await cluster.must("inspect", container),
    containers: JSON.stringify(await cluster.get("/containers/json?all=1")),
    service: await cluster.must("service", "inspect", "cage"),
    services: JSON.stringify(await cluster.get("/services")),
    task: await cluster.must("inspect", task),
    tasks: JSON.stringify(await cluster.get("/tasks")),
    secret: await cluster.must("secret", "inspect", "canary"),
    secrets: JSON.stringify(await cluster.get("/secrets")),
    events: await cluster.must(
      "events",
      "--since",
      String(began),
      "--until",
      String(until),
      "--format",
      "{{json .}}"
    ),
    logs: await cluster.must("service", "logs", "cage"),
    tree: await cluster.troupe("tree", "--json"),
    command: await processes()
  }
}

/** Command line and environment of every process of this machine that we may look into. */
async function processes(): Promise<string> {
  const parts: Array<string> = []
  for (const pid of await readdir("/proc").catch(() => [])) {
    if (!/^\d+$/.test(pid)) continue
    for (const name of ["cmdline", "environ"]) {
      parts.push(await readFile(`/proc/${pid}/${name}`, "utf8").catch(() => ""))
    }
  }
  return parts.join("\n")
}

async function expectHidden(): Promise<void> {
  // Written below the data directory, where the search finds it.
  const recording = await readFile((await cluster.troupe("recorder", "dump")).trim(), "utf8")
  expect(recording).toContain("leader/service/")
  const disk = await searchDisk(secret)
  expect(disk.looked).toBeGreaterThan(5)
  expect(disk.found).toEqual([])
  expect((await searchDisk(config)).found).toEqual([])
  const places = await shown()
  expect(places.events).toContain("cage")
  expect(Object.keys(places).filter((place) => isIn(places[place] ?? "", secret))).toEqual([])
}

const hash = (value: string): string => createHash("sha256").update(value).digest("hex")

test("every disguise would be found: raw, hex, and base64 within a longer text", () => {
  const around = (offset: number) => Buffer.from(`${"x".repeat(offset)}${secret}tail`)
  for (const offset of [0, 1, 2, 3, 4]) {
    expect(isIn(around(offset).toString("base64"), secret)).toBe(true)
    expect(isIn(around(offset).toString("base64url"), secret)).toBe(true)
  }
  expect(isIn(around(1).toString("hex"), secret)).toBe(true)
  expect(isIn(around(1), secret)).toBe(true)
  expect(isIn(around(1).toString("base64"), config)).toBe(false)
})

test("where a value is to be seen, it is: a config's in the list of configs", async () => {
  expect(isIn(JSON.stringify(await cluster.get("/configs")), config)).toBe(true)
})

describe("the value of a secret, which its container reads", () => {
  test("is what was given, by its hash in the log", async () => {
    await eventually(async () => {
      const said = await cluster.must("service", "logs", "--raw", "cage")
      return said.includes(hash(secret)) && said.includes(hash(config))
    }, "the secret and the config were read")
    expect(await cluster.must("exec", container, "cat", "/run/secrets/canary")).toBe(secret)
  }, 30_000)

  test("lies in memory alone, and the search would find it there", async () => {
    const files = await filesBelow(join(runDirectory, "tasks"))
    const contents = await Promise.all(files.map((path) => readFile(path)))
    expect(contents.filter((content) => isIn(content, secret))).toHaveLength(1)
  })

  test("is in no file, log, process or answer while the service runs", expectHidden, 60_000)

  test("nor after a kill -9 and a restart", async () => {
    await cluster.kill9()
    await cluster.restart()
    expect(await cluster.must("exec", container, "cat", "/run/secrets/canary")).toBe(secret)
    await expectHidden()
  }, 90_000)

  test("nor in the snapshot that an orderly end leaves, from which a new task still gets it", async () => {
    await cluster.stop()
    expect((await filesBelow(cluster.dataDir)).filter((path) => /snap/.test(path))).not.toEqual([])
    expect((await searchDisk(secret)).found).toEqual([])
    await cluster.restart()
    await cluster.must("service", "update", "--force", "cage")
    container = await cluster.must(
      "ps",
      "-q",
      "--no-trunc",
      "--filter",
      "label=com.docker.swarm.service.name=cage"
    )
    expect(await cluster.must("exec", container, "cat", "/run/secrets/canary")).toBe(secret)
    await expectHidden()
  }, 120_000)

  test("nor where a template repeats it and every task that has it fails", async () => {
    const template = Buffer.from('told {{ secret "canary" }}')
    const create = ["config", "create", "--template-driver", "golang", "echo", "-"]
    expect((await cluster.cli(create, { input: template })).code).toBe(0)
    await cluster.must(
      ...["service", "create", "--detach", "--no-resolve-image", "--name", "brood"],
      ...["--secret", "canary", "--config", "source=echo,target=/etc/echo"],
      ...["--restart-delay", "0s", "--restart-max-attempts", "1"],
      ...[testImage, "sh", "-c", "sha256sum /etc/echo; exit 3"]
    )
    const failed = () => cluster.must("service", "ps", "brood", "--no-trunc", "--format", "{{.Error}}")
    await eventually(async () => (await failed()).match(/non-zero exit \(3\)/g)?.length === 2, "both fail")
    const said = async () => (await cluster.must("service", "logs", "--raw", "brood")).split("\n")
    await eventually(async () => (await said()).length === 2, "both were heard")
    expect(await said()).toEqual(Array(2).fill(`${hash(`told ${secret}`)}  /etc/echo`))
    await expectHidden()
    const tasks = JSON.stringify(await cluster.get("/tasks"))
    expect(isIn(tasks + JSON.stringify(await cluster.get("/configs")), secret)).toBe(false)
    await cluster.must("service", "rm", "brood")
  }, 90_000)

  test("is gone from memory, too, once no task needs it", async () => {
    await cluster.must("service", "rm", "cage")
    await eventually(
      async () => (await filesBelow(join(runDirectory, "tasks")).catch(() => [])).length === 0,
      "the files of the task are gone"
    )
    await cluster.must("secret", "rm", "canary")
  }, 60_000)
})
