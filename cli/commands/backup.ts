/** `troupe backup` and `troupe restore`: the whole cluster in one sealed file, and a cluster from it. */
import { createWriteStream, existsSync, linkSync, rmSync, statSync } from "node:fs"
import http from "node:http"
import { dirname, resolve } from "node:path"
import process from "node:process"
import { pipeline } from "node:stream/promises"
import { Console, Effect } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { syncFolder } from "#actors/drivers/machine/files.ts"
import { encodeConfiguration, nobody } from "#actors/raft/core/configuration.ts"
import { firstIncarnation, later, showIncarnation } from "#actors/raft/incarnation.ts"
import type { DiskError } from "#actors/raft/storage/vfs.ts"
import { nodeVfs } from "#actors/raft/storage/vfs-node.ts"
import { type Backup, readBackup, showCounts } from "#actors/recovery/backup.ts"
import { cannot, type RecoveryError } from "#actors/recovery/errors.ts"
import { beginAfresh, mustBeFresh } from "#cli/begin-anew.ts"
import { refusedWith, socketFlag } from "#cli/client.ts"
import { passphraseFlag, passphraseOf } from "#cli/passphrase.ts"
import { dataDirFlag } from "#cli/running.ts"

/** A backup that was read to its end; it is read once more through the same open file. */
const openBackup = Effect.fnUntraced(function* (path: string, passphrase: string) {
  const file = yield* Effect.acquireRelease(
    Effect.try({
      try: () => nodeVfs.open(path, "read"),
      catch: (error) => cannot((error as DiskError).message)
    }),
    (opened) => Effect.sync(opened.close)
  )
  return yield* Effect.tryPromise({
    try: () => readBackup(file.read, passphrase),
    catch: (error) => cannot(`Cannot use ${path}: ${(error as Error).message}`)
  })
})

const show = ({ manifest, state }: Backup): string => {
  const { clusterId, incarnation, index, digest, createdAt, version, nodeId } = manifest
  return [
    `cluster ${clusterId}, incarnation ${showIncarnation(incarnation)}`,
    `taken ${createdAt} by node ${nodeId}, Troupe ${version}`,
    `state as of entry ${index}, digest ${digest}`,
    showCounts(state),
    `managers: ${state.managers.map(({ name }) => name).join(", ")}`
  ].join("\n")
}

/** Takes a backup from the node behind `socket` into a new file at `path`, on disk when it completes. */
const fetchInto = (socket: string, path: string, body: string): Effect.Effect<void, RecoveryError> =>
  Effect.tryPromise({
    try: (abort) =>
      new Promise<void>((done, failed) => {
        const request = http.request(
          {
            socketPath: socket,
            path: "/raft/backup",
            method: "POST",
            signal: abort,
            headers: { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(body) }
          },
          (response) => {
            if (response.statusCode === 200) {
              // Durable before anyone is told that there is a backup.
              pipeline(response, createWriteStream(path, { flags: "wx", mode: 0o600, flush: true })).then(
                done,
                failed
              )
              return
            }
            let text = ""
            response.setEncoding("utf8")
            response.on("data", (part) => {
              text += part
            })
            response.on("end", () => failed(refusedWith(response.statusCode, text)))
          }
        )
        request.on("error", (error: NodeJS.ErrnoException) =>
          failed(error.code === "ENOENT" ? new Error(`no Troupe node answers at ${socket}`) : error)
        )
        request.end(body)
      }),
    catch: (error) => cannot(`Cannot take a backup: ${(error as Error).message}`)
  })

export const backup = Command.make(
  "backup",
  {
    socket: socketFlag,
    out: Flag.String("out").pipe(Flag.withDescription("the file to write; it must not be there yet")),
    passphraseFile: passphraseFlag,
    local: Flag.Boolean("local").pipe(
      Flag.withDescription("what this manager alone has, also where nobody leads"),
      Flag.withDefault(false)
    )
  },
  Effect.fn(function* ({ socket, out, passphraseFile, local }) {
    const path = resolve(out)
    const taken = cannot(`${path} is there already: a backup replaces nothing, choose another name`)
    if (existsSync(path)) return yield* taken
    const passphrase = yield* passphraseOf(passphraseFile, true)
    const draft = `${path}.${process.pid}.partial`
    yield* Effect.addFinalizer(() => Effect.sync(() => rmSync(draft, { force: true })))
    yield* fetchInto(socket, draft, JSON.stringify({ Passphrase: passphrase, Local: local }))
    const made = yield* openBackup(draft, passphrase)
    yield* Effect.try({
      try: () => {
        // Unlike a rename, it replaces nothing.
        linkSync(draft, path)
        syncFolder(dirname(path))
      },
      catch: (error) =>
        (error as NodeJS.ErrnoException).code === "EEXIST"
          ? taken
          : cannot(`Cannot write ${path}: ${(error as Error).message}`)
    })
    yield* Console.log(show(made))
    yield* Console.log(
      `${path}: ${statSync(path).size} bytes, read back and whole. It opens with the passphrase only.`
    )
  }, Effect.scoped)
).pipe(
  Command.withDescription(
    "Write the whole cluster as of one entry into a sealed file: services, secrets, certificate authority; from any manager, while it runs"
  )
)

export const restore = Command.make(
  "restore",
  {
    file: Argument.String("file").pipe(Argument.withDescription("what troupe backup wrote")),
    dataDir: dataDirFlag,
    passphraseFile: passphraseFlag,
    preview: Flag.Boolean("preview").pipe(
      Flag.withDescription("say what is inside, and change nothing"),
      Flag.withDefault(false)
    )
  },
  Effect.fn(function* ({ file, dataDir: given, passphraseFile, preview }) {
    const dataDir = resolve(given)
    if (!preview) yield* mustBeFresh(dataDir)
    const found = yield* openBackup(resolve(file), yield* passphraseOf(passphraseFile, false))
    yield* Console.log(show(found))
    if (preview) return
    const { manifest, state, snapshot } = found
    const { Roots: roots, Incarnation: its = firstIncarnation } = state.cluster
    if (roots === undefined) return yield* cannot("It holds no certificate authority")
    const { index, term, clusterId } = manifest
    const { incarnation, nodeId } = yield* beginAfresh(
      dataDir,
      {
        clusterId,
        roots,
        incarnation: later(manifest.incarnation, its),
        contents: {
          term: term + 1,
          committed: index,
          lastIndex: index,
          entries: [],
          // Who is in the group stands in the entry that follows.
          snapshot: { meta: { index, term, config: encodeConfiguration(nobody) }, chunks: snapshot() }
        }
      },
      Date.now()
    )
    yield* Console.log(
      `Restored into ${dataDir} as incarnation ${showIncarnation(incarnation)}, whose only manager is the new node ${nodeId}.\n` +
        `Start it: troupe node --role manager --data-dir ${dataDir}\n` +
        "Managers of before are left behind: they leave with docker swarm leave --force and join again. Workers follow by themselves where they find this manager at an address that they know; others join again."
    )
  }, Effect.scoped)
).pipe(Command.withDescription("Begin a cluster anew from a backup, in a fresh data directory"))
