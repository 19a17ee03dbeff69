/**
 * Task files on tmpfs: a directory per task under one root, which is checked to be memory before anything is written.
 *
 * The directory outlives this process, so that a restarted daemon finds the files its containers still have mounted.
 */
import { execFile } from "node:child_process"
import { createHash, randomBytes } from "node:crypto"
import { constants } from "node:fs"
import { chmod, chown, mkdir, open, readdir, rename, rm, statfs } from "node:fs/promises"
import { join } from "node:path"
import process from "node:process"
import { promisify } from "node:util"
import { Effect, Layer, Semaphore } from "effect"
import { type MemoryFile, SecretStore, SecretStoreError } from "#actors/drivers/secret-store.ts"
import { isToken } from "#runtime/address.ts"
import { wordsOf } from "#runtime/words-of.ts"

/** What statfs(2) calls tmpfs. */
export const tmpfsMagic = 0x01021994
/** Secrets are at most 500 KiB each; this bounds what a node full of them may take of its memory. */
const mountOptions = "size=256m,mode=0711,nosuid,nodev,noexec"

export interface TmpfsOptions {
  /** An absolute path; made if missing. As root, a tmpfs is mounted there if it is not on one already. */
  readonly root: string
}

export const TmpfsSecretStore = {
  /** Building it touches nothing; the root is checked or made before files are written. */
  layer: ({ root }: TmpfsOptions): Layer.Layer<SecretStore> =>
    Layer.sync(SecretStore, () => {
      const alone = Semaphore.makeUnsafe(1)
      const kept = new Set<string>()
      const guarded = <A>(doing: string, work: () => Promise<A>) =>
        alone.withPermits(1)(
          Effect.tryPromise({ try: work, catch: (error) => failure(`Cannot ${doing}`, error) })
        )
      return SecretStore.of({
        keep: (taskId, files) =>
          guarded(`keep the files of task ${taskId}`, async () => {
            // Each time: whoever unmounts it while we run must not get secrets onto the disk below.
            await ensureMemory(root)
            kept.add(taskId)
            return await writeAll(directoryOf(root, taskId), files)
          }),
        forget: (taskId) =>
          guarded(`delete the files of task ${taskId}`, async () => {
            kept.delete(taskId)
            await rm(directoryOf(root, taskId), { recursive: true, force: true })
          }),
        sweep: (taskIds) =>
          guarded("delete the files of ended tasks", async () => {
            const wanted = new Set([...taskIds, ...kept])
            for (const name of await namesIn(root)) {
              if (!wanted.has(name)) await rm(join(root, name), { recursive: true, force: true })
            }
          })
      })
    })
}

/** Takes the root away with all that is in it, and the tmpfs that was mounted there; for a node that leaves. */
export const removeRoot = (root: string): Effect.Effect<void> =>
  Effect.promise(async () => {
    // Nothing mounted there is how it should be on a machine whose /run is in memory already.
    await promisify(execFile)("umount", [root]).catch(() => undefined)
    await rm(root, { recursive: true, force: true })
  })

/** For an executor that cannot see this machine's memory: every task with files is refused with `reason`. */
export const RefusingSecretStore = {
  layer: (reason: string): Layer.Layer<SecretStore> =>
    Layer.succeed(SecretStore, {
      keep: () => Effect.fail(new SecretStoreError({ message: reason })),
      forget: () => Effect.void,
      sweep: () => Effect.void
    })
}

async function isTmpfs(path: string): Promise<boolean> {
  return Number((await statfs(path)).type) === tmpfsMagic
}

/** Makes the root and makes sure that it is memory; refuses rather than write a secret to a disk. */
async function ensureMemory(root: string): Promise<void> {
  await mkdir(root, { recursive: true, mode: 0o711 })
  if (!(await isTmpfs(root))) {
    if (process.getuid?.() !== 0) {
      throw new Error(`${root} is not in memory: expected a tmpfs, and only root can mount one`)
    }
    await promisify(execFile)("mount", ["-t", "tmpfs", "-o", mountOptions, "troupe-secrets", root])
    if (!(await isTmpfs(root))) throw new Error(`${root} is not in memory although a tmpfs was mounted there`)
  }
  // Containers' users reach a file by name, but nobody lists what tasks there are.
  await chmod(root, 0o711)
}

function directoryOf(root: string, taskId: string): string {
  if (!isToken(taskId)) throw new Error(`task id ${JSON.stringify(taskId)}: expected letters and digits`)
  return join(root, taskId)
}

async function writeAll(
  directory: string,
  files: ReadonlyArray<MemoryFile>
): Promise<Readonly<Record<string, string>>> {
  await mkdir(directory, { recursive: true, mode: 0o711 })
  await chmod(directory, 0o711)
  const paths: Record<string, string> = {}
  for (const file of files) {
    const path = join(directory, fileName(file.key))
    await writeFile(path, file)
    paths[file.key] = path
  }
  const wanted = new Set(files.map(({ key }) => fileName(key)))
  for (const name of await readdir(directory)) {
    if (!wanted.has(name)) await rm(join(directory, name), { force: true })
  }
  return paths
}

/** Whole or not at all: under another name first, with its owner and mode before its content is there to read. */
async function writeFile(path: string, { data, uid, gid, mode }: MemoryFile): Promise<void> {
  const draft = `${path}.${randomBytes(6).toString("hex")}.draft`
  try {
    const handle = await open(draft, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600)
    try {
      await handle.writeFile(data)
    } finally {
      await handle.close()
    }
    if (process.getuid?.() === 0) await chown(draft, uid, gid)
    else if (uid !== 0 || gid !== 0) {
      throw new Error(`owner ${uid}:${gid} needs a node that runs as root`)
    }
    await chmod(draft, mode & 0o7777)
    await rename(draft, path)
  } catch (error) {
    await rm(draft, { force: true })
    throw error
  }
}

/** The key itself where it is a plain file name, else a digest of it. */
const fileName = (key: string): string =>
  /^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,199}$/.test(key) && !key.endsWith(".draft")
    ? key
    : `=${createHash("sha256").update(key).digest("hex")}`

async function namesIn(root: string): Promise<ReadonlyArray<string>> {
  try {
    return await readdir(root)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return []
    throw error
  }
}

const failure = (doing: string, error: unknown): SecretStoreError =>
  new SecretStoreError({ message: `${doing}: ${wordsOf(error)}` })
