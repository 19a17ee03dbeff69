/** Three clustered nats-servers, told what a manager's own nats-server is told. */
import { type ChildProcess, spawn } from "node:child_process"
import { mkdirSync, writeFileSync } from "node:fs"
import { Effect } from "effect"
import type { TlsOptions } from "nats"
import { nkeys } from "nats"
import { certify } from "#actors/authority/certify.ts"
import { newRequest, newRoot, sign } from "#actors/authority/x509.ts"
import { configureServer, configureUsers, type NatsTls } from "#actors/nats/configure.ts"
import { freePort } from "#test/support/free-port.ts"
import { answers, until } from "#test/support/nats-server.ts"

export interface Access {
  readonly url: string
  /** Of a user that may do everything, and of one that hears of connections. */
  readonly seed: string
  readonly systemSeed: string
  readonly tls?: TlsOptions
}

export interface Servers {
  readonly access: ReadonlyArray<Access>
  readonly processes: ReadonlyArray<ChildProcess>
}

const everything = { publish: [">"], subscribe: [">"] }

export async function startServers(directory: string, withTls: boolean): Promise<Servers> {
  const [user, system] = [nkeys.createUser(), nkeys.createUser()]
  const users = configureUsers([
    { publicKey: user.getPublicKey(), rights: everything },
    { publicKey: system.getPublicKey(), rights: { ...everything, system: true } }
  ])
  const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)
  const seeds = { seed: text(user.getSeed()), systemSeed: text(system.getSeed()) }
  const ports = await Promise.all(
    [0, 1, 2].map(async () => ({ client: await freePort(), route: await freePort() }))
  )
  const tls = withTls ? await certificate(directory) : undefined
  const processes = ports.map(({ client, route }, i) => {
    const root = `${directory}/nats-${i}`
    mkdirSync(root)
    const settings = configureServer({
      serverName: `s${i}`,
      host: "127.0.0.1",
      port: client,
      portsDirectory: root,
      logFile: `${root}/log`,
      cluster: {
        name: "bench",
        host: "127.0.0.1",
        port: route,
        user: "route",
        password: "bench",
        routes: ports.map((each) => `127.0.0.1:${each.route}`),
        ...(tls && { tls: tls.files })
      },
      ...(tls && { tls: tls.files })
    })
    writeFileSync(`${root}/server.conf`, settings + users)
    return spawn("nats-server", ["-c", `${root}/server.conf`], { stdio: "ignore" })
  })
  for (const { client } of ports) await until(() => answers(client), 10_000)
  const access = ports.map(({ client }) => ({
    url: `nats://127.0.0.1:${client}`,
    ...seeds,
    ...(tls && { tls: tls.client })
  }))
  return { access, processes }
}

async function certificate(
  directory: string
): Promise<{ readonly files: NatsTls; readonly client: TlsOptions }> {
  const now = Date.now()
  const root = await Effect.runPromise(newRoot(now))
  const { pem, key } = await Effect.runPromise(newRequest)
  const member = { nodeId: "bench", clusterId: "bench", role: "manager", addresses: ["127.0.0.1"] } as const
  const cert = await Effect.runPromise(
    sign({ certificate: root.pem, key: root.key }, pem, certify(member, now, 86_400_000))
  )
  const files = {
    certFile: `${directory}/cert.pem`,
    keyFile: `${directory}/key.pem`,
    caFile: `${directory}/ca.pem`
  }
  writeFileSync(files.certFile, cert)
  writeFileSync(files.keyFile, key)
  writeFileSync(files.caFile, root.pem)
  return { files, client: { cert, key, ca: root.pem } }
}
