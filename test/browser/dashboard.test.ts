/** The dashboard in Chromium: what it shows and what its buttons do, on a cluster of two nodes with a real Engine. */
import { afterAll, beforeAll, expect, test } from "bun:test"
import type { ChildProcess } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Page } from "playwright-core"
import {
  barriers,
  clipped,
  type Desktop,
  openDesktop,
  picture,
  see,
  type Window
} from "#test/support/browser.ts"
import { type Cluster, startCluster } from "#test/support/cluster.ts"
import { startCsiPlugin } from "#test/support/csi-plugin.ts"
import {
  dockerHost,
  engine,
  ensureImage,
  ensureTestImage,
  eventually,
  testImage
} from "#test/support/engine.ts"
import { onLoopback, startIdle } from "#test/support/idle-node.ts"
import { openRegistry, type TestRegistry } from "#test/support/registry.ts"

let cluster: Cluster
/** Takes no tasks. */
let beta: Cluster
let registry: TestRegistry
/** Of volumes of the cluster's, as folders. */
let plugin: ChildProcess
const folder = mkdtempSync(join(tmpdir(), "troupe-browser-"))
let desktop: Desktop
let admin: Window

beforeAll(async () => {
  await ensureTestImage()
  await ensureImage(engine(), otherImage)
  registry = await openRegistry()
  plugin = await startCsiPlugin(join(folder, "folders.sock"), join(folder, "volumes"), "alpha")
  ;[cluster, beta] = await Promise.all([
    startCluster({ name: "alpha", args: ["--advertise-addr", "127.0.0.1", "--csi-plugins", folder] }),
    startIdle("beta", dockerHost)
  ])
  const [{ RemoteManagers }, token] = [
    (await cluster.get("/info")).Swarm,
    await cluster.must("swarm", "join-token", "-q", "worker")
  ]
  await beta.must(
    "swarm",
    "join",
    ...onLoopback,
    "--availability",
    "drain",
    "--token",
    token,
    RemoteManagers[0].Addr
  )
  desktop = await openDesktop(cluster)
  await create("web", 3)
  await create("well", 1, {
    Env: ["WORD=secret enough"],
    Healthcheck: { Test: ["CMD-SHELL", "echo all is well"], Interval: 2e9, Timeout: 5e9, Retries: 5 }
  })
  await create("counter", 2)
  admin = await desktop.signIn("admin")
}, 120_000)
afterAll(async () => {
  await desktop?.close()
  await Promise.all([cluster, beta].map((node) => node?.cleanUp()))
  await registry?.close()
  plugin?.stdin?.end()
  rmSync(folder, { recursive: true, force: true })
}, 90_000)

/** Another than the one that all services have at first, in no registry. */
const otherImage = "troupe-test-other:1"

async function create(name: string, replicas: number, container: object = {}): Promise<void> {
  const says = `n=0; while true; do n=$((n+1)); echo ${name} has counted to $n; sleep 1; done`
  const { status, body } = await cluster.api("POST", "/services/create", {
    Name: name,
    TaskTemplate: {
      ContainerSpec: { Image: testImage, Command: ["sh", "-c", says], StopGracePeriod: 0, ...container },
      RestartPolicy: { Delay: 0 },
      Resources: { Limits: { NanoCPUs: 500_000_000, MemoryBytes: 67_108_864 } }
    },
    UpdateConfig: { Parallelism: 0, Monitor: 500_000_000 },
    Mode: { Replicated: { Replicas: replicas } }
  })
  if (status !== 201) throw new Error(JSON.stringify(body))
}

const serviceNamed = async (name: string) =>
  (await cluster.get("/services")).find(({ Spec }: { Spec: { Name: string } }) => Spec.Name === name)
const nodeNamed = async (name: string) =>
  (await cluster.get("/nodes")).find(
    ({ Description }: { Description: { Hostname: string } }) => Description.Hostname === name
  )
const imageOf = async (name: string): Promise<string> =>
  (await serviceNamed(name)).Spec.TaskTemplate.ContainerSpec.Image
/** Ids of the tasks that run, in order. */
async function runningOf(name: string): Promise<ReadonlyArray<string>> {
  const tasks = await cluster.get(`/tasks?filters=${encodeURIComponent(JSON.stringify({ service: [name] }))}`)
  return tasks
    .filter(
      ({ Status, DesiredState }: { Status: { State: string }; DesiredState: string }) =>
        Status.State === "running" && DesiredState === "running"
    )
    .map(({ ID }: { ID: string }) => ID)
    .sort()
}
/** Nothing keeps anybody out of the page that is shown, and a telephone shows all of it. */
async function isForAll(page: Page, name: string): Promise<void> {
  expect(await barriers(page)).toEqual([])
  await page.setViewportSize({ width: 375, height: 812 })
  await picture(page, `${name}-375`)
  expect(await clipped(page)).toEqual([])
  await page.setViewportSize({ width: 1280, height: 900 })
}
const press = (page: Page, name: string | RegExp): Promise<void> =>
  page.getByRole("button", { name, exact: true }).click()
const openService = async (page: Page, name: string): Promise<void> =>
  see(page, `#/service/${(await serviceNamed(name)).ID}`, new RegExp(`^${name}`))

