/** Containers that people attach to our overlays through the docker CLI, beside tasks that were given addresses. */
import { afterAll, beforeAll, expect, test } from "bun:test"
import { networkLabel } from "#actors/drivers/labels.ts"
import { levelOf } from "#actors/ledger/features.ts"
import { docker } from "#test/support/docker-cli.ts"
import { cleanUp, engine, ensureTestImage, eventually, testImage, uniqueName } from "#test/support/engine.ts"
import { type OpenTestGateway, openTestGateway } from "#test/support/open-gateway.ts"

const label = uniqueName("gateway-networks")
const attachable = uniqueName("att")
const closed = uniqueName("closed")
let gateway: OpenTestGateway
const ids: Array<string> = []

/** Subnets of this file's own: the machine's Engine serves other suites too. */
async function network(name: string, subnet: string, isAttachable: boolean): Promise<string> {
  const created = await docker(gateway.host, [
    "network",
    "create",
    "-d",
    "overlay",
    "--label",
    label,
    "--subnet",
    subnet,
    ...(isAttachable ? ["--attachable"] : []),
    name
  ])
  expect(created.stderr).toBe("")
  ids.push(created.text)
  const gatewayAddress = subnet.replace(/\.0\/\d+$/, ".1")
  // What the allocator writes.
  await gateway.cluster.write({
    type: "network.allot",
    v: 1,
    networks: [
      {
        id: created.text,
        vni: 4097 + ids.length,
        ipam: { Driver: "default", Config: [{ Subnet: subnet, Gateway: gatewayAddress }] }
      }
    ]
  })
  return created.text
}

beforeAll(async () => {
  await ensureTestImage()
  // Nobody leads here, and until all managers keep such containers nobody needs to.
  gateway = await openTestGateway({ level: levelOf["node.attach"] - 1 })
  await network(attachable, "10.231.8.0/24", true)
  await network(closed, "10.231.9.0/24", false)
}, 60_000)
afterAll(async () => {
  await gateway.close()
  await cleanUp(label)
  for (const id of ids) await cleanUp(`${networkLabel}=${id}`)
}, 60_000)

const run = (args: ReadonlyArray<string>) => docker(gateway.host, args)
const addressOf = async (container: string): Promise<string> =>
  Object.values((await engine().getContainer(container).inspect()).NetworkSettings.Networks)
    .map(({ IPAddress }) => IPAddress)
    .join(" ")

test("a container joins an attachable overlay by name, id or --ip, outside of what tasks are given", async () => {
  const [first, second, third] = [uniqueName("a"), uniqueName("b"), uniqueName("c")]
  const start = (name: string, ...args: ReadonlyArray<string>) =>
    run(["run", "-d", "--label", label, "--name", name, ...args, testImage, "sleep", "300"])
  expect(await start(first, "--network", attachable)).toMatchObject({ code: 0, stderr: "" })
  expect(await start(second, "--network", ids[0] ?? "")).toMatchObject({ code: 0, stderr: "" })
  expect(await start(third, "--network", attachable, "--ip", "10.231.8.250")).toMatchObject({ code: 0 })
  expect(await addressOf(first)).toMatch(/^10\.231\.8\.(19[2-9]|2\d\d)$/)
  expect(await addressOf(second)).toMatch(/^10\.231\.8\.(19[2-9]|2\d\d)$/)
  expect(await addressOf(third)).toBe("10.231.8.250")
  // They reach each other, by name too.
  expect((await run(["exec", first, "ping", "-c", "1", "-W", "5", second])).code).toBe(0)

  const refused = await start(uniqueName("d"), "--network", attachable, "--ip", "10.231.8.9")
  expect(refused.stderr).toContain(
    `invalid address 10.231.8.9: containers attached to network ${attachable} by hand have addresses in 10.231.8.192/26; the others belong to tasks`
  )
}, 60_000)

test("connect and disconnect, by name and by id", async () => {
  const name = uniqueName("later")
  await run(["run", "-d", "--label", label, "--name", name, testImage, "sleep", "300"])
  expect(await run(["network", "connect", attachable, name])).toMatchObject({ code: 0, stderr: "" })
  expect(await addressOf(name)).toContain("10.231.8.")
  expect(await run(["network", "disconnect", ids[0] ?? "", name])).toMatchObject({ code: 0, stderr: "" })
  expect(await addressOf(name)).not.toContain("10.231.8.")
}, 60_000)

test("an overlay that is not attachable refuses in Swarm's words", async () => {
  const words = `Could not attach to network ${closed}: rpc error: code = PermissionDenied desc = network ${closed} not manually attachable`
  const created = await run(["run", "--rm", "--label", label, "--network", closed, testImage, "true"])
  expect(created.code).not.toBe(0)
  expect(created.stderr).toContain(words)
  const name = uniqueName("refused")
  await run(["run", "-d", "--label", label, "--name", name, testImage, "sleep", "300"])
  expect((await run(["network", "connect", closed, name])).stderr).toContain(words)
}, 60_000)

test("a stopped container finds its network again after the bridge was removed", async () => {
  const name = uniqueName("stopped")
  const lone = uniqueName("lone")
  const id = await network(lone, "10.231.10.0/24", true)
  await run(["run", "-d", "--label", label, "--name", name, "--network", lone, testImage, "sleep", "300"])
  await run(["kill", name])
  const bridges = await engine().listNetworks({
    filters: JSON.stringify({ label: [`${networkLabel}=${id}`] })
  })
  expect(bridges).toHaveLength(1)
  const remove = () =>
    engine()
      .getNetwork(bridges[0]?.Id ?? "")
      .remove()
  // It lets go of what was killed a moment later.
  await eventually(
    () =>
      remove().then(
        () => true,
        () => false
      ),
    "the bridge is removed"
  )
  expect(await run(["start", name])).toMatchObject({ code: 0, stderr: "" })
  expect(await addressOf(name)).toMatch(/^10\.231\.10\.(19[2-9]|2\d\d)$/)
}, 60_000)

test("networks of the Engine's own are passed through untouched", async () => {
  const own = uniqueName("own")
  expect((await run(["network", "create", "--label", label, own])).code).toBe(0)
  const name = uniqueName("plain")
  expect(
    await run(["run", "-d", "--label", label, "--name", name, "--network", own, testImage, "sleep", "300"])
  ).toMatchObject({ code: 0, stderr: "" })
  expect((await run(["run", "--rm", "--label", label, "--network", "none", testImage, "true"])).code).toBe(0)
  expect((await run(["run", "--rm", "--network", `container:${name}`, testImage, "true"])).code).toBe(0)
  expect((await run(["run", "--rm", "--network", "no-such-net", testImage, "true"])).stderr).toContain(
    "network no-such-net not found"
  )
  await run(["rm", "-f", name])
}, 60_000)
