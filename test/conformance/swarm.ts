/** The cases of `docker swarm`; each has a cluster of its own. */

import { execFile } from "node:child_process"
import { createHash } from "node:crypto"
import { readFile, writeFile } from "node:fs/promises"
import { promisify } from "node:util"
import type { Bench, BenchMachine, Case, Status } from "#test/conformance/case.ts"
import { expectThat, idle } from "#test/conformance/service-case.ts"
import { begin, clusterOf, join, pair } from "#test/conformance/swarm-case.ts"
import { ensureTestImage, testImage } from "#test/support/engine.ts"

const run = promisify(execFile)
const second = 1e9
const hour = 3600 * second

const several = (command: string, flags: ReadonlyArray<string>, says: string, run: Case["run"]): Case => ({
  command,
  flags,
  says,
  run
})

/** A cluster of one node, with what its beginning is told. */
async function begun(bench: Bench, ...args: ReadonlyArray<string>): Promise<BenchMachine> {
  const machine = await bench.machine()
  await begin(machine, ...args)
  return machine
}

const token = (machine: BenchMachine, role: string, ...args: ReadonlyArray<string>): Promise<string> =>
  machine.docker("swarm", "join-token", "--quiet", ...args, role)
const rootOf = (machine: BenchMachine): Promise<string> => machine.docker("swarm", "ca")
const stateOf = (machine: BenchMachine): Promise<string> =>
  machine.docker("info", "--format", "{{.Swarm.LocalNodeState}}")

/** The digest of the root that every token carries in base 36. */
const digestIn = (token: string): bigint =>
  [...(token.split("-")[2] ?? "")].reduce((sum, digit) => sum * 36n + BigInt(Number.parseInt(digit, 36)), 0n)
const digestOf = (certificate: string): bigint =>
  BigInt(`0x${createHash("sha256").update(certificate.trim()).update("\n").digest("hex")}`)

/** Signing by somebody else's service needs that service at every renewal; the root is brought along instead. */
const external = (command: string, args: ReadonlyArray<string>): Case => ({
  command,
  flags: ["--external-ca"],
  says: "refused: external CAs are not supported; bring the root along with --ca-cert and --ca-key instead",
  status: "unsupported" satisfies Status,
  run: async (bench) => {
    const machine = command === "swarm init" ? await bench.machine() : await begun(bench)
    const place =
      command === "swarm init" ? ["--listen-addr", machine.address, "--advertise-addr", machine.address] : []
    const asked = ["--external-ca", "protocol=cfssl,url=https://127.0.0.1:9/sign"]
    const { code, said } = await machine.attempt(...command.split(" "), ...place, ...args, ...asked)
    expectThat(code !== 0 && said.includes("external CAs are not supported"), said)
  }
})

const lockedAfterRestart = async (machine: BenchMachine): Promise<void> => {
  await machine.restart()
  expectThat((await stateOf(machine)) === "locked", await stateOf(machine))
}

/** Who has the key is a manager again. */
async function opens(bench: Bench, machine: BenchMachine, key: string): Promise<void> {
  await machine.told(`${key}\n`, "swarm", "unlock")
  await bench.until(
    () => machine.attempt("node", "ls"),
    ({ code }) => code === 0
  )
}

const settings = [
  ...["--cert-expiry", "48h", "--dispatcher-heartbeat", "3s", "--max-snapshots", "2"],
  ...["--snapshot-interval", "500", "--task-history-limit", "2"]
]
const settingFlags = settings.filter((word) => word.startsWith("--"))
async function expectSettings(machine: BenchMachine): Promise<void> {
  const { Spec } = await clusterOf(machine)
  const seen = [
    Spec.CAConfig.NodeCertExpiry,
    Spec.Dispatcher.HeartbeatPeriod,
    Spec.Raft.KeepOldSnapshots,
    Spec.Raft.SnapshotInterval,
    Spec.Orchestration.TaskHistoryRetentionLimit
  ]
  expectThat(seen.join() === [48 * hour, 3 * second, 2, 500, 2].join(), seen)
}

