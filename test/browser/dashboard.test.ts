/**
 * The dashboard in Chromium, against a cluster of one node with a real Engine. Pictures of every page are left in
 * `troupe-dashboard/` below the temporary folder.
 */
import { afterAll, beforeAll, expect, test } from "bun:test"
import { mkdir } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core"
import { type Cluster, startCluster } from "#test/support/cluster.ts"
import { ensureTestImage, eventually, testImage } from "#test/support/engine.ts"

const pictures = join(tmpdir(), "troupe-dashboard")

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

async function see(page: Page, hash: string, heading: string | RegExp): Promise<void> {
  await page.evaluate(`location.hash = ${JSON.stringify(hash)}`)
  await page.getByRole("heading", { level: 1, name: heading }).waitFor()
}

const serviceNamed = async (name: string) =>
  (await cluster.get("/services")).find(({ Spec }: { Spec: { Name: string } }) => Spec.Name === name)

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

test("the output is searched while it goes on", async () => {
  const { page } = admin
  await see(page, `#/service/${(await serviceNamed("counter")).ID}`, /^counter/)
  await page.getByLabel("Search in the output").fill("counted to 3")
  await page.getByText("counter has counted to 3").first().waitFor()
  expect(await page.getByText("counter has counted to 2").count()).toBe(0)
}, 30_000)

test("a shell beside a task prints, in colours too, and ends with its page", async () => {
  const { page } = admin
  await see(page, `#/service/${(await serviceNamed("web")).ID}`, /^web/)
  await page.getByRole("button", { name: "Console in web.1" }).click()
  const command = page.getByText(/^docker exec -it web\.1\.\w{25} \/bin\/sh$/)
  const [name = ""] = /web\S+/.exec((await command.textContent()) ?? "") ?? []
  const printed = page.locator(".xterm-rows")
  await printed.getByText("#").waitFor()
  await page.keyboard.type("printf '\\033[38;2;255;100;0mhot %s\\033[0m\\n' $((6 * 7)); sleep 777")
  await page.keyboard.press("Enter")
  const hot = printed.getByText("hot 42")
  await hot.waitFor()
  expect(await hot.getAttribute("style")).toContain("rgb(255, 100, 0)")
  await picture(page, "console")
  const inFront = async (): Promise<boolean> => (await cluster.must("top", name)).includes("sleep 777")
  expect(await inFront()).toBe(true)
  await page.keyboard.press("Shift+Escape")
  await page.keyboard.press("Enter")
  await eventually(async () => !(await inFront()), "nothing of the console is left")
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

test("everything is found from the keyboard", async () => {
  const { page } = admin
  await page.keyboard.press("Control+k")
  await page.getByRole("combobox", { name: "Go to" }).fill("coun")
  await picture(page, "palette")
  await page.keyboard.press("Enter")
  await page.getByRole("heading", { level: 1, name: /^counter/ }).waitFor()
}, 30_000)

test("nothing was asked of any other machine, and nothing that the policy forbids", () => {
  expect({ elsewhere, complaints }).toEqual({ elsewhere: [], complaints: [] })
})