test("the cluster is drawn as it is, and as it changes", async () => {
  const { page } = admin
  await page
    .getByRole("link", { name: /^web\.\d, running$/ })
    .nth(2)
    .waitFor({ timeout: 30_000 })
  await page
    .getByRole("link", { name: /^counter\.\d, running$/ })
    .nth(1)
    .waitFor({ timeout: 30_000 })
  await picture(page, "cluster")
}, 90_000)

test("the output is searched while it goes on", async () => {
  const { page } = admin
  await see(page, `#/service/${(await serviceNamed("counter")).ID}`, /^counter/)
  await page.getByLabel("Search in the output").fill("counted to 3")
  await page.getByText("counter has counted to 3").first().waitFor()
  expect(await page.getByText("counter has counted to 2").count()).toBe(0)
}, 90_000)

test("the output of several tasks is in the order of time, each line with its task, and read to its end", async () => {
  const { page } = admin
  await openService(page, "web")
  const lines = page.getByLabel("Output", { exact: true }).getByRole("listitem")
  // More than are seen at once.
  await eventually(async () => (await lines.count()) > 40, "there are lines enough", 30_000)
  const read = () =>
    page.evaluate<{ times: ReadonlyArray<string>; slots: ReadonlyArray<string>; below: number }>(`(() => {
      const list = document.querySelector(".log")
      const of = (what) => [...list.querySelectorAll(what)]
      return {
        times: of("time").map(({ title }) => title.padEnd(30, "0")),
        slots: [...new Set(of("b").map(({ textContent }) => textContent))].sort(),
        below: list.scrollHeight - list.scrollTop - list.clientHeight
      }
    })()`)
  const { times, slots, below } = await read()
  expect(times).toEqual([...times].sort())
  expect(slots).toEqual(["1", "2", "3"])
  expect(below).toBeLessThan(5)
  await page.getByLabel("Task whose output is shown").selectOption({ index: 2 })
  await eventually(async () => (await read()).slots.join() === "2", "only the second task's lines are there")
}, 90_000)

test("what a terminal is shown is output, too, without its colours", async () => {
  const { page } = admin
  const script = "printf '\\033[31mred\\033[0m hot\\n'; exec sleep 1000"
  await cluster.must(
    ...["service", "create", "--detach", "--no-resolve-image", "--name", "screen", "--tty"],
    ...[testImage, "sh", "-c", script]
  )
  await openService(page, "screen")
  await page.getByLabel("Output", { exact: true }).getByText("red hot").waitFor()
  await cluster.must("service", "rm", "screen")
}, 90_000)

test("output that cannot be had is asked for again", async () => {
  const { page } = admin
  await see(page, "#/", "Cluster")
  const refusals = [500, "gone"]
  const isLogs = (address: URL): boolean => address.pathname.endsWith("/logs")
  await page.route(isLogs, (route) => {
    const refusal = refusals.shift()
    if (refusal === undefined) return route.continue()
    return refusal === "gone" ? route.abort() : route.fulfill({ status: 500, body: '{"message":"no"}' })
  })
  await openService(page, "counter")
  await page.getByLabel("Output", { exact: true }).getByText("counter has counted to").first().waitFor()
  expect(refusals).toEqual([])
  await page.unroute(isLogs)
}, 90_000)

test("a shell beside a task prints, in colours too, and ends with its page", async () => {
  const { page } = admin
  await see(page, `#/service/${(await serviceNamed("web")).ID}`, /^web/)
  await page.getByRole("button", { name: "Console in web.1" }).click()
  const command = page.getByText(/^docker exec -it web\.1\.\w{25} \/bin\/sh$/)
  const [name = ""] = /web\S+/.exec((await command.textContent()) ?? "") ?? []
  const printed = page.locator(".xterm-rows")
  await printed.getByText("#").waitFor()
  // What a shell takes for "delete to the end of the line" is no key of the page's.
  await page.keyboard.press("Control+k")
  expect(await page.getByRole("dialog").isVisible()).toBe(false)
  await page.keyboard.type("printf '\\033[38;2;255;100;0mhot %s\\033[0m\\n' $((6 * 7)); sleep 777")
  await page.keyboard.press("Enter")
  const hot = printed.getByText("hot 42")
  await hot.waitFor()
  expect(await hot.getAttribute("style")).toContain("rgb(255, 100, 0)")
  await picture(page, "console")
  const inFront = async (): Promise<boolean> => (await cluster.must("top", name)).includes("sleep 777")
  await eventually(inFront, "it runs in front")
  await page.keyboard.press("Shift+Escape")
  await page.keyboard.press("Enter")
  await eventually(async () => !(await inFront()), "nothing of the console is left")
}, 90_000)

