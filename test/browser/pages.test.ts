/** Every page of the dashboard in Chromium: for those who need contrast, a keyboard or a reader, and on a telephone. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
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
import { ensureTestImage, eventually, testImage } from "#test/support/engine.ts"

let cluster: Cluster
let desktop: Desktop
let admin: Window
let service = ""

beforeAll(async () => {
  await ensureTestImage()
  cluster = await startCluster({ name: "a-machine-with-a-long-name-in-the-cellar" })
  desktop = await openDesktop(cluster)
  const { body } = await cluster.api("POST", "/services/create", {
    Name: "a-service-whose-name-is-long-enough-to-fill-a-line",
    TaskTemplate: {
      ContainerSpec: {
        Image: testImage,
        Command: ["sh", "-c", "seq 1 30; while sleep 1; do echo on; done"],
        StopGracePeriod: 0
      }
    },
    // What nobody publishes wants nothing: three there are by the least that is asked for.
    Labels: { "troupe.autoscale.min": "3", "troupe.autoscale.max": "9", "troupe.autoscale.nats:queue": "5" },
    Mode: { Replicated: { Replicas: 1 } }
  })
  service = body.ID
  // One that waits, and says why.
  await cluster.api("POST", "/services/create", {
    Name: "nowhere",
    TaskTemplate: { ContainerSpec: { Image: testImage }, Placement: { Constraints: ["node.labels.a==b"] } },
    Mode: { Replicated: { Replicas: 1 } }
  })
  await cluster.api("POST", "/services/create", {
    Name: "crash",
    TaskTemplate: {
      ContainerSpec: { Image: testImage, Command: ["sh", "-c", "echo no database >&2; exit 3"] },
      RestartPolicy: { Delay: 0 }
    },
    Mode: { Replicated: { Replicas: 1 } }
  })
  await cluster.api("POST", "/services/create", {
    Name: "job",
    TaskTemplate: { ContainerSpec: { Image: testImage, Command: ["true"] } },
    Mode: { ReplicatedJob: { TotalCompletions: 2, MaxConcurrent: 2 } }
  })
  await cluster.must("network", "create", "--driver", "overlay", "a-network-of-a-length-that-fills")
  admin = await desktop.signIn("admin")
}, 120_000)
afterAll(async () => {
  await desktop?.close()
  await cluster?.cleanUp()
}, 90_000)

const theme = async (wanted: "dark" | "light"): Promise<void> => {
  const { page } = admin
  if ((await page.evaluate("document.documentElement.dataset.theme")) !== wanted)
    await page.getByRole("button", { name: wanted, exact: true }).click()
}

test("what is wrong is said at first sight, since when and why, and what would help", async () => {
  const { page } = admin
  await page
    .getByRole("link", { name: /^crash.*non-zero exit \(3\).*fails again and again, 0 of 1/ })
    .waitFor()
  const nowhere = page.getByRole("link", {
    name: /^nowhere.*no suitable node.*1 without a node.*for \d+ (s|min)/
  })
  await nowhere.waitFor()
  expect(await page.title()).toMatch(/^\(\d\) Cluster/)
  await nowhere.click()
  const card = page.locator("section").filter({ has: page.getByRole("heading", { name: "What is wrong" }) })
  await card.getByText("docker node update --label-add a=b").waitFor()
  await picture(page, "what-is-wrong")
}, 90_000)

test("a service among many is found by its name or image, and told what it asks for", async () => {
  const { page } = admin
  await see(page, "#/", "Cluster")
  const rows = page
    .locator("section")
    .filter({ has: page.getByRole("heading", { name: "Services" }) })
    .getByRole("listitem")
  await page.getByLabel("Search for services").fill("NOWH")
  expect(await rows.count()).toBe(1)
  await page.getByLabel("Search for services").fill(testImage)
  expect(await rows.count()).toBe(4)
  await page.getByLabel("Search for services").fill("no such service")
  await page.getByText("None of 4 services fits that.").waitFor()
  await page.getByLabel("Search for services").fill("nowhere")
  await rows.getByRole("link").click()
  const card = page.locator("section").filter({ has: page.getByRole("heading", { name: "Asked for" }) })
  await card.getByText("node.labels.a==b").waitFor()
}, 90_000)

test("whoever goes back is where they were, and a new page begins at its top, its heading read out", async () => {
  const { page } = admin
  await page.setViewportSize({ width: 1280, height: 300 })
  await see(page, "#/", "Cluster")
  await page.getByLabel("Search for services").fill("a-service")
  const row = page.getByRole("link", { name: /^a-service.*\d$/ }).last()
  await row.scrollIntoViewIfNeeded()
  const before = await page.evaluate<number>("scrollY")
  expect(before).toBeGreaterThan(0)
  await row.click()
  await page.getByRole("heading", { level: 1, name: /^a-service/ }).waitFor()
  await eventually(() => page.evaluate<boolean>("scrollY === 0"), "it begins at its top")
  await eventually(
    () => page.evaluate<boolean>("document.activeElement.tagName === 'H1'"),
    "its heading is read"
  )
  await page.goBack()
  await eventually(() => page.evaluate<boolean>(`scrollY === ${before}`), "the page is where it was")
  expect(await page.getByLabel("Search for services").inputValue()).toBe("a-service")
  await page.getByLabel("Search for services").fill("")
  await page.setViewportSize({ width: 1280, height: 900 })
}, 90_000)

test("what the leader held to be wrong stays there while there is none to ask", async () => {
  const { page } = admin
  await see(page, "#/", "Cluster")
  const Since = new Date().toISOString()
  const alert = {
    Condition: "disk-low",
    Object: { Kind: "node", ID: cluster.nodeId, Name: "a" },
    Since,
    Says: "full"
  }
  await page.route(/\/alerts$/, (route) => route.fulfill({ json: [alert] }))
  const told = page.getByRole("link", { name: /^a-machine.*full.*disk low/ })
  await told.waitFor()
  await page.unroute(/\/alerts$/)
  await page.route(/\/alerts$/, (route) => route.fulfill({ status: 503, json: { message: "no leader" } }))
  for (let round = 0; round < 2; round++)
    await page.waitForResponse((answer) => answer.url().endsWith("/alerts"))
  await told.waitFor()
  await page.unroute(/\/alerts$/)
  await told.waitFor({ state: "detached" })
}, 90_000)

test("nothing moves for whoever wants it still", async () => {
  const { page } = admin
  await see(page, "#/", "Cluster")
  const moving = await page.evaluate<
    ReadonlyArray<string>
  >(`[...document.querySelectorAll("*")].flatMap((element) =>
    [null, "::before", "::after"]
      .filter((part) => getComputedStyle(element, part).animationName !== "none")
      .map((part) => element.className + (part ?? "")))`)
  expect(moving).toEqual([])
}, 90_000)

test("the timeline is searched, and leads to what it tells of", async () => {
  const { page } = admin
  await see(page, "#/timeline", "Timeline")
  await page.getByLabel("Search the timeline").fill("nowhere")
  const told = page.getByRole("list", { name: "Events" }).getByRole("listitem")
  await told.first().waitFor()
  expect((await told.allTextContents()).filter((text) => !text.includes("nowhere"))).toEqual([])
  await told.getByRole("link").first().click()
  await page.getByRole("heading", { level: 1, name: /^nowhere/ }).waitFor()
}, 90_000)

test("curves take the colours of the theme at once", async () => {
  const { page } = admin
  await see(page, `#/node/${cluster.nodeId}`, /^a-machine/)
  await page.getByRole("img", { name: /^Memory over time/ }).waitFor({ timeout: 30_000 })
  /** Of the pixel that covers most, how red, how green, how blue. */
  const color = (): Promise<ReadonlyArray<number>> =>
    page.evaluate(`(() => {
      const canvas = [...document.querySelectorAll("figure.curve canvas")].at(-1)
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height)
      let best = 0
      for (let at = 0; at < data.length; at += 4) if (data[at + 3] > data[best + 3]) best = at
      return [...data.slice(best, best + 3)]
    })()`)
  const isNear = (wanted: ReadonlyArray<number>) => async (): Promise<boolean> =>
    (await color()).every((part, at) => Math.abs(part - (wanted[at] ?? 0)) < 30)
  await theme("dark")
  await eventually(isNear([0x63, 0xe6, 0xbe]), "the curve is light", 15_000)
  // What comes anew meanwhile would have to wait.
  await page.route(/metrics\/history/, () => {})
  await theme("light")
  await eventually(isNear([0x0b, 0x6e, 0x50]), "the curve is dark", 15_000)
  await page.unroute(/metrics\/history/)
}, 90_000)

