/** `troupe acme`: the account by which the cluster gets certificates for the hosts of its services. */
import { readFileSync } from "node:fs"
import { Console, Effect, Option, Schema } from "effect"
import { Command, Flag } from "effect/cli"
import { newAccount, usualDirectory } from "#actors/acme/new-account.ts"
import type { SecretSpec } from "#actors/model/spec.ts"
import {
  acmeAccountName,
  acmeEndsLabel,
  acmeHostLabel,
  acmeSuccessorName
} from "#actors/network/certificates.ts"
import { type Api, apiAt, get, socketFlag } from "#cli/client.ts"
import { jsonFlag, printJson } from "#cli/json-flag.ts"
import { table } from "#cli/print/table.ts"

class BadAccount extends Schema.TaggedError<BadAccount>()("BadAccount", { message: Schema.String }) {}
const refuse = (message: string) => new BadAccount({ message })

interface SecretView {
  readonly ID: string
  readonly Spec: { readonly Name: string; readonly Labels?: Readonly<Record<string, string>> }
}

const use = Command.make(
  "use",
  {
    directory: Flag.String("directory").pipe(
      Flag.withDescription("the server's directory [Let's Encrypt's]"),
      Flag.withDefault(usualDirectory)
    ),
    email: Flag.String("email").pipe(
      Flag.withDescription("where the server writes to about certificates"),
      Flag.optional
    ),
    root: Flag.String("ca-cert").pipe(
      Flag.withDescription("a file with the root certificate of a server that machines do not know"),
      Flag.optional
    ),
    agreed: Flag.Boolean("agree-tos").pipe(
      Flag.withDescription("you agree to the server's terms of service"),
      Flag.withDefault(false)
    ),
    socket: socketFlag
  },
  Effect.fn(function* ({ directory, email, root, agreed, socket }) {
    if (!agreed)
      return yield* refuse("--agree-tos: expected it, because the server wants its terms agreed to")
    if (!/^https:\/\/[^/]+/.test(directory))
      return yield* refuse(`--directory '${directory}': expected a URL that begins with https://`)
    if (Option.isSome(email) && !/^[^@\s]+@[^@\s]+$/.test(email.value))
      return yield* refuse(`--email '${email.value}': expected an address like ops@example.com`)
    const pem = yield* Effect.try({
      try: () => Option.getOrUndefined(Option.map(root, (path) => readFileSync(path, "utf8"))),
      catch: (error) => refuse(`--ca-cert: ${(error as Error).message}`)
    })
    if (pem !== undefined && !pem.includes("-----BEGIN CERTIFICATE-----"))
      return yield* refuse("--ca-cert: expected a certificate in PEM")
    const account = newAccount({
      directory,
      ...(Option.isSome(email) && { email: email.value }),
      ...(pem !== undefined && { root: pem })
    })
    yield* succeed(apiAt(socket), account)
    yield* Console.log(`certificates of hosts with the label troupe.http.tls=acme come from ${directory}`)
  })
).pipe(Command.withDescription("Make an account, in place of the one that there is"))

const off = Command.make(
  "off",
  { socket: socketFlag },
  Effect.fn(function* ({ socket }) {
    if (!(yield* dismiss(apiAt(socket)))) return yield* refuse("the cluster has no ACME account")
    yield* Console.log("the certificates that there are stay until they end, and are not renewed")
  })
).pipe(Command.withDescription("Forget the account"))

const list = Command.make(
  "ls",
  { json: jsonFlag, socket: socketFlag },
  Effect.fn(function* ({ json, socket }) {
    const secrets = yield* get<ReadonlyArray<SecretView>>(socket, "/secrets")
    const certificates = secrets.flatMap(({ Spec: { Name, Labels = {} } }) => {
      const Host = Labels[acmeHostLabel]
      return Host === undefined ? [] : [{ Host, Secret: Name, Ends: Labels[acmeEndsLabel] ?? "" }]
    })
    if (json) return yield* printJson(certificates)
    const rows = certificates.map(({ Host, Secret, Ends }) => [Host, Secret, Ends])
    yield* Console.log(table(["HOST", "SECRET", "ENDS"], rows))
  })
).pipe(Command.withDescription("List the certificates that came by ACME"))

const accountsOf = Effect.fnUntraced(function* (api: Api) {
  const secrets = yield* api.get<ReadonlyArray<SecretView>>("/secrets")
  const idOf = (name: string) => secrets.find(({ Spec }) => Spec.Name === name)?.ID
  return { known: idOf(acmeAccountName), successor: idOf(acmeSuccessorName) }
})

/**
 * Puts `account` in the place of the one that there is, if any. A name is one secret's: the new account is there by another
 * name before the old one goes, so that wherever this breaks off, one of the two is whole and in use.
 */
export const succeed = Effect.fnUntraced(function* (api: Api, account: SecretSpec) {
  const { known, successor } = yield* accountsOf(api)
  const create = (Name: string) => api.post<{ readonly ID: string }>("/secrets/create", { ...account, Name })
  let interim = successor
  if (known !== undefined) {
    if (successor !== undefined) yield* api.remove(`/secrets/${successor}`)
    interim = (yield* create(acmeSuccessorName)).ID
    yield* api.remove(`/secrets/${known}`)
  }
  yield* create(acmeAccountName)
  if (interim !== undefined) yield* api.remove(`/secrets/${interim}`)
})

/** Whether there was one. */
const dismiss = Effect.fnUntraced(function* (api: Api) {
  const { known, successor } = yield* accountsOf(api)
  // The other way round, the successor would take its place.
  for (const id of [successor, known]) if (id !== undefined) yield* api.remove(`/secrets/${id}`)
  return (known ?? successor) !== undefined
})

export const acme = Command.make("acme").pipe(
  Command.withDescription("Certificates by ACME for the hosts of services"),
  Command.withSubcommands([use, off, list])
)