test("a task is told from its beginning, with why it is there, what it has and says, and a console", async () => {
  const { page } = admin
  await openService(page, "well")
  await page.getByRole("region", { name: "Tasks" }).getByRole("link", { name: "well.1" }).first().click()
  await page.getByRole("heading", { level: 1, name: "well.1" }).waitFor()
  await page.getByText(/^Placed on alpha: /).waitFor()
  const states = page.getByRole("list", { name: "States" })
  for (const state of ["created", "assigned", "running"]) await states.getByText(state).first().waitFor()
  await page.getByText("WORD", { exact: true }).waitFor()
  await page.getByText("0.5 CPUs, 64 MiB").waitFor()
  await page.getByText("healthy", { exact: true }).waitFor({ timeout: 30_000 })
  await page.getByText("all is well").first().waitFor()
  await page.getByLabel("Search in the output").fill("counted to 1")
  await page.getByText("well has counted to 1").first().waitFor()
  await page.getByRole("button", { name: "Open console in well.1" }).click()
  await page.locator(".xterm-rows").getByText("#").waitFor()
  await page.keyboard.press("Shift+Escape")
  await page.keyboard.press("Enter")
  await page.locator(".facts").getByRole("link", { name: "alpha" }).click()
  await page.getByRole("heading", { level: 1, name: "alpha" }).waitFor()
}, 90_000)

test("what a health check said is told of a task of another node", async () => {
  const { page } = admin
  await cluster.must("node", "update", "--availability", "active", "beta")
  const { status } = await cluster.api("POST", "/services/create", {
    Name: "distant",
    TaskTemplate: {
      ContainerSpec: {
        Image: testImage,
        Command: ["sleep", "1000"],
        StopGracePeriod: 0,
        Healthcheck: {
          Test: ["CMD-SHELL", "echo all is well on beta"],
          Interval: 1e9,
          Timeout: 5e9,
          Retries: 5
        }
      },
      Placement: { Constraints: ["node.hostname==beta"] }
    },
    Mode: { Replicated: { Replicas: 1 } }
  })
  expect(status).toBe(201)
  await eventually(async () => (await runningOf("distant")).length === 1, "it runs on beta")
  await see(page, `#/task/${(await runningOf("distant"))[0]}`, "distant.1")
  await page.getByText("healthy", { exact: true }).waitFor()
  await page.getByText("all is well on beta").first().waitFor()
  expect(await barriers(page)).toEqual([])
  await cluster.must("service", "rm", "distant")
  await cluster.must("node", "update", "--availability", "drain", "beta")
}, 90_000)

test("a network, a volume, a secret and a config are made, shown with who uses them, and removed", async () => {
  const { page } = admin
  const make = async (kind: string, fill: () => Promise<void>): Promise<void> => {
    await see(page, `#/${kind}s`, new RegExp(`^${kind}s`, "i"))
    await page.getByLabel("Name", { exact: true }).fill(`its-${kind}`)
    await fill()
    await press(page, "Make it")
    await page.getByRole("rowheader", { name: `its-${kind}` }).waitFor()
  }
  await make("network", async () => {
    await page.getByLabel("Subnet").fill("10.77.0.0/33")
    await press(page, "Make it")
    await page.getByText("ipam configuration: invalid subnet").waitFor()
    await page.locator(".field", { hasText: "Subnet" }).locator(":focus").waitFor()
    await page.getByLabel("Subnet").fill("10.77.0.0/24")
    await page.getByLabel(/^attachable/).check()
    await page
      .getByText("docker network create --driver overlay --subnet 10.77.0.0/24 --attachable its-network")
      .waitFor()
  })
  await make("volume", () => page.getByLabel("Labels").fill("team=shop"))
  await make("secret", () => page.getByLabel("Contents").fill("hush-hush"))
  await make("config", () => page.getByLabel("Contents").fill("grüße\nan alle"))
  const [network] = await cluster.get(`/networks?filters=${encodeURIComponent('{"name":["its-network"]}')}`)
  expect(network).toMatchObject({ Attachable: true, IPAM: { Config: [{ Subnet: "10.77.0.0/24" }] } })
  expect((await cluster.get("/configs/its-config")).Spec.Data).toBe(
    btoa("gr\u00c3\u00bc\u00c3\u009fe\nan alle")
  )

  await cluster.must(
    ...[
      "service",
      "create",
      "--detach",
      "--name",
      "user",
      "--stop-grace-period",
      "0s",
      "--network",
      "its-network",
      "--secret",
      "its-secret"
    ],
    ...["--config", "its-config", "--mount", "source=its-volume,target=/data", testImage, "sleep", "1000"]
  )
  for (const kind of ["network", "volume", "secret", "config"]) {
    await see(page, `#/${kind}s`, new RegExp(`^${kind}s`, "i"))
    await page.getByRole("row", { name: new RegExp(`its-${kind}.*user`) }).waitFor()
    await page
      .getByRole("rowheader", { name: `its-${kind}` })
      .getByRole("link")
      .click()
    await page.getByRole("heading", { level: 1, name: `its-${kind}` }).waitFor()
    await page.locator("dd").getByRole("link", { name: "user" }).waitFor()
    if (kind === "network")
      await page.getByRole("row", { name: /user\.1 10\.77\.0\.\d+ alpha/ }).waitFor({ timeout: 30_000 })
    if (kind === "config") await page.getByText("grüße").waitFor()
    if (kind === "secret") expect(await page.content()).not.toMatch(/hush-hush|aHVzaC1odXNo/)
  }
  // It is the config's page: in use.
  page.once("dialog", (dialog) => void dialog.accept())
  await press(page, "Remove")
  await page.getByText(/config 'its-config' is in use by the following service: user/).waitFor()
  await press(page, "Dismiss")
  await cluster.must("service", "rm", "user")
  await eventually(async () => (await runningOf("user").catch(() => [])).length === 0, "nobody uses them")
  for (const kind of ["network", "volume", "secret", "config"]) {
    await see(page, `#/${kind}s`, new RegExp(`^${kind}s`, "i"))
    await page
      .getByRole("rowheader", { name: `its-${kind}` })
      .getByRole("link")
      .click()
    await page.getByRole("heading", { level: 1, name: `its-${kind}` }).waitFor()
    await eventually(
      async () => {
        page.once("dialog", (dialog) => void dialog.accept())
        await press(page, "Remove")
        const done = page.getByText(`${kind} its-${kind} is removed`)
        const dismiss = page.getByRole("button", { name: "Dismiss", exact: true })
        await done.or(dismiss).first().waitFor()
        if (!(await dismiss.isVisible())) return true
        // Its task is not gone yet.
        await dismiss.click()
        return false
      },
      `the ${kind} is no more`,
      30_000
    )
    // The Engine keeps a network's bridge a moment longer.
    await eventually(
      async () => (await cluster.api("GET", `/${kind}s/its-${kind}`)).status === 404,
      `nobody knows the ${kind}`
    )
  }
}, 90_000)

