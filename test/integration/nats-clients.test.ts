/** Other systems at a cluster whose nodes show each other certificates: let in, moved on, shut out, by any manager. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test"
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { connect, type NatsConnection, nkeyAuthenticator } from "nats"
import { objectionTo } from "#test/actors/nats/support.ts"
import type { Cluster } from "#test/support/cluster.ts"
import { eventually } from "#test/support/engine.ts"
import { Trusting } from "#test/support/trusting.ts"

setDefaultTimeout(120_000)

let cluster: Trusting
let m2: Cluster
let m3: Cluster
const folder = mkdtempSync(join(tmpdir(), "troupe-nats-clients-"))

beforeAll(async () => {
  cluster = await Trusting.start(3)
  ;[m2, m3] = cluster.managers.all.slice(1) as [Cluster, Cluster]
}, 180_000)
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true })
  await cluster?.cleanUp()
}, 60_000)

interface Told {
  readonly seed: string
  readonly subjectPrefix: string
  readonly inboxPrefix: string
  readonly servers: ReadonlyArray<string>
  readonly files: string
}

/** As the command prints it, each on a line of its own. */
function read(printed: string, files: string): Told {
  const value = (what: string): string => new RegExp(`^${what} +(\\S+)$`, "m").exec(printed)?.[1] ?? ""
  return {
    seed: value("nkey seed"),
    subjectPrefix: value("subject prefix"),
    inboxPrefix: value("inbox prefix"),
    servers: value("servers").split(","),
    files
  }
}

async function letIn(by: Cluster, name: string, ...more: ReadonlyArray<string>): Promise<Told> {
  const files = join(folder, name)
  return read(await by.troupe("nats-creds", "create", name, "--out", files, ...more), files)
}

const connectTo = (
  servers: ReadonlyArray<string>,
  { seed, inboxPrefix, files }: Told
): Promise<NatsConnection> =>
  connect({
    servers: [...servers],
    authenticator: nkeyAuthenticator(new TextEncoder().encode(seed)),
    inboxPrefix,
    tls: {
      caFile: join(files, "ca.pem"),
      certFile: join(files, "cert.pem"),
      keyFile: join(files, "key.pem")
    },
    timeout: 2_000,
    reconnect: false
  })

const isLetIn = async (server: string, told: Told): Promise<boolean> => {
  const connection = await connectTo([server], told).catch(() => undefined)
  await connection?.close()
  return connection !== undefined
}

const ask = async (
  connection: NatsConnection,
  { subjectPrefix }: Told,
  what: string,
  body = {}
  // biome-ignore lint/suspicious/noExplicitAny: what the API answers
): Promise<any> =>
  (await connection.request(`${subjectPrefix}.${what}`, JSON.stringify(body), { timeout: 5_000 })).json()

/** What the managers have noted of clients. */
const audited = (): Array<string> =>
  cluster.managers.all.flatMap(({ dataDir }) => {
    const file = join(dataDir, "audit.log")
    const lines = existsSync(file) ? readFileSync(file, "utf8").trim().split("\n") : []
    return lines.flatMap((line) => {
      const { who, method, path, status } = JSON.parse(line)
      return who.startsWith("nats") ? [`${who} ${method} ${path} ${status}`] : []
    })
  })

test("a client that one manager made is let in by all of them, with a certificate of its own", async () => {
  const told = await letIn(m2, "shop")
  expect(told.servers).toHaveLength(3)
  expect(statSync(join(told.files, "key.pem")).mode & 0o777).toBe(0o600)
  for (const server of told.servers) {
    await eventually(() => isLetIn(server, told), `${server} lets it in`)
    const connection = await connectTo([server], told)
    expect(await ask(connection, told, "service.list")).toEqual([])
    await connection.close()
  }
  for (const manager of cluster.managers.all) {
    expect(await manager.troupe("nats-creds", "ls")).toMatch(
      /shop +read and write +every manager +troupe\.api\.v1\.as\.shop/
    )
  }
  // The certificate alone is nobody.
  await expect(connectTo(told.servers, { ...told, seed: "" })).rejects.toThrow()
})

