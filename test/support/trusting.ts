/**
 * A cluster whose nodes show each other certificates: managers and workers on an address of this machine that is not
 * loopback, with processes for tasks; and whoever comes with what such a node holds.
 */
import { readFileSync, writeFileSync } from "node:fs"
import { mkdtemp } from "node:fs/promises"
import { networkInterfaces, tmpdir } from "node:os"
import { join } from "node:path"
import { connect, type NatsConnection, nkeyAuthenticator } from "nats"
import type { Held } from "#actors/authority/store.ts"
import { Cluster, type ClusterOptions } from "#test/support/cluster.ts"
import { eventually } from "#test/support/engine.ts"
import { Managers, noEngine } from "#test/support/managers.ts"

/** Of this machine, as another one would reach it. */
export const address =
  Object.values(networkInterfaces())
    .flat()
    .find((one) => one?.family === "IPv4" && !one.internal)?.address ?? ""

const quiet = ["--recorder", "off"]

export interface TlsInfo {
  readonly TrustRoot: string
  readonly CertIssuerPublicKey: string
}

export interface Shown {
  readonly ID: string
  readonly Description: { readonly Hostname: string; readonly TLSInfo?: TlsInfo }
  readonly Spec: { readonly Role: string }
  readonly Status: { readonly State: string }
  readonly ManagerStatus?: { readonly Reachability: string; readonly Addr: string }
}

export interface Swarm {
  readonly Version: { readonly Index: number }
  // biome-ignore lint/suspicious/noExplicitAny: what the API takes and gives
  readonly Spec: any
  readonly TLSInfo: TlsInfo
  readonly RootRotationInProgress: boolean
  readonly JoinTokens: { readonly Worker: string; readonly Manager: string }
}

/** `count` managers and a worker, all of them ready. `cleanUp` must follow. */
export class Trusting {
  readonly managers: Managers
  readonly workers: Array<Cluster> = []

  readonly #options: Pick<ClusterOptions, "program">

  private constructor(managers: Managers, options: Pick<ClusterOptions, "program">) {
    this.managers = managers
    this.#options = options
  }

  static async start(count: number, options: Pick<ClusterOptions, "program"> = {}): Promise<Trusting> {
    const trusting = new Trusting(await Managers.start(count, { ...options, args: quiet, address }), options)
    try {
      await trusting.joinWorker("w1")
      await trusting.ready(count + 1)
      return trusting
    } catch (error) {
      await trusting.cleanUp()
      throw error
    }
  }

  get first(): Cluster {
    return this.managers.all[0] as Cluster
  }

  get worker(): Cluster {
    return this.workers[0] as Cluster
  }

  swarm = (by = this.first): Promise<Swarm> => read<Swarm>(by, "/swarm")

  nodes = (by = this.first): Promise<ReadonlyArray<Shown>> => read<ReadonlyArray<Shown>>(by, "/nodes")

  ready = (count: number): Promise<void> =>
    eventually(
      async () => (await this.nodes()).filter(({ Status }) => Status.State === "ready").length === count,
      `${count} nodes are ready`,
      30_000
    )

  async joinWorker(name: string, token?: string): Promise<Cluster> {
    const { JoinTokens } = await this.swarm()
    const { ManagerStatus } = await read<Required<Shown>>(this.first, `/nodes/${this.first.nodeId}`)
    const args = [
      ...["--executor", "process", "--listen-addr", address, "--advertise-addr", address, ...quiet],
      ...["--join", ManagerStatus.Addr, "--token", token ?? JoinTokens.Worker]
    ]
    const folder = await mkdtemp(join(tmpdir(), "troupe-worker-"))
    const made = new Cluster(folder, { ...this.#options, name, dockerHost: noEngine, args })
    this.workers.push(made)
    await made.start()
    return made
  }

  /** What `body` says to `POST /swarm/update`, of what is there. */
  async update(
    body: (spec: Swarm["Spec"]) => unknown,
    query = ""
  ): Promise<{ status: number; message: string }> {
    const { Version, Spec } = await this.swarm()
    const reply = await this.first.api("POST", `/swarm/update?version=${Version.Index}${query}`, body(Spec))
    return { status: reply.status, message: reply.body?.message ?? "" }
  }

  /** Waits until no root follows and every node that is there is of the present one. */
  rotated = (withinMs = 60_000): Promise<void> =>
    eventually(
      async () => {
        const { RootRotationInProgress, TLSInfo } = await this.swarm()
        if (RootRotationInProgress) return false
        return (await this.nodes()).every((node) => Bun.deepEquals(node.Description.TLSInfo, TLSInfo))
      },
      "the root has changed, and every node says so",
      withinMs
    )

  async cleanUp(): Promise<void> {
    await Promise.all(this.workers.map((one) => one.cleanUp()))
    await this.managers.cleanUp()
  }
}

/** Asked again for as long as nobody leads: busy machines have slow elections. */
async function read<Answer>(by: Cluster, path: string): Promise<Answer> {
  let answer: Answer | undefined
  await eventually(
    async () => {
      const { status, body } = await by.api("GET", path)
      if (status === 200) answer = body
      else if (status !== 503) throw new Error(`GET ${path} answered ${status}: ${JSON.stringify(body)}`)
      return status === 200
    },
    `somebody leads, who answers ${path}`,
    30_000
  )
  return answer as Answer
}

const memberFile = (node: Cluster): string => join(node.dataDir, "trust/member.json")
/** What a node holds on its disk. */
export const heldBy = (node: Cluster): Held => JSON.parse(readFileSync(memberFile(node), "utf8"))
export const putHeld = (node: Cluster, held: Held): void =>
  writeFileSync(memberFile(node), JSON.stringify({ format: 1, ...held }))
export const seedsOf = (node: Cluster): Readonly<Record<"daemon" | "api" | "raft" | "system", string>> =>
  JSON.parse(readFileSync(join(node.dataDir, "nats/keys.json"), "utf8"))

/** Connects to the nats-server of `to` with what somebody stole of a node; one that begins anew is waited for. */
export async function connectWith(
  to: Cluster,
  { membership, key }: Held,
  seed: string,
  inboxPrefix = `_INBOX.${membership.nodeId}`
): Promise<NatsConnection> {
  let connection: NatsConnection | undefined
  await eventually(async () => {
    connection = await connect({
      servers: `${address}:${heldBy(to).ports.nats}`,
      authenticator: nkeyAuthenticator(new TextEncoder().encode(seed)),
      inboxPrefix,
      tls: { cert: membership.certificate, key, ca: membership.root },
      reconnect: false,
      timeout: 10_000
    }).catch((error: Error) => {
      if (error.message !== "connection refused") throw error
      return undefined
    })
    return connection !== undefined
  }, "the nats-server listens")
  return connection as NatsConnection
}
