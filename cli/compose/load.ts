/** A project from its files: variables, `include`, `extends`, several files as one; checked, with places kept. */
import { existsSync, readFileSync } from "node:fs"
import { basename, dirname, isAbsolute, join, relative, resolve } from "node:path"
import { parseDotenv } from "#cli/compose/dotenv.ts"
import { interpolate, type Variables } from "#cli/compose/interpolate.ts"
import { asMap, merge } from "#cli/compose/merge.ts"
import { checkFile } from "#cli/compose/schema.ts"
import {
  ComposeError,
  type Entry,
  emptyMap,
  entryOf,
  type MapValue,
  type Place,
  type Problem,
  parseYaml,
  plain,
  type Value
} from "#cli/compose/value.ts"

/** Where the contents of files come from. */
export interface Files {
  /** Nothing where there is no such file. */
  readonly read: (path: string) => Buffer | undefined
  /** What is expected where a file is named that there is not. */
  readonly expected: string
  /** A file that has no folder names no paths that are relative to one. */
  readonly isAlone: boolean
}

const filesHere: Files = {
  read: (path) => (existsSync(path) ? readFileSync(path) : undefined),
  expected: "expected a file that exists",
  isAlone: false
}

/** A Compose file that somebody sent us: it is all there is, and what it names of this machine's files is not read. */
export const pasted = (text: string): LoadOptions => ({
  files: ["compose.yaml"],
  projectName: undefined,
  profiles: [],
  envFiles: [],
  environment: {},
  workingDirectory: "/",
  source: {
    read: (path) => (path === "/compose.yaml" ? Buffer.from(text) : undefined),
    expected: "expected no file: what is pasted stands alone, and this machine's files are not read for it",
    isAlone: true
  }
})

export interface LoadOptions {
  readonly files: ReadonlyArray<string>
  readonly projectName: string | undefined
  readonly profiles: ReadonlyArray<string>
  /** Files of variables instead of `.env`; what later ones say counts, and the environment before all. */
  readonly envFiles: ReadonlyArray<string>
  readonly environment: Variables
  readonly workingDirectory: string
  /** This machine's unless given. */
  readonly source?: Files
}

export interface Project {
  /** The stack's name. */
  readonly name: string
  readonly directory: string
  // biome-ignore lint/suspicious/noExplicitAny: checked by schema.ts, read by translate.ts
  readonly model: Readonly<Record<string, any>>
  /** Services whose profiles are not asked for. */
  readonly leftOut: ReadonlyArray<string>
  /** Contents of the files that secrets and configs name, by `secrets.NAME` and `configs.NAME`. */
  readonly contents: ReadonlyMap<string, Buffer>
  readonly warnings: ReadonlyArray<Problem>
  /** Where things stand, for whoever finds fault with them later. */
  readonly placeOf: (path: ReadonlyArray<string>) => Place
}

const usual = ["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"]

/** Throws `ComposeError` with every problem. */
export function loadProject(options: LoadOptions): Project {
  const { source = filesHere } = options
  const files = options.files.length > 0 ? options.files : [usualFile(source, options.workingDirectory)]
  const paths = files.map((file) => resolve(options.workingDirectory, file))
  const directory = dirname(paths[0] ?? options.workingDirectory)
  const variables = variablesOf(source, options, directory)
  const loader = new Loader(source, options.workingDirectory, variables)
  const value = paths
    .map((path) => loader.file(path, directory))
    .reduce((before, after) => merge(before, after))
  const { problems, warnings } = checkFile(value)
  if (problems.length > 0) throw new ComposeError(unique(problems))

  const name = options.projectName ?? entryText(value, "name") ?? usualName(directory)
  if (!/^[a-z0-9][a-z0-9_-]*$/.test(name)) {
    const text = `${JSON.stringify(name)}: expected lower-case letters, digits, - and _; give one with --project-name or name:`
    throw new ComposeError([{ at: value.at, path: "name", text }])
  }
  const model = plain(value)
  const named = Object.keys(model.services ?? {})
  model.services = wanted(model.services ?? {}, [
    ...options.profiles,
    ...(variables.COMPOSE_PROFILES ?? "").split(",").filter((one) => one !== "")
  ])
  return {
    name,
    directory,
    model,
    leftOut: named.filter((one) => model.services[one] === undefined),
    contents: loader.contents(value, directory),
    warnings: [...loader.warnings, ...unique(warnings)],
    placeOf: (path) => placeIn(value, path)
  }
}