test("a job that has done its work is no problem, and has nothing left to do", async () => {
  const { page } = admin
  await see(page, "#/", "Cluster")
  await page.getByRole("link", { name: /^job.*2\s*\/2 done/ }).waitFor()
  expect(await page.getByRole("link", { name: /^job.*(running|of 2 done)/ }).count()).toBe(0)
}, 90_000)

const pages: ReadonlyArray<readonly [name: string, show: () => Promise<unknown>]> = [
  [
    "cluster",
    async () => {
      await see(admin.page, "#/", "Cluster")
      await admin.page.getByRole("link", { name: /^nowhere.*1 without a node/ }).waitFor()
      await admin.page
        .getByRole("link", { name: /running$/ })
        .nth(2)
        .waitFor()
    }
  ],
  ["nodes", () => see(admin.page, "#/nodes", "Nodes")],
  ["node", () => see(admin.page, `#/node/${cluster.nodeId}`, /^a-machine/)],
  [
    "service",
    async () => {
      await see(admin.page, `#/service/${service}`, /^a-service/)
      await admin.page.getByLabel("Output", { exact: true }).waitFor()
      await admin.page.getByRole("img", { name: "Replicas over time, now 3, of 3 to 9" }).waitFor()
      await admin.page.getByLabel("Decisions").getByText("1 → 3").waitFor()
    }
  ],
  [
    "stacks",
    async () => {
      await see(admin.page, "#/stacks", "Stacks")
      await admin.page
        .getByLabel("Compose file")
        .fill(`name: shop\nservices:\n  web: { image: "${testImage}" }`)
      await admin.page.getByRole("button", { name: "Plan" }).click()
      await admin.page.getByText(/create\s*service\s*shop_web/).waitFor()
    }
  ],
  [
    "task",
    async () => {
      const tasks = await cluster.get(`/tasks?filters=${encodeURIComponent('{"desired-state":["running"]}')}`)
      const mine = tasks.find(({ ServiceID }: { ServiceID: string }) => ServiceID === service)
      await see(admin.page, `#/task/${mine.ID}`, /^a-service/)
      await admin.page.getByRole("list", { name: "States" }).getByText("running").waitFor()
      await admin.page.getByLabel("Output", { exact: true }).waitFor()
    }
  ],
  [
    "networks",
    async () => {
      await see(admin.page, "#/networks", "Networks")
      await admin.page.getByRole("rowheader", { name: "a-network-of-a-length-that-fills" }).waitFor()
    }
  ],
  ["volumes", () => see(admin.page, "#/volumes", "Volumes")],
  [
    "network",
    async () => {
      await see(admin.page, "#/networks", "Networks")
      await admin.page.getByRole("link", { name: "a-network-of-a-length-that-fills" }).click()
      await admin.page.getByText("Nobody is on it.").waitFor()
    }
  ],
  [
    "secrets",
    async () => {
      await see(admin.page, "#/secrets", "Secrets")
      await admin.page.getByLabel("Name", { exact: true }).fill("no name")
      await admin.page.getByLabel("Contents").fill("x")
      await admin.page.getByRole("button", { name: "Make it" }).click()
      await admin.page.getByText("invalid name, only 64").waitFor()
    }
  ],
  [
    "create",
    async () => {
      await see(admin.page, "#/create", "Create a service")
      await admin.page.getByLabel("a-network-of-a-length-that-fills").waitFor()
    }
  ],
  [
    "edit",
    async () => {
      await see(admin.page, `#/service/${service}`, /^a-service/)
      await admin.page.getByRole("button", { name: "Edit", exact: true }).click()
      await admin.page.getByLabel("Memory at most").fill("64M")
      await admin.page.getByRole("button", { name: "Show the changes" }).click()
      await admin.page.getByLabel("Changes", { exact: true }).getByText("64M").waitFor()
    }
  ],
  ["timeline", () => see(admin.page, "#/timeline", "Timeline")],
  [
    "supervision",
    async () => {
      await see(admin.page, "#/tree", "Supervision")
      await admin.page
        .getByRole("button", { name: /^Restart/ })
        .first()
        .waitFor()
    }
  ]
]

