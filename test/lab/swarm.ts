/** Docker's own Swarm on machines of the lab: nothing of Troupe runs there. */
import { engineOf, type Machine } from "#test/lab/machines.ts"
import { LabError, until } from "#test/lab/processes.ts"
import { request } from "#test/lab/request.ts"

const port = 2377

async function post({ name }: Machine, path: string, body: unknown): Promise<void> {
  const { status, body: answer } = await request(engineOf(name), "POST", path, body, 60_000)
  if (status !== 200) throw new LabError(`${path} on ${name}: ${status} ${JSON.stringify(answer)}`)
}

const stateOf = async ({ name }: Machine): Promise<string> =>
  (await request(engineOf(name), "GET", "/info", undefined, 20_000)).body.Swarm.LocalNodeState

/** The first founds a swarm and the others join it, one after the other; members are left as they are. */
export async function raiseSwarm(machines: ReadonlyArray<Machine>): Promise<void> {
  const [founder, ...others] = machines
  if (founder === undefined) return
  if ((await stateOf(founder)) === "inactive") {
    const { address } = founder
    await post(founder, "/swarm/init", {
      ListenAddr: `${address}:${port}`,
      AdvertiseAddr: address,
      ForceNewCluster: false
    })
  }
  const { JoinTokens } = (await request(engineOf(founder.name), "GET", "/swarm")).body
  for (const machine of others) {
    if ((await stateOf(machine)) !== "inactive") continue
    await post(machine, "/swarm/join", {
      ListenAddr: `${machine.address}:${port}`,
      AdvertiseAddr: machine.address,
      RemoteAddrs: [`${founder.address}:${port}`],
      JoinToken: machine.role === "manager" ? JoinTokens.Manager : JoinTokens.Worker
    })
  }
  await until(`${machines.length} nodes of the swarm`, 60, async () => {
    const { body } = await request(engineOf(founder.name), "GET", "/nodes")
    return body.length === machines.length && body.every((node: NodeView) => node.Status.State === "ready")
  })
}

interface NodeView {
  readonly Status: { readonly State: string }
}
