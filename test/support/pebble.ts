/** An ACME server on this machine: Debian's `pebble`, which asks hosts at a port of 127.0.0.1 whatever their names are. */
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import process from "node:process"
import { eventually } from "#test/support/engine.ts"
import { freePort } from "#test/support/free-port.ts"
import { siteCertificate } from "#test/support/site-certificate.ts"

export interface Pebble {
  readonly directory: string
  /** A file with the certificate of the server itself. */
  readonly rootFile: string
  /** Of the certificates that it issues: PEM, another one in each life. */
  readonly issuer: () => Promise<string>
  readonly stop: () => void
}

/** Hosts are asked at `httpPort`. `stop` must follow. */
export async function startPebble(httpPort: number): Promise<Pebble> {
  const folder = mkdtempSync(join(tmpdir(), "troupe-pebble-"))
  const [port, management, dns, dnsManagement] = await Promise.all([
    freePort("127.0.0.1"),
    freePort("127.0.0.1"),
    freePort("127.0.0.1"),
    freePort("127.0.0.1")
  ])
  const { certificate, key } = await siteCertificate(["localhost", "127.0.0.1"])
  const rootFile = join(folder, "root.pem")
  writeFileSync(rootFile, certificate)
  writeFileSync(join(folder, "key.pem"), key)
  const pebble = {
    listenAddress: `127.0.0.1:${port}`,
    managementListenAddress: `127.0.0.1:${management}`,
    certificate: rootFile,
    privateKey: join(folder, "key.pem"),
    httpPort,
    tlsPort: 1,
    ocspResponderURL: "",
    externalAccountBindingRequired: false
  }
  writeFileSync(join(folder, "pebble.json"), JSON.stringify({ pebble }))
  const children: ReadonlyArray<ChildProcess> = [
    spawn(
      "pebble-challtestsrv",
      [
        ...["-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv4", "127.0.0.1", "-defaultIPv6", ""],
        ...["-dns01", `127.0.0.1:${dns}`, "-management", `127.0.0.1:${dnsManagement}`]
      ],
      { stdio: "ignore" }
    ),
    spawn("pebble", ["-config", join(folder, "pebble.json"), "-dnsserver", `127.0.0.1:${dns}`], {
      stdio: "ignore",
      env: { ...process.env, PEBBLE_VA_NOSLEEP: "1" }
    })
  ]
  const stop = (): void => {
    for (const child of children) child.kill("SIGKILL")
    rmSync(folder, { recursive: true, force: true })
  }
  const ask = (url: string) => fetch(url, { tls: { ca: certificate } } as RequestInit)
  const directory = `https://localhost:${port}/dir`
  try {
    await eventually(
      () =>
        ask(directory).then(
          ({ ok }) => ok,
          () => false
        ),
      "pebble answers"
    )
  } catch (error) {
    stop()
    throw error
  }
  const issuer = async (): Promise<string> => (await ask(`https://localhost:${management}/roots/0`)).text()
  return { directory, rootFile, issuer, stop }
}
