/**
 * The daemon's side of haproxy: finds the one that runs already or starts one, and leaves it running when the daemon
 * stops or is killed. What it leads where is read from it, compared and changed over its command socket.
 */
import { Buffer } from "node:buffer"
import { closeSync, mkdirSync, openSync, rmSync } from "node:fs"
import net from "node:net"
import { join } from "node:path"
import process from "node:process"
import { Effect, Layer, Schema } from "effect"
import {
  certificatesOf,
  exchange,
  noCertificates,
  parseCertificates,
  unshown
} from "#actors/drivers/entrance/certificates.ts"
import {
  askedTable,
  configOf,
  type EntrancePlaces,
  holdScript,
  tookTable
} from "#actors/drivers/entrance/config.ts"
import { parseCounts, parseWaiting } from "#actors/drivers/entrance/counts.ts"
import {
  type Actual,
  missingOf,
  parseMap,
  parseServers,
  reconcile,
  wantedOf
} from "#actors/drivers/entrance/reconcile.ts"
import { Entrance, type EntranceService } from "#actors/drivers/entrance.ts"
import { privateDirectory, readIfThere, writePrivate } from "#actors/drivers/machine/files.ts"
import { readIdentity } from "#actors/drivers/machine/identity-file.ts"
import { identityOf, isAlive, type ProcessIdentity } from "#actors/drivers/machine/process-identity.ts"
import { stopProcess } from "#actors/drivers/machine/stop-process.ts"
import type { OverlayTable } from "#actors/network/table.ts"
import type { AssignedFile } from "#actors/node/protocol.ts"
import { spawn } from "#runtime/platform.ts"
import { wordsOf } from "#runtime/words-of.ts"

export interface EntranceOptions {
  /** Its configuration, log and identity lie in `<dataDir>/entrance/`. */
  readonly dataDir: string
  /** Its command socket is `<runDir>/entrance.sock`. */
  readonly runDir: string
  /** Where it listens, at all addresses of the machine. */
  readonly ports: ReadonlyArray<number>
  /** Where it listens for TLS. */
  readonly tlsPorts: ReadonlyArray<number>
}

export class EntranceError extends Schema.TaggedError<EntranceError>()("EntranceError", {
  message: Schema.String
}) {
  static of(reason: string): EntranceError {
    return new EntranceError({ message: `The HTTP entrance (--http-entrance) fails: ${reason}` })
  }
}

const startWithinMs = 10_000
const answerWithinMs = 5_000
const lookEveryMs = 20
/** haproxy takes a line of 16 KiB. */
const commandsAtOnce = 64

export const layer = (options: EntranceOptions): Layer.Layer<never, EntranceError> =>
  Layer.effect(Entrance, startEntrance(options))

/** The entrance of this node. Its process outlives the daemon; `stopEntrance` ends it. Fails where it cannot listen. */
export const startEntrance = Effect.fn("entrance.start")(function* (
  options: EntranceOptions
): Effect.fn.Return<EntranceService, EntranceError> {
  yield* obtain(options)
  const places = placesOf(options)
  return {
    serve: (tables, certificates) =>
      serve(options, tables, certificates).pipe(Effect.catch(({ message }) => Effect.succeed([message]))),
    count: count(places).pipe(Effect.catch(() => Effect.succeed(undefined))),
    waiting: waiting(places).pipe(Effect.catch(() => Effect.succeed(new Set<string>())))
  }
})

/** Ends haproxy and with it every connection it carries; for leaving the cluster. */
export const stopEntrance = (options: Pick<EntranceOptions, "dataDir" | "runDir">): Effect.Effect<void> =>
  Effect.suspend(() => {
    const places = placesOf(options)
    return Effect.flatMap(formerOf(places), (identity) =>
      identity === undefined ? Effect.void : stopProcess(identity)
    )
  })