function variablesOf(
  source: Files,
  {
    envFiles,
    environment,
    workingDirectory
  }: Pick<LoadOptions, "envFiles" | "environment" | "workingDirectory">,
  directory: string
): Variables {
  const isGiven = envFiles.length > 0
  const paths = isGiven ? envFiles.map((file) => resolve(workingDirectory, file)) : [join(directory, ".env")]
  let found: Variables = {}
  for (const path of paths) {
    const text = source.read(path)?.toString()
    if (text === undefined) {
      if (!isGiven) break
      const at = { file: relative(workingDirectory, path), line: 1, column: 1 }
      throw new ComposeError([{ at, path: "", text: "expected a file of variables that exists" }])
    }
    found = { ...found, ...parseDotenv(path, text, { ...found, ...environment }) }
  }
  return { ...found, ...environment }
}

/** What `env_file` of an `include` names. */
function envFilesOf(item: Value, base: string): ReadonlyArray<string> {
  const asked = entryOf(item, "env_file")
  const items = asked?.kind === "list" ? asked.items : asked === undefined ? [] : [asked]
  return items.flatMap((one) => (one.kind === "scalar" ? [resolve(base, one.text)] : []))
}

function usualFile(source: Files, directory: string): string {
  const found = usual.find((name) => source.read(join(directory, name)) !== undefined)
  if (found !== undefined) return found
  throw new ComposeError([
    {
      at: { file: directory, line: 1, column: 1 },
      path: "",
      text: `expected one of ${usual.join(", ")}, or -f FILE`
    }
  ])
}

/** As Compose makes it of a folder. */
const usualName = (directory: string): string =>
  basename(directory)
    .toLowerCase()
    .replace(/[^a-z0-9_-]/g, "")
    .replace(/^[_-]+/, "")

const entryText = (value: Value, key: string): string | undefined => {
  const found = entryOf(value, key)
  return found?.kind === "scalar" && found.scalar !== null ? found.text : undefined
}

const wanted = <A extends { profiles?: ReadonlyArray<string> }>(
  services: Record<string, A>,
  profiles: ReadonlyArray<string>
): Record<string, A> =>
  Object.fromEntries(
    Object.entries(services).filter(
      ([, { profiles: own = [] }]) =>
        own.length === 0 || profiles.includes("*") || own.some((one) => profiles.includes(one))
    )
  )

function unique(problems: ReadonlyArray<Problem>): ReadonlyArray<Problem> {
  const seen = new Map(problems.map((one) => [`${JSON.stringify(one.at)} ${one.text}`, one]))
  return [...seen.values()]
}

function placeIn(value: Value, path: ReadonlyArray<string>): Place {
  let at = value.at
  let here: Value | undefined = value
  for (const key of path) {
    const entry: Entry | undefined = here?.kind === "map" ? here.entries.get(key) : undefined
    if (entry === undefined) return at
    at = entry.at
    here = entry.value
  }
  return at
}

class Loader {
  readonly warnings: Array<Problem>
  readonly #unset: Set<string>

  readonly source: Files
  readonly workingDirectory: string
  readonly variables: Variables

  /** One for what another's files include tells its warnings there. */
  constructor(source: Files, workingDirectory: string, variables: Variables, outer?: Loader) {
    this.source = source
    this.workingDirectory = workingDirectory
    this.variables = variables
    this.warnings = outer?.warnings ?? []
    this.#unset = outer === undefined ? new Set() : outer.#unset
  }

  /** One file with what it includes and extends; relative paths in it made absolute from `base`. */
  file(path: string, base: string, from?: Place, trail: ReadonlyArray<string> = []): Value {
    if (trail.includes(path)) this.#fail(from, "include", `${path}: includes itself`)
    const value = this.#read(path, from)
    const services = entryOf(value, "services")
    const own =
      services?.kind !== "map" ? value : this.#with(value, "services", this.#services(services, path, base))
    const include = entryOf(own, "include")
    if (include === undefined || include.kind !== "list" || own.kind !== "map") return own
    return include.items
      .map((item) => this.#included(item, base, [...trail, path]))
      .reduceRight((after, before) => merge(before, after), own)
  }

  #included(item: Value, base: string, trail: ReadonlyArray<string>): Value {
    const path = item.kind === "scalar" ? item : entryOf(item, "path")
    const paths = path?.kind === "list" ? path.items : path === undefined ? [] : [path]
    const files = paths.flatMap((one) => (one.kind === "scalar" ? [resolve(base, one.text)] : []))
    if (files.length === 0) return this.#fail(item.at, "include", "expected a path")
    const directory = entryText(item, "project_directory")
    const inner = directory === undefined ? dirname(files[0] ?? base) : resolve(base, directory)
    const loader = this.#knowing(envFilesOf(item, base), inner)
    return files
      .map((file) => loader.file(file, inner, item.at, trail))
      .reduce((before, after) => merge(before, after))
  }

