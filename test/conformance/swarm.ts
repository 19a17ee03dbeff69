/** The cases of `docker swarm`; each has a cluster of its own. */

import { execFile } from "node:child_process"
import { createHash } from "node:crypto"
import { readFile } from "node:fs/promises"
import { promisify } from "node:util"
import type { Bench, BenchMachine, Case } from "#test/conformance/case.ts"
import { expectThat, idle } from "#test/conformance/service-case.ts"
import { begin, clusterOf, join, pair } from "#test/conformance/swarm-case.ts"
import { ensureTestImage, testImage } from "#test/support/engine.ts"
import { openAuthority } from "#test/support/external-authority.ts"

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

/** A root of the case's own: the files of its certificate and its key. */
async function ownRoot(bench: Bench): Promise<{ readonly cert: string; readonly key: string }> {
  const [cert, key] = [`${bench.folder}/${bench.name}.pem`, `${bench.folder}/${bench.name}.key`]
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
  const told = ["-subj", "/CN=given", "-days", "3650", "-keyout", key, "-out", cert]
  await run("openssl", ["req", "-x509", ...curve, ...told])
  return { cert, key }
}

const place = ({ address }: BenchMachine): ReadonlyArray<string> => [
  ...["--listen-addr", address],
  ...["--advertise-addr", address]
]

