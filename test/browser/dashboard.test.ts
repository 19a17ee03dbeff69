/**
 * The dashboard in Chromium, against a cluster of one node with a real Engine. Pictures of every page are left in
 * `troupe-dashboard/` below the temporary folder.
 */
import { afterAll, beforeAll, expect, test } from "bun:test"
import { readFileSync } from "node:fs"
import { mkdir } from "node:fs/promises"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core"
import { type Cluster, startCluster } from "#test/support/cluster.ts"
import { ensureTestImage, eventually, testImage } from "#test/support/engine.ts"

const pictures = join(tmpdir(), "troupe-dashboard")
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8")

let cluster: Cluster
let browser: Browser
let admin: { readonly context: BrowserContext; readonly page: Page }
/** What any page asked of anybody but the node. */
const elsewhere: Array<string> = []
/** What pages complained of, such as what their policy forbids. */
const complaints: Array<string> = []

beforeAll(async () => {
  await mkdir(pictures, { recursive: true })
  await ensureTestImage()
  cluster = await startCluster({ name: "alpha" })
  browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] })
  await create("web", 3)
  await create("counter", 2)
  admin = await signIn("admin")
}, 90_000)
afterAll(async () => {
  await browser?.close()
  await cluster?.cleanUp()
}, 60_000)

async function create(name: string, replicas: number): Promise<void> {
  const says = `n=0; while true; do n=$((n+1)); echo ${name} has counted to $n; sleep 1; done`
  const { status, body } = await cluster.api("POST", "/services/create", {
    Name: name,
    TaskTemplate: {
      ContainerSpec: { Image: testImage, Command: ["sh", "-c", says], StopGracePeriod: 0 },
      RestartPolicy: { Delay: 0 }
    },
    UpdateConfig: { Parallelism: 0, Monitor: 500_000_000 },
    Mode: { Replicated: { Replicas: replicas } }
  })
  if (status !== 201) throw new Error(JSON.stringify(body))
}

async function signIn(role: string) {
  const { body } = await cluster.api("POST", "/dashboard/links", { role })
  const context = await browser.newContext({
    viewport: { width: 1280, height: 900 },
    colorScheme: "dark",
    // Contrast is that of the page at rest.
    reducedMotion: "reduce"
  })
  context.setDefaultTimeout(10_000)
  const page = await context.newPage()
  page.on("request", (request) => {
    if (!request.url().startsWith(cluster.http)) elsewhere.push(request.url())
  })
  page.on("console", (message) => {
    if (message.text().includes("Content Security Policy")) complaints.push(message.text())
  })
  page.on("pageerror", ({ message }) => complaints.push(message))
  await page.goto(body.url)
  await page.getByRole("heading", { name: "Cluster", exact: true }).waitFor()
  return { context, page, link: body.url as string }
}

const picture = (page: Page, name: string) =>
  page.screenshot({ path: join(pictures, `${name}.png`), fullPage: true })

/** What axe finds serious or worse, as `rule: element`. By evaluation, which a page's policy does not reach. */
async function faults(page: Page): Promise<ReadonlyArray<string>> {
  await page.evaluate(axe)
  const { violations } = (await page.evaluate("axe.run()")) as {
    violations: Array<{ id: string; impact: string; nodes: Array<{ html: string }> }>
  }
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html}`))
}

async function see(page: Page, hash: string, heading: string | RegExp): Promise<void> {
  await page.evaluate(`location.hash = ${JSON.stringify(hash)}`)
  await page.getByRole("heading", { level: 1, name: heading }).waitFor()
}

const serviceNamed = async (name: string) =>
  (await cluster.get("/services")).find(({ Spec }: { Spec: { Name: string } }) => Spec.Name === name)

const runs = (page: Page, text: string) =>
  page.getByRole("heading", { level: 1 }).getByText(text).waitFor({ timeout: 20_000 })

test("the cluster is drawn as it is, and as it changes", async () => {
  const { page } = admin
  await page
    .getByRole("link", { name: /^web\.\d, running$/ })
    .nth(2)
    .waitFor({ timeout: 20_000 })
  await page
    .getByRole("link", { name: /^counter\.\d, running$/ })
    .nth(1)
    .waitFor({ timeout: 20_000 })
  await picture(page, "cluster")
}, 30_000)

test("a service is scaled, restarted, given another image and rolled back, each beside the command that does the same", async () => {
  const { page } = admin
  const { ID: id } = await serviceNamed("web")
  await see(page, `#/service/${id}`, /^web/)
  await page.getByText("web has counted to").first().waitFor()
  await page.getByRole("slider", { name: "Replicas" }).fill("5")
  await page.getByText("docker service scale web=5").waitFor()
  await runs(page, "5/5 running")
  await picture(page, "service")

  await page.getByRole("button", { name: "Restart" }).click()
  await page.getByText("web restarts, task by task").waitFor()
  await eventually(
    async () => (await serviceNamed("web")).Spec.TaskTemplate.ForceUpdate === 1,
    "the service or node is as was asked"
  )

  await page.getByLabel("Image").fill("no/such:1")
  await page.getByText("docker service update --image no/such:1 web").waitFor()
  await page.getByRole("button", { name: "Update" }).click()
  await eventually(
    async () => (await serviceNamed("web")).Spec.TaskTemplate.ContainerSpec.Image === "no/such:1",
    "the service or node is as was asked"
  )
  await page.getByRole("button", { name: "Roll back" }).click()
  await eventually(
    async () => (await serviceNamed("web")).Spec.TaskTemplate.ContainerSpec.Image === testImage,
    "the service or node is as was asked"
  )
  await runs(page, "5/5 running")
}, 60_000)

