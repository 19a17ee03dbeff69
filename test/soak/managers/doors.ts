/**
 * The two ways into a manager, as a client of registers sees them: the Docker API on its socket, and the NATS API on
 * its own nats-server. A register is an object's label; its version makes every write an exchange.
 */
import { connect, type NatsConnection, nkeyAuthenticator } from "nats"
import { type Machine, socketOf } from "#test/lab/machines.ts"
import { request } from "#test/lab/request.ts"

export type Kind = "config" | "service"

/** What one request came to. `Unknown`: nobody can say whether it was carried out, now or later. */
export type Answer =
  | { readonly _tag: "Done"; readonly body: unknown }
  | { readonly _tag: "Refused"; readonly message: string }
  | { readonly _tag: "Unknown"; readonly message: string }

/** An object of the API as far as registers go. */
export interface Found {
  readonly ID: string
  readonly Version: { readonly Index: number }
  readonly Spec: { readonly Labels?: Readonly<Record<string, string>> }
}

export interface Door {
  readonly name: string
  readonly kinds: ReadonlyArray<Kind>
  readonly create: (kind: Kind, name: string) => Promise<Answer>
  readonly inspect: (kind: Kind, id: string) => Promise<Answer>
  readonly update: (kind: Kind, found: Found, value: number) => Promise<Answer>
}

/** What the register is kept in. */
const label = "register"
export const registerOf = ({ Spec }: Found): number => Number(Spec.Labels?.[label])

/** As long as a client waits for one answer. */
const withinMs = 5_000

const newSpec = (kind: Kind, name: string): Record<string, unknown> =>
  kind === "config"
    ? { Name: name, Labels: { [label]: "0" }, Data: "eA==" }
    : {
        Name: name,
        Labels: { [label]: "0" },
        TaskTemplate: { ContainerSpec: { Image: "host", Command: ["true"] } },
        Mode: { Replicated: { Replicas: 0 } }
      }
const revised = ({ Spec }: Found, value: number): unknown => ({
  ...Spec,
  Labels: { ...Spec.Labels, [label]: String(value) }
})

/** A server that answers 503 may have sent a write on its way before it lost its leader. */
function judged(status: number, body: unknown): Answer {
  const message = (body as { message?: string } | null)?.message ?? JSON.stringify(body)
  if (status < 300) return { _tag: "Done", body }
  return status === 503 ? { _tag: "Unknown", message } : { _tag: "Refused", message: `${status} ${message}` }
}

export function httpDoor(machine: Machine): Door {
  const ask = (method: string, path: string, body?: unknown): Promise<Answer> =>
    request(socketOf(machine.name), method, path, body, withinMs).then(
      (answer) => judged(answer.status, answer.body),
      (error: Error) => ({ _tag: "Unknown", message: error.message })
    )
  return {
    name: `http ${machine.name}`,
    kinds: ["config", "service"],
    create: (kind, name) => ask("POST", `/${kind}s/create`, newSpec(kind, name)),
    inspect: (kind, id) => ask("GET", `/${kind}s/${id}`),
    update: (kind, found, value) =>
      ask("POST", `/${kind}s/${found.ID}/update?version=${found.Version.Index}`, revised(found, value))
  }
}

export interface NatsDoor extends Door {
  readonly close: () => Promise<void>
}

/** Connected to this manager's nats-server; who of the managers answers is NATS's choice. */
export async function natsDoor(machine: Machine): Promise<NatsDoor> {
  const { connection, prefix } = await connectTo(machine)
  const ask = async (what: string, body: unknown): Promise<Answer> => {
    try {
      const answer = await connection.request(`${prefix}.${what}`, JSON.stringify(body), {
        timeout: withinMs
      })
      const code = Number(answer.headers?.get("Nats-Service-Error-Code") || 200)
      return judged(
        code,
        code === 200 ? answer.json() : { message: answer.headers?.get("Nats-Service-Error") }
      )
    } catch (error) {
      return { _tag: "Unknown", message: (error as Error).message }
    }
  }
  return {
    name: `nats ${machine.name}`,
    kinds: ["service"],
    create: (kind, name) => ask(`${kind}.create`, newSpec(kind, name)),
    inspect: (kind, ID) => ask(`${kind}.inspect`, { ID }),
    update: (kind, found, value) =>
      ask(`${kind}.update`, { ID: found.ID, Version: found.Version, Spec: revised(found, value) }),
    close: () => connection.close()
  }
}

async function connectTo({
  name,
  address
}: Machine): Promise<{ connection: NatsConnection; prefix: string }> {
  const created = { Name: `soak-${name}` }
  const { status, body } = await request(socketOf(name), "POST", "/nats-clients/create", created, withinMs)
  if (status !== 201) throw new Error(`${name} made no NATS client: ${status} ${JSON.stringify(body)}`)
  const made = body as Readonly<
    Record<"Seed" | "SubjectPrefix" | "InboxPrefix" | "Root" | "Certificate" | "Key", string>
  > & {
    readonly Servers: ReadonlyArray<string>
  }
  const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
  // Its server takes new clients up within moments.
  for (let tries = 1; ; tries++) {
    try {
      const connection = await connect({
        servers: made.Servers.filter((url) => url.startsWith(`nats://${address}:`)),
        authenticator: nkeyAuthenticator(new TextEncoder().encode(made.Seed)),
        inboxPrefix: made.InboxPrefix,
        tls: { cert: made.Certificate, key: made.Key, ca: made.Root },
        reconnectTimeWait: 100,
        maxReconnectAttempts: -1,
        pingInterval: 1_000,
        maxPingOut: 2,
        timeout: 2_000,
        ignoreClusterUpdates: true,
        ignoreAuthErrorAbort: true
      })
      return { connection, prefix: made.SubjectPrefix }
    } catch (error) {
      if (tries === 50) throw error
      await wait(100)
    }
  }
}
