/** Managers that show each other certificates, one of which comes back at another address of this machine. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test"
import { execFileSync } from "node:child_process"
import { mkdtemp } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect } from "effect"
import { readCertificate } from "#actors/authority/x509.ts"
import { Cluster } from "#test/support/cluster.ts"
import { eventually } from "#test/support/engine.ts"
import { invitation, mustWriteConfig, noEngine } from "#test/support/managers.ts"
import { heldBy } from "#test/support/trusting.ts"

setDefaultTimeout(90_000)

/** Who listens beyond loopback shows certificates, wherever it is reached. */
async function newNode(name: string, role: "manager" | "worker"): Promise<Cluster> {
  const args = ["--executor", "process", "--listen-addr", "0.0.0.0"]
  const folder = await mkdtemp(join(tmpdir(), "troupe-address-"))
  if (role === "manager") return new Cluster(folder, { name, dockerHost: noEngine, args })
  return new Cluster(folder, { name, role: "none", dockerHost: noEngine, args: [...args, "--role", role] })
}
const reachedAt = (address: string): ReadonlyArray<string> => ["--advertise-addr", address]
const before = ["10.89.0.1", "10.89.0.2", "10.89.0.3"] as const
const after = "10.89.1.3"
const worker = "10.89.0.9"
const all: Array<Cluster> = []
const third = (): Cluster => all[2] as Cluster

/** Where each manager takes this one to be: in its ledger, to its Engine's clients, and on its disk. */
async function knownAddresses(of: Cluster): Promise<ReadonlyArray<string>> {
  const found = new Set<string>()
  for (const one of all) {
    const { Status, ManagerStatus } = await one.get(`/nodes/${of.nodeId}`)
    found.add(Status.Addr).add(ManagerStatus.Addr.replace(/:\d+$/, ""))
    const { Swarm } = await one.get("/info")
    const remote = Swarm.RemoteManagers.find(({ NodeID }: { NodeID: string }) => NodeID === of.nodeId)
    found.add(remote.Addr.replace(/:\d+$/, ""))
    found.add(heldBy(one).membership.managers.find(({ nodeId }) => nodeId === of.nodeId)?.address ?? "none")
  }
  return [...found]
}

/** Waits for one address only by which all know it; an election on a busy machine may come between. */
const isKnownBy = (of: Cluster, address: string): Promise<void> =>
  eventually(
    async () => Bun.deepEquals(await knownAddresses(of).catch(() => []), [address]),
    `every manager knows ${address} only`,
    30_000
  )

const namedBy = async (node: Cluster): Promise<ReadonlyArray<string>> => {
  const { certificate, root } = heldBy(node).membership
  return (await Effect.runPromise(readCertificate(certificate, root))).addresses
}

const areReady = (count: number): Promise<void> =>
  eventually(
    async () => {
      const { status, body } = await (all[0] as Cluster).api("GET", "/nodes")
      return (
        status === 200 &&
        body.filter(({ Status }: { Status: { State: string } }) => Status.State === "ready").length === count
      )
    },
    `${count} nodes are ready`,
    60_000
  )

/** As a machine has them that was given others: clients of a loopback address would take it for a server without certificates. */
const addresses = (change: "replace" | "delete"): void => {
  for (const one of [...before, after, worker]) {
    execFileSync("ip", ["address", change, `${one}/32`, "dev", "lo"])
  }
}

beforeAll(async () => {
  addresses("replace")
  const joining: Array<string> = []
  for (const [at, address] of before.entries()) {
    const made = await newNode(`m${at + 1}`, "manager")
    all.push(made)
    await made.start([...reachedAt(address), ...joining])
    await areReady(at + 1)
    if (at > 0) continue
    const invited = await invitation(made)
    joining.push("--join", invited.address, "--token", invited.token)
  }
}, 120_000)
afterAll(async () => {
  await Promise.all(all.map((one) => one.cleanUp()))
  addresses("delete")
}, 60_000)

test("RF-15 a manager that comes back at another address is known by it everywhere, and its certificate names it", async () => {
  await isKnownBy(third(), before[2])
  await third().stop()
  await third().start(reachedAt(after))
  await areReady(3)
  await isKnownBy(third(), after)
  await eventually(
    async () => (await namedBy(third())).includes(after),
    "its certificate names the new address",
    30_000
  )
  expect(await namedBy(third())).not.toContain(before[2])
})

test("RF-15 who joins at the new address finds a certificate that names it there", async () => {
  await mustWriteConfig(third(), "someone-leads")
  const { address } = await invitation(third())
  expect(address).toStartWith(`${after}:`)
  const { JoinTokens } = await third().get("/swarm")
  const made = await newNode("w1", "worker")
  try {
    await made.start([...reachedAt(worker), "--join", address, "--token", JoinTokens.Worker])
    await areReady(4)
    const known = heldBy(made).membership.managers.map((manager) => manager.address)
    expect(known.sort()).toEqual([before[0], before[1], after])
  } finally {
    await made.cleanUp()
  }
})

test("RF-15 it is the same after all of them were begun again", async () => {
  await mustWriteConfig(third(), "before")
  await Promise.all(all.map((one) => one.stop()))
  const now = [before[0], before[1], after]
  await Promise.all(all.map((one, at) => one.start(reachedAt(now[at] ?? after))))
  await mustWriteConfig(third(), "after")
  await isKnownBy(third(), after)
  await isKnownBy(all[0] as Cluster, before[0])
})
