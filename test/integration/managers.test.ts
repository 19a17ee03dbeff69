/** Three managers, each a process with its own nats-server and its own log: one cluster, whatever happens to one of them. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test"
import { Effect } from "effect"
import { newJoinToken } from "#actors/authority/join-token.ts"
import { newRoot } from "#actors/authority/x509.ts"
import type { Cluster } from "#test/support/cluster.ts"
import { eventually, uniqueName } from "#test/support/engine.ts"
import {
  changeRole,
  configNames,
  invitation,
  Managers,
  mustWriteConfig,
  newManager,
  raftOf,
  writeConfig
} from "#test/support/managers.ts"

setDefaultTimeout(60_000)

interface NodeJson {
  readonly ID: string
  readonly ManagerStatus?: { readonly Leader?: boolean }
}

let managers: Managers

beforeAll(async () => {
  managers = await Managers.start(3)
}, 120_000)
afterAll(async () => {
  await managers?.cleanUp()
}, 60_000)

/** Every write that was acknowledged so far. */
const written: Array<string> = []

async function write(by: Cluster): Promise<void> {
  const name = uniqueName("written")
  await mustWriteConfig(by, name)
  written.push(name)
}

/** Writes to `by` one after the other until told to end; what came back of each. */
function keepWriting(by: Cluster): { readonly end: () => Promise<ReadonlyArray<number>> } {
  let ended = false
  const statuses: Array<number> = []
  const writing = (async () => {
    while (!ended) {
      const name = uniqueName("kept")
      // Whoever is killed meanwhile takes the question with it, and refuses the next ones at once.
      const { status } = await writeConfig(by, name).catch(() => ({ status: 0 }))
      statuses.push(status)
      if (status === 201) written.push(name)
      else await Bun.sleep(20)
    }
  })()
  return {
    end: async () => {
      ended = true
      await writing
      return statuses
    }
  }
}

const expectNothingLost = async (): Promise<void> => {
  for (const one of managers.all) {
    const names = new Set(await configNames(one))
    expect(written.filter((name) => !names.has(name))).toEqual([])
  }
}

test("RF-01 RF-04 what one manager acknowledges, every other one shows at once", async () => {
  for (const [at, by] of managers.all.entries()) {
    const name = uniqueName("web")
    const created = await by.api("POST", "/services/create", {
      Name: name,
      TaskTemplate: { ContainerSpec: { Image: "host", Command: ["sleep", "600"] } },
      Mode: { Replicated: { Replicas: 0 } }
    })
    expect(created.status).toBe(201)
    // Not "eventually": whoever was told that it is there must find it anywhere.
    for (const one of managers.all) {
      const found = await one.api("GET", `/services/${name}`)
      expect({ at, status: found.status, id: found.body.ID }).toEqual({
        at,
        status: 200,
        id: created.body.ID
      })
    }
  }
})

test("every manager says what only the leader knows: what is wrong, and how a service follows its load", async () => {
  const name = uniqueName("scaled")
  const labels = { "troupe.autoscale.max": "3", "troupe.autoscale.cpu": "70%" }
  const created = await managers.all[0]?.api("POST", "/services/create", {
    Name: name,
    Labels: labels,
    TaskTemplate: { ContainerSpec: { Image: "host", Command: ["sleep", "600"] } },
    Mode: { Replicated: { Replicas: 1 } }
  })
  expect(created).toMatchObject({ status: 201 })
  for (const one of managers.all) {
    expect(await one.api("GET", "/alerts")).toMatchObject({ status: 200 })
    await eventually(
      async () => (await one.api("GET", `/autoscale/${name}`)).body.Now !== undefined,
      "the autoscaler's last decision is told"
    )
  }
  expect(await managers.all[0]?.api("DELETE", `/services/${name}`)).toMatchObject({ status: 200 })
})

test("RF-02 RF-10 RF-27 the leader is killed: another accepts writes, a follower answers all along, and the killed one catches up, a follower", async () => {
  for (const one of managers.all) await write(one)
  const leader = await managers.leader()
  const [near, far] = managers.others(leader) as [Cluster, Cluster]
  await leader.kill9()
  await write(near)
  await write(far)
  const next = await managers.leader(managers.others(leader))
  expect(next).not.toBe(leader)
  await leader.restart()
  await write(leader)
  expect((await raftOf(leader)).role).toBe("follower")
  await managers.settled()
  await managers.agreed()
  await expectNothingLost()
})

test("RF-03 a follower is killed: the leader stays, and writes go on", async () => {
  const leader = await managers.leader()
  const { term } = await raftOf(leader)
  const [killed, other] = managers.others(leader) as [Cluster, Cluster]
  await killed.kill9()
  await write(leader)
  await write(other)
  expect(await raftOf(leader)).toMatchObject({ role: "leader", term })
  await killed.restart()
  await managers.settled()
  await expectNothingLost()
})

