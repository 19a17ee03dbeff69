/** The cases of `docker network`: overlays are the cluster's, all others the Engine's, and one command makes both. */
import type { Bench, Case } from "#test/conformance/case.ts"
import { create, expectThat, ownOf, runs } from "#test/conformance/service-case.ts"
import { begin } from "#test/conformance/swarm-case.ts"
import { testImage } from "#test/support/engine.ts"

const connect = ownOf("network connect")
const made = ownOf("network create")
const ls = ownOf("network ls")
const prune = ownOf("network prune")

const gone = (bench: Bench, name = bench.name): void =>
  bench.after(() =>
    bench.until(
      () => bench.attempt("network", "rm", name),
      ({ code, said }) => code === 0 || said.includes("not found")
    )
  )

/** A network of the case's own; its id. */
async function make(bench: Bench, driver: string, ...args: ReadonlyArray<string>): Promise<string> {
  const id = await bench.docker("network", "create", "--driver", driver, ...args, bench.name)
  gone(bench)
  return id
}

/** A container of the case's own, as the Engine has it. */
async function box(bench: Bench, ...args: ReadonlyArray<string>): Promise<string> {
  const of = ["run", "-d", "--stop-timeout", "0", "--name", `${bench.name}-box`, ...args]
  const id = await bench.docker(...of, testImage, "sleep", "100000")
  bench.after(() => bench.target.engine.getContainer(id).remove({ force: true }))
  return id
}

// biome-ignore lint/suspicious/noExplicitAny: the Engine's own endpoint
const endpoint = async (bench: Bench, id: string): Promise<any> => {
  const { Networks } = (await bench.target.engine.getContainer(id).inspect()).NetworkSettings
  return Networks[bench.name] ?? Object.entries(Networks).find(([name]) => name !== "bridge")?.[1]
}

// biome-ignore lint/suspicious/noExplicitAny: as the CLI shows it
const inspected = async (bench: Bench): Promise<any> =>
  (await bench.json("network", "inspect", bench.name))[0]

const inside = async (bench: Bench, id: string, script: string): Promise<string> =>
  bench.docker("exec", id, "sh", "-c", script)

/** A subnet that no other case has. */
const subnet = ({ name }: Bench): string => {
  const [a, b] = Buffer.from(name.slice(-4), "hex")
  return `10.${64 + ((a ?? 0) % 32)}.${b}`
}

const bridged = async (bench: Bench, ...args: ReadonlyArray<string>): Promise<string> => {
  await make(bench, "bridge", "--subnet", `${subnet(bench)}.0/24`, "--attachable")
  const id = await box(bench)
  await bench.docker("network", "connect", ...args, bench.name, id)
  return id
}

