/**
 * Builds the daemon into `dist/`, from which `bun run node` runs it: without the parts of packages that nothing uses it
 * takes less memory and starts sooner. `bun cli/main.ts node` runs the same from its source.
 *
 * A daemon that runs may load a file of its build at any time: files are named by what is in them, written whole, and
 * those of earlier builds stay. The folder may be removed where no daemon runs.
 */
import { mkdirSync, renameSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import process from "node:process"
import { fileURLToPath } from "node:url"
import type { BunPlugin } from "bun"

const root = fileURLToPath(new URL("..", import.meta.url))
const folder = join(root, "dist")

/** What runs as a process or thread of its own; `ownProgram` finds them by these names. */
const programs = [
  "cli/main.ts",
  "cli/data-plane.ts",
  "runtime/watchdog-thread.ts",
  "actors/raft/storage/writer.ts",
  "actors/history/rebuild-thread.ts",
  "actors/drivers/process/shim.ts"
]

/** Of no use to a node, and loaded by dockerode all the same: BuildKit's sessions and answers, and Engines behind ssh. */
const withoutBuildKit: BunPlugin = {
  name: "dockerode without BuildKit and ssh",
  setup(build) {
    build.onLoad(
      { filter: /\/(dockerode\/lib\/(session|buildkit)|docker-modem\/lib\/ssh)\.js$/ },
      ({ path }) => ({
        contents: `module.exports = () => { throw new Error(${JSON.stringify(`${path} is not in the built daemon`)}) }`,
        loader: "js"
      })
    )
  }
}

const { outputs } = await Bun.build({
  entrypoints: programs.map((path) => join(root, path)),
  target: "bun",
  splitting: true,
  // Not identifiers: names of functions and classes are in what a daemon says of a crash.
  minify: { whitespace: false, syntax: true, identifiers: false },
  naming: { entry: "[name].js", chunk: "[name]-[hash].js" },
  // Reads its files from where it lies.
  external: ["@grpc/grpc-js", "@grpc/proto-loader"],
  plugins: [withoutBuildKit]
})

try {
  mkdirSync(folder, { recursive: true })
  // Entries last: whoever finds one finds what it imports.
  const inOrder = [...outputs].sort(
    (a, b) => Number(a.kind === "entry-point") - Number(b.kind === "entry-point")
  )
  for (const output of inOrder) {
    const path = join(folder, output.path)
    const unfinished = `${path}.${process.pid}`
    writeFileSync(unfinished, await output.text())
    renameSync(unfinished, path)
  }
} catch (error) {
  const { message } = error as Error
  console.error(`build: cannot write ${folder}: ${message}; bun cli/main.ts node runs without it`)
  process.exitCode = 1
}