test("RF-19 leaders are killed one after the other under writes: nothing that was acknowledged is missing anywhere", async () => {
  const writers = managers.all.map(keepWriting)
  try {
    for (let round = 0; round < 3; round++) {
      const leader = await managers.leader()
      const before = written.length
      await eventually(() => written.length > before + 10, "writes are under way")
      await leader.kill9()
      await leader.restart()
      await managers.settled()
    }
  } finally {
    // Writers that nobody ends would write into the tests that follow.
    await Promise.all(writers.map(({ end }) => end()))
  }
  await managers.agreed()
  await expectNothingLost()
})

test("the leader of the moment is called so by every manager, and nobody else is", async () => {
  for (const one of managers.all) {
    const flagged = async (): Promise<ReadonlyArray<string>> => {
      const { status, body } = await one.api("GET", "/nodes")
      const nodes: ReadonlyArray<NodeJson> = status === 200 ? body : []
      return nodes.flatMap(({ ID, ManagerStatus }) => (ManagerStatus?.Leader ? [ID] : []))
    }
    await eventually(
      async () => (await flagged()).join() === (await managers.leader()).nodeId,
      "who leads, and nobody else, is called the leader"
    )
  }
})

test("the leader ends in order: no write fails or hangs while another takes over", async () => {
  const leader = await managers.leader()
  const writers = managers.others(leader).map(keepWriting)
  const before = written.length
  await eventually(() => written.length > before + 10, "writes are under way")
  expect(await leader.stop()).toBe(0)
  const after = written.length
  await eventually(() => written.length > after + 10, "writes go on")
  const statuses = (await Promise.all(writers.map(({ end }) => end()))).flat()
  expect(statuses.filter((status) => status !== 201)).toEqual([])
  await leader.restart()
  await managers.settled()
  await managers.agreed()
  await expectNothingLost()
})

test("RF-05 a manager without a majority says at once that there is no leader, and what it knows of itself", async () => {
  const [left, ...gone] = managers.all as [Cluster, Cluster, Cluster]
  await Promise.all(gone.map((one) => one.kill9()))
  const noLeader =
    "rpc error: code = Unknown desc = The swarm does not have a leader. It's possible that too few managers are online. Make sure more than half of the managers are online."
  // A write before that may have been sent to a leader that was dead, and is waited for.
  await eventually(
    async () => (await raftOf(left)).leader === undefined,
    "the one that is left knows that it has no leader"
  )
  const lost = uniqueName("lost")
  const refused = await writeConfig(left, lost)
  expect({ status: refused.status, message: refused.body.message }).toEqual({
    status: 503,
    message: noLeader
  })
  const read = await left.api("GET", "/configs")
  expect({ status: read.status, message: read.body.message }).toEqual({ status: 503, message: noLeader })
  expect((await raftOf(left)).role).not.toBe("leader")

  await Promise.all(gone.map((one) => one.restart()))
  await managers.settled()
  await write(left)
  await managers.agreed()
  await expectNothingLost()
  expect(await configNames(left)).not.toContain(lost)
})

test("RF-11 all managers end and start again: everything is there", async () => {
  await Promise.all(managers.all.map((one) => one.stop()))
  await Promise.all(managers.all.map((one) => one.restart()))
  await managers.settled()
  for (const one of managers.all) await write(one)
  await managers.agreed()
  await expectNothingLost()
})

test("a token of another cluster lets nobody in", async () => {
  const { address } = await invitation(managers.all[0] as Cluster)
  const other = await Effect.runPromise(newRoot(Date.now()))
  const token = newJoinToken(other.pem)
  const stranger = await newManager("stranger", ["--join", address, "--token", token])
  try {
    await expect(stranger.start()).rejects.toThrow("remote CA does not match fingerprint. Expected: ")
  } finally {
    await stranger.cleanUp()
  }
  expect((await (managers.all[0] as Cluster).get("/nodes")).length).toBe(3)
})

test("RF-07 a follower leaves: the others are two managers, and go on", async () => {
  const leader = await managers.leader()
  const [leaving, other] = managers.others(leader) as [Cluster, Cluster]
  expect((await leaving.docker("swarm", "leave")).stderr).toContain(
    "You are attempting to leave the swarm on a node that is participating as a manager."
  )
  await leaving.must("swarm", "leave", "--force")
  await eventually(
    async () => {
      const { ManagerStatus, Status } = await leader.get(`/nodes/${leaving.nodeId}`)
      return Status.State === "down" && ManagerStatus?.Reachability !== "reachable"
    },
    "whoever left is seen to be gone",
    30_000
  )
  await write(leader)
  await write(other)
  await changeRole(leader, "demote", leaving.nodeId)
  await eventually(
    async () => (await leader.docker("node", "rm", leaving.nodeId)).code === 0,
    "it is removed",
    30_000
  )
  expect((await other.get("/nodes")).length).toBe(2)
  expect((await other.get("/info")).Swarm).toMatchObject({ Managers: 2, Nodes: 2 })
})
