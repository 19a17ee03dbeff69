/** `troupe nats-creds`: lets other systems in to the NATS API, and shuts them out again. */
import { existsSync, mkdirSync, readdirSync, rmdirSync } from "node:fs"
import { join } from "node:path"
import { Console, Effect, Option, Schedule } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { connect, nkeyAuthenticator } from "nats"
import { writePrivate } from "#actors/drivers/machine/files.ts"
import { natsPaths } from "#actors/drivers/nats-server/paths.ts"
import { subjectPrefixOf } from "#actors/nats/clients.ts"
import { listClients, NatsCredsError, removeClient } from "#actors/nats/creds.ts"
import { apiAt } from "#cli/client.ts"
import { duration } from "#cli/print/ago.ts"
import { table } from "#cli/print/table.ts"
import { findRunning, nodeDataDirFlag, ofSomeNode, type Running } from "#cli/running.ts"

interface Access {
  readonly Servers: ReadonlyArray<string>
  readonly Root: string
  readonly Certificate: string
  readonly Key: string
}
interface Made extends Access {
  readonly Seed: string
  readonly SubjectPrefix: string
  readonly InboxPrefix: string
}

const name = Argument.String("name").pipe(Argument.withDescription("what the other system is called"))
const outFlag = Flag.String("out").pipe(
  Flag.withDescription(
    "the directory for what nodes ask for by TLS: certificate, its key, the authority [NAME-nats]"
  ),
  Flag.optional
)

const refuse = (message: string) => new NatsCredsError({ message })

/** A manager that runs and has a nats-server of its own. */
const managerAt = Effect.fnUntraced(function* (dataDir: string) {
  yield* ofSomeNode(dataDir)
  const running = yield* findRunning(dataDir)
  if (!existsSync(natsPaths(dataDir).state))
    return yield* refuse(
      `--data-dir ${dataDir}: expected a manager's that runs without --nats; where --nats names another NATS, it has its own users`
    )
  return running
})

const filesIn = (directory: string) => ({
  certificate: join(directory, "cert.pem"),
  key: join(directory, "key.pem"),
  authority: join(directory, "ca.pem")
})

const trying = <A>(what: string, run: () => A) =>
  Effect.try({ try: run, catch: (error) => refuse(`${what}: ${(error as Error).message}`) })

/** Before anything is made that would have nowhere to go. Whether the directory is new. */
const prepare = (directory: string) =>
  trying(`--out '${directory}'`, () => {
    const isNew = mkdirSync(directory, { recursive: true, mode: 0o700 }) !== undefined
    return { isNew, found: readdirSync(directory) }
  }).pipe(
    Effect.flatMap(({ isNew, found }) =>
      found.length === 0
        ? Effect.succeed(isNew)
        : refuse(`--out '${directory}': expected a directory with nothing in it`)
    )
  )

const writeFiles = (directory: string, { Root, Certificate, Key }: Access) => {
  const files = filesIn(directory)
  return trying(`--out '${directory}'`, () => {
    writePrivate(files.authority, Root)
    writePrivate(files.certificate, Certificate)
    writePrivate(files.key, Key)
    return [
      ["certificate", files.certificate],
      ["its key", files.key],
      ["authority", files.authority]
    ]
  })
}

/** Where the other system finds the cluster. Without TLS servers are on this machine alone. */
const serversOf = ({ nats, natsTls }: Running, { Servers }: Access): ReadonlyArray<string> =>
  natsTls ? Servers : [...new Set([nats, ...Servers.filter((each) => each.startsWith("nats://127.0.0.1:"))])]

/** Its server has taken the client up: what is printed is good at once. */
const letIn = ({ nats, natsTls }: Running, { Seed, InboxPrefix, Root, Certificate, Key }: Made) =>
  Effect.tryPromise(async () => {
    const connection = await connect({
      servers: nats,
      authenticator: nkeyAuthenticator(new TextEncoder().encode(Seed)),
      inboxPrefix: InboxPrefix,
      ...(natsTls && { tls: { ca: Root, cert: Certificate, key: Key } }),
      reconnect: false,
      timeout: 2_000
    })
    await connection.close()
  }).pipe(
    Effect.retry({ schedule: Schedule.spaced("100 millis"), times: 50 }),
    Effect.catch(() => Console.error("This node's nats-server has not let it in yet: see its log."))
  )

