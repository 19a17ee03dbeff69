/** What people order of a cluster, each kind drawn as often as it weighs. What comes back is what was done, or nothing where that cannot be done now. */
import process from "node:process"
import { setTimeout as pause } from "node:timers/promises"
import { listed, managersOf, raftOf, type Site, swarmOf } from "#test/soak/operators/site.ts"
import type { Cluster } from "#test/support/cluster.ts"
import { onLoopback } from "#test/support/idle-node.ts"

type Give = (site: Site, by: Cluster) => Promise<string | undefined>
interface Order {
  readonly weight: number
  readonly give: Give
}

const pick = <A>({ chance }: Site, all: ReadonlyArray<A>): A | undefined => all[chance.below(all.length)]
const up = ({ nodes, down }: Site) => nodes.filter((node) => !down.has(node))
const ready = async (by: Cluster) => (await listed(by)).filter(({ Status }) => Status.State === "ready")

/** Whether one of the managers may go without the rest losing its majority; it is counted on if it goes without a word. */
async function spares(site: Site, by: Cluster, how: "in order" | "without a word"): Promise<boolean> {
  const counted = (await listed(by)).filter(({ ManagerStatus }) => ManagerStatus !== undefined)
  // Those who are told to be managers no more count as long as that is under way.
  if (how === "without a word" && counted.some(({ Spec }) => Spec.Role === "worker")) return false
  const living: Array<string> = []
  for (const node of await managersOf(site)) {
    const { role } = await raftOf(node)
    if (role === "leader" || role === "follower") living.push((await swarmOf(node)).NodeID)
  }
  const good = counted.filter(({ ID }) => living.includes(ID)).length
  const members = how === "in order" ? counted.length - 1 : counted.length
  return good > 1 && good - 1 > members / 2
}

const promote: Give = async (site, by) => {
  const one = pick(
    site,
    (await ready(by)).filter(({ Spec }) => Spec.Role === "worker")
  )
  if (one === undefined) return undefined
  await site.docker(by, "node", "promote", one.ID)
  return one.Description.Hostname
}

const demote: Give = async (site, by) => {
  const are = (await listed(by)).filter(({ Spec, ManagerStatus }) => Spec.Role === "manager" && ManagerStatus)
  const one = pick(site, are)
  if (one === undefined || are.length < 2 || !(await spares(site, by, "in order"))) return undefined
  await site.docker(by, "node", "demote", one.ID)
  return one.Description.Hostname
}

const makeUnavailable: Give = async (site, by) => {
  const active = (await ready(by)).filter(({ Spec }) => Spec.Availability === "active")
  const one = pick(site, active)
  if (one === undefined || active.length < 3) return undefined
  const availability = pick(site, ["drain", "pause"]) as string
  await site.docker(by, "node", "update", "--availability", availability, one.ID)
  return `${one.Description.Hostname}, ${availability}`
}

const activate: Give = async (site, by) => {
  const one = pick(
    site,
    (await listed(by)).filter(({ Spec }) => Spec.Availability !== "active")
  )
  if (one === undefined) return undefined
  await site.docker(by, "node", "update", "--availability", "active", one.ID)
  return one.Description.Hostname
}

const leave: Give = async (site, by) => {
  const here = up(site)
  const node = pick(site, here)
  if (node === undefined || here.length < 3) return undefined
  const { LocalNodeState, ControlAvailable } = await swarmOf(node)
  if (LocalNodeState !== "active") return undefined
  if (ControlAvailable && !(await spares(site, by, "without a word"))) return undefined
  await site.docker(node, "swarm", "leave", "--force")
  return site.nameOf(node)
}

