/** Clients, clocks and directories that the suites about NATS share. */
import { mkdtempSync, readFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import process from "node:process"
import { Effect } from "effect"
import { connect, type NatsConnection, nkeyAuthenticator } from "nats"
import { type ProcessIdentity, signalProcess } from "#actors/drivers/machine/process-identity.ts"
import { keepClients, listClients, type NatsCredentials, newClient } from "#actors/nats/creds.ts"

export const freshDirectory = (): string => mkdtempSync(join(tmpdir(), "troupe-nats-"))

/** Lets another system in to the server whose data lies there, as the cluster would. */
export async function letIn(
  dataDir: string,
  name: string,
  more: { readonly readOnly?: boolean; readonly named?: boolean } = {}
): Promise<NatsCredentials> {
  const client = { name, readOnly: false, createdAt: "2026-01-01T00:00:00Z", ...more }
  const { record, credentials } = await Effect.runPromise(newClient(client))
  const { clients } = await Effect.runPromise(listClients(dataDir))
  await Effect.runPromise(keepClients(dataDir, [...clients.filter((each) => each.name !== name), record]))
  return credentials
}

export async function shutOut(dataDir: string, name: string): Promise<void> {
  const { clients } = await Effect.runPromise(listClients(dataDir))
  await Effect.runPromise(
    keepClients(
      dataDir,
      clients.filter((each) => each.name !== name)
    )
  )
}

/** Connects as `credentials` tell; rejects at once when the server says no. */
export const connectAs = (url: string, credentials: NatsCredentials | undefined): Promise<NatsConnection> =>
  connect({
    servers: url,
    reconnectTimeWait: 20,
    reconnectJitter: 0,
    maxReconnectAttempts: -1,
    timeout: 2_000,
    ...(credentials === undefined
      ? {}
      : {
          authenticator: nkeyAuthenticator(new TextEncoder().encode(credentials.seed)),
          inboxPrefix: credentials.inboxPrefix
        })
  })

/** Waits until `holds` is true; throws, naming what was waited for, when it is not within the time. */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  withinMs = 20_000
): Promise<void> {
  const deadline = performance.now() + withinMs
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`Waited ${withinMs} ms in vain: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 15))
  }
}

/**
 * Holds the guard that would end a manager's server two seconds after the manager is gone, and gives it: how soon the next
 * manager is there is the machine's business. `endings` let go of it.
 */
export function holdGuard(dataDir: string, endings: Array<() => unknown>): ProcessIdentity {
  const { guard } = JSON.parse(readFileSync(join(dataDir, "nats", "server.json"), "utf8"))
  endings.push(() => signalProcess(guard, "SIGCONT"))
  process.kill(guard.pid, "SIGSTOP")
  return guard
}

/** What the server objects to in `act`, as its asynchronous error; undefined when it lets it pass. */
export async function objectionTo(connection: NatsConnection, act: () => void): Promise<string | undefined> {
  let objection: string | undefined
  const status = connection.status()
  const reader = (async () => {
    for await (const event of status) {
      if (event.type === "error") objection = event.error.message
    }
  })()
  act()
  await connection.flush()
  await connection.flush()
  ;(status as unknown as { stop?: () => void }).stop?.()
  await Promise.race([reader, new Promise((resolve) => setTimeout(resolve, 20))])
  return objection
}
