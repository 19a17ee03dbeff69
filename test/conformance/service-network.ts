/** What `service create` and `service update` say of names on networks and of published ports, asked for from inside. */
import type { Bench, Case } from "#test/conformance/case.ts"
import { create, created, runs, update } from "#test/conformance/service-case.ts"

/** An overlay of the case's own name. */
export const overlay = async (bench: Bench): Promise<void> => {
  await bench.docker("network", "create", "-d", "overlay", bench.name)
  bench.after(() =>
    bench.until(
      () => bench.attempt("network", "rm", bench.name),
      ({ code }) => code === 0
    )
  )
}

/** The addresses that the service's name leads to, and those of its tasks as the Engine has them. */
async function addresses(bench: Bench): Promise<{ readonly named: string; readonly own: string }> {
  const said = await bench.inside(`timeout 3 nslookup ${bench.name} 2>&1`)
  const found = await Promise.all(
    (await bench.containers()).map((id) => bench.target.engine.getContainer(id).inspect())
  )
  const own = found.map(({ NetworkSettings }) => NetworkSettings.Networks[bench.name]?.IPAddress ?? "")
  const named = [...said.matchAll(/^Address(?: \d+)?:\s+(10\.[\d.]+)$/gm)].map(([, address = ""]) => address)
  return { named: [...new Set(named)].sort().join(), own: own.sort().join() }
}

const roundRobin = (command: "service create" | "service update"): Case => ({
  command,
  flags: ["--endpoint-mode"],
  says: "the service's name leads to both of its tasks, and to no virtual address",
  run: async (bench) => {
    await overlay(bench)
    const mode = ["--endpoint-mode", "dnsrr"]
    const given = ["--replicas", "2", "--network", bench.name]
    if (command === "service create") await create(bench, [...given, ...mode])
    else {
      await create(bench, given)
      await runs(bench)
      await bench.until(
        () => addresses(bench),
        ({ named, own }) => named !== "" && !named.includes(",") && !own.split(",").includes(named)
      )
      await update(bench, ...mode)
    }
    const { named } = await bench.until(
      () => addresses(bench),
      (seen) => seen.named.includes(",") && seen.named === seen.own
    )
    return named.split(",").length
  }
})

export const serviceNetwork: ReadonlyArray<Case> = [
  roundRobin("service create"),
  roundRobin("service update"),
  created({
    flags: ["--network"],
    args: ["--network", "host"],
    says: "on the network host the container has the machine's own interfaces",
    read: async (bench) => (await bench.container()).HostConfig.NetworkMode,
    wanted: "host"
  })
]
