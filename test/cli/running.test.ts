/** What a daemon says of itself beside its data and its socket, and how commands find it. */
import { afterAll, expect, test } from "bun:test"
import { spawnSync } from "node:child_process"
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"
import { usualDataDir } from "#cli/places.ts"
import {
  announceRunning,
  connectAs,
  dataDirBeside,
  dataDirMeant,
  findRunning,
  forgetRunning,
  ofSomeNode
} from "#cli/running.ts"

const folder = mkdtempSync(join(tmpdir(), "troupe-running-"))
afterAll(() => rmSync(folder, { recursive: true }))
const socket = join(folder, "docker.sock")
const idle = { pid: process.pid, nodeId: "", clusterId: "", socket, http: "", nats: "" }

test("a node's socket leads to its data directory as long as it runs, and also over what an earlier one left", async () => {
  const seen = () => ({
    beside: dataDirBeside(socket),
    bySocket: dataDirMeant({ TROUPE_SOCKET: socket }),
    byDocker: dataDirMeant({ DOCKER_HOST: `unix://${socket}` }),
    told: dataDirMeant({ DOCKER_HOST: `unix://${socket}`, TROUPE_DATA_DIR: "/other" })
  })
  const usual = { beside: undefined, bySocket: usualDataDir, byDocker: usualDataDir, told: "/other" }
  expect(seen()).toEqual(usual)
  const announced = announceRunning(folder, idle).pipe(
    Effect.andThen(announceRunning(folder, idle)),
    Effect.andThen(Effect.sync(seen)),
    Effect.ensuring(forgetRunning({ dataDir: folder, socket }))
  )
  expect(await Effect.runPromise(announced)).toEqual({
    beside: folder,
    bySocket: folder,
    byDocker: folder,
    told: "/other"
  })
  expect(seen()).toEqual(usual)
  expect(dataDirMeant({ DOCKER_HOST: "tcp://10.0.0.1:2375" })).toBe(usualDataDir)
})

test("a daemon that ends takes away what it wrote itself, not what another one on the same data did", async () => {
  const file = join(folder, "running.json")
  for (const [pid, stays] of [
    [process.ppid, true],
    [process.pid, false]
  ] as const) {
    await Effect.runPromise(announceRunning(folder, { ...idle, pid }))
    await Effect.runPromise(forgetRunning({ dataDir: folder, socket }))
    expect(existsSync(file)).toBe(stays)
  }
})

test("what a daemon that was killed left says nothing", async () => {
  const running = (pid: number) =>
    Effect.runPromise(
      announceRunning(folder, { ...idle, pid }).pipe(
        Effect.andThen(findRunning(folder)),
        Effect.match({ onSuccess: (found) => found.pid, onFailure: ({ message }) => message })
      )
    )
  const { pid: ended } = spawnSync("true")
  expect(await running(process.pid)).toBe(process.pid)
  expect(await running(ended)).toBe(`No Troupe node runs with --data-dir ${folder}`)
})

test("nobody waits for the actors of a node that runs none, and it is said why", async () => {
  const why = (nodeId: string) =>
    Effect.runPromise(
      connectAs(folder, { ...idle, nodeId }).pipe(
        Effect.flip,
        Effect.map(({ message }) => message),
        Effect.scoped
      )
    )
  expect(await why("")).toContain("in no cluster: docker swarm init")
  expect(await why("n1")).toContain("This node is locked")
})

test("nothing is written for a node that never was", async () => {
  const refused = await Effect.runPromise(Effect.flip(ofSomeNode(folder)))
  expect(refused.message).toBe(`--data-dir ${folder}: expected a directory that a node was started with`)
  writeFileSync(join(folder, "http-token"), "")
  await Effect.runPromise(ofSomeNode(folder))
})