const serve = Effect.fnUntraced(function* (
  options: EntranceOptions,
  tables: ReadonlyArray<OverlayTable>,
  secrets: ReadonlyArray<AssignedFile>
) {
  const places = placesOf(options)
  yield* obtain(options)
  const plan = reconcile(wantedOf(tables), yield* read(places), places)
  const isTls = options.tlsPorts.length > 0
  const certificates = isTls ? certificatesOf(tables, secrets) : { shown: [], problems: [] }
  const { coming, leaving } = exchange(
    certificates.shown,
    isTls ? yield* readCertificates(places) : noCertificates,
    places.certificates
  )
  const problems = [...plan.problems, ...certificates.problems]
  const commands = [...coming, ...plan.commands, ...leaving]
  if (commands.length === 0) return problems
  for (const line of linesOf(commands)) yield* tell(places, line)
  problems.push(...missingOf(plan.led, yield* read(places)))
  if (coming.length > 0) problems.push(...unshown(certificates.shown, yield* readCertificates(places)))
  return problems
})

/** Commands as they are sent, several at once; one that more lines belong to is sent alone. */
function linesOf(commands: ReadonlyArray<string>): ReadonlyArray<string> {
  const lines: Array<Array<string>> = []
  for (const command of commands) {
    const last = lines.at(-1)
    const isApart = command.includes("\n") || last?.[0]?.includes("\n") === true
    if (last === undefined || isApart || last.length === commandsAtOnce) lines.push([command])
    else last.push(command)
  }
  return lines.map((line) => line.join(";"))
}

const count = Effect.fnUntraced(function* (places: EntrancePlaces) {
  const [owners, asked, took, servers] = yield* Effect.all([
    tell(places, `show map ${places.owners}`),
    tell(places, `show table ${askedTable}`),
    tell(places, `show table ${tookTable}`),
    tell(places, "show stat -1 4 -1")
  ])
  return parseCounts({ owners, asked, took, servers })
})

const waiting = Effect.fnUntraced(function* (places: EntrancePlaces) {
  const [owners, held] = yield* Effect.all([
    tell(places, `show map ${places.owners}`),
    tell(places, `show map ${places.waiting}`)
  ])
  return parseWaiting(owners, held)
})

const read = Effect.fnUntraced(function* (places: EntrancePlaces): Effect.fn.Return<Actual, EntranceError> {
  const [routes, owners, awaiting, redirects, thumbprints, servers] = yield* Effect.all([
    tell(places, `show map ${places.routes}`),
    tell(places, `show map ${places.owners}`),
    tell(places, `show map ${places.awaiting}`),
    tell(places, `show map ${places.redirects}`),
    tell(places, `show map ${places.thumbprints}`),
    tell(places, "show servers state")
  ])
  return {
    routes: parseMap(routes),
    owners: parseMap(owners),
    awaiting: new Set(parseMap(awaiting).keys()),
    redirects: new Set(parseMap(redirects).keys()),
    thumbprints: parseMap(thumbprints),
    servers: parseServers(servers)
  }
})

const readCertificates = Effect.fnUntraced(function* (places: EntrancePlaces) {
  const files = yield* tell(places, "show ssl cert")
  return parseCertificates(files, yield* tell(places, `show ssl crt-list ${places.certificates}`))
})

/** The one that runs already, if it was started with the same configuration; else a new one. */
const obtain = Effect.fnUntraced(function* (options: EntranceOptions): Effect.fn.Return<void, EntranceError> {
  const places = placesOf(options)
  const user = process.getuid?.() === 0 ? "haproxy" : undefined
  const config = configOf({ plain: options.ports, tls: options.tlsPorts }, places, user)
  const left = yield* formerOf(places)
  if (left !== undefined && isAlive(left)) {
    if (readIfThere(places.config) === config) return
    yield* stopProcess(left)
  }
  yield* Effect.try({
    try: () => {
      privateDirectory(places.root)
      mkdirSync(options.runDir, { recursive: true })
      rmSync(places.socket, { force: true })
      writePrivate(places.config, config)
      writePrivate(places.script, holdScript(places))
      const { routes, owners, awaiting, waiting, redirects, thumbprints, certificates } = places
      for (const empty of [routes, owners, awaiting, waiting, redirects, thumbprints, certificates])
        writePrivate(empty, "")
    },
    catch: (error) => EntranceError.of(String(error))
  })
  const problem = yield* Effect.promise(() => launch(places))
  if (problem !== undefined) return yield* EntranceError.of(problem)
})