test("a volume of the cluster's tells where it is and who uses it, is paused and drained, and removed once it is free", async () => {
  const { page } = admin
  await cluster.api("POST", "/volumes/create", {
    Name: "shelf",
    Driver: "folders",
    ClusterVolumeSpec: { AccessMode: { Scope: "single", Sharing: "all", MountVolume: {} } }
  })
  const volume = async () => (await cluster.get("/volumes/shelf")).ClusterVolume
  await eventually(async () => (await volume()).Info !== undefined, "its plugin has made it")
  await create("librarian", 1, { Mounts: [{ Type: "cluster", Source: "shelf", Target: "/data" }] })
  await see(page, "#/volumes", "Volumes")
  await page.getByRole("row", { name: /shelf.*active, in use \(1 node\).*librarian/ }).waitFor()
  await page.getByRole("rowheader", { name: "shelf" }).getByRole("link").click()
  await page.getByRole("heading", { level: 1, name: "shelf" }).waitFor()
  const where = page.getByRole("region", { name: "Where it is" })
  await where.getByRole("row", { name: /alpha published librarian\.1/ }).waitFor()
  await isForAll(page, "volume")

  const viewer = await desktop.signIn("viewer")
  await see(viewer.page, `#/volume/${(await volume()).ID}`, "shelf")
  await viewer.page.getByRole("button", { name: "Drain" }).waitFor()
  expect(await viewer.page.locator("main button:enabled").count()).toBe(0)
  await viewer.context.close()

  page.once("dialog", (dialog) => void dialog.accept())
  await press(page, "Remove")
  await page.getByText("volume is still in use").waitFor()
  await press(page, "Dismiss")
  await press(page, "Pause")
  await page.getByText("shelf is given to no new tasks").waitFor()
  await page.getByText("docker volume update --availability drain shelf").waitFor()
  const confirmed = new Promise<string>((resolve) =>
    page.once("dialog", (dialog) => void dialog.accept().then(() => resolve(dialog.message())))
  )
  expect((await volume()).Spec.Availability).toBe("pause")
  await press(page, "Drain")
  expect(await confirmed).toContain("Tasks that use it, 1 now, are ended and wait")
  await eventually(async () => (await volume()).PublishStatus === undefined, "it is on no node", 15_000)
  await see(page, "#/volumes", "Volumes")
  await page.getByRole("row", { name: /shelf.*drain, created/ }).waitFor()
  await page.getByRole("rowheader", { name: "shelf" }).getByRole("link").click()
  await page.getByText("On no node").waitFor()
  expect(await page.getByRole("button", { name: "Drain" }).isDisabled()).toBe(true)
  await cluster.must("service", "rm", "librarian")
  page.once("dialog", (dialog) => void dialog.accept())
  await press(page, "Remove")
  await page.getByRole("heading", { level: 1, name: "Volumes" }).waitFor()
  await eventually(
    async () => (await cluster.api("GET", "/volumes/shelf")).status === 404,
    "its plugin has deleted it"
  )
}, 90_000)

