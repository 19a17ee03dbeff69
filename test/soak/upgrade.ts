/**
 * A rolling upgrade and the way back: three managers of an earlier release, with tasks and under writes, become this
 * one machine by machine; one goes back before the last has come along, which is when the feature level is raised.
 *
 *     bun test/soak/upgrade.ts [--from COMMIT]
 *
 * The earlier release is a commit of this repository with the same dependencies; by default the one before the feature
 * level was last raised. Prints what the writes and tasks went through, and ends with 1 when something was lost. Tasks of
 * releases in which a node does not announce that it restarts are replaced when that takes more than three seconds.
 */
import { execFileSync } from "node:child_process"
import { mkdtempSync, rmSync, symlinkSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import process from "node:process"
import { setTimeout as pause } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import type { Cluster } from "#test/support/cluster.ts"
import { eventually } from "#test/support/engine.ts"
import { whenInterrupted } from "#test/support/interrupted.ts"
import { ask, configNames, Managers, raftOf, writeConfig } from "#test/support/managers.ts"

const repository = fileURLToPath(new URL("../..", import.meta.url)).replace(/\/$/, "")
const git = (...args: ReadonlyArray<string>): string =>
  execFileSync("git", args, { cwd: repository, encoding: "utf8" }).trim()
const raised = (): string =>
  `${git("log", "-1", "--format=%h", "-Gexport const featureLevel = ", "--", "actors/ledger/features.ts")}~1`

const { values } = parseArgs({ options: { from: { type: "string" } } })
const from = git("rev-parse", "--short", values.from ?? raised())
const replicas = 6

/** The earlier release beside this one, with what this one has installed. */
const earlier = mkdtempSync(join(tmpdir(), "troupe-release-"))
git("worktree", "add", "--detach", "--force", earlier, from)
symlinkSync(join(repository, "node_modules"), join(earlier, "node_modules"))
const forgetRelease = (): void => {
  git("worktree", "remove", "--force", earlier)
  rmSync(earlier, { recursive: true, force: true })
}

interface TaskView {
  readonly ID: string
  readonly DesiredState: string
  readonly Status: { readonly State: string }
}

/** One client that writes on and on by whichever manager answers. */
class Writer {
  readonly accepted: Array<string> = []
  failed = 0
  longestGapMs = 0
  #lastAt = performance.now()
  #stopped = false
  readonly #done: Promise<void>

  constructor(managers: ReadonlyArray<Cluster>) {
    this.#done = this.#write(managers)
  }

  async #write(managers: ReadonlyArray<Cluster>): Promise<void> {
    for (let at = 0, door = 0; !this.#stopped; at++) {
      const name = `write-${at}`
      const manager = managers[door % managers.length] as Cluster
      const { status } = await writeConfig(manager, name, 2_000).catch(() => ({ status: 0 }))
      if (status === 201) {
        this.accepted.push(name)
        this.longestGapMs = Math.max(this.longestGapMs, performance.now() - this.#lastAt)
        this.#lastAt = performance.now()
      } else {
        this.failed += 1
        door += 1
      }
      await pause(20)
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#done
  }
}

/** The ids of the tasks that run, sorted; they outlive every daemon. */
async function runningTasks(manager: Cluster): Promise<ReadonlyArray<string>> {
  const { body } = await ask(manager, "GET", "/tasks")
  return (body as ReadonlyArray<TaskView>)
    .filter(({ DesiredState, Status }) => DesiredState === "running" && Status.State === "running")
    .map(({ ID }) => ID)
    .sort()
}

const managers = await Managers.start(3, { release: earlier })
const close = async (): Promise<void> => {
  await managers.cleanUp()
  forgetRelease()
}
const keep = whenInterrupted(close)
const problems: Array<string> = []
const levels = async (): Promise<string> =>
  (await Promise.all(managers.all.map((one) => raftOf(one).catch(() => undefined))))
    .map((view) => view?.featureLevel ?? "-")
    .join(" ")

try {
  const [founder] = managers.all as [Cluster]
  const spec = {
    Name: "steady",
    TaskTemplate: { ContainerSpec: { Image: "host", Command: ["sleep", "100000"] } },
    Mode: { Replicated: { Replicas: replicas } }
  }
  const { status, body } = await ask(founder, "POST", "/services/create", spec)
  if (status !== 201) throw new Error(`the service was not created: ${status} ${JSON.stringify(body)}`)
  await eventually(async () => (await runningTasks(founder)).length === replicas, "all tasks run", 60_000)
  let tasks = await runningTasks(founder)
  const writer = new Writer(managers.all)

  /** Ends the machine's daemon in order and begins its next life as that release. */
  const change = async (machine: Cluster, release: string, what: string): Promise<void> => {
    const began = performance.now()
    machine.release = release
    await machine.restart()
    await managers.settled()
    const took = Math.round(performance.now() - began)
    await eventually(async () => (await runningTasks(machine)).length === replicas, "all tasks run", 60_000)
    const now = await runningTasks(machine)
    const moved = now.filter((id) => !tasks.includes(id)).length
    tasks = now
    console.log(
      `${what}: ${took} ms, ${moved} of ${replicas} tasks replaced, ${writer.accepted.length} writes so far, levels ${await levels()}`
    )
  }

  const leader = await managers.leader()
  const [one, other] = managers.others(leader) as [Cluster, Cluster]
  await change(one, repository, "the first follower forward")
  await change(other, repository, "the second follower forward")
  await change(other, earlier, "the second follower back")
  await change(leader, repository, "the leader forward")
  await change(leader, earlier, "that one back")
  await change(other, repository, "the second follower forward again")
  await change(leader, repository, "the last one forward")
  const reached = async (): Promise<boolean> => new Set((await levels()).split(" ")).size === 1
  await eventually(reached, "all managers say the same feature level", 30_000)
  await writer.stop()

  for (const manager of managers.all) {
    const there = new Set(await configNames(manager))
    const lost = writer.accepted.filter((name) => !there.has(name))
    if (lost.length > 0) problems.push(`${lost.length} acknowledged writes are missing, the first ${lost[0]}`)
  }
  const [view] = await managers.agreed()
  console.log(
    `from ${from}: ${writer.accepted.length} writes acknowledged, ${writer.failed} failed, longest gap ${Math.round(writer.longestGapMs)} ms; ` +
      `feature level ${view?.featureLevel}, three states alike (${view?.digest})`
  )
} catch (error) {
  problems.push(error instanceof Error ? error.message : String(error))
} finally {
  keep()
  await close()
}
for (const problem of problems) console.error(`problem: ${problem}`)
process.exit(problems.length === 0 ? 0 : 1)