test("what a client changes is its own doing by any manager, and none passes for another at any of them", async () => {
  const [ci, ops] = [await letIn(m2, "ci"), await letIn(m3, "ops")]
  const made: Array<readonly [string, string]> = []
  const refused: Array<string> = []
  for (const [at, server] of ci.servers.entries()) {
    for (const [told, other] of [
      [ci, ops],
      [ops, ci]
    ] as const) {
      await eventually(() => isLetIn(server, told), `${server} lets it in`)
      const connection = await connectTo([server], told)
      const TaskTemplate = { ContainerSpec: { Image: "host", Command: ["true"] } }
      const Name = `${told === ci ? "ci" : "ops"}-${at}`
      const spec = { Name, TaskTemplate, Mode: { Replicated: { Replicas: 0 } } }
      const { ID } = await ask(connection, told, "service.create", spec)
      made.push([ID, `nats:${Name.split("-")[0]}`])
      for (const prefix of [other.subjectPrefix, "troupe.api.v1"]) {
        const subject = `${prefix}.service.remove`
        const change = () => connection.publish(subject, JSON.stringify({ ID }))
        expect(await objectionTo(connection, change)).toContain("Permissions Violation")
        refused.push(`${made.at(-1)?.[1]} PUBLISH ${subject} 403`)
      }
      await connection.close()
    }
  }
  expect(made).toHaveLength(6)
  // Any of the managers answers, and each server turns away by itself.
  const done = [...made.map(([, who]) => `${who} POST /services/create 201`), ...refused]
  await eventually(() => audited().length === done.length, "all of it is in the audit")
  expect(audited().sort()).toEqual(done.sort())
  for (const [ID, who] of made) {
    const { Changes: changes } = await cluster.first.get(`/history/${ID}`)
    expect(changes.map(({ Action, Who }: Readonly<Record<string, string>>) => [Action, Who])).toEqual([
      ["create", who]
    ])
    expect((await cluster.first.api("DELETE", `/services/${ID}`)).status).toBe(200)
  }
  for (const name of ["ci", "ops"]) await m2.troupe("nats-creds", "rm", name)
})

test("a name that is taken is refused by another manager, and nothing is written", async () => {
  const files = join(folder, "again")
  const refused = m3.troupe("nats-creds", "create", "shop", "--out", files)
  await expect(refused).rejects.toThrow(/"shop" is taken/)
  expect(existsSync(files)).toBe(false)
  await expect(m3.troupe("nats-creds", "create", "a.b", "--out", files)).rejects.toThrow(
    /expected 1 to 32 letters/
  )
  // What is in the directory is somebody else's.
  await expect(m3.troupe("nats-creds", "create", "other", "--out", folder)).rejects.toThrow(/nothing in it/)
  expect((await m3.get("/nats-clients")).map(({ Name }: { Name: string }) => Name)).toEqual(["shop"])
})

test("who was let in is known to a manager that starts without the others", async () => {
  const told = await letIn(cluster.first, "early", "--read-only")
  const own = told.servers.find((server) => server.endsWith(new URL(m3.natsUrl).port)) ?? ""
  await eventually(() => isLetIn(own, told), "it knows the client")
  await m3.kill9()
  await m3.start()
  await eventually(() => isLetIn(own, told), "it is let in again")
})

test("a client that one manager shuts out is cut off by all of them", async () => {
  const told = await letIn(cluster.first, "gone")
  const connections: Array<NatsConnection> = []
  for (const server of told.servers) {
    await eventually(() => isLetIn(server, told), `${server} lets it in`)
    connections.push(await connectTo([server], told))
  }
  await m3.troupe("nats-creds", "rm", "gone")
  await Promise.all(connections.map((connection) => connection.closed()))
  for (const server of told.servers) expect(await isLetIn(server, told)).toBe(false)
  await expect(m2.troupe("nats-creds", "rm", "gone")).rejects.toThrow(/no NATS client is called gone/)
})

test("after another root, renew gives a certificate that is taken, and the seed stays", async () => {
  const told = await letIn(m2, "rotated")
  await cluster.update((spec) => ({ ...spec, CAConfig: { ...spec.CAConfig, ForceRotate: 1 } }))
  await eventually(
    async () => !(await cluster.swarm()).RootRotationInProgress,
    "the root has changed",
    60_000
  )
  await eventually(
    async () => !(await isLetIn(told.servers[0] ?? "", told)),
    "the old certificate is refused"
  )
  const before = readFileSync(join(told.files, "cert.pem"), "utf8")
  const printed = await cluster.first.troupe("nats-creds", "renew", "rotated", "--out", told.files)
  expect(readFileSync(join(told.files, "cert.pem"), "utf8")).not.toBe(before)
  expect(printed).not.toContain("SU")
  for (const server of told.servers) await eventually(() => isLetIn(server, told), `${server} lets it in`)
})