test("a service is made by a form, as its command would make it, once what was refused is put right", async () => {
  const { page } = admin
  await see(page, "#/", "Cluster")
  await page.getByRole("link", { name: "Create", exact: true }).click()
  await page.getByRole("heading", { level: 1, name: "Create a service" }).waitFor()
  await page.getByLabel("Image").fill(testImage)
  await page.getByLabel("Name", { exact: true }).fill("by form")
  await page.getByLabel("Replicas").fill("2")
  await page.getByLabel("Arguments").fill("sh -c 'sleep 1000'")
  await page.getByLabel("Variables").fill("MODE=fast\nWORDS=two words")
  await page.getByLabel("Memory at most").fill("lots")
  await press(page, "Create")
  await page.getByText("lots: expected a size, such as 64M or 1G").waitFor()
  await page.getByLabel("Memory at most").fill("32M")
  await press(page, "Create")
  await page.getByText("name must be valid as a DNS name component").waitFor()
  await page.getByLabel("Name", { exact: true }).fill("by-form")
  const command = (await page.locator("main .same").last().textContent()) ?? ""
  expect(command).toBe(
    `docker service create --name by-form --replicas 2 --env MODE=fast --env 'WORDS=two words' --limit-memory 32M ${testImage} sh -c 'sleep 1000'`
  )
  await press(page, "Create")
  await page.getByRole("heading", { level: 1, name: /^by-form/ }).waitFor()
  await eventually(async () => (await runningOf("by-form")).length === 2, "both run")
  await cluster.must(
    ...[
      "service",
      "create",
      "--detach",
      "--name",
      "by-command",
      "--replicas",
      "2",
      "--env",
      "MODE=fast",
      "--env",
      "WORDS=two words"
    ],
    ...["--limit-memory", "32M", testImage, "sh", "-c", "sleep 1000"]
  )
  const [form, command2] = await Promise.all(["by-form", "by-command"].map(serviceNamed))
  for (const part of ["Image", "Args", "Env"])
    expect(form.Spec.TaskTemplate.ContainerSpec[part]).toEqual(command2.Spec.TaskTemplate.ContainerSpec[part])
  expect(form.Spec.TaskTemplate.Resources.Limits).toEqual(command2.Spec.TaskTemplate.Resources.Limits)
  expect(form.Spec.Mode).toEqual(command2.Spec.Mode)
  await cluster.must("service", "rm", "by-command")
}, 90_000)

test("a job is made by the form, and tells how far it has come until it is done", async () => {
  const { page } = admin
  const gate = join(folder, "gate")
  mkdirSync(gate)
  await see(page, "#/create", "Create a service")
  await page.getByLabel("Image").fill(testImage)
  await page.getByLabel("Name", { exact: true }).fill("batch")
  await page.getByLabel(/^Mode/).selectOption("replicated-job")
  await page.getByLabel("Completions in all").fill("3")
  await page.getByLabel("At a time").fill("0")
  await page.getByLabel("Arguments").fill("sh -c 'until test -e /gate/open; do sleep 0.1; done'")
  await page.getByLabel("Mounts").fill(`${gate}:/gate`)
  await page.getByLabel("Labels").fill("com.docker.stack.namespace=nightly")
  expect(await page.getByLabel("Updated at a time").count()).toBe(0)
  await press(page, "Create")
  await page.getByText("0: expected 1 or more").waitFor()
  await page.getByLabel("At a time").fill("2")
  await page.getByText("--name batch --mode replicated-job --replicas 3 --max-concurrent 2").waitFor()
  await press(page, "Create")
  await page.getByRole("heading", { level: 1, name: /^batch/ }).waitFor()
  const progress = page.locator("section").filter({ has: page.getByRole("heading", { name: "Progress" }) })
  await progress.getByText("2 of 2 at a time at most").waitFor()
  await progress.getByText("at work").waitFor()
  const tasks = page.getByRole("region", { name: "Tasks" })
  await eventually(
    async () => (await tasks.locator(".badge.good").allTextContents()).join() === "running,running",
    "both are seen to run"
  )
  await progress.getByText("0 of 3").waitFor()
  expect(await page.getByRole("heading", { name: "What is wrong" }).count()).toBe(0)
  await isForAll(page, "job")
  await see(page, "#/stacks", "Stacks")
  await page.getByText("1 job under way, all else as asked").waitFor()
  writeFileSync(join(gate, "open"), "")
  await page.getByText("all 1 services are as asked").waitFor()
  await openService(page, "batch")
  await progress.getByText("3 of 3").waitFor()
  await progress.getByText("done", { exact: true }).waitFor()
  await press(page, "Run again")
  await eventually(
    async () => (await serviceNamed("batch")).JobStatus.JobIteration.Index === 1,
    "it is begun again"
  )
  await cluster.must(
    ...["service", "create", "--detach", "--name", "by-command", "--mode", "replicated-job"],
    ...["--replicas", "3", "--max-concurrent", "2", testImage, "true"]
  )
  expect((await serviceNamed("batch")).Spec.Mode).toEqual((await serviceNamed("by-command")).Spec.Mode)
  await cluster.must("service", "rm", "batch", "by-command")
}, 90_000)