const show = (rows: ReadonlyArray<ReadonlyArray<string>>): string =>
  rows.map(([what = "", value = ""]) => `${what.padEnd(16)}${value}`).join("\n")

const create = Command.make(
  "create",
  {
    dataDir: nodeDataDirFlag,
    name,
    readOnly: Flag.Boolean("read-only").pipe(
      Flag.withDescription("may list and inspect, and hear events"),
      Flag.withDefault(false)
    ),
    out: outFlag
  },
  Effect.fn(function* ({ dataDir, name: client, readOnly, out }) {
    const running = yield* managerAt(dataDir)
    const { local } = yield* listClients(dataDir)
    if (local.some((each) => each.name === client))
      return yield* refuse(
        `NATS client name ${JSON.stringify(client)} is taken, on this node alone: remove that one first`
      )
    const isAsked = running.natsTls === true || Option.isSome(out)
    const directory = Option.getOrElse(out, () => `${client}-nats`)
    const isNew = isAsked && /^[\w-]+$/.test(client) ? yield* prepare(directory) : false
    const made = yield* apiAt(running.socket)
      .post<Made>("/nats-clients/create", { Name: client, ReadOnly: readOnly })
      .pipe(Effect.tapError(() => Effect.sync(() => isNew && rmdirSync(directory))))
    yield* letIn(running, made)
    const files = isAsked ? yield* writeFiles(directory, made) : []
    yield* Console.log(
      show([
        ["nkey seed", made.Seed],
        ["subject prefix", made.SubjectPrefix],
        ["inbox prefix", made.InboxPrefix],
        ["servers", serversOf(running, made).join(",")],
        ...files
      ])
    )
    yield* Console.error("This is the only copy of the seed. Every manager takes the client up by itself.")
  })
).pipe(Command.withDescription("Make credentials for another system"))

const renew = Command.make(
  "renew",
  { dataDir: nodeDataDirFlag, name, out: outFlag },
  Effect.fn(function* ({ dataDir, name: client, out }) {
    const running = yield* managerAt(dataDir)
    const path = `/nats-clients/${encodeURIComponent(client)}/certificate`
    const access = yield* apiAt(running.socket).post<Access>(path, {})
    const directory = Option.getOrElse(out, () => `${client}-nats`)
    yield* trying(`--out '${directory}'`, () => mkdirSync(directory, { recursive: true, mode: 0o700 }))
    const files = yield* writeFiles(directory, access)
    yield* Console.log(show([["servers", serversOf(running, access).join(",")], ...files]))
  })
).pipe(
  Command.withDescription("Give it another certificate, as after docker swarm ca --rotate; its seed stays")
)

const list = Command.make(
  "ls",
  { dataDir: nodeDataDirFlag },
  Effect.fn(function* ({ dataDir }) {
    const { clients, local } = yield* listClients(dataDir)
    const rows = clients.map((client) => [
      client.name,
      client.readOnly ? "read-only" : "read and write",
      local.includes(client) ? "this manager" : "every manager",
      subjectPrefixOf(client),
      `${duration(Date.now() - Date.parse(client.createdAt))} ago`
    ])
    yield* Console.log(table(["NAME", "RIGHTS", "AT", "SUBJECT PREFIX", "CREATED"], rows))
  })
).pipe(Command.withDescription("List other systems that may connect"), Command.withAlias("list"))

const remove = Command.make(
  "rm",
  { dataDir: nodeDataDirFlag, name },
  Effect.fn(function* ({ dataDir, name: client }) {
    // Earlier releases made them for one node.
    const wasLocal = yield* removeClient(dataDir, client)
    const { socket } = yield* findRunning(dataDir)
    yield* apiAt(socket)
      .remove(`/nats-clients/${encodeURIComponent(client)}`)
      .pipe(
        Effect.catchIf(
          ({ status }) => wasLocal && status === 404,
          () => Effect.void
        )
      )
    yield* Console.log(client)
  })
).pipe(Command.withDescription("Shut another system out"), Command.withAlias("remove"))

export const natsCreds = Command.make("nats-creds").pipe(
  Command.withDescription("Credentials of other systems for the NATS API"),
  Command.withSubcommands([create, list, renew, remove])
)
