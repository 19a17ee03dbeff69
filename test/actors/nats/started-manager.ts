/** `manager-process.ts` as a child of a test: loaded first and started when the test says, as its guard's 2 s ask for. */
import { type ChildProcess, spawn } from "node:child_process"
import process from "node:process"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import type { NatsCredentials } from "#actors/nats/creds.ts"
import type { NatsServerStatus } from "#actors/nats/server.ts"

export interface StartedManager {
  readonly child: ChildProcess
  readonly url: string
  readonly route?: string
  readonly credentials: NatsCredentials
  readonly status: NatsServerStatus
}

/** Completes once the program has loaded; what it returns starts it. `endings` take its child. */
export async function prepareManager(
  args: ReadonlyArray<string>,
  endings: Array<() => unknown>
): Promise<() => Promise<StartedManager>> {
  const program = fileURLToPath(new URL("./manager-process.ts", import.meta.url))
  const child = spawn(process.execPath, [program, ...args], { stdio: ["pipe", "pipe", "inherit"] })
  endings.push(() => child.kill("SIGKILL"))
  const lines = createInterface({ input: child.stdout })
  const next = (begin: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const look = (line: string): void => {
        if (!line.startsWith(begin)) return
        lines.removeListener("line", look)
        resolve(line)
      }
      lines.on("line", look)
      lines.once("close", () => reject(new Error("the manager ended before its server was ready")))
    })
  const started = next("{")
  started.catch(() => {})
  await next("loaded")
  return async () => {
    child.stdin.end("start\n")
    return { child, ...JSON.parse(await started) }
  }
}
