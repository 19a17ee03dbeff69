/** The real docker CLI, run against a socket of a test's choice: every version of it that is on this machine. */
import { Buffer } from "node:buffer"
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { existsSync } from "node:fs"
import process from "node:process"

export interface Cli {
  readonly path: string
  /** `28.2.2` */
  readonly version: string
}

/** `docker` of the PATH, and what packages installed beside it. */
export const clis: ReadonlyArray<Cli> = ["/usr/local/bin/docker", "/usr/bin/docker"]
  .filter((path) => existsSync(path))
  .map((path) => ({
    path,
    version:
      /version (\d+\.\d+\.\d+)/.exec(execFileSync(path, ["--version"], { encoding: "utf8" }))?.[1] ?? ""
  }))

/** For `test.skipIf`: whether the CLI that tests use is older than what one of them is about, which is said then. */
export function isCliBefore(major: number, what: string): boolean {
  const version = clis[0]?.version ?? "0"
  if (Number.parseInt(version, 10) >= major) return false
  console.log(`Not tried: ${what} came with docker CLI ${major}, and this machine has ${version}`)
  return true
}

export interface CliResult {
  readonly code: number | null
  readonly stdout: Buffer
  readonly stderr: string
  /** What it wrote to stdout, without the blanks around it. */
  readonly text: string
}

export interface CliOptions {
  readonly cli?: string
  readonly input?: Uint8Array
  readonly env?: Readonly<Record<string, string>>
  /** Through a pseudo-terminal (`script` of util-linux). */
  readonly tty?: boolean
  /** After how many milliseconds it is ended. Default: 60,000. */
  readonly withinMs?: number
}

export function startDocker(
  host: string,
  args: ReadonlyArray<string>,
  options: CliOptions = {}
): ChildProcess {
  const cli = options.cli ?? clis[0]?.path ?? "docker"
  const env = { ...process.env, DOCKER_BUILDKIT: "0", ...options.env, DOCKER_HOST: host }
  if (options.tty !== true) return spawn(cli, args, { env })
  const quoted = [cli, ...args].map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ")
  return spawn("script", ["-qec", quoted, "/dev/null"], { env })
}

/** `docker events` with these flags as long as its child lives, which whoever asks ends, and what it has shown so far. */
export function followEvents(host: string, ...flags: ReadonlyArray<string>) {
  const format = "{{.Type}} {{.Action}} {{.Actor.Attributes.name}}"
  const child = startDocker(host, ["events", "--format", format, ...flags])
  let text = ""
  child.stdout?.on("data", (part) => {
    text += String(part)
  })
  return { child, lines: () => text.split("\n").filter((line) => line !== "") }
}

/** Runs one command to its end, and ends it where that takes too long. */
export function docker(
  host: string,
  args: ReadonlyArray<string>,
  options: CliOptions = {}
): Promise<CliResult> {
  const child = startDocker(host, args, options)
  const parts: Array<Buffer> = []
  let stderr = ""
  child.stdout?.on("data", (part: Buffer) => parts.push(part))
  child.stderr?.on("data", (part: Buffer) => {
    stderr += String(part)
  })
  child.stdin?.on("error", () => {})
  child.stdin?.end(options.input)
  const deadline = setTimeout(() => child.kill("SIGKILL"), options.withinMs ?? 60_000)
  return new Promise((resolve, reject) => {
    child.on("error", reject)
    child.on("close", (code) => {
      clearTimeout(deadline)
      const stdout = Buffer.concat(parts)
      resolve({ code, stdout, stderr, text: stdout.toString("utf8").trim() })
    })
  })
}