const join: Give = async (site, by) => {
  const idle: Array<Cluster> = []
  for (const node of up(site)) if ((await swarmOf(node)).LocalNodeState === "inactive") idle.push(node)
  const node = pick(site, idle)
  if (node === undefined) return undefined
  const role = pick(site, ["worker", "manager"]) as string
  const token = await site.docker(by, "swarm", "join-token", "-q", role)
  if (token === undefined) return undefined
  const { NodeID, RemoteManagers } = await swarmOf(by)
  const address = RemoteManagers.find((one: { readonly NodeID: string }) => one.NodeID === NodeID)?.Addr
  await site.docker(node, "swarm", "join", ...onLoopback, "--token", token, address)
  return `${site.nameOf(node)} as ${role}`
}

/** A manager that is gone has to be demoted first. */
const remove: Give = async (site, by) => {
  const here = await Promise.all(site.nodes.map(async (node) => (await swarmOf(node)).NodeID))
  const gone = (await listed(by)).filter(({ ID, Status }) => Status.State === "down" && !here.includes(ID))
  for (const { ID, ManagerStatus } of gone)
    await site.docker(by, "node", ManagerStatus === undefined ? "rm" : "demote", ID)
  return gone.length === 0 ? undefined : String(gone.length)
}

const restart: Give = async (site, by) => {
  const node = pick(site, up(site))
  if (node === undefined) return undefined
  const manages = (await managersOf(site)).includes(node)
  if (manages && !(await spares(site, by, "without a word"))) return undefined
  const how = pick(site, ["stop", "kill9"] as const) ?? "stop"
  await knowKey(site, by)
  site.down.add(node)
  await node[how]()
  await pause(site.chance.below(3_000))
  await node.begin()
  site.down.delete(node)
  const opened = await unlock(site, node)
  return `${site.nameOf(node)}, ${how}${opened ? ", unlocked" : ""}`
}

/** With each key there was: one that was away while the key changed has its disk locked with the one before. */
async function unlock(site: Site, node: Cluster): Promise<boolean> {
  if ((await swarmOf(node)).LocalNodeState !== "locked") return false
  for (const key of site.keys.toReversed())
    if ((await node.cli(["swarm", "unlock"], { input: Buffer.from(`${key}\n`) })).code === 0) return true
  return false
}

const freeze: Give = async (site, by) => {
  const one = pick(site, up(site))
  if (one === undefined || one === by) return undefined
  if ((await managersOf(site)).includes(one) && !(await spares(site, by, "without a word"))) return undefined
  const ms = site.chance.below(8_000)
  site.down.add(one)
  one.signal("SIGSTOP")
  site.meanwhile(async () => {
    await pause(ms)
    one.signal("SIGCONT")
    site.down.delete(one)
  })
  return `${site.nameOf(one)}, ${ms} ms`
}

const loseNats: Give = async (site, _by) => {
  const node = pick(
    site,
    up(site).filter((one) => one.natsPid > 0)
  )
  if (node === undefined) return undefined
  process.kill(node.natsPid, "SIGKILL")
  return site.nameOf(node)
}

const lock: Give = async (site, by) => {
  const on = site.chance.below(3) > 0
  const answer = await site.docker(by, "swarm", "update", `--autolock=${on}`)
  if (answer === undefined) return undefined
  await knowKey(site, by)
  return on ? "on" : "off"
}

const anotherKey: Give = async (site, by) => {
  if ((await site.docker(by, "swarm", "unlock-key", "--rotate", "-q")) === undefined) return undefined
  await knowKey(site, by)
  return "anew"
}

async function knowKey(site: Site, by: Cluster): Promise<void> {
  const { code, text } = await by.cli(["swarm", "unlock-key", "-q"])
  if (code === 0 && !site.keys.includes(text)) site.keys.push(text)
}

const tokens: Give = async (site, by) => {
  const role = pick(site, ["worker", "manager"]) as string
  await site.docker(by, "swarm", "join-token", "--rotate", "-q", role)
  return role
}

const root: Give = async (site, by) => {
  await site.docker(by, "swarm", "ca", "--rotate", "--detach", "--quiet")
  return "anew"
}

const label: Give = async (site, by) => {
  const one = pick(site, await listed(by))
  if (one === undefined) return undefined
  const how = pick(site, ["--label-add=zone=a", "--label-add=zone=b", "--label-rm=zone"]) as string
  await site.docker(by, "node", "update", how, one.ID)
  return `${one.Description.Hostname}, ${how}`
}

