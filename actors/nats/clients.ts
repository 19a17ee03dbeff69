/**
 * Other systems that may speak to any manager, as the cluster keeps them: each is a config, so that every manager knows
 * them, whoever joins learns of them, and who let them in stands in the log.
 */
import { Buffer } from "node:buffer"
import { Schema } from "effect"
import { apiSubject, apiSubjectOf } from "#actors/api/subjects.ts"
import type { Config } from "#actors/model/objects.ts"
import type { ConfigSpec } from "#actors/model/spec.ts"
import { ClientRecord, checkClient } from "#actors/nats/creds.ts"
import { wordsOf } from "#runtime/words-of.ts"

/** Its value is the client's name. */
export const clientLabel = "troupe.nats.client"

export const clientConfigName = (name: string): string => `troupe-nats-${name}`

export const isClient = ({ Spec }: Pick<Config, "Spec">): boolean => Spec.Labels?.[clientLabel] !== undefined

export const clientSpec = (record: ClientRecord): ConfigSpec => ({
  Name: clientConfigName(record.name),
  Labels: { [clientLabel]: record.name },
  Data: Buffer.from(JSON.stringify(record)).toString("base64")
})

/** What a client puts before a resource and a verb. */
export const subjectPrefixOf = ({ name, named }: ClientRecord): string =>
  named ? apiSubjectOf(name) : apiSubject

const decode = Schema.decodeUnknownSync(Schema.fromJsonString(ClientRecord))

/** By name. A config that anybody wrote by hand may be wrong: then it lets nobody in, and `problems` say why. */
export function clientsIn(configs: Iterable<Config>): {
  readonly clients: ReadonlyArray<ClientRecord>
  readonly problems: ReadonlyArray<string>
} {
  const clients: Array<ClientRecord> = []
  const problems: Array<string> = []
  for (const config of [...configs].filter(isClient).sort(byName)) {
    const { Name = "", Data = "" } = config.Spec
    try {
      const record = decode(Buffer.from(Data, "base64").toString())
      if (Name !== clientConfigName(record.name))
        throw new Error(`its client is called ${JSON.stringify(record.name)}`)
      checkClient(record, clients)
      clients.push(record)
    } catch (error) {
      problems.push(`Cannot use config ${Name}: ${wordsOf(error)}`)
    }
  }
  return { clients, problems }
}

const byName = (a: Config, b: Config): number => ((a.Spec.Name ?? "") < (b.Spec.Name ?? "") ? -1 : 1)
