/**
 * Connections over which nothing is said for a long time: through a service's virtual address, through that of one on an
 * encrypted network while its keys change, and through a published port on a machine that runs no task of it. All of them
 * lead from one machine of a lab to another, and at the end each is asked for an echo.
 *
 *     bun run soak:idle [--minutes 20]      needs Linux, root, wireguard-tools and wireguard-go
 *
 * Ends with 1 where one of them does not answer.
 */
import { spawn } from "node:child_process"
import process from "node:process"
import { parseArgs } from "node:util"
import { keyChangeLabel } from "#actors/model/network-keys.ts"
import { ownLab } from "#test/lab/own-lab.ts"
import { conclude } from "#test/soak/verdict.ts"
import { wait } from "#test/soak/wait.ts"

const { values } = parseArgs({ options: { minutes: { type: "string", default: "20" } } })
const minutes = Number(values.minutes)
if (!(minutes > 0)) throw new Error(`--minutes '${values.minutes}': expected a number above 0`)

const lab = await ownLab("ti", "10.85.0")
const { call, elapsed, specOf } = await import("#test/bench/vs-swarm/api.ts")
const { namespaceOf } = await import("#test/lab/machines.ts")
const port = 9000
const publishedPort = 9009

/** A service on one machine whose task answers what it is told. */
async function deploy(
  name: string,
  hostname: string,
  network: string,
  ports: ReadonlyArray<object>
): Promise<void> {
  const spec = specOf(name, 1)
  await call(lab.door(), "POST", "/services/create", {
    ...spec,
    TaskTemplate: {
      ...spec.TaskTemplate,
      ContainerSpec: {
        ...spec.TaskTemplate.ContainerSpec,
        Command: ["nc", "-ll", "-p", String(port), "-e", "cat"]
      },
      Placement: { Constraints: [`node.hostname==${hostname}`] },
      Networks: [{ Target: network }]
    },
    EndpointSpec: { Ports: ports }
  })
}

const words = ["before", "after"] as const
const calls = (host: string, at: number, ms: number): string =>
  `(echo ${words[0]}; sleep ${Math.ceil(ms / 1_000)}; echo ${words[1]}; sleep 2) | nc ${host} ${at}`

/** What a command says, as it is when it ends. */
const heard = (command: string, ...args: ReadonlyArray<string>): Promise<string> =>
  new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "inherit"] })
    let said = ""
    child.stdout.on("data", (chunk: Buffer) => {
      said += chunk.toString()
    })
    child.on("error", reject)
    child.on("close", () => resolve(said.trim().split("\n").join(" ")))
  })

async function idle(): Promise<ReadonlyArray<readonly [name: string, said: string]>> {
  await lab.open()
  const [first, second, third] = [0, 1, 2].map(lab.machine) as [
    ReturnType<typeof lab.machine>,
    ReturnType<typeof lab.machine>,
    ReturnType<typeof lab.machine>
  ]
  for (const [Name, Options] of [
    ["plain", {}],
    ["safe", { encrypted: "" }]
  ] as const) {
    await call(lab.door(), "POST", "/networks/create", { Name, Driver: "overlay", Options })
    await deploy(
      `echo-${Name}`,
      first.name,
      Name,
      Name === "plain" ? [{ TargetPort: port, PublishedPort: publishedPort }] : []
    )
    await deploy(`asker-${Name}`, second.name, Name, [])
  }
  const within = async (network: string, script: string): Promise<string> => {
    const id = await lab.containerOn(second, `asker-${network}`)
    if (id === "") return ""
    return heard("docker", "-H", lab.engine(second), "exec", id, "sh", "-c", script)
  }
  const published = (ms: number): Promise<string> =>
    heard(
      ...(["nsenter", `--net=/run/netns/${namespaceOf(third.name)}`, "sh", "-c"] as const),
      calls(third.address, publishedPort, ms).replace("nc", "busybox nc")
    )
  const ways = {
    "a virtual address": (ms: number) => within("plain", calls("echo-plain", port, ms)),
    "a virtual address, encrypted": (ms: number) => within("safe", calls("echo-safe", port, ms)),
    "a published port": published
  }
  for (const [name, ask] of Object.entries(ways))
    await elapsed(name, async () => (await ask(0)) === words.join(" "), 500, 60_000)
  const said = Object.entries(ways).map(async ([name, ask]) => [name, await ask(minutes * 60_000)] as const)
  await wait(minutes * 30_000)
  const { Version, Spec } = await call<{ Version: { Index: number }; Spec: object }>(
    lab.door(),
    "GET",
    "/swarm"
  )
  const Labels = { [keyChangeLabel]: "half-time" }
  await call(lab.door(), "POST", `/swarm/update?version=${Version.Index}`, { ...Spec, Labels })
  return Promise.all(said)
}

const interrupted = (): void => void lab.close().finally(() => process.exit(130))
process.once("SIGINT", interrupted)
process.once("SIGTERM", interrupted)
const said = await idle().finally(lab.close)
const expected = words.join(" ")
conclude(
  [...said, ["minutes without a word", String(minutes)]],
  said.flatMap(([name, text]) =>
    text === expected ? [] : [`${name}: expected "${expected}", heard "${text}"`]
  )
)