test("a service is edited once its changes were seen, and not over somebody else's", async () => {
  const { page } = admin
  await openService(page, "by-form")
  await press(page, "Edit")
  const apply = page.getByRole("button", { name: "Apply" })
  await page.getByLabel("Variables").fill("MODE=slow\nWORDS=two words")
  await page.getByLabel("Memory at most").fill("64M")
  await page.getByLabel("Constraints").fill("node.role==manager")
  expect(await apply.isDisabled()).toBe(true)
  await press(page, "Show the changes")
  const changes = page.getByLabel("Changes", { exact: true })
  await changes.getByText("MODE=fast").waitFor()
  expect(await changes.locator("dd").allTextContents()).toEqual([
    "− without MODE=fast",
    "+ with MODE=slow",
    "+ with node.role==manager",
    "− without 32M",
    "+ with 64M"
  ])
  expect((await serviceNamed("by-form")).Spec.TaskTemplate.ContainerSpec.Env).toContain("MODE=fast")
  await page
    .getByText(
      "docker service update --env-add MODE=slow --constraint-add node.role==manager --limit-memory 64M by-form"
    )
    .waitFor()
  await apply.click()
  await page.getByText("by-form is changed").waitFor()
  const { Spec } = await serviceNamed("by-form")
  expect(Spec.TaskTemplate).toMatchObject({
    ContainerSpec: { Args: ["sh", "-c", "sleep 1000"], Env: ["MODE=slow", "WORDS=two words"] },
    Placement: { Constraints: ["node.role==manager"] },
    Resources: { Limits: { MemoryBytes: 67_108_864 } }
  })
  await press(page, "Edit")
  await page.getByLabel("Variables").fill("MODE=other")
  await cluster.must("service", "update", "--detach", "--label-add", "by=somebody", "by-form")
  await press(page, "Show the changes")
  await apply.click()
  await page.getByText("The service has been changed meanwhile").waitFor()
  expect((await serviceNamed("by-form")).Spec.TaskTemplate.ContainerSpec.Env).toContain("MODE=slow")
  await press(page, "Close")
  await cluster.must("service", "rm", "by-form")
}, 90_000)

test("a node's page has a console beside each of its tasks, too, and the way to its service", async () => {
  const { page } = admin
  await see(page, `#/node/${(await nodeNamed("alpha")).ID}`, "alpha")
  await page
    .getByRole("button", { name: /^Console in / })
    .first()
    .click()
  await page.getByText(/^docker exec -it \w+\.\d+\.\w{25} \/bin\/sh$/).waitFor()
  await page.locator(".xterm-rows").getByText("#").waitFor()
  await page.keyboard.press("Shift+Escape")
  await page.keyboard.press("Enter")
  const tasks = page.getByRole("region", { name: "Tasks" })
  const link = tasks.getByRole("link").first()
  const [service = ""] = ((await link.textContent()) ?? "").split(".")
  await link.click()
  await page.getByRole("heading", { level: 1, name: new RegExp(`^${service}`) }).waitFor()
}, 90_000)

test("replicas are scaled once that was pressed, to none once it was confirmed", async () => {
  const { page } = admin
  await openService(page, "web")
  const field = page.getByLabel("Replicas")
  await field.fill("0")
  page.once("dialog", (dialog) => void dialog.dismiss())
  await press(page, "Scale")
  await page.getByText("nothing was changed").waitFor()
  await field.fill("4")
  await page.getByText("docker service scale web=4").waitFor()
  expect((await serviceNamed("web")).Spec.Mode.Replicated.Replicas).toBe(3)
  await press(page, "Scale")
  await eventually(async () => (await runningOf("web")).length === 4, "four tasks run")
}, 90_000)

test("an image is changed with what its registry says of it, and rolled back", async () => {
  const { page } = admin
  await openService(page, "web")
  await page.getByLabel("Image").fill(otherImage)
  await press(page, "Update")
  await eventually(async () => (await imageOf("web")) === otherImage, "the image is the other one")
  await eventually(
    async () => (await serviceNamed("web")).UpdateStatus?.State === "completed",
    "the update has ended"
  )
  await press(page, "Roll back")
  await eventually(async () => (await imageOf("web")) === testImage, "the image is the first one")

  await create("pinned", 0)
  await create("by-docker", 0)
  await openService(page, "pinned")
  await page.getByLabel("Image").fill(registry.image)
  await press(page, "Update")
  await cluster.must("service", "update", "--detach", "--image", registry.image, "by-docker")
  const wanted = `${registry.image}:latest@${registry.digest}`
  await eventually(async () => (await imageOf("pinned")) === wanted, "the image has its digest")
  const templates = await Promise.all(
    ["pinned", "by-docker"].map(async (name) => (await serviceNamed(name)).Spec.TaskTemplate)
  )
  expect(templates[0].ContainerSpec.Image).toBe(templates[1].ContainerSpec.Image)
  expect(templates[0].Placement).toEqual(templates[1].Placement)
}, 90_000)

test("a restart replaces every task", async () => {
  const { page } = admin
  const before = await runningOf("counter")
  await openService(page, "counter")
  await press(page, "Restart")
  await eventually(async () => {
    const now = await runningOf("counter")
    return now.length === 2 && !now.some((id) => before.includes(id))
  }, "all tasks are new")
  await picture(page, "service")
}, 90_000)

test("what went wrong is said until it was read", async () => {
  const { page } = admin
  await openService(page, "counter")
  const isUpdate = (address: URL): boolean => address.pathname.endsWith("/update")
  await page.route(isUpdate, (route) =>
    route.fulfill({ status: 500, body: '{"message":"no room for that"}' })
  )
  await press(page, "Restart")
  await page.getByText("no room for that").waitFor()
  await page.unroute(isUpdate)
  await page.route(isUpdate, (route) => route.fulfill({ status: 502, body: "<html>Bad gateway</html>" }))
  await press(page, "Restart")
  await page.getByText("something before the node answered HTTP 502").waitFor()
  await page.unroute(isUpdate)
  await page.route(isUpdate, (route) => route.abort())
  await press(page, "Restart")
  await page.getByText("the node does not answer: what was asked may have been done or not").waitFor()
  await page.unroute(isUpdate)
  const told = page.getByText("what was asked may have been done or not")
  // Two of the page's rounds are longer than good news are shown.
  for (let round = 0; round < 3; round++)
    await page.waitForResponse((answer) => answer.url().endsWith("/alerts"))
  await told.waitFor()
  await press(page, "Dismiss")
  expect(await told.count()).toBe(0)
}, 90_000)

