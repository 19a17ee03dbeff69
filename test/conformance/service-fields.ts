/** What `service create` and `service update` set by flags of the same name. */
import type { Bench } from "#test/conformance/case.ts"
import { allErrors, errors, type Field, running, template } from "#test/conformance/service-case.ts"

const config = (name: string) => async (bench: Bench) => (await bench.container()).Config[name]
const host = (name: string) => async (bench: Bench) => (await bench.container()).HostConfig[name]
const inside = (script: string) => (bench: Bench) => bench.inside(script)
const second = 1e9

/** The Engine's own words for what no Linux can do; the task must end with them. */
const refused = (flag: string, value: string, asked: object, says: string): Field => ({
  flags: [flag],
  args: [flag, value, "--restart-condition", "none"],
  says: `the task ends with the Engine's refusal: ${says}`,
  status: "unsupported",
  read: async (bench) => {
    const { Id } = (await bench.target.engine.listImages())[0] ?? { Id: "" }
    const refusal = await bench.target.engine.createContainer({ Image: Id, HostConfig: asked }).then(
      () => "the Engine refuses nothing",
      ({ json }) => String(json.message)
    )
    return refusal.includes(says) && (await allErrors(bench)).some((error) => error.includes(says))
  },
  wanted: true
})

export const fields: ReadonlyArray<Field> = [
  {
    flags: [
      "--health-cmd",
      "--health-interval",
      "--health-retries",
      "--health-start-period",
      "--health-timeout"
    ],
    args: [
      ...["--health-cmd", "true", "--health-interval", "2s", "--health-retries", "4"],
      ...["--health-start-period", "5s", "--health-timeout", "6s"]
    ],
    says: "Healthcheck of the container has the command, the times and the retries",
    read: config("Healthcheck"),
    wanted: {
      Test: ["CMD-SHELL", "true"],
      Interval: 2 * second,
      Timeout: 6 * second,
      StartPeriod: 5 * second,
      Retries: 4
    }
  },
  {
    flags: ["--no-healthcheck"],
    args: ["--no-healthcheck"],
    says: "Healthcheck of the container is NONE",
    read: async (bench) => (await bench.container()).Config.Healthcheck?.Test,
    wanted: ["NONE"]
  },
  {
    flags: ["--hostname"],
    args: ["--hostname", "{{.Node.ID}}-{{.Task.Slot}}"],
    says: "the host name inside is the template's, filled in",
    read: async (bench) => {
      const { NodeID } = await bench.json("info", "--format", "{{json .Swarm}}")
      return (await bench.inside("hostname")) === `${NodeID}-1`
    },
    wanted: true
  },
  {
    flags: ["--init"],
    args: ["--init"],
    says: "Init of the container is true",
    read: host("Init"),
    wanted: true
  },
  {
    flags: ["--tty"],
    args: ["--tty"],
    says: "Tty of the container is true",
    read: config("Tty"),
    wanted: true
  },
  {
    flags: ["--user"],
    args: ["--user", "nobody"],
    says: "what runs inside is user 65534",
    read: inside("id -u"),
    wanted: "65534"
  },
  {
    flags: ["--workdir"],
    args: ["--workdir", "/var/www"],
    says: "pwd inside",
    read: inside("pwd"),
    wanted: "/var/www"
  },
  {
    flags: ["--read-only"],
    args: ["--read-only"],
    says: "a file cannot be made inside",
    read: inside("touch /made 2>&1"),
    wanted: "touch: /made: Read-only file system"
  },
  {
    flags: ["--stop-signal"],
    args: ["--stop-signal", "SIGINT"],
    says: "StopSignal of the container is SIGINT",
    read: config("StopSignal"),
    wanted: "SIGINT"
  },
  {
    flags: ["--stop-grace-period"],
    args: ["--stop-grace-period", "3s"],
    says: "StopGracePeriod of the service is three seconds",
    read: async (bench) => (await template(bench)).ContainerSpec.StopGracePeriod,
    wanted: 3 * second
  },
  {
    flags: ["--entrypoint"],
    args: ["--entrypoint", "env X=y"],
    says: "Entrypoint of the container is the words given",
    read: config("Entrypoint"),
    wanted: ["env", "X=y"]
  },
  {
    flags: ["--cap-add"],
    args: ["--cap-add", "NET_ADMIN"],
    says: "CapAdd of the container has it",
    read: host("CapAdd"),
    wanted: ["CAP_NET_ADMIN"]
  },
  {
    flags: ["--cap-drop"],
    args: ["--cap-drop", "CHOWN"],
    says: "CapDrop of the container has it",
    read: host("CapDrop"),
    wanted: ["CAP_CHOWN"]
  },
  {
    flags: ["--limit-cpu"],
    args: ["--limit-cpu", "0.5"],
    says: "NanoCpus of the container is half a processor",
    read: host("NanoCpus"),
    wanted: second / 2
  },
  {
    flags: ["--limit-memory"],
    args: ["--limit-memory", "64m"],
    says: "Memory of the container is 64 MiB",
    read: host("Memory"),
    wanted: 64 * 2 ** 20
  },
  {
    flags: ["--limit-pids"],
    args: ["--limit-pids", "77"],
    says: "PidsLimit of the container is 77",
    read: host("PidsLimit"),
    wanted: 77
  },
  {
    flags: ["--reserve-cpu"],
    args: ["--reserve-cpu", "900"],
    says: "no node has that many processors, and the task says so",
    read: async (bench) => (await errors(bench)).at(-1),
    wanted: "no suitable node (insufficient resources on 1 node)"
  },
  {
    flags: ["--reserve-memory"],
    args: ["--reserve-memory", "9000g"],
    says: "no node has that much memory, and the task says so",
    read: async (bench) => (await errors(bench)).at(-1),
    wanted: "no suitable node (insufficient resources on 1 node)"
  },
  {
    flags: ["--replicas"],
    args: ["--replicas", "2"],
    says: "two containers run on the Engine",
    read: running,
    wanted: 2
  },
  {
    flags: ["--replicas-max-per-node"],
    args: ["--replicas-max-per-node", "1", "--replicas", "2"],
    says: "the second task finds no node, and says so",
    read: errors,
    wanted: ["no suitable node (max replicas per node limit exceed)"]
  },
  {
    flags: ["--max-concurrent"],
    given: ["--mode", "replicated-job", "--replicas", "4"],
    args: ["--max-concurrent", "2"],
    says: "two containers of a job of four run on the Engine",
    read: running,
    before: 4,
    wanted: 2
  },
  {
    flags: ["--log-driver"],
    args: ["--log-driver", "none"],
    says: "LogConfig of the container names the driver",
    read: async (bench) => (await bench.container()).HostConfig.LogConfig.Type,
    wanted: "none"
  },
  {
    flags: ["--log-opt"],
    args: ["--log-driver", "json-file", "--log-opt", "max-size=1m"],
    says: "LogConfig of the container has the option",
    read: async (bench) => (await bench.container()).HostConfig.LogConfig.Config["max-size"],
    wanted: "1m"
  },
  refused("--isolation", "hyperv", { Isolation: "hyperv" }, "hyperv"),
  refused(
    "--credential-spec",
    "file://spec.json",
    { SecurityOpt: ["credentialspec=file://spec.json"] },
    "credentialspec=file://spec.json"
  )
]