  /** With the variables of these files beside its own, which count before them. */
  #knowing(envFiles: ReadonlyArray<string>, directory: string): Loader {
    const { source, workingDirectory, variables: environment } = this
    const variables = variablesOf(source, { envFiles, environment, workingDirectory }, directory)
    return new Loader(source, workingDirectory, variables, this)
  }

  #services(services: MapValue, path: string, base: string): Value {
    const entries = new Map<string, Entry>()
    for (const [name, entry] of services.entries) {
      entries.set(name, { ...entry, value: this.#service(name, entry.value, services, path, base, []) })
    }
    return { ...services, entries }
  }

  /** A service with what it extends, and its files of variables read. */
  #service(
    name: string,
    value: Value,
    siblings: MapValue,
    path: string,
    base: string,
    trail: ReadonlyArray<string>
  ): Value {
    if (value.kind !== "map") return value
    const own = this.#located(this.#withEnvFiles(value, base), base)
    const asked = entryOf(value, "extends")
    if (asked === undefined) return own
    const source = asked.kind === "scalar" ? asked.text : entryText(asked, "service")
    const file = entryText(asked, "file")
    const key = `${path}#${name}`
    const where = `services.${name}.extends`
    if (source === undefined) return this.#fail(asked.at, where, "expected the name of a service")
    if (trail.includes(key)) return this.#fail(asked.at, where, `${source}: extends itself`)
    const other = file === undefined ? path : resolve(base, file)
    const found = file === undefined ? siblings : entryOf(this.#read(other, asked.at), "services")
    const parent = entryOf(found, source)
    if (found?.kind !== "map" || parent === undefined) {
      const known = found?.kind === "map" ? [...found.entries.keys()].join(", ") : ""
      return this.#fail(
        asked.at,
        where,
        `${JSON.stringify(source)}: expected a service of ${relative(this.workingDirectory, other)}: ${known}`
      )
    }
    const inner = file === undefined ? base : dirname(other)
    const extended = this.#service(source, parent, found, other, inner, [...trail, key])
    const merged = merge(wrapped(name, extended), wrapped(name, own))
    return entryOf(entryOf(merged, "services"), name) ?? own
  }

  /** `env_file` as variables that come before `environment`. */
  #withEnvFiles(value: MapValue, base: string): MapValue {
    const asked = entryOf(value, "env_file")
    if (asked === undefined) {
      const environment = entryOf(value, "environment")
      return environment === undefined ? value : this.#with(value, "environment", this.#filled(environment))
    }
    const items = asked.kind === "list" ? asked.items : [asked]
    const entries = new Map<string, Entry>()
    for (const item of items) {
      const name = item.kind === "scalar" ? item.text : entryText(item, "path")
      if (name === undefined) continue
      const path = resolve(base, name)
      const text = this.source.read(path)?.toString()
      if (text === undefined) {
        if (entryText(item, "required") === "false") continue
        return this.#fail(item.at, "env_file", `${JSON.stringify(name)}: ${this.source.expected}`)
      }
      const file = relative(this.workingDirectory, path)
      for (const [key, value] of Object.entries(parseDotenv(file, text, this.variables))) {
        const at = item.at
        entries.set(key, { at, value: { kind: "scalar", scalar: value, text: value, at } })
      }
    }
    const own = entryOf(value, "environment")
    const given: Value = { kind: "map", entries, at: asked.at }
    const environment = own === undefined ? given : merge(given, this.#filled(own), "services.x.environment")
    return this.#with(value, "environment", environment)
  }

  /** Variables without a value are those of whoever deploys. */
  #filled(environment: Value): Value {
    const map = asMap(environment, /=/)
    if (map.kind !== "map") return map
    const entries = new Map<string, Entry>()
    for (const [key, entry] of map.entries) {
      const text = this.variables[key]
      const isOpen = entry.value.kind === "scalar" && entry.value.scalar === null
      entries.set(
        key,
        isOpen && text !== undefined
          ? { ...entry, value: { kind: "scalar", scalar: text, text, at: entry.value.at } }
          : entry
      )
    }
    return { ...map, entries }
  }

  /** Relative sources of binds from the folder of the file that names them. */
  #located(value: MapValue, base: string): MapValue {
    const volumes = entryOf(value, "volumes")
    if (volumes?.kind !== "list") return value
    const home = this.variables.HOME ?? "/"
    const absolute = (path: string, at: Place): string => {
      if (this.source.isAlone)
        return this.#fail(at, "volumes", `${JSON.stringify(path)}: expected a path that begins with /`)
      return path.startsWith("~") ? join(home, path.slice(1)) : resolve(base, path)
    }
    const items = volumes.items.map((item): Value => {
      if (item.kind === "scalar" && /^[.~]/.test(item.text)) {
        const [source = "", ...rest] = item.text.split(":")
        const text = [absolute(source, item.at), ...rest].join(":")
        return { ...item, scalar: text, text }
      }
      const source = entryText(item, "source")
      if (item.kind !== "map" || entryText(item, "type") !== "bind" || source === undefined) return item
      if (isAbsolute(source)) return item
      const text = absolute(source, item.at)
      return this.#with(item, "source", { kind: "scalar", scalar: text, text, at: item.at })
    })
    return this.#with(value, "volumes", { ...volumes, items })
  }

  /** What `file`, `environment` and `content` of secrets and configs hold. */
  contents(value: Value, directory: string): ReadonlyMap<string, Buffer> {
    const found = new Map<string, Buffer>()
    for (const kind of ["secrets", "configs"]) {
      const objects = entryOf(value, kind)
      if (objects?.kind !== "map") continue
      for (const [name, { at, value: object }] of objects.entries) {
        const path = `${kind}.${name}`
        const file = entryText(object, "file")
        const variable = entryText(object, "environment")
        const content = entryText(object, "content")
        if (file !== undefined) {
          const full = resolve(directory, file)
          const held = this.source.read(full)
          if (held === undefined)
            return this.#fail(at, `${path}.file`, `${JSON.stringify(file)}: ${this.source.expected}`)
          found.set(path, held)
        } else if (variable !== undefined) {
          const text = this.variables[variable]
          if (text === undefined)
            this.#fail(
              at,
              `${path}.environment`,
              `${JSON.stringify(variable)}: expected a variable that is set`
            )
          found.set(path, Buffer.from(text ?? ""))
        } else if (content !== undefined) found.set(path, Buffer.from(content))
      }
    }
    return found
  }

  #read(path: string, from?: Place): Value {
    const shown = relative(this.workingDirectory, path).startsWith("..")
      ? path
      : relative(this.workingDirectory, path)
    const text = this.source.read(path)?.toString()
    if (text === undefined)
      return this.#fail(from ?? { file: shown, line: 1, column: 1 }, "", `${shown}: ${this.source.expected}`)
    const raw = parseYaml(shown, text)
    const value = raw.kind === "scalar" && raw.scalar === null ? emptyMap(raw.at) : raw
    return interpolate(value, this.variables, (name, { at }) => {
      if (this.#unset.has(name)) return
      this.#unset.add(name)
      this.warnings.push({ at, path: "", text: `variable ${name} is not set: a blank is used` })
    })
  }

  #with(value: MapValue, key: string, to: Value): MapValue
  #with(value: Value, key: string, to: Value): Value
  #with(value: Value, key: string, to: Value): Value {
    if (value.kind !== "map") return value
    const entries = new Map(value.entries)
    entries.set(key, { at: entries.get(key)?.at ?? to.at, value: to })
    return { ...value, entries }
  }

  #fail(at: Place | undefined, path: string, text: string): never {
    throw new ComposeError([{ at: at ?? { file: this.workingDirectory, line: 1, column: 1 }, path, text }])
  }
}

/** In its place, so that the rules of merging know where they are. */
function wrapped(name: string, service: Value): Value {
  const map = (key: string, value: Value): Value => ({
    kind: "map",
    entries: new Map([[key, { at: value.at, value }]]),
    at: value.at
  })
  return map("services", map(name, service))
}