const all: ReadonlyArray<Case> = [
  several("swarm init", settingFlags, "the cluster's settings tell it", async (bench) => {
    await expectSettings(await begun(bench, ...settings))
  }),
  several(
    "swarm init",
    ["--advertise-addr", "--listen-addr"],
    "who joins at the address that is told finds it",
    async (bench) => {
      const machine = await begun(bench)
      const [{ Addr }] = await machine.json("info", "--format", "{{json .Swarm.RemoteManagers}}")
      expectThat(Addr === machine.address, Addr)
      const other = await bench.machine()
      await join(machine, other, "worker")
    }
  ),
  several(
    "swarm init",
    ["--autolock"],
    "the manager is locked when it starts again, and the printed key opens it",
    async (bench) => {
      const machine = await bench.machine()
      const said = await begin(machine, "--autolock")
      const [key = ""] = /SWMKEY-1-\S+/.exec(said) ?? []
      await lockedAfterRestart(machine)
      await opens(bench, machine, key)
      return said.replaceAll(/SWM\w+-1-\S+|\d+\.\d+\.\d+\.\d+:\d+|\(\w{25}\)/g, "X")
    }
  ),
  several("swarm init", ["--availability"], "the node is drained", async (bench) => {
    const machine = await begun(bench, "--availability", "drain")
    const seen = await machine.docker("node", "ls", "--format", "{{.Availability}}")
    expectThat(seen === "Drain", seen)
  }),
  several("swarm init", ["--data-path-addr"], "tasks on overlays are reached there", async (bench) => {
    const machine = await bench.machine()
    const refused = await machine.attempt("swarm", "init", "--data-path-addr", "0.0.0.0")
    expectThat(refused.said.includes("data path address must be a non-zero IP address"), refused)
    await begin(machine, "--data-path-addr", "127.0.0.2")
    await ensureTestImage(machine.engine)
    await machine.docker("network", "create", "-d", "overlay", "told")
    await machine.docker(
      "service",
      "create",
      "-d",
      "-q",
      "--name",
      "a",
      "--network",
      "told",
      testImage,
      ...idle
    )
    const told = () => machine.json("network", "inspect", "--verbose", "told")
    const host = "Host IP"
    await bench.until(told, ([{ Services }]) => Services?.a?.Tasks[0]?.Info?.[host] === "127.0.0.2")
    return refused
  }),
  several("swarm init", ["--data-path-port"], "docker info tells the port", async (bench) => {
    const machine = await begun(bench, "--data-path-port", "7789")
    const said = await machine.docker("info")
    expectThat(said.includes("Data Path Port: 7789"), said)
  }),
  several(
    "swarm init",
    ["--default-addr-pool", "--default-addr-pool-mask-length"],
    "a network has its subnet from the pool",
    async (bench) => {
      const pool = ["--default-addr-pool", "10.77.0.0/16", "--default-addr-pool-mask-length", "26"]
      const machine = await begun(bench, ...pool)
      await machine.docker("network", "create", "-d", "overlay", "told")
      const subnet = () =>
        machine.docker("network", "inspect", "told", "--format", "{{range .IPAM.Config}}{{.Subnet}}{{end}}")
      return await bench.until(subnet, (seen) => /^10\.77\.0\.\d+\/26$/.test(seen))
    }
  ),
  several(
    "swarm init",
    ["--force-new-cluster"],
    "the manager that lost the others has all it had, alone",
    async (bench) => {
      const [manager, other, id] = await pair(bench, "manager")
      await manager.told("x", "config", "create", "kept", "-")
      await other.docker("swarm", "leave", "--force")
      await manager.docker(
        "swarm",
        "init",
        "--force-new-cluster",
        "--listen-addr",
        manager.address,
        "--advertise-addr",
        manager.address
      )
      const managers = () => manager.docker("node", "ls", "--filter", "role=manager", "-q")
      await bench.until(managers, (seen) => seen !== "" && !seen.includes(id) && !seen.includes("\n"))
      expectThat((await manager.docker("config", "ls", "--format", "{{.Name}}")) === "kept", "the config")
    }
  ),
  external("swarm init", []),
  external("swarm update", []),
  external("swarm ca", ["--rotate", "--detach"]),
  several(
    "swarm join",
    ["--advertise-addr", "--listen-addr", "--availability", "--data-path-addr", "--token"],
    "the cluster knows the node as it asked to be; a token of another cluster is refused",
    async (bench) => {
      const [manager, other] = await Promise.all([begun(bench), bench.machine()])
      const id = await join(
        manager,
        other,
        "worker",
        "--availability",
        "pause",
        "--data-path-addr",
        "127.0.0.1"
      )
      const seen = await manager.docker(
        "node",
        "inspect",
        id,
        "--format",
        "{{.Spec.Availability}} {{.Status.Addr}}"
      )
      expectThat(seen === "pause 127.0.0.1", seen)
      const strange = await bench.machine()
      const foreign = (await token(manager, "worker")).replace(
        /^SWMTKN-1-\w{50}/,
        `SWMTKN-1-${"0".repeat(50)}`
      )
      const refused = await strange.attempt("swarm", "join", "--token", foreign, manager.address)
      expectThat(refused.said.includes("remote CA does not match fingerprint"), refused)
      return refused
    }
  ),
  several(
    "swarm join-token",
    ["--quiet"],
    "only the token is printed, and it lets a node in",
    async (bench) => {
      const [manager, other] = await Promise.all([begun(bench), bench.machine()])
      expectThat(/^SWMTKN-1-\w{50}-\w{25}$/.test(await token(manager, "manager")), "a token")
      await join(manager, other, "manager")
    }
  ),
  several(
    "swarm join-token",
    ["--rotate"],
    "the former token lets nobody in, the new one does",
    async (bench) => {
      const [manager, other] = await Promise.all([begun(bench), bench.machine()])
      const former = await token(manager, "worker")
      const fresh = await token(manager, "worker", "--rotate")
      expectThat(former !== fresh && fresh === (await token(manager, "worker")), fresh)
      const place = ["--listen-addr", other.address, "--advertise-addr", other.address]
      const refused = await other.attempt("swarm", "join", ...place, "--token", former, manager.address)
      expectThat(refused.code !== 0, refused)
      await other.attempt("swarm", "leave", "--force")
      await join(manager, other, "worker")
    }
  ),
  several(
    "swarm leave",
    ["--force"],
    "a last manager is warned, and then is in no cluster",
    async (bench) => {
      const machine = await begun(bench)
      const warned = await machine.attempt("swarm", "leave")
      expectThat(
        warned.code === 1 && warned.said.includes("Removing the last manager erases all current state"),
        warned
      )
      const said = await machine.docker("swarm", "leave", "--force")
      expectThat((await stateOf(machine)) === "inactive", await stateOf(machine))
      return [warned, said]
    }
  ),
  {
    command: "swarm unlock",
    flags: [],
    says: "a wrong key is refused, the right one makes it a manager again",
    run: async (bench) => {
      const machine = await begun(bench, "--autolock")
      const key = await machine.docker("swarm", "unlock-key", "-q")
      await lockedAfterRestart(machine)
      const wrong = await machine.told(`SWMKEY-1-${"A".repeat(43)}\n`, "swarm", "unlock").then(
        () => "it is taken",
        ({ message }: Error) => message
      )
      expectThat(wrong.includes("invalid key provided"), wrong)
      await opens(bench, machine, key)
    }
  },
  several("swarm unlock-key", ["--quiet"], "only the key is printed", async (bench) => {
    const machine = await begun(bench, "--autolock")
    const key = await machine.docker("swarm", "unlock-key", "--quiet")
    expectThat(/^SWMKEY-1-\S{43}$/.test(key), "a key")
  }),
  several("swarm unlock-key", ["--rotate"], "the new key opens the manager", async (bench) => {
    const machine = await begun(bench, "--autolock")
    const former = await machine.docker("swarm", "unlock-key", "--quiet")
    const key = await machine.docker("swarm", "unlock-key", "--quiet", "--rotate")
    expectThat(key !== former, "another key")
    await lockedAfterRestart(machine)
    await opens(bench, machine, key)
  }),
  several("swarm update", settingFlags, "the cluster's settings tell it", async (bench) => {
    const machine = await begun(bench)
    await machine.docker("swarm", "update", ...settings)
    await expectSettings(machine)
  }),
  several("swarm update", ["--autolock"], "the manager is locked when it starts again", async (bench) => {
    const machine = await begun(bench)
    await machine.docker("swarm", "update", "--autolock=true")
    const key = await machine.docker("swarm", "unlock-key", "-q")
    await lockedAfterRestart(machine)
    await opens(bench, machine, key)
  }),
  several("swarm ca", ["--rotate"], "another root is trusted, and tokens carry its digest", async (bench) => {
    const machine = await begun(bench)
    const former = await rootOf(machine)
    await machine.docker("swarm", "ca", "--rotate", "--detach")
    const root = await bench.until(
      () => rootOf(machine),
      (seen) => seen !== former && !seen.includes(former)
    )
    expectThat(digestIn(await token(machine, "worker")) === digestOf(root), "the digest")
  }),
  several(
    "swarm ca",
    ["--quiet"],
    "the command waits for the new root, and prints it alone",
    async (bench) => {
      const machine = await begun(bench)
      const said = await machine.docker("swarm", "ca", "--rotate", "--quiet")
      expectThat(said === (await rootOf(machine)), said)
    }
  ),
  several(
    "swarm ca",
    ["--detach"],
    "the command ends before the new root is all that is trusted",
    async (bench) => {
      const machine = await begun(bench)
      const said = await machine.docker("swarm", "ca", "--rotate", "--detach")
      expectThat(said === "", said)
    }
  ),
  several("swarm ca", ["--cert-expiry"], "certificates are valid that long", async (bench) => {
    const machine = await begun(bench)
    await machine.docker("swarm", "ca", "--rotate", "--quiet", "--cert-expiry", "50h")
    const { Spec } = await clusterOf(machine)
    expectThat(Spec.CAConfig.NodeCertExpiry === 50 * hour, Spec.CAConfig)
  }),
  several(
    "swarm ca",
    ["--ca-cert", "--ca-key"],
    "the given root is the one that is trusted",
    async (bench) => {
      const machine = await begun(bench)
      const [cert, key] = [`${bench.folder}/${bench.name}.pem`, `${bench.folder}/${bench.name}.key`]
      const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
      await run("openssl", [
        "req",
        "-x509",
        ...curve,
        "-subj",
        "/CN=given",
        "-days",
        "300",
        "-keyout",
        key,
        "-out",
        cert
      ])
      await writeFile(key, await readFile(key))
      await machine.docker("swarm", "ca", "--rotate", "--quiet", "--ca-cert", cert, "--ca-key", key)
      const [root, given] = [await rootOf(machine), (await readFile(cert, "utf8")).trim()]
      expectThat(root === given, root)
    }
  )
]

export const swarm: ReadonlyArray<Case> = all.map((one) => ({ ...one, apart: true }))
