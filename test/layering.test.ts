/** The map, checked: imports point down, and files that decide only compute. */
import { expect, test } from "bun:test"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { basename, dirname, join, relative } from "node:path"
import { fileURLToPath } from "node:url"

const root = dirname(dirname(fileURLToPath(import.meta.url)))

interface SourceFile {
  readonly path: string
  readonly code: string
  /** What it imports, values only, and everything. */
  readonly values: ReadonlyArray<string>
  readonly all: ReadonlyArray<string>
}

const importPattern = /^(?:import|export)\s+(type\s+)?([^"';]*?from\s+)?"([^"]+)"/gm

function read(path: string): SourceFile {
  const code = readFileSync(join(root, path), "utf8")
  const all: Array<string> = []
  const values: Array<string> = []
  for (const [, type, , target = ""] of code.matchAll(importPattern)) {
    all.push(target)
    if (type === undefined) values.push(target)
  }
  return { path, code, values, all }
}

const sources: ReadonlyMap<string, SourceFile> = new Map(
  ["runtime", "actors", "cli", "deploy"]
    .filter((folder) => existsSync(join(root, folder)))
    .flatMap((folder) =>
      readdirSync(join(root, folder), { withFileTypes: true, recursive: true })
        .filter((entry) => entry.isFile() && /\.tsx?$/.test(entry.name))
        .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    )
    .map((path) => [path, read(path)])
)

/** `#actors/x.ts` and relative imports as paths from the root; packages as they are. */
function resolved(file: SourceFile, target: string): string {
  if (target.startsWith("#")) return target.slice(1)
  if (target.startsWith(".")) return relative(root, join(root, dirname(file.path), target))
  return target
}

const within = (path: string, folder: string): boolean => path.startsWith(`${folder}/`)

function offences(rule: (file: SourceFile, target: string) => boolean): ReadonlyArray<string> {
  const found: Array<string> = []
  for (const file of sources.values()) {
    for (const target of file.all) {
      const path = resolved(file, target)
      if (rule(file, path)) found.push(`${file.path} imports ${path}`)
    }
  }
  return found
}

test("imports point down: cli to actors to runtime, and none to test", () => {
  expect(
    offences(
      ({ path }, target) =>
        (within(path, "runtime") && (within(target, "actors") || within(target, "cli"))) ||
        (within(path, "actors") && within(target, "cli")) ||
        within(target, "test")
    )
  ).toEqual([])
})

test("the runtime knows nothing but Effect, NATS and the platform", () => {
  const known = /^(effect(\/.*)?|nats|node:.*|runtime\/.*)$/
  expect(offences(({ path }, target) => within(path, "runtime") && !known.test(target))).toEqual([])
})

test("the gateway stands on top: no other actor imports it", () => {
  expect(
    offences(
      ({ path }, target) =>
        within(path, "actors") && !within(path, "actors/gateway") && within(target, "actors/gateway")
    )
  ).toEqual([])
})

test("children are started by runtime/platform.ts, so that they get none of our files", () => {
  // The shim has one child, which it outlives, and listens on nothing.
  const may = new Set(["runtime/platform.ts", "actors/drivers/process/shim.ts"])
  const found = [...sources.values()].filter(
    ({ path, code }) =>
      !within(path, "deploy") &&
      !may.has(path) &&
      /import \{[^}]*\bspawn\b[^}]*\} from "node:child_process"/.test(code)
  )
  expect(found.map(({ path }) => path)).toEqual([])
})

test("raft knows no nouns, and the model knows nobody", () => {
  expect(
    offences(
      ({ path }, target) =>
        within(path, "actors/raft") && within(target, "actors") && !within(target, "actors/raft")
    )
  ).toEqual([])
  expect(
    offences(
      ({ path }, target) =>
        within(path, "actors/model") &&
        !within(target, "actors/model") &&
        !/^(effect|runtime\/assert\.ts)$/.test(target)
    )
  ).toEqual([])
})

/** Files named with a verb only compute, and so does whatever they import. */
const verbs = new Set(
  (
    "accept allot append apply assign change choose cover decide describe diagnose elect expand explain filter finish judge match negotiate persist place " +
    "plan prune read reconcile reconfigure replicate resolve retry room route shape spread step tick transfer translate"
  ).split(" ")
)
const isVerb = (path: string): boolean => {
  const name = basename(path).replace(/\.ts$/, "")
  return verbs.has(name) || /^(apply|parse|validate)-/.test(name)
}

/** Converts what it is given, and reads no clock. */
const excepted = new Set(["actors/model/time.ts"])

const forbidden: ReadonlyArray<readonly [string, RegExp]> = [
  ["a clock", /\bDate\b|\bperformance\b/],
  ["chance", /Math\.random|\bcrypto\b|randomBytes|randomUUID/],
  ["waiting", /\bawait\b|\basync\b|\bPromise\b/],
  ["a timer", /\bset(Timeout|Interval|Immediate)\b|\bqueueMicrotask\b/],
  ["the process", /\bprocess\./],
  ["a platform module", /from "node:(?!buffer|zlib)/]
]

/** The code without its comments and the words inside its strings. */
const bare = (code: string): string =>
  code
    .replace(/\/\*[\s\S]*?\*\//g, "")
    .replace(/(^|\s)\/\/.*$/gm, "")
    .replace(/`(?:[^`\\]|\\.)*`/g, "``")
    .replace(/(?<!from )"(?:[^"\\\n]|\\.)*"/g, '""')

function reachable(start: string): ReadonlySet<string> {
  const seen = new Set<string>()
  const open = [start]
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    const file = sources.get(path)
    if (seen.has(path) || file === undefined) continue
    seen.add(path)
    open.push(...file.values.map((target) => resolved(file, target)))
  }
  return seen
}

test("files named with a verb, and all they import, only compute", () => {
  const found: Array<string> = []
  const starts = [...sources.keys()]
    .filter((path) => within(path, "actors") || within(path, "runtime"))
    .filter(isVerb)
  expect(starts.length).toBeGreaterThan(5)
  for (const start of starts) {
    for (const path of reachable(start)) {
      if (excepted.has(path)) continue
      const code = bare(sources.get(path)?.code ?? "")
      for (const [what, pattern] of forbidden) {
        const match = pattern.exec(code)
        if (match !== null) found.push(`${start} reaches ${path}, which names ${what}: ${match[0]}`)
      }
    }
  }
  expect([...new Set(found)]).toEqual([])
})

test("A17: nothing in raft's core, nor in its host, reads a clock, rolls dice, waits or opens anything", () => {
  const starts = [...sources.keys()].filter(
    (path) => within(path, "actors/raft/core") || within(path, "actors/raft/host")
  )
  expect(starts.length).toBeGreaterThan(20)
  const found = new Set<string>()
  for (const start of starts) {
    for (const path of reachable(start)) {
      const code = bare(sources.get(path)?.code ?? "")
      for (const [what, pattern] of forbidden) {
        const match = pattern.exec(code)
        if (match !== null) found.add(`${path} names ${what}: ${match[0]}`)
      }
    }
  }
  expect([...found]).toEqual([])
})

test("what differs between Bun and Deno stays in one file", () => {
  const found = [...sources.values()]
    // The build is Bun's own.
    .filter(({ path }) => path !== "runtime/platform.ts" && path !== "deploy/build.ts")
    .filter(({ code }) => /\b(Bun|Deno)\.\w|from "bun(:|")/.test(bare(code)))
    .map(({ path }) => path)
  expect(found).toEqual([])
})