const inZone = ["--constraint", "node.labels.zone==a"]
const spread = ["--placement-pref", "spread=node.labels.zone"]
const kinds = [[], inZone, spread, ["--replicas-max-per-node", "1"], ["--replicas-max-per-node", "2"]]

let made = 0
const create: Give = async (site, by) => {
  if (site.services.size > 7) return undefined
  const name = `s${++made}`
  const mode = pick(site, ["replicated", "replicated", "global", "replicated-job"]) as string
  // A job that begins with none may never have one at a time, however far it is scaled.
  const least = mode === "replicated-job" ? 1 : 0
  const replicas = mode === "global" ? undefined : least + site.chance.below(7)
  const flags = ["-d", "--no-resolve-image", "--name", name, "--mode", mode]
  if (replicas !== undefined) flags.push("--replicas", String(replicas))
  flags.push(...(mode === "replicated" ? (pick(site, kinds) ?? []) : (pick(site, [[], inZone]) ?? [])))
  const seconds = String(100_000 + made)
  const command = mode === "replicated-job" ? ["sh", "-c", "sleep 0.5"] : ["sleep", seconds]
  const answer = await site.docker(by, "service", "create", ...flags, "host", ...command)
  // What became of an order whose answer was lost nobody knows.
  if (answer !== undefined) site.services.set(name, { replicas, seconds })
  return `${name}, ${flags.slice(4).join(" ")}`
}

const scale: Give = async (site, by) => {
  const counted = [...site.services].filter(([, { replicas }]) => replicas !== undefined)
  const name = pick(site, counted)?.[0]
  if (name === undefined) return undefined
  const replicas = site.chance.below(9)
  const answer = await site.docker(by, "service", "scale", "-d", `${name}=${replicas}`)
  const wanted = site.services.get(name)
  if (answer !== undefined && wanted !== undefined) site.services.set(name, { ...wanted, replicas })
  return `${name}, ${replicas}`
}

const changes = [
  ["--env-add", "A=1"],
  ["--env-rm", "A"],
  ["--force"],
  ["--constraint-add", "node.labels.zone==a"],
  ["--constraint-rm", "node.labels.zone==a"],
  ["--update-order", "start-first", "--update-parallelism", "2"],
  ["--update-order", "stop-first", "--update-parallelism", "0"]
]
const update: Give = async (site, by) => {
  const name = pick(site, [...site.services.keys()])
  if (name === undefined) return undefined
  const how = pick(site, changes) ?? []
  await site.docker(by, "service", "update", "-d", ...how, name)
  return `${name}, ${how.join(" ")}`
}

const unmake: Give = async (site, by) => {
  const name = pick(site, [...site.services.keys()])
  if (name === undefined || site.services.size < 3) return undefined
  if ((await site.docker(by, "service", "rm", name)) !== undefined) site.services.delete(name)
  return name
}

export const orders: Readonly<Record<string, Order>> = {
  "node promote": { weight: 3, give: promote },
  "node demote": { weight: 3, give: demote },
  "node update": { weight: 1, give: makeUnavailable },
  "node update label": { weight: 2, give: label },
  "node update back": { weight: 2, give: activate },
  "node rm": { weight: 1, give: remove },
  "swarm leave": { weight: 1, give: leave },
  "swarm join": { weight: 2, give: join },
  "swarm join-token": { weight: 1, give: tokens },
  "swarm ca": { weight: 1, give: root },
  "swarm update --autolock": { weight: 1, give: lock },
  "swarm unlock-key": { weight: 1, give: anotherKey },
  restart: { weight: 2, give: restart },
  freeze: { weight: 1, give: freeze },
  "kill nats-server": { weight: 1, give: loseNats },
  "service create": { weight: 2, give: create },
  "service scale": { weight: 1, give: scale },
  "service update": { weight: 2, give: update },
  "service rm": { weight: 1, give: unmake }
}
