/** `troupe nats-creds`: lets other systems in to the NATS API, and shuts them out again. */
import { Console, Effect } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { createClient, listClients, NatsCredsError, removeClient } from "#actors/nats/creds.ts"
import { duration } from "#cli/print/ago.ts"
import { table } from "#cli/print/table.ts"
import { nodeDataDirFlag, ofSomeNode } from "#cli/running.ts"

const name = Argument.String("name").pipe(Argument.withDescription("what the other system is called"))

const create = Command.make(
  "create",
  {
    dataDir: nodeDataDirFlag,
    name,
    readOnly: Flag.Boolean("read-only").pipe(
      Flag.withDescription("may list and inspect, and hear events"),
      Flag.withDefault(false)
    )
  },
  Effect.fn(function* ({ dataDir, name: client, readOnly }) {
    yield* ofSomeNode(dataDir)
    const made = yield* createClient({ dataDir, name: client, readOnly, createdAt: new Date().toISOString() })
    yield* Console.log(`nkey seed      ${made.seed}\ninbox prefix   ${made.inboxPrefix}`)
    yield* Console.error("This is the only copy of the seed. A running node takes the client up by itself.")
  })
).pipe(Command.withDescription("Make credentials for another system"))

const list = Command.make(
  "ls",
  { dataDir: nodeDataDirFlag },
  Effect.fn(function* ({ dataDir }) {
    const { clients } = yield* listClients(dataDir)
    const rows = clients.map((client) => [
      client.name,
      client.readOnly ? "read-only" : "read and write",
      `${duration(Date.now() - Date.parse(client.createdAt))} ago`
    ])
    yield* Console.log(table(["NAME", "RIGHTS", "CREATED"], rows))
  })
).pipe(Command.withDescription("List other systems that may connect"), Command.withAlias("list"))

const remove = Command.make(
  "rm",
  { dataDir: nodeDataDirFlag, name },
  Effect.fn(function* ({ dataDir, name: client }) {
    const existed = yield* removeClient(dataDir, client)
    if (!existed) return yield* new NatsCredsError({ message: `No NATS client is called '${client}'` })
    yield* Console.log(client)
  })
).pipe(Command.withDescription("Shut another system out"), Command.withAlias("remove"))

export const natsCreds = Command.make("nats-creds").pipe(
  Command.withDescription("Credentials of other systems for the NATS API"),
  Command.withSubcommands([create, list, remove])
)
