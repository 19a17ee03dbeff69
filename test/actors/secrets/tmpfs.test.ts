import { afterAll, describe, expect, test } from "bun:test"
import { execFile } from "node:child_process"
import { mkdtemp, readdir, readFile, rm, stat, statfs } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import process from "node:process"
import { promisify } from "node:util"
import { Effect } from "effect"
import { RefusingSecretStore, TmpfsSecretStore } from "#actors/drivers/secret-store/tmpfs.ts"
import { type MemoryFile, SecretStore, type SecretStoreService } from "#actors/drivers/secret-store.ts"

const run = promisify(execFile)
const made: string[] = []

async function freshRoot(): Promise<string> {
  const parent = await mkdtemp(join(tmpdir(), "troupe-secrets-"))
  made.push(parent)
  return join(parent, "tasks")
}

afterAll(async () => {
  for (const parent of made) {
    await run("umount", [join(parent, "tasks")]).catch(() => {})
    await rm(parent, { recursive: true, force: true })
  }
})

/** Each call is a life of its own: a fresh layer over the same root. */
const within = <A>(root: string, use: (store: SecretStoreService) => Effect.Effect<A, unknown>): Promise<A> =>
  Effect.runPromise(SecretStore.pipe(Effect.flatMap(use), Effect.provide(TmpfsSecretStore.layer({ root }))))

const aFile = (key: string, text: string, changes: Partial<MemoryFile> = {}): MemoryFile => ({
  key,
  data: new TextEncoder().encode(text),
  uid: 0,
  gid: 0,
  mode: 0o444,
  ...changes
})

const asRoot = process.getuid?.() === 0 ? test : test.skip

describe("task files", () => {
  asRoot("lie in memory, with the owner and mode they were given", async () => {
    const root = await freshRoot()
    const paths = await within(root, (store) =>
      store.keep("t1", [aFile("a", "alpha", { uid: 65534, gid: 7, mode: 0o400 }), aFile("b", "beta")])
    )
    const path = paths.a ?? ""
    expect(await readFile(path, "utf8")).toBe("alpha")
    const { uid, gid, mode } = await stat(path)
    expect([uid, gid, mode & 0o7777]).toEqual([65534, 7, 0o400])
    expect((await statfs(path)).type).toBe(0x01021994)
  })

  asRoot("outlive the process that wrote them, and go with their task", async () => {
    const root = await freshRoot()
    const paths = await within(root, (store) => store.keep("t1", [aFile("a", "alpha")]))
    const again = await within(root, (store) => store.keep("t1", [aFile("a", "alpha")]))
    expect(again).toEqual(paths)
    await within(root, (store) => store.forget("t1"))
    expect(await readdir(root)).toEqual([])
  })

  asRoot("of tasks that nobody has any more are swept, but none that this process keeps", async () => {
    const root = await freshRoot()
    await within(root, (store) =>
      Effect.all([store.keep("old", [aFile("a", "1")]), store.keep("wanted", [aFile("a", "2")])])
    )
    await within(root, (store) =>
      Effect.andThen(store.keep("new", [aFile("a", "3")]), store.sweep(["wanted"]))
    )
    expect((await readdir(root)).sort()).toEqual(["new", "wanted"])
  })

  asRoot("that are no longer asked for are deleted, and no draft stays behind", async () => {
    const root = await freshRoot()
    await within(root, (store) =>
      Effect.andThen(
        store.keep("t1", [aFile("a", "1"), aFile("b", "2")]),
        store.keep("t1", [aFile("b", "3")])
      )
    )
    expect(await readdir(join(root, "t1"))).toEqual(["b"])
    expect(await readFile(join(root, "t1", "b"), "utf8")).toBe("3")
  })

  asRoot("with keys that are no file names stay inside their directory", async () => {
    const root = await freshRoot()
    const paths = await within(root, (store) =>
      store.keep("t1", [aFile("../../escape", "x"), aFile("..", "y")])
    )
    for (const path of Object.values(paths)) expect(path.startsWith(`${join(root, "t1")}/`)).toBe(true)
    expect(await readdir(join(root, "t1"))).toHaveLength(2)
  })

  asRoot("of a task whose id is a path are refused", async () => {
    const root = await freshRoot()
    const refusal = within(root, (store) => store.keep("../t1", []))
    expect(refusal).rejects.toThrow("Cannot keep the files of task ../t1")
  })

  test("are refused with the reason where the executor is elsewhere", async () => {
    const outcome = Effect.runPromise(
      SecretStore.pipe(
        Effect.flatMap((store) => store.keep("t1", [aFile("a", "1")])),
        Effect.provide(RefusingSecretStore.layer("the Engine at tcp://h:2375 cannot see this node's memory"))
      )
    )
    expect(outcome).rejects.toThrow("the Engine at tcp://h:2375 cannot see this node's memory")
  })
})