test("a service is removed once that was confirmed, and not before", async () => {
  const { page } = admin
  await openService(page, "by-docker")
  page.once("dialog", (dialog) => void dialog.dismiss())
  await press(page, "Remove")
  await page.getByText("nothing was changed").waitFor()
  expect(await serviceNamed("by-docker")).toBeDefined()
  page.once("dialog", (dialog) => void dialog.accept())
  await press(page, "Remove")
  await eventually(async () => (await serviceNamed("by-docker")) === undefined, "the service is no more")
}, 90_000)

test("a pasted Compose file is planned, deployed, changed and removed, and reads no file of the node", async () => {
  const { page } = admin
  const compose = (replicas: number, more = ""): string => `services:
  page:
    image: ${testImage}
    command: sleep 1000
    stop_grace_period: 0s
    configs: [motto]
    deploy: { replicas: ${replicas} }
${more}configs:
  motto: { content: "as it is" }
`
  const plan = async (text: string): Promise<void> => {
    await page.getByLabel("Compose file").fill(text)
    await press(page, "Plan")
  }
  await see(page, "#/stacks", "Stacks")
  await page.getByLabel("Stack", { exact: true }).fill("shop")
  await plan(compose(1, "    env_file: /etc/passwd\n"))
  await page.getByText('compose.yaml:8:15: env_file: "/etc/passwd": expected no file').waitFor()
  expect(await page.getByRole("button", { name: "Deploy" }).isDisabled()).toBe(true)
  await plan(compose(1))
  await page.getByText(/create\s*service\s*shop_page/).waitFor()
  await page.getByText("1 on alpha").waitFor()
  await picture(page, "stacks")
  expect(await serviceNamed("shop_page")).toBeUndefined()
  await press(page, "Deploy")
  await page.getByText("shop is deployed").waitFor()
  await page.getByText(/unchanged\s*service\s*shop_page/).waitFor()
  await eventually(async () => (await runningOf("shop_page")).length === 1, "it runs")
  await plan(compose(2))
  await page.getByText(/update\s*service\s*shop_page/).waitFor()
  await press(page, "Deploy")
  await eventually(async () => (await runningOf("shop_page")).length === 2, "both run")
  page.once("dialog", (dialog) => void dialog.accept())
  await press(page, "Remove shop")
  await eventually(async () => (await serviceNamed("shop_page")) === undefined, "the service is no more")
  await eventually(async () => (await cluster.get("/configs")).length === 0, "its config is no more")
}, 90_000)

test("a node is paused, drained and takes tasks again", async () => {
  const { page } = admin
  await see(page, `#/node/${(await nodeNamed("alpha")).ID}`, "alpha")
  for (const [button, availability] of [
    ["Pause", "pause"],
    ["Drain", "drain"],
    ["Activate", "active"]
  ] as const) {
    if (button === "Drain") {
      page.once("dialog", (dialog) => void dialog.dismiss())
      await press(page, button)
      await page.getByText("nothing was changed").waitFor()
      expect((await nodeNamed("alpha")).Spec.Availability).toBe("pause")
      page.once("dialog", (dialog) => void dialog.accept())
    }
    await press(page, button)
    await eventually(
      async () => (await nodeNamed("alpha")).Spec.Availability === availability,
      `alpha is ${availability}`
    )
    if (button === "Drain")
      await eventually(async () => (await runningOf("counter")).length === 0, "no task is left")
  }
  await eventually(async () => (await runningOf("counter")).length === 2, "the tasks are back")
}, 90_000)

test("a worker is made a manager, without which there is no leader, and a worker again", async () => {
  const { page } = admin
  const { ID } = await nodeNamed("beta")
  await see(page, `#/node/${ID}`, "beta")
  // While managers come and go there may be none for a moment that answers.
  const standing = async (): Promise<string> => {
    const { status, body } = await cluster.api("GET", `/nodes/${ID}`)
    return status === 200 ? `${body.Spec.Role} ${body.ManagerStatus?.Reachability}` : "unknown"
  }
  page.once("dialog", (dialog) => void dialog.accept())
  await press(page, "Promote")
  await eventually(async () => (await standing()) === "manager reachable", "beta is a manager", 30_000)

  await beta.kill9()
  const warning = page
    .getByRole("alert")
    .filter({ hasText: /alpha hears no leader.*troupe dashboard on beta/ })
  await warning.waitFor()
  await picture(page, "no-leader")
  await beta.start()
  await warning.waitFor({ state: "detached", timeout: 30_000 })

  await eventually(async () => (await standing()) === "manager reachable", "beta is back", 30_000)
  page.once("dialog", (dialog) => void dialog.accept())
  await press(page, "Demote")
  await eventually(async () => (await standing()) === "worker undefined", "beta is a worker", 30_000)
}, 90_000)

