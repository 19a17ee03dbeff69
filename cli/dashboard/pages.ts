/**
 * The pages as browsers take them, made of `page/` by Bun's bundler when they are first asked for, in a process of its
 * own: a daemon under Deno has the same Bun, which is one of our packages.
 */
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import process from "node:process"
import { fileURLToPath } from "node:url"
import type { Pages } from "#actors/gateway/dashboard/pages.ts"
import { isBun, ownFile, spawn } from "#runtime/platform.ts"

const source = fileURLToPath(ownFile("cli/dashboard/page/"))
const packaged = fileURLToPath(ownFile("node_modules/.bin/bun"))

export async function buildPages(): Promise<Pages> {
  const folder = await mkdtemp(join(tmpdir(), "troupe-dashboard-"))
  try {
    await bundle(folder)
    const pages = new Map<string, Uint8Array<ArrayBuffer>>()
    for (const name of await readdir(folder))
      pages.set(name, new Uint8Array(await readFile(join(folder, name))))
    for (const name of ["index.html", "icon.svg"])
      pages.set(name, new Uint8Array(await readFile(join(source, name))))
    return pages
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

const bundle = (folder: string): Promise<void> =>
  new Promise((resolve, reject) => {
    // What a page may never need, a terminal for instance, is a file of its own.
    const how = ["--minify", "--splitting", "--target", "browser"]
    const args = ["build", join(source, "main.tsx"), "--outdir", folder, ...how]
    const child = spawn(isBun ? process.execPath : packaged, args, {
      stdio: ["ignore", "ignore", "pipe"],
      env: { ...process.env, NODE_ENV: "production" }
    })
    let said = ""
    child.stderr?.on("data", (part: Buffer) => {
      said += part.toString()
    })
    child.on("error", reject)
    child.on("close", (code) => {
      if (code === 0) resolve()
      else reject(new Error(`the dashboard could not be bundled: ${said.trim()}`))
    })
  })
