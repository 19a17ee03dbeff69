/** Members of one group in this process, on real disks, each with two connections to real nats-servers as in production. */
import { connect as connectSocket, createServer, type Server, type Socket } from "node:net"
import { Effect, Exit, Scope } from "effect"
import { founding } from "#actors/raft/core/configuration.ts"
import type { HostSettings } from "#actors/raft/host/protocol.ts"
import { hostSettings } from "#actors/raft/host/settings.ts"
import { firstIncarnation } from "#actors/raft/incarnation.ts"
import type { RaftService } from "#actors/raft/protocol.ts"
import { type NatsWire, openNatsWire } from "#actors/raft/wire/nats.ts"
import { type NatsOptions, type NatsTransportService, natsTransport } from "#runtime/transport/nats.ts"
import { Journal } from "#test/support/journal.ts"
import { until } from "#test/support/nats-server.ts"
import { newDirectory, openGroup } from "#test/support/raft-directory.ts"

export interface NatsMember {
  readonly id: string
  readonly raft: RaftService
  readonly journal: Journal
  readonly wire: NatsWire
  readonly main: NatsTransportService
  readonly bulk: NatsTransportService
}

export class NatsGroup {
  readonly members: Array<NatsMember> = []
  readonly #ids: ReadonlyArray<string>
  readonly #closes: Array<() => Promise<void>> = []
  #seq = 0

  readonly #host: HostSettings

  constructor(ids: ReadonlyArray<string>, host = hostSettings) {
    this.#ids = ids
    this.#host = host
  }

  /** `access` says which servers its connections use; the second one for snapshots, where that is another. */
  async open(
    id: string,
    access: Partial<NatsOptions> & Pick<NatsOptions, "servers">,
    bulkAccess = access
  ): Promise<NatsMember> {
    const scope = Effect.runSync(Scope.make())
    const dial = (options: typeof access): Promise<NatsTransportService> =>
      Effect.runPromise(natsTransport({ inOrder: true, nodeId: id, ...options }).pipe(Scope.provide(scope)))
    const [main, bulk] = await Promise.all([dial(access), dial(bulkAccess)])
    const wire = openNatsWire({ clusterId: "blue", raftId: id, incarnation: firstIncarnation, main, bulk })
    const directory = newDirectory()
    const journal = new Journal()
    const initial = founding(...this.#ids)
    const owner = { clusterId: "blue", nodeId: id }
    const { raft, close } = await openGroup(
      directory.path,
      journal,
      { wire, initial, host: this.#host },
      owner
    )
    const member = { id, raft, journal, wire, main, bulk }
    this.members.push(member)
    this.#closes.push(async () => {
      await close()
      wire.close()
      await Effect.runPromise(Scope.close(scope, Exit.void))
      directory.remove()
    })
    return member
  }

  async close(): Promise<void> {
    await Promise.all(this.#closes.map((close) => close()))
  }

  leader(): NatsMember | undefined {
    return this.members.find(({ raft }) => raft.leadership()._tag === "Leading")
  }
  terms(): ReadonlyArray<number> {
    return this.members.map(({ raft }) => raft.status().term)
  }

  /** Proposes at `member` until it is applied there. */
  async write(member: NatsMember, text: string): Promise<void> {
    const data = new TextEncoder().encode(text)
    const id = { proposer: member.id, boot: "test", seq: ++this.#seq }
    await until(
      () =>
        new Promise<boolean>((resolve) =>
          member.raft.propose(data, id, (outcome) => resolve(outcome._tag === "Applied"))
        ),
      30_000
    )
  }

  /** All members have applied `text`. */
  async everywhere(text: string): Promise<void> {
    await until(() => this.members.every(({ journal }) => journal.texts.includes(text)), 30_000)
  }
}

/** A door to a server through which, while it is held, nothing of what the server says passes. */
export interface Door {
  readonly port: number
  readonly hold: () => void
  readonly release: () => void
  readonly close: () => Promise<void>
}

export async function openDoor(to: number): Promise<Door> {
  const sockets = new Set<Socket>()
  const inner = new Set<Socket>()
  let held = false
  const server: Server = createServer((client) => {
    const upstream = connectSocket(to, "127.0.0.1")
    if (held) upstream.pause()
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on("error", () => {})
      socket.on("close", () => sockets.delete(socket))
    }
    inner.add(upstream)
    client.pipe(upstream)
    upstream.on("data", (chunk) => client.write(chunk))
    client.on("close", () => upstream.destroy())
    upstream.on("close", () => {
      inner.delete(upstream)
      client.destroy()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const address = server.address()
  if (address === null || typeof address === "string") throw new Error("the door has no port")
  return {
    port: address.port,
    hold: () => {
      held = true
      for (const socket of inner) socket.pause()
    },
    release: () => {
      held = false
      for (const socket of inner) socket.resume()
    },
    close: () => {
      for (const socket of sockets) socket.destroy()
      return new Promise((resolve) => server.close(() => resolve()))
    }
  }
}
