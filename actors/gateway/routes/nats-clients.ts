/**
 * `/nats-clients`: other systems that speak to the cluster over NATS. What lets one in is answered once, to whoever made
 * it. Not the Engine's API.
 */
import { Effect, Schema } from "effect"
import { issueClientCertificate } from "#actors/authority/client-certificate.ts"
import { peersOf, serverOf } from "#actors/authority/peers.ts"
import { readBody } from "#actors/gateway/body.ts"
import {
  type Call,
  current,
  type Gateway,
  type Handled,
  type Route,
  reading,
  write
} from "#actors/gateway/gateway.ts"
import { created, gone, ok, refusing } from "#actors/gateway/response.ts"
import { levelOf } from "#actors/ledger/features.ts"
import type { LedgerReader } from "#actors/ledger/reader.ts"
import type { Refused } from "#actors/model/errors.ts"
import type { Config } from "#actors/model/objects.ts"
import { toIso } from "#actors/model/time.ts"
import { clientConfigName, clientSpec, clientsIn, isClient, subjectPrefixOf } from "#actors/nats/clients.ts"
import { newClient } from "#actors/nats/creds.ts"

const NewClient = Schema.Struct({ Name: Schema.String, ReadOnly: Schema.optionalKey(Schema.Boolean) })

const findClient = (reader: LedgerReader, name: string): Effect.Effect<Config, Refused> => {
  const config = reader.byName("config", clientConfigName(name))
  return config !== undefined && isClient(config)
    ? Effect.succeed(config)
    : refusing("notFound", `no NATS client is called ${name}`)
}

/** What it shows to nats-servers that ask for certificates, and where they are. */
const accessOf = Effect.fnUntraced(function* (gateway: Gateway, reader: LedgerReader, name: string) {
  const cluster = reader.cluster()
  if (cluster?.Roots === undefined)
    return yield* refusing("unavailable", "The cluster has no certificate authority yet.")
  const issued = yield* issueClientCertificate(cluster.Roots, name, cluster.ID, gateway.clock()).pipe(
    Effect.catch(({ message }) => refusing("unknown", message))
  )
  return {
    Servers: peersOf(reader).map(serverOf),
    Root: issued.root,
    Certificate: issued.certificate,
    Key: issued.key
  }
})

const create = (gateway: Gateway, call: Call): Handled =>
  Effect.gen(function* () {
    const { Name: name, ReadOnly: readOnly = false } = yield* readBody(call.request, NewClient)
    const createdAt = toIso(gateway.clock())
    const { record, credentials } = yield* newClient({ name, readOnly, createdAt }).pipe(
      Effect.catch(({ message }) => refusing("invalidArgument", message))
    )
    const reader = yield* current(gateway)
    if (reader.byName("config", clientConfigName(name)) !== undefined)
      return yield* refusing(
        "alreadyExists",
        `NATS client name ${JSON.stringify(name)} is taken: remove that one first, or choose another`
      )
    const access = yield* accessOf(gateway, reader, name)
    const named = (reader.cluster()?.FeatureLevel ?? 0) >= levelOf["nats clients by name"]
    const client = { ...record, ...(named && { named }) }
    const config = { ID: gateway.fresh.id(), Spec: clientSpec(client) }
    yield* write(
      gateway,
      call,
      { type: "config.create", v: 1, config },
      (after) => after.get("config", config.ID) !== undefined
    )
    return created({
      Name: name,
      Seed: credentials.seed,
      SubjectPrefix: subjectPrefixOf(client),
      InboxPrefix: credentials.inboxPrefix,
      ...access
    })
  })

const certify = (gateway: Gateway, call: Call): Handled =>
  Effect.gen(function* () {
    const name = call.param("name")
    const reader = yield* current(gateway)
    yield* findClient(reader, name)
    return ok(yield* accessOf(gateway, reader, name))
  })

const remove = (gateway: Gateway, call: Call): Handled =>
  Effect.gen(function* () {
    const { ID: id } = yield* findClient(yield* current(gateway), call.param("name"))
    const command = { type: "config.remove", v: 1, id } as const
    yield* write(gateway, call, command, (after) => after.get("config", id) === undefined)
    return gone
  })

export const natsClientRoutes: ReadonlyArray<Route> = [
  {
    method: "GET",
    path: "/nats-clients",
    handle: reading((reader) =>
      ok(
        clientsIn(reader.all("config")).clients.map((client) => ({
          Name: client.name,
          ReadOnly: client.readOnly,
          SubjectPrefix: subjectPrefixOf(client),
          CreatedAt: client.createdAt
        }))
      )
    )
  },
  { method: "POST", path: "/nats-clients/create", handle: create },
  { method: "POST", path: "/nats-clients/:name/certificate", handle: certify },
  { method: "DELETE", path: "/nats-clients/:name", handle: remove }
]
