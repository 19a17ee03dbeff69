/** `troupe http-token`: tokens for the HTTP door beside the node's own, each with a name and a role. */
import { Console, Effect } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import { roles } from "#actors/gateway/access/role.ts"
import { createToken, readTokens, removeToken } from "#actors/gateway/access/tokens.ts"
import { table } from "#cli/print/table.ts"
import { nodeDataDirFlag, ofSomeNode } from "#cli/running.ts"

const name = Argument.String("name").pipe(Argument.withDescription("whose token it is; the log says it"))
const role = Flag.Literals("role", roles).pipe(
  Flag.withDescription("viewer: look; operator: services, stacks, shells in containers; admin: everything"),
  Flag.withDefault("viewer" as const)
)

const trying = <A>(what: () => A) => Effect.try({ try: what, catch: (cause) => cause as Error })

const create = Command.make(
  "create",
  { name, role, dataDir: nodeDataDirFlag },
  Effect.fn(function* ({ name: who, role: as, dataDir }) {
    yield* ofSomeNode(dataDir)
    yield* Console.log(yield* trying(() => createToken(dataDir, who, as)))
  })
).pipe(Command.withDescription("Make a token and print it, this once"))

const list = Command.make(
  "list",
  { dataDir: nodeDataDirFlag },
  Effect.fn(function* ({ dataDir }) {
    const rows = (yield* trying(() => readTokens(dataDir))).map(({ name: who, role: as }) => [who, as])
    yield* Console.log(table(["NAME", "ROLE"], rows))
  })
).pipe(Command.withDescription("Whose tokens there are"), Command.withAlias("ls"))

const remove = Command.make(
  "remove",
  { name, dataDir: nodeDataDirFlag },
  Effect.fn(function* ({ name: who, dataDir }) {
    const isGone = yield* trying(() => removeToken(dataDir, who))
    if (!isGone) return yield* Effect.fail(new Error(`no token is called ${who}`))
  })
).pipe(Command.withDescription("Take a token back, and the sessions that it opened"), Command.withAlias("rm"))

export const httpToken = Command.make("http-token").pipe(
  Command.withDescription("Tokens for this node's HTTP address, by role"),
  Command.withSubcommands([create, list, remove])
)