/** A root that people keep elsewhere, with a service that signs by it. */
async function elsewhere(bench: Bench) {
  const { cert, key } = await ownRoot(bench)
  const [certificate, secret] = await Promise.all([readFile(cert, "utf8"), readFile(key, "utf8")])
  const { url, asked, close } = await openAuthority({ certificate, key: secret })
  bench.after(async () => close())
  return {
    flag: ["--external-ca", `protocol=cfssl,url=${url}`],
    root: ["--rotate", "--detach", "--ca-cert", cert, "--ca-key", key],
    /** It has signed for the node. */
    signs: async (machine: BenchMachine): Promise<void> => {
      const id = await machine.docker("info", "--format", "{{.Swarm.NodeID}}")
      await bench.until(
        async () => asked.includes(id),
        (has) => has
      )
    }
  }
}

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
  several(
    "swarm init",
    [
      ...settingFlags,
      ...["--advertise-addr", "--listen-addr", "--availability", "--data-path-port"],
      ...["--default-addr-pool", "--default-addr-pool-mask-length"]
    ],
    "docker info, the node and a network's subnet tell it",
    async (bench) => {
      const pool = ["--default-addr-pool", "10.77.0.0/16", "--default-addr-pool-mask-length", "26"]
      const more = ["--availability", "drain", "--data-path-port", "7789"]
      const machine = await begun(bench, ...settings, ...pool, ...more)
      await expectSettings(machine)
      const [{ Addr }] = await machine.json("info", "--format", "{{json .Swarm.RemoteManagers}}")
      expectThat(Addr === machine.address, Addr)
      const info = await machine.docker("info")
      expectThat(info.includes("Data Path Port: 7789"), info)
      const availability = await machine.docker("node", "ls", "--format", "{{.Availability}}")
      expectThat(availability === "Drain", availability)
      await machine.docker("network", "create", "-d", "overlay", "told")
      const asked = ["network", "inspect", "told", "--format", "{{range .IPAM.Config}}{{.Subnet}}{{end}}"]
      return await bench.until(
        () => machine.docker(...asked),
        (seen) => /^10\.77\.0\.\d+\/26$/.test(seen)
      )
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
  several(
    "swarm init",
    ["--force-new-cluster"],
    "the manager that lost the others has all it had, alone",
    async (bench) => {
      const [manager, other, id] = await pair(bench, "manager")
      await manager.told("x", "config", "create", "kept", "-")
      await other.docker("swarm", "leave", "--force")
      await manager.docker("swarm", "init", "--force-new-cluster", ...place(manager))
      await bench.until(
        () => manager.docker("node", "ls", "--filter", "role=manager", "-q"),
        (seen) => seen !== "" && !seen.includes(id) && !seen.includes("\n")
      )
      const kept = await manager.docker("config", "ls", "--format", "{{.Name}}")
      expectThat(kept === "kept", kept)
    }
  ),
  several(
    "swarm init",
    ["--external-ca"],
    "the service signs for the node once the root is its own",
    async (bench) => {
      const { flag, root, signs } = await elsewhere(bench)
      const machine = await begun(bench, ...flag)
      await machine.docker("swarm", "ca", ...root)
      await signs(machine)
    }
  ),
  several("swarm update", ["--external-ca"], "the service signs for a node that joins", async (bench) => {
    const { flag, root, signs } = await elsewhere(bench)
    const [manager, other] = [await begun(bench), await bench.machine()]
    await manager.docker("swarm", "ca", ...root)
    await manager.docker("swarm", "update", ...flag)
    await join(manager, other, "worker")
    await signs(other)
  }),
  several("swarm ca", ["--external-ca"], "the service signs for the node", async (bench) => {
    const { flag, root, signs } = await elsewhere(bench)
    const machine = await begun(bench)
    await machine.docker("swarm", "ca", ...root, ...flag)
    await signs(machine)
  }),
  several(
    "swarm join",
    ["--advertise-addr", "--listen-addr", "--availability", "--data-path-addr", "--token"],
    "the cluster knows the node as it asked to be; a token of another cluster is refused",
    async (bench) => {
      const [manager, other] = [await begun(bench), await bench.machine()]
      const own = await token(manager, "worker")
      const foreign = own.replace(/^SWMTKN-1-\w{50}/, `SWMTKN-1-${"0".repeat(50)}`)
      const refused = await other.attempt("swarm", "join", "--token", foreign, manager.address)
      expectThat(refused.said.includes("remote CA does not match fingerprint"), refused)
      const more = ["--availability", "pause", "--data-path-addr", "127.0.0.1"]
      const id = await join(manager, other, "worker", ...more)
      const asked = ["node", "inspect", id, "--format", "{{.Spec.Availability}} {{.Status.Addr}}"]
      await bench.until(
        () => manager.docker(...asked),
        (seen) => seen === "pause 127.0.0.1"
      )
    }
  ),
  several(
    "swarm join-token",
    ["--quiet", "--rotate"],
    "the former token lets nobody in, the new one does",
    async (bench) => {
      const [manager, other] = [await begun(bench), await bench.machine()]
      const former = await token(manager, "worker")
      const fresh = await token(manager, "worker", "--rotate")
      expectThat(/^SWMTKN-1-\w{50}-\w{25}$/.test(fresh) && fresh !== former, fresh)
      const refused = await other.attempt(
        "swarm",
        "join",
        ...place(other),
        "--token",
        former,
        manager.address
      )
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
      const warning = "Removing the last manager erases all current state"
      expectThat(warned.code === 1 && warned.said.includes(warning), warned)
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
  several(
    "swarm unlock-key",
    ["--quiet", "--rotate"],
    "only the key is printed, and the new one opens the manager",
    async (bench) => {
      const machine = await begun(bench, "--autolock")
      const former = await machine.docker("swarm", "unlock-key", "--quiet")
      const key = await machine.docker("swarm", "unlock-key", "--quiet", "--rotate")
      expectThat(/^SWMKEY-1-\S{43}$/.test(key) && key !== former, "another key")
      await lockedAfterRestart(machine)
      await opens(bench, machine, key)
    }
  ),
  several(
    "swarm update",
    [...settingFlags, "--autolock"],
    "the cluster's settings tell it, and the manager is locked when it starts again",
    async (bench) => {
      const machine = await begun(bench)
      await machine.docker("swarm", "update", ...settings, "--autolock=true")
      await expectSettings(machine)
      const key = await machine.docker("swarm", "unlock-key", "-q")
      await lockedAfterRestart(machine)
      await opens(bench, machine, key)
    }
  ),
  several(
    "swarm ca",
    ["--rotate", "--detach"],
    "another root is trusted in a while, and tokens carry its digest",
    async (bench) => {
      const machine = await begun(bench)
      const former = await rootOf(machine)
      const said = await machine.docker("swarm", "ca", "--rotate", "--detach")
      expectThat(said === "", said)
      const root = await bench.until(
        () => rootOf(machine),
        (seen) => !seen.includes(former)
      )
      expectThat(digestIn(await token(machine, "worker")) === digestOf(root), "the digest")
    }
  ),
  several(
    "swarm ca",
    ["--quiet", "--cert-expiry", "--ca-cert", "--ca-key"],
    "the command waits until the given root is the one that is trusted, and certificates are valid that long",
    async (bench) => {
      const machine = await begun(bench)
      const { cert, key } = await ownRoot(bench)
      const given = ["--cert-expiry", "50h", "--ca-cert", cert, "--ca-key", key]
      await machine.docker("swarm", "ca", "--rotate", "--quiet", ...given)
      const [root, own] = [await rootOf(machine), (await readFile(cert, "utf8")).trim()]
      expectThat(root === own, root)
      const { Spec } = await clusterOf(machine)
      expectThat(Spec.CAConfig.NodeCertExpiry === 50 * hour, Spec.CAConfig)
    }
  )
]

export const swarm: ReadonlyArray<Case> = all.map((one) => ({ ...one, apart: true }))