test("the output is searched while it goes on", async () => {
  const { page } = admin
  await see(page, `#/service/${(await serviceNamed("counter")).ID}`, /^counter/)
  await page.getByLabel("Search in the output").fill("counted to 3")
  await page.getByText("counter has counted to 3").first().waitFor()
  expect(await page.getByText("counter has counted to 2").count()).toBe(0)
}, 30_000)

test("a node is drained and takes tasks again", async () => {
  const { page } = admin
  const nodes = await cluster.get("/nodes")
  await see(page, `#/node/${nodes[0].ID}`, "alpha")
  await picture(page, "node")
  await page.getByRole("button", { name: "Pause" }).click()
  await eventually(
    async () => (await cluster.get("/nodes"))[0].Spec.Availability === "pause",
    "the service or node is as was asked"
  )
  await page.getByRole("button", { name: "Activate" }).click()
  await eventually(
    async () => (await cluster.get("/nodes"))[0].Spec.Availability === "active",
    "the service or node is as was asked"
  )
}, 30_000)

test("the timeline has what happened and who asked; the tree has this node's actors", async () => {
  const { page } = admin
  await see(page, "#/timeline", "Timeline")
  await page.getByText("service update").first().waitFor()
  await page
    .getByText(/^POST \/services\/\w+\/update$/)
    .first()
    .waitFor()
  await picture(page, "timeline")
  await see(page, "#/tree", "Supervision")
  await page
    .getByRole("button", { name: /^Restart / })
    .first()
    .waitFor()
  await picture(page, "tree")
}, 30_000)

test("everything is found from the keyboard", async () => {
  const { page } = admin
  await page.keyboard.press("Control+k")
  await page.getByRole("combobox", { name: "Go to" }).fill("coun")
  await picture(page, "palette")
  await page.keyboard.press("Enter")
  await page.getByRole("heading", { level: 1, name: /^counter/ }).waitFor()
}, 30_000)

test("axe finds nothing serious on any page, in the dark and in the light, and no page is wider than a phone", async () => {
  const { page } = admin
  const { ID: id } = await serviceNamed("web")
  const pages = [
    ["#/", "Cluster"],
    [`#/service/${id}`, /^web/],
    ["#/nodes", "Nodes"],
    ["#/timeline", "Timeline"],
    ["#/tree", "Supervision"]
  ] as const
  for (const look of ["dark", "light"]) {
    for (const [hash, heading] of pages) {
      await see(page, hash, heading)
      expect(await faults(page)).toEqual([])
    }
    await see(page, `#/service/${id}`, /^web/)
    await picture(page, `service-${look}`)
    await page.getByRole("button", { name: look === "dark" ? "light" : "dark", exact: true }).click()
  }
  await page.setViewportSize({ width: 375, height: 800 })
  for (const [hash, heading] of pages) {
    await see(page, hash, heading)
    expect([hash, await page.evaluate("document.documentElement.scrollWidth")]).toEqual([hash, 375])
  }
  await see(page, "#/", "Cluster")
  await picture(page, "phone")
}, 60_000)

test("a viewer sees everything and can scale nothing, not even by asking the node itself", async () => {
  const { page } = await signIn("viewer")
  const { ID: id, Version } = await serviceNamed("counter")
  await see(page, `#/service/${id}`, /^counter/)
  expect(await page.getByRole("slider", { name: "Replicas" }).isDisabled()).toBe(true)
  expect(await page.getByRole("button", { name: "Restart" }).isDisabled()).toBe(true)
  const status = await page.evaluate(
    `fetch("/dashboard/session").then((a) => a.json()).then(({ csrf }) => fetch("/services/${id}/update?version=${Version.Index}",
      { method: "POST", headers: { "Content-Type": "application/json", "Troupe-Csrf": csrf }, body: "{}" })).then((a) => a.status)`
  )
  expect(status).toBe(403)
  expect((await serviceNamed("counter")).Spec.Mode.Replicated.Replicas).toBe(2)
}, 30_000)

test("a link opens the dashboard once", async () => {
  const { link } = await signIn("viewer")
  const page = await (await browser.newContext()).newPage()
  await page.goto(link)
  await page.getByText("That link was used before").waitFor()
  await picture(page, "sign-in")
}, 30_000)

test("nothing was asked of any other machine, and nothing that the policy forbids", () => {
  expect({ elsewhere, complaints }).toEqual({ elsewhere: [], complaints: [] })
})
