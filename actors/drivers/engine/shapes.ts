/** The parts of the Engine API's answers that we read. Go sends null for empty maps and lists, hence `field`. */
import { Schema } from "effect"

const field = <S extends Schema.Top>(schema: S) => Schema.optionalKey(Schema.NullOr(schema))
const text = Schema.String
const Labels = Schema.Record(text, text)

const Endpoint = Schema.Struct({ NetworkID: field(text), IPAddress: field(text) })
const Endpoints = Schema.Record(text, Schema.NullOr(Endpoint))

/** `GET /containers/{id}/json` */
export const Inspected = Schema.Struct({
  Id: text,
  Name: text,
  State: Schema.Struct({
    Status: text,
    Pid: field(Schema.Number),
    ExitCode: field(Schema.Number),
    OOMKilled: field(Schema.Boolean),
    Error: field(text),
    StartedAt: field(text),
    FinishedAt: field(text),
    Health: field(
      Schema.Struct({
        Status: field(text),
        Log: field(
          Schema.Array(
            Schema.Struct({ End: field(text), ExitCode: field(Schema.Number), Output: field(text) })
          )
        )
      })
    )
  }),
  Config: Schema.Struct({
    Labels: field(Labels),
    Tty: field(Schema.Boolean),
    StopTimeout: field(Schema.Number)
  }),
  NetworkSettings: field(
    Schema.Struct({
      Networks: field(Endpoints),
      Ports: field(
        Schema.Record(
          text,
          Schema.NullOr(Schema.Array(Schema.Struct({ HostIp: field(text), HostPort: field(text) })))
        )
      )
    })
  )
})
export type Inspected = typeof Inspected.Type

/** `GET /containers/json` */
export const Listed = Schema.Array(
  Schema.Struct({
    Id: text,
    Labels: field(Labels),
    NetworkSettings: field(Schema.Struct({ Networks: field(Endpoints) }))
  })
)

/** `POST /containers/create` */
export const Created = Schema.Struct({ Id: text })

/** One line of `GET /events` */
export const EngineEvent = Schema.Struct({
  Type: text,
  Action: text,
  Actor: Schema.Struct({ ID: text, Attributes: field(Labels) })
})
export type EngineEvent = typeof EngineEvent.Type

/** `GET /containers/{id}/stats` */
export const Stats = Schema.Struct({
  read: text,
  cpu_stats: field(Schema.Struct({ cpu_usage: field(Schema.Struct({ total_usage: field(Schema.Number) })) })),
  memory_stats: field(
    Schema.Struct({ usage: field(Schema.Number), stats: field(Schema.Record(text, Schema.Number)) })
  ),
  networks: field(
    Schema.Record(text, Schema.Struct({ rx_bytes: field(Schema.Number), tx_bytes: field(Schema.Number) }))
  )
})
export type Stats = typeof Stats.Type

/** `GET /networks` and its members */
export const EngineNetworks = Schema.Array(
  Schema.Struct({
    Id: text,
    Name: text,
    Driver: text,
    Labels: field(Labels),
    IPAM: field(
      Schema.Struct({
        Config: field(Schema.Array(Schema.Struct({ Subnet: field(text), Gateway: field(text) })))
      })
    )
  })
)
export type EngineNetwork = (typeof EngineNetworks.Type)[number]

/** `GET /info` */
export const Info = Schema.Struct({
  Name: text,
  ServerVersion: field(text),
  NCPU: Schema.Number,
  MemTotal: Schema.Number,
  Architecture: text,
  OSType: text,
  Labels: field(Schema.Array(text)),
  Plugins: field(
    Schema.Struct({
      Volume: field(Schema.Array(text)),
      Network: field(Schema.Array(text)),
      Log: field(Schema.Array(text)),
      Authorization: field(Schema.Array(text))
    })
  ),
  GenericResources: field(
    Schema.Array(
      Schema.Struct({
        NamedResourceSpec: field(Schema.Struct({ Kind: field(text), Value: field(text) })),
        DiscreteResourceSpec: field(Schema.Struct({ Kind: field(text), Value: field(Schema.Number) }))
      })
    )
  )
})
export type Info = typeof Info.Type

/** One line of `POST /images/create` */
export const Progress = Schema.Struct({
  status: field(text),
  error: field(text),
  errorDetail: field(Schema.Struct({ message: field(text) }))
})