export const network: ReadonlyArray<Case> = [
  connect("--alias", "another container finds it by that name on the overlay", async (bench) => {
    await make(bench, "overlay", "--attachable")
    const id = await box(bench)
    await bench.docker("network", "connect", "--alias", "other", bench.name, id)
    await bench.until(
      () => inside(bench, id, "timeout 3 nslookup other 127.0.0.11 2>&1").catch(String),
      (seen) => /Address.*10\./.test(seen)
    )
  }),
  connect("--ip", "the container has the address", async (bench) => {
    await make(bench, "overlay", "--attachable", "--subnet", `${subnet(bench)}.0/24`)
    const id = await box(bench)
    await bench.docker("network", "connect", "--ip", `${subnet(bench)}.200`, bench.name, id)
    const seen = await inside(bench, id, "ip -4 addr")
    expectThat(seen.includes(`${subnet(bench)}.200/`), seen)
  }),
  connect("--ip6", "the container has the address", async (bench) => {
    const at = subnet(bench).replaceAll(".", ":")
    await make(bench, "bridge", "--ipv6", "--subnet", `${subnet(bench)}.0/24`, "--subnet", `fd00:${at}::/64`)
    const id = await box(bench)
    await bench.docker("network", "connect", "--ip6", `fd00:${at}::77`, bench.name, id)
    const seen = (await endpoint(bench, id)).IPAMConfig.IPv6Address
    expectThat(seen === `fd00:${at}::77`, seen)
  }),
  connect("--driver-opt", "DriverOpts of the endpoint have it", async (bench) => {
    const id = await bridged(bench, "--driver-opt", "colour=blue")
    const { DriverOpts } = await endpoint(bench, id)
    expectThat(DriverOpts?.colour === "blue", DriverOpts)
  }),
  connect("--link", "Links of the endpoint have it", async (bench) => {
    await make(bench, "bridge", "--subnet", `${subnet(bench)}.0/24`)
    const id = await box(bench)
    const other = await bench.docker(
      "run",
      "-d",
      "--stop-timeout",
      "0",
      "--network",
      bench.name,
      testImage,
      "sleep",
      "100000"
    )
    bench.after(() => bench.target.engine.getContainer(other).remove({ force: true }))
    await bench.docker("network", "connect", "--link", `${other}:friend`, bench.name, id)
    const { Links } = await endpoint(bench, id)
    expectThat(Links?.[0] === `${other}:friend`, Links)
  }),
  connect("--link-local-ip", "LinkLocalIPs of the endpoint have it", async (bench) => {
    const id = await bridged(bench, "--link-local-ip", "169.254.34.68")
    const { IPAMConfig } = await endpoint(bench, id)
    expectThat(IPAMConfig?.LinkLocalIPs?.[0] === "169.254.34.68", IPAMConfig)
  }),
  {
    ...connect("--gw-priority", "an Engine of API 1.41 has no such field, and shows none", async (bench) => {
      const id = await bridged(bench, "--gw-priority", "7")
      const { GwPriority } = await endpoint(bench, id)
      expectThat(GwPriority === undefined, GwPriority)
    }),
    status: "unsupported",
    onlySome: true
  },
  ownOf("network disconnect")("--force", "a stopped container is on it no longer", async (bench) => {
    await make(bench, "overlay", "--attachable")
    const id = await box(bench)
    await bench.docker("network", "connect", bench.name, id)
    expectThat((await endpoint(bench, id)) !== undefined, "connected")
    await bench.docker("network", "disconnect", "--force", bench.name, id)
    expectThat((await endpoint(bench, id)) === undefined, "disconnected")
  }),
  made("--attachable", "containers may join it; without, they are refused", async (bench) => {
    await make(bench, "overlay", "--attachable")
    const id = await box(bench, "--network", bench.name)
    expectThat((await endpoint(bench, id)) !== undefined, "connected")
    const closed = `${bench.name}-closed`
    await bench.docker("network", "create", "-d", "overlay", closed)
    gone(bench, closed)
    const refused = await bench.attempt("network", "connect", closed, id)
    expectThat(refused.said.includes(`network ${closed} not manually attachable`), refused)
    return refused.said.replaceAll(bench.name, "NAME").replaceAll(/\w{64}/g, "ID")
  }),
  made("--aux-address", "the address is given to nobody", async (bench) => {
    await make(
      bench,
      "overlay",
      "--attachable",
      "--subnet",
      `${subnet(bench)}.0/29`,
      "--aux-address",
      `one=${subnet(bench)}.2`
    )
    const [config] = (await inspected(bench)).IPAM.Config
    expectThat(Object.values(config.AuxiliaryAddresses ?? {}).join() === `${subnet(bench)}.2`, config)
    const id = await box(bench, "--network", bench.name)
    const seen = await inside(bench, id, "ip -4 addr")
    expectThat(seen.includes(subnet(bench)) && !seen.includes(`${subnet(bench)}.2/`), seen)
  }),
  made("--config-only", "it is nothing but settings, and nobody can join it", async (bench) => {
    await bench.docker("network", "create", "--config-only", "--subnet", `${subnet(bench)}.0/24`, bench.name)
    gone(bench)
    expectThat((await inspected(bench)).ConfigOnly === true, "ConfigOnly")
    const id = await box(bench)
    const refused = await bench.attempt("network", "connect", bench.name, id)
    expectThat(refused.code === 1, refused)
  }),
  made("--config-from", "the network has the other's settings", async (bench) => {
    const settings = `${bench.name}-settings`
    await bench.docker("network", "create", "--config-only", "--subnet", `${subnet(bench)}.0/24`, settings)
    gone(bench, settings)
    await make(bench, "bridge", "--config-from", settings)
    const seen = await inspected(bench)
    expectThat(
      seen.ConfigFrom.Network === settings && seen.IPAM.Config[0].Subnet === `${subnet(bench)}.0/24`,
      seen
    )
  }),
  made("--driver", "an overlay is the whole cluster's, a bridge the node's own", async (bench) => {
    await make(bench, "overlay")
    const { Driver, Scope } = await inspected(bench)
    expectThat(`${Driver} ${Scope}` === "overlay swarm", [Driver, Scope])
    const local = `${bench.name}-local`
    await bench.docker("network", "create", "--driver", "bridge", "--subnet", `${subnet(bench)}.0/24`, local)
    gone(bench, local)
    const [own] = await bench.target.engine.listNetworks({ filters: { name: [local] } })
    expectThat(own?.Driver === "bridge" && own.Scope === "local", own)
  }),
  made("--gateway", "the Engine's and the cluster's network have it", async (bench) => {
    await make(bench, "overlay", "--subnet", `${subnet(bench)}.0/24`, "--gateway", `${subnet(bench)}.9`)
    const [config] = (await inspected(bench)).IPAM.Config
    expectThat(config.Gateway === `${subnet(bench)}.9`, config)
  }),
  {
    ...made(
      "--ingress",
      "a second one is refused; without one it is made and takes published ports",
      async (bench) => {
        const machine = await bench.machine()
        await begin(machine)
        const refused = await machine.attempt("network", "create", "-d", "overlay", "--ingress", "mesh")
        expectThat(refused.said.includes("is already present"), refused)
        await machine.told("y\n", "network", "rm", "ingress")
        const create = () => machine.attempt("network", "create", "-d", "overlay", "--ingress", "mesh")
        await bench.until(create, ({ code }) => code === 0)
        const [{ Ingress, Name }] = await machine.json("network", "inspect", "mesh")
        expectThat(Ingress === true && Name === "mesh", Name)
        return refused.said.replaceAll(/\(\w{25}\)/g, "(ID)")
      }
    ),
    apart: true
  },
  made("--internal", "the Engine's network is internal", async (bench) => {
    await make(bench, "overlay", "--attachable", "--internal")
    const id = await box(bench, "--network", bench.name)
    const { NetworkID } = await endpoint(bench, id)
    const { Internal } = await bench.target.engine.getNetwork(NetworkID).inspect()
    expectThat(Internal && (await inspected(bench)).Internal, Internal)
  }),
  made("--ip-range", "containers have their addresses from the range", async (bench) => {
    const range = ["--subnet", `${subnet(bench)}.0/24`, "--ip-range", `${subnet(bench)}.128/25`]
    await make(bench, "overlay", "--attachable", ...range)
    const id = await box(bench, "--network", bench.name)
    const last = /inet 10\.\d+\.\d+\.(\d+)/.exec(await inside(bench, id, "ip -4 addr show scope global"))?.[1]
    expectThat(Number(last) >= 128, last)
  }),
  made("--ipam-driver", "one that is not there is refused, and the default makes one", async (bench) => {
    await make(bench, "overlay", "--ipam-driver", "default")
    expectThat((await inspected(bench)).IPAM.Driver === "default", "the driver")
    const refused = await bench.attempt(
      "network",
      "create",
      "-d",
      "overlay",
      "--ipam-driver",
      "nobody",
      `${bench.name}-x`
    )
    expectThat(refused.code === 1, refused)
  }),
  made("--ipam-opt", "Options of the Engine's network have it", async (bench) => {
    const id = await make(bench, "bridge", "--subnet", `${subnet(bench)}.0/24`, "--ipam-opt", "colour=blue")
    const { IPAM } = await bench.target.engine.getNetwork(id).inspect()
    expectThat(IPAM?.Options?.colour === "blue", IPAM)
  }),
  {
    ...made(
      "--ipv4",
      "an Engine of API 1.41 has no such field: the network has IPv4 all the same",
      async (bench) => {
        const id = await make(bench, "bridge", "--ipv4=false", "--subnet", `${subnet(bench)}.0/24`)
        const seen = await bench.target.engine.getNetwork(id).inspect()
        expectThat(!("EnableIPv4" in seen) && seen.IPAM?.Config?.length === 1, seen)
      }
    ),
    status: "unsupported",
    onlySome: true
  },
  made("--ipv6", "EnableIPv6 of the Engine's network is true", async (bench) => {
    const at = subnet(bench).replaceAll(".", ":")
    const subnets = ["--subnet", `${subnet(bench)}.0/24`, "--subnet", `fd00:${at}::/64`]
    const id = await make(bench, "bridge", "--ipv6", ...subnets)
    const seen = await bench.target.engine.getNetwork(id).inspect()
    expectThat(seen.EnableIPv6 === true, seen)
  }),
  made("--label", "Labels of the network have it", async (bench) => {
    await make(bench, "overlay", "--label", "colour=blue")
    expectThat((await inspected(bench)).Labels.colour === "blue", "the label")
  }),
  made("--opt", "the interface inside is as large as it says", async (bench) => {
    await make(bench, "overlay", "--attachable", "--opt", "com.docker.network.driver.mtu=1234")
    const id = await box(bench, "--network", bench.name)
    const links = await inside(bench, id, "ip link")
    expectThat(links.includes("mtu 1234"), links)
  }),
  made("--opt", "encrypted leaves the interface room for encryption, and tasks run on it", async (bench) => {
    await make(bench, "overlay", "--attachable", "--opt", "encrypted")
    const { Options } = await inspected(bench)
    expectThat("encrypted" in Options, Options)
    await create(bench, ["--network", bench.name])
    await bench.until(
      () => bench.inside("ip link"),
      (seen) => seen.includes("mtu 1370")
    )
  }),
  made("--scope", "a network of that scope is the whole cluster's", async (bench) => {
    await make(bench, "overlay", "--scope", "swarm")
    const { Scope } = await inspected(bench)
    expectThat(Scope === "swarm", Scope)
  }),
  made("--subnet", "a task's address is of the subnet", async (bench) => {
    await make(bench, "overlay", "--subnet", `${subnet(bench)}.0/24`)
    await create(bench, ["--network", bench.name])
    await bench.until(
      () => bench.inside("ip -4 addr"),
      (seen) => seen.includes(`inet ${subnet(bench)}.`)
    )
  }),
  ownOf("network inspect")("--format", "the template is filled in", async (bench) => {
    const id = await make(bench, "overlay")
    const said = await bench.docker("network", "inspect", bench.name, "--format", "{{.ID}} {{.Scope}}")
    expectThat(said === `${id} swarm`, said)
  }),
  ownOf("network inspect")("--verbose", "the services on it and their tasks are told", async (bench) => {
    await make(bench, "overlay")
    await create(bench, ["--network", bench.name])
    await runs(bench)
    const told = () => bench.json("network", "inspect", "--verbose", bench.name)
    const [{ Services }] = await bench.until(
      told,
      ([seen]) => seen.Services?.[bench.name]?.Tasks.length === 1
    )
    return Object.keys(Services[bench.name])
  }),
  ls(
    "--filter",
    "only what has the driver, the name, the id, the label, the scope and the type is listed",
    async (bench) => {
      const id = await make(bench, "overlay", "--label", `${bench.name}=yes`)
      const listed = (filter: string) =>
        bench.docker(
          "network",
          "ls",
          "-q",
          "--no-trunc",
          "--filter",
          `name=${bench.name}`,
          "--filter",
          filter
        )
      for (const filter of [
        "driver=overlay",
        `id=${id}`,
        `label=${bench.name}`,
        "scope=swarm",
        "type=custom",
        "dangling=true"
      ])
        expectThat((await listed(filter)) === id, filter)
      for (const filter of [
        "driver=bridge",
        "id=nobody",
        "label=nobody",
        "scope=local",
        "type=builtin",
        "dangling=false"
      ])
        expectThat((await listed(filter)) === "", filter)
    }
  ),
  ls("--format", "the template is filled in", async (bench) => {
    await make(bench, "overlay", "--internal")
    const said = await bench.docker(
      "network",
      "ls",
      "--filter",
      `name=${bench.name}`,
      "--format",
      "{{.Name}} {{.Driver}} {{.Scope}} {{.Internal}}"
    )
    expectThat(said === `${bench.name} overlay swarm true`, said)
  }),
  ls("--no-trunc", "the id is whole", async (bench) => {
    const id = await make(bench, "overlay")
    const said = await bench.docker(
      "network",
      "ls",
      "--filter",
      `name=${bench.name}`,
      "--no-trunc",
      "--format",
      "{{.ID}}"
    )
    expectThat(said === id, said)
  }),
  ls("--quiet", "only the id is printed", async (bench) => {
    const id = await make(bench, "overlay")
    const said = await bench.docker("network", "ls", "--filter", `name=${bench.name}`, "--quiet")
    expectThat(said.length === 12 && id.startsWith(said), said)
  }),
  prune("--filter", "of those that nobody uses only what has the label goes", async (bench) => {
    const kept = `${bench.name}-kept`
    await bench.docker("network", "create", "-d", "overlay", kept)
    gone(bench, kept)
    await make(bench, "overlay", "--label", `${bench.name}=yes`)
    const said = await bench.docker("network", "prune", "--force", "--filter", `label=${bench.name}`)
    expectThat(said.split("\n").includes(bench.name) && !said.includes(kept), said)
    await bench.docker("network", "inspect", kept)
    return said.replaceAll(bench.name, "NAME")
  }),
  prune("--force", "nothing is asked before", async (bench) => {
    await make(bench, "overlay", "--label", `${bench.name}=yes`)
    const filter = ["--filter", `label=${bench.name}`]
    await bench.told("n\n", "network", "prune", ...filter)
    await bench.docker("network", "inspect", bench.name)
    await bench.docker("network", "prune", "--force", ...filter)
    expectThat((await bench.attempt("network", "inspect", bench.name)).code === 1, "it is there")
  }),
  {
    command: "network rm",
    flags: [],
    says: "what a service uses is refused; unused it goes",
    run: async (bench) => {
      await make(bench, "overlay")
      await create(bench, ["--network", bench.name])
      await runs(bench)
      const refused = await bench.attempt("network", "rm", bench.name)
      expectThat(refused.code === 1, refused)
      await bench.docker("service", "rm", bench.name)
      await bench.until(
        () => bench.attempt("network", "rm", bench.name),
        ({ code }) => code === 0
      )
      return refused.said.replaceAll(bench.name, "NAME").replaceAll(/\b\w{25}\b/g, "ID")
    }
  },
  {
    ...ownOf("network rm")("--force", "one that is not there is no error", async (bench) => {
      await make(bench, "overlay")
      await bench.docker("network", "rm", "--force", bench.name)
      await bench.docker("network", "rm", "--force", bench.name)
    }),
    onlySome: true
  }
]
