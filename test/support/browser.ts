/**
 * The dashboard of a cluster in Debian's Chromium, a window for each role, and what is wrong with a page that is shown.
 * Pictures are left in `test/browser/pictures`.
 */
import { mkdir } from "node:fs/promises"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import axe from "axe-core"
import { type BrowserContext, chromium, type Page } from "playwright-core"
import type { Cluster } from "#test/support/cluster.ts"

const pictures = fileURLToPath(new URL("../browser/pictures/", import.meta.url))

export interface Desktop {
  /** A page that is signed in, at the overview. */
  readonly signIn: (role: string) => Promise<Window>
  /** What any page asked of anybody but the node. */
  readonly elsewhere: ReadonlyArray<string>
  /** What pages complained of, such as what their policy forbids. */
  readonly complaints: ReadonlyArray<string>
  readonly close: () => Promise<void>
}
export interface Window {
  readonly context: BrowserContext
  readonly page: Page
}

export async function openDesktop(cluster: Cluster): Promise<Desktop> {
  await mkdir(pictures, { recursive: true })
  const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] })
  const elsewhere: Array<string> = []
  const complaints: Array<string> = []
  return {
    elsewhere,
    complaints,
    close: () => browser.close(),
    signIn: async (role) => {
      const { body } = await cluster.api("POST", "/dashboard/links", { role })
      const context = await browser.newContext({
        viewport: { width: 1280, height: 900 },
        colorScheme: "dark",
        // Contrast is that of the page at rest.
        reducedMotion: "reduce"
      })
      // Which page and cluster need on a busy machine.
      context.setDefaultTimeout(30_000)
      const page = await context.newPage()
      page.on("request", (request) => {
        if (new URL(request.url()).origin !== cluster.http) elsewhere.push(request.url())
      })
      page.on("console", (message) => {
        if (message.text().includes("Content Security Policy")) complaints.push(message.text())
      })
      page.on("pageerror", ({ message }) => complaints.push(message))
      await page.goto(body.url)
      await page.getByRole("heading", { name: "Cluster", exact: true }).waitFor()
      return { context, page }
    }
  }
}

export const picture = (page: Page, name: string): Promise<Buffer> =>
  page.screenshot({ path: join(pictures, `${name}.png`), fullPage: true })

/** Goes to the page that `hash` names. */
export async function see(page: Page, hash: string, heading: string | RegExp): Promise<void> {
  await page.evaluate(`location.hash = ${JSON.stringify(hash)}`)
  await page.getByRole("heading", { level: 1, name: heading }).waitFor()
}

/** What keeps people out, by axe-core: rule, what it wants, and where. */
export async function barriers(page: Page): Promise<ReadonlyArray<string>> {
  await page.evaluate(axe.source)
  const { violations } = await page.evaluate<axe.AxeResults>("axe.run(document)")
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .flatMap(({ id, help, nodes }) => nodes.map(({ html }) => `${id}: ${help}: ${html}`))
}

/** What of the page cannot be read in the window's width without scrolling all of it sideways. */
export const clipped = (page: Page): Promise<ReadonlyArray<string>> =>
  page.evaluate<ReadonlyArray<string>>(`(() => {
    const width = document.documentElement.clientWidth
    const found = []
    if (document.documentElement.scrollWidth > width)
      found.push("the document is " + document.documentElement.scrollWidth + " of " + width + " pixels wide")
    const styleOf = (element) => getComputedStyle(element)
    const scrolls = (element) => element !== null &&
      // What scrolls by itself is reached by keyboard, or it only hides things.
      ((element.tabIndex >= 0 && /auto|scroll/.test(styleOf(element).overflowX)) || scrolls(element.parentElement))
    for (const element of document.querySelectorAll("body *")) {
      if (element.closest(".unseen, svg, canvas") !== null || !element.checkVisibility()) continue
      const said = element.tagName + "." + element.className + ": " + (element.textContent ?? "").slice(0, 60)
      const { left, right } = element.getBoundingClientRect()
      if ((left < -1 || right > width + 1) && !scrolls(element.parentElement)) found.push("beyond the edge: " + said)
      const { overflowX, overflowY } = styleOf(element)
      if (/hidden|clip/.test(overflowX) && element.scrollWidth > element.clientWidth + 1) found.push("cut off: " + said)
      if (/hidden|clip/.test(overflowY) && element.scrollHeight > element.clientHeight + 1) found.push("cut off below: " + said)
    }
    return found
  })()`)