/** The haproxy of before; of one whose data directory is lost its socket tells, which is elsewhere. */
const formerOf = (places: Places): Effect.Effect<ProcessIdentity | undefined> =>
  Effect.promise(async () => {
    const known = readIdentity(places.process)
    if (known !== undefined) return known
    const info = await say(places.socket, "show info").catch(() => "")
    return identityOf(Number(/^Pid: (\d+)$/m.exec(info)?.[1] ?? 0))
  })

/** Yields why it does not run, once it is known that it does or does not. */
async function launch(places: Places): Promise<string | undefined> {
  const log = openSync(places.log, "w", 0o600)
  // Not the daemon's child in any way that matters: a Ctrl-C at its terminal is not meant for the traffic.
  const child = spawn("haproxy", ["-db", "-f", places.config], {
    cwd: "/",
    detached: true,
    stdio: ["ignore", log, log],
    env: { PATH: `${process.env.PATH ?? ""}:/usr/local/sbin:/usr/sbin:/sbin` }
  })
  closeSync(log)
  child.unref()
  let ended: string | undefined
  child.once("error", (error) => {
    const isMissing = (error as NodeJS.ErrnoException).code === "ENOENT"
    ended = isMissing
      ? "haproxy is not installed; install it (Debian package haproxy) or start the node without --http-entrance"
      : error.message
  })
  child.once("exit", (code, signal) => {
    ended ??= `haproxy ended with ${code ?? signal}: ${(readIfThere(places.log) ?? "")
      .trim()
      .split("\n")
      .filter((line) => !line.startsWith("[NOTICE]"))
      .slice(-3)
      .join(" ")}`
  })
  for (let waited = 0; waited < startWithinMs; waited += lookEveryMs) {
    await new Promise((resolve) => setTimeout(resolve, lookEveryMs))
    if (ended !== undefined) return ended
    if ((await say(places.socket, "show version").catch(() => "")) === "") continue
    writePrivate(places.process, JSON.stringify(identityOf(child.pid ?? 0)))
    return undefined
  }
  child.kill("SIGKILL")
  return `haproxy did not open ${places.socket} within ${startWithinMs} ms`
}

const tell = (places: EntrancePlaces, command: string): Effect.Effect<string, EntranceError> =>
  Effect.tryPromise({
    try: () => say(places.socket, command),
    catch: (error) => EntranceError.of(wordsOf(error))
  })

/** One line, and all that is answered to it. */
function say(path: string, command: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ path })
    const parts: Array<Buffer> = []
    const deadline = setTimeout(
      () => socket.destroy(new Error(`haproxy did not answer within ${answerWithinMs} ms`)),
      answerWithinMs
    )
    socket.on("connect", () => socket.write(`${command}\n`))
    socket.on("data", (part) => parts.push(Buffer.from(part)))
    socket.on("error", reject)
    socket.on("close", () => {
      clearTimeout(deadline)
      resolve(Buffer.concat(parts).toString("utf8"))
    })
  })
}

interface Places extends EntrancePlaces {
  readonly root: string
  readonly config: string
  readonly log: string
  readonly process: string
}

function placesOf({ dataDir, runDir }: Pick<EntranceOptions, "dataDir" | "runDir">): Places {
  const root = join(dataDir, "entrance")
  return {
    root,
    config: join(root, "haproxy.cfg"),
    routes: join(root, "routes.map"),
    owners: join(root, "owners.map"),
    awaiting: join(root, "awaiting.map"),
    waiting: join(root, "waiting.map"),
    script: join(root, "hold.lua"),
    redirects: join(root, "redirects.map"),
    thumbprints: join(root, "thumbprints.map"),
    certificates: join(root, "certificates.list"),
    log: join(root, "haproxy.log"),
    process: join(root, "process.json"),
    socket: join(runDir, "entrance.sock")
  }
}