test("nothing is asked for that is not there, from the link on", async () => {
  const { page } = await desktop.signIn("viewer")
  const missing: Array<string> = []
  page.on("response", (answer) => void (answer.status() >= 400 && missing.push(answer.url())))
  const { body } = await cluster.api("POST", "/dashboard/links", { role: "viewer" })
  // The link's own page stays: it goes on at once otherwise.
  await page.route(/\/dashboard\/$/, (route) => route.fulfill({ status: 204 }))
  await page.goto(body.url)
  expect(await page.locator("link[rel=icon]").count()).toBe(1)
  expect(missing).toEqual([])
}, 90_000)

test("a node that says nothing is told from one where nothing happens", async () => {
  const { page } = admin
  cluster.signal("SIGSTOP")
  try {
    const warning = page.getByRole("alert").filter({ hasText: "No word from alpha" })
    await warning.waitFor({ timeout: 30_000 })
    cluster.signal("SIGCONT")
    await warning.waitFor({ state: "detached", timeout: 30_000 })
    await page.getByText("live", { exact: true }).waitFor()
  } finally {
    cluster.signal("SIGCONT")
  }
}, 90_000)

test("whoever's session has ended is told so, wherever they are", async () => {
  const { context, page } = await desktop.signIn("viewer")
  const other = await context.newPage()
  await other.goto(`${cluster.http}/dashboard/`)
  await other.getByRole("heading", { name: "Cluster", exact: true }).waitFor()
  // The stream ends as well, whoever reads it.
  const ended = page.evaluate(`(async () => {
    const reader = (await fetch("/dashboard/live")).body.getReader()
    while (!(await reader.read()).done) {}
  })()`)
  await press(other, /sign out$/)
  await page.getByText("You were signed out").waitFor()
  await ended
}, 90_000)

test("an actor is restarted from the tree", async () => {
  const { page } = admin
  const restarts = async (): Promise<number> => {
    const [tree] = await cluster.get("/dashboard/tree")
    return tree.children.find(({ name }: { name: string }) => name === "engine-watch/main").restarts
  }
  const before = await restarts()
  await see(page, "#/tree", "Supervision")
  await press(page, "Restart engine-watch/main")
  await eventually(async () => (await restarts()) === before + 1, "it was restarted once")
}, 90_000)

test("a viewer sees it all, finds every order closed, and is refused by the node as well", async () => {
  const { page } = await desktop.signIn("viewer")
  const { ID, Version, Spec } = await serviceNamed("web")
  await openService(page, "web")
  const open = page.locator("main :is(button, input:not([type=search])):not([disabled])")
  expect(await open.allTextContents()).toEqual([])
  await see(page, `#/node/${(await nodeNamed("alpha")).ID}`, "alpha")
  expect(await open.allTextContents()).toEqual([])
  for (const kind of ["network", "volume", "secret", "config"]) {
    await see(page, `#/${kind}s`, new RegExp(`^${kind}s`, "i"))
    await page.getByRole("button", { name: "Make it" }).waitFor()
    expect(await page.locator("main :is(button, textarea, input:not([type=search])):enabled").count()).toBe(0)
  }
  await see(page, "#/create", "Create a service")
  expect(await page.locator("main :is(button, textarea, select, input):enabled").count()).toBe(0)
  await see(page, `#/task/${(await runningOf("web"))[0]}`, /^web/)
  await page.getByRole("button", { name: /^Open console/ }).waitFor()
  expect(await open.allTextContents()).toEqual([])
  await see(page, "#/tree", "Supervision")
  await page
    .getByRole("button", { name: /^Restart/ })
    .first()
    .waitFor()
  expect(await open.allTextContents()).toEqual([])
  const asked = { ...Spec, Mode: { Replicated: { Replicas: 9 } } }
  const status = await page.evaluate<number>(`(async () => {
    const { csrf } = await (await fetch("/dashboard/session")).json()
    const { status } = await fetch("/services/${ID}/update?version=${Version.Index}", {
      method: "POST",
      headers: { "Content-Type": "application/json", "Troupe-Csrf": csrf },
      body: ${JSON.stringify(JSON.stringify(asked))}
    })
    return status
  })()`)
  expect(status).toBe(403)
  expect((await serviceNamed("web")).Spec.Mode).toEqual(Spec.Mode)
  await see(page, "#/stacks", "Stacks")
  await page.getByLabel("Compose file").fill(`services: { seen: { image: "${testImage}" } }`)
  await page.getByLabel("Stack", { exact: true }).fill("look")
  await press(page, "Plan")
  await page.getByText(/create\s*service\s*look_seen/).waitFor()
  expect(await page.getByRole("button", { name: "Deploy" }).isDisabled()).toBe(true)
  await press(page, /sign out$/)
  await page.getByText("On the node,").waitFor()
}, 90_000)

test("everything is found from the keyboard", async () => {
  const { page } = admin
  await page.keyboard.press("Control+k")
  await page.getByRole("combobox", { name: "Go to" }).fill("coun")
  await picture(page, "palette")
  await page.keyboard.press("Enter")
  await page.getByRole("heading", { level: 1, name: /^counter/ }).waitFor()
}, 90_000)

test("nothing was asked of any other machine, and nothing that the policy forbids", () => {
  const { elsewhere, complaints } = desktop
  expect({ elsewhere, complaints }).toEqual({ elsewhere: [], complaints: [] })
})