describe.each(["dark", "light"] as const)("in %s", (looks) => {
  test.each(pages)(
    "nothing keeps anybody out of the page %s",
    async (name, show) => {
      const { page } = admin
      await theme(looks)
      await show()
      await picture(page, `${name}-${looks}`)
      expect(await barriers(page)).toEqual([])
    },
    90_000
  )

  test("nor of the palette", async () => {
    const { page } = admin
    await theme(looks)
    await page.keyboard.press("Control+k")
    await page.getByRole("combobox", { name: "Go to" }).waitFor()
    await picture(page, `palette-${looks}`)
    const found = await barriers(page)
    await page.keyboard.press("Escape")
    expect(found).toEqual([])
  }, 90_000)
})

test.each(pages)(
  "a telephone shows all of the page %s",
  async (name, show) => {
    const { page } = admin
    await page.setViewportSize({ width: 375, height: 812 })
    await show()
    await picture(page, `${name}-375`)
    expect(await clipped(page)).toEqual([])
  },
  90_000
)

test("everything is found on a telephone too, and Escape leads back", async () => {
  const { page } = admin
  const button = page.getByRole("button", { name: "Go to" })
  await button.click()
  const field = page.getByRole("combobox", { name: "Go to" })
  await field.fill("no such thing")
  await page.getByText("Nothing is called that.").waitFor()
  await page.keyboard.press("Escape")
  await field.waitFor({ state: "hidden" })
  expect(await button.evaluate((element) => element.matches(":focus"))).toBe(true)
}, 90_000)

test("a telephone shows the way in, and nothing keeps anybody out of it", async () => {
  const { page } = admin
  await page.getByRole("button", { name: /sign out$/ }).click()
  await page.getByText("On the node,").waitFor()
  for (const looks of ["dark", "light"]) {
    await page.evaluate(`document.documentElement.dataset.theme = "${looks}"`)
    await picture(page, `sign-in-${looks}-375`)
    expect(await barriers(page)).toEqual([])
    expect(await clipped(page)).toEqual([])
  }
}, 90_000)

test("nothing was asked of any other machine, and nothing that the policy forbids", () => {
  const { elsewhere, complaints } = desktop
  expect({ elsewhere, complaints }).toEqual({ elsewhere: [], complaints: [] })
})
