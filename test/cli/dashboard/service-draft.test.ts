/** A service as a form has it: what would be sent, what a change comes to, and the commands that do the same. */
import { describe, expect, test } from "bun:test"
import { saidOf } from "#cli/dashboard/page/said.ts"
import {
  changesOf,
  createCommand,
  editOf,
  emptyService,
  type FieldName,
  type ServiceDraft,
  serviceHints,
  showBytes,
  specOf,
  updateCommand,
  Wrong,
  withEdit
} from "#cli/dashboard/page/service-draft.ts"

const choices = {
  networks: [{ id: "n1", name: "backend" }],
  secrets: [{ id: "s1", name: "key" }],
  configs: [{ id: "c1", name: "motto" }]
}
const drafted = (more: Partial<ServiceDraft>): ServiceDraft => ({
  ...emptyService,
  name: "web",
  image: "nginx",
  ...more
})

const full = drafted({
  args: "serve --root '/my files'",
  replicas: "3",
  ports: "8080:80\nmode=host,target=53,published=53,protocol=udp",
  env: "A=1\nB=two words",
  mounts: "data:/data\n/srv:/srv:ro",
  networks: "backend",
  secrets: "key",
  configs: "motto",
  constraints: "node.role==worker",
  labels: "team=shop",
  cpus: "0.5",
  memory: "64M",
  parallelism: "2",
  delay: "1m30s",
  order: "start-first",
  failure: "rollback",
  health: "wget -q localhost",
  interval: "5s"
})

test("what is filled in is what is asked for", () => {
  const readable = { UID: "0", GID: "0", Mode: 0o444 }
  expect(specOf(full, choices)).toEqual({
    Name: "web",
    Labels: { team: "shop" },
    Mode: { Replicated: { Replicas: 3 } },
    TaskTemplate: {
      ContainerSpec: {
        Image: "nginx",
        Args: ["serve", "--root", "/my files"],
        Env: ["A=1", "B=two words"],
        Mounts: [
          { Type: "volume", Source: "data", Target: "/data" },
          { Type: "bind", Source: "/srv", Target: "/srv", ReadOnly: true }
        ],
        Healthcheck: { Test: ["CMD-SHELL", "wget -q localhost"], Interval: 5e9 },
        Secrets: [{ SecretID: "s1", SecretName: "key", File: { Name: "key", ...readable } }],
        Configs: [{ ConfigID: "c1", ConfigName: "motto", File: { Name: "/motto", ...readable } }]
      },
      Networks: [{ Target: "n1" }],
      Placement: { Constraints: ["node.role==worker"] },
      Resources: { Limits: { NanoCPUs: 5e8, MemoryBytes: 67_108_864 } }
    },
    UpdateConfig: { Parallelism: 2, Delay: 90e9, Order: "start-first", FailureAction: "rollback" },
    EndpointSpec: {
      Ports: [
        { Protocol: "tcp", TargetPort: 80, PublishedPort: 8080, PublishMode: "ingress" },
        { Protocol: "udp", TargetPort: 53, PublishedPort: 53, PublishMode: "host" }
      ]
    }
  })
})

test("what is as usual is not asked for", () => {
  expect(specOf(drafted({}), choices)).not.toHaveProperty("UpdateConfig")
})

test("the command that does the same has what is not as usual, quoted for a shell", () => {
  expect(createCommand(drafted({}))).toBe("docker service create --name web nginx")
  expect(createCommand(full)).toBe(
    [
      "docker service create --name web --replicas 3 --publish 8080:80 --publish mode=host,target=53,published=53,protocol=udp",
      "--env A=1 --env 'B=two words' --mount type=volume,source=data,target=/data --mount type=bind,source=/srv,target=/srv,readonly",
      "--network backend --secret key --config motto --constraint node.role==worker --limit-cpu 0.5 --limit-memory 64M",
      "--update-parallelism 2 --update-delay 1m30s --update-order start-first --update-failure-action rollback",
      "--health-cmd 'wget -q localhost' --health-interval 5s --label team=shop nginx serve --root '/my files'"
    ].join(" ")
  )
  expect(createCommand(drafted({ mode: "global", replicas: "7" }))).toBe(
    "docker service create --name web --mode global nginx"
  )
})

test("a job asks for completions, is not updated task by task, and its command says the same", () => {
  const job = drafted({
    mode: "replicated-job",
    replicas: "5",
    concurrent: "2",
    parallelism: "3",
    delay: "soon"
  })
  expect(specOf(job, choices).Mode).toEqual({ ReplicatedJob: { TotalCompletions: 5, MaxConcurrent: 2 } })
  expect(specOf(job, choices)).not.toHaveProperty("UpdateConfig")
  expect(createCommand(job)).toBe(
    "docker service create --name web --mode replicated-job --replicas 5 --max-concurrent 2 nginx"
  )
  // With --max-concurrent alone the CLI would ask for two completions.
  expect(createCommand({ ...job, replicas: "1" })).toContain("--replicas 1 --max-concurrent 2")
  const atOnce = drafted({ mode: "replicated-job", replicas: "4" })
  expect(specOf(atOnce, choices).Mode).toEqual({ ReplicatedJob: { TotalCompletions: 4, MaxConcurrent: 4 } })
  const everywhere = drafted({ mode: "global-job", replicas: "many", concurrent: "some" })
  expect(specOf(everywhere, choices).Mode).toEqual({ GlobalJob: {} })
  expect(createCommand(everywhere)).toBe("docker service create --name web --mode global-job nginx")
})

test("how many of a job run at a time is refused by its field, with what is expected", () => {
  const refused = (more: Partial<ServiceDraft>): unknown => {
    try {
      return specOf(drafted({ mode: "replicated-job", ...more }), choices)
    } catch (cause) {
      return cause instanceof Wrong && [cause.field, cause.message]
    }
  }
  expect(refused({ concurrent: "some" })).toEqual(["concurrent", "some: expected a whole number"])
  expect(refused({ concurrent: "0" })).toEqual(["concurrent", "0: expected 1 or more: none would ever run"])
  expect(refused({ replicas: "-1" })).toEqual(["replicas", "-1: expected a whole number"])
})

test("what says nothing is refused by its field, with what is expected", () => {
  const cases: ReadonlyArray<readonly [FieldName, string, RegExp]> = [
    ["ports", "http", /^http: expected PUBLISHED:TARGET/],
    ["ports", "70000:80", /^70000:80: expected/],
    ["ports", "target=80,publish=8080", /expected/],
    ["env", "no-value", /^no-value: expected NAME=VALUE$/],
    ["mounts", "data", /^data: expected SOURCE:\/TARGET/],
    ["mounts", "data:/data:rw", /expected/],
    ["cpus", "many", /^many: expected a number of CPUs/],
    ["memory", "lots", /^lots: expected a size/],
    ["delay", "soon", /^soon: expected a time/],
    ["interval", "5", /^5: expected a time/],
    ["replicas", "-1", /^-1: expected a whole number$/],
    ["networks", "gone", /^gone: there is no such network any more$/]
  ]
  for (const [field, text, words] of cases) {
    let found: unknown
    try {
      specOf(drafted({ [field]: text }), choices)
    } catch (cause) {
      found = cause
    }
    expect([field, found instanceof Wrong && found.field]).toEqual([field, field])
    expect((found as Error).message).toMatch(words)
  }
})

test("what the gateway refuses is said beside its field", () => {
  const cases: ReadonlyArray<readonly [string, FieldName | ""]> = [
    ["rpc error: code = InvalidArgument desc = name must be valid as a DNS name component", "name"],
    ["name conflicts with an existing object: service web already exists", "name"],
    ['rpc error: code = InvalidArgument desc = ContainerSpec: "?" is not a valid repository/tag', "image"],
    ["rpc error: code = InvalidArgument desc = invalid memory value 1024: Must be at least 4MiB", "memory"],
    ["invalid cpu value 1e-05: Must be at least 0.001", "cpus"],
    ["rpc error: code = InvalidArgument desc = EndpointSpec: duplicate published ports provided", "ports"],
    ["port '80' is already in use by service 'web' (x) as an ingress port", "ports"],
    ["ContainerSpec: duplicate mount point: /data", "mounts"],
    ["secret not found: key", "secrets"],
    ["config not found: motto", "configs"],
    ["network backend not found", "networks"],
    ["constraint expected one operator from ==, !=", "constraints"],
    ["rpc error: code = InvalidArgument desc = Maximum concurrent jobs must not be negative", "concurrent"],
    ["Mode.ReplicatedJob.TotalCompletions must be 1000000 at most, got 9999999", "replicas"],
    ["no leader", ""]
  ]
  for (const [message, field] of cases)
    expect([message, Object.keys(saidOf(message, serviceHints))[0]]).toEqual([message, field])
})

describe("an edit", () => {
  const spec = {
    Name: "web",
    Labels: { team: "shop", long: "two\nlines" },
    Mode: { Replicated: { Replicas: 1 } },
    TaskTemplate: {
      ContainerSpec: { Image: "nginx", Env: ["A=1", "KEY=-----\nPEM"], Args: ["x"] },
      Placement: { Constraints: ["node.role==worker"], MaxReplicas: 2 },
      Resources: { Limits: { MemoryBytes: 1_500_000, Pids: 9 }, Reservations: { MemoryBytes: 7 } },
      Networks: [{ Target: "n1" }]
    },
    EndpointSpec: {
      Mode: "vip",
      Ports: [{ Name: "http", Protocol: "tcp", TargetPort: 80, PublishedPort: 8080, PublishMode: "ingress" }]
    }
  } as const

  test("of nothing leaves all as it is, also what no line can show", () => {
    const edit = editOf(spec)
    expect(edit).toEqual({
      env: "A=1",
      ports: "8080:80/tcp",
      constraints: "node.role==worker",
      labels: "team=shop",
      cpus: "",
      memory: "1500000"
    })
    expect(withEdit(spec, edit) as unknown).toEqual(spec)
    expect(changesOf(edit, edit)).toEqual([])
  })

  test("changes what it says, and tells it line by line and as a command", () => {
    const before = editOf(spec)
    const after = { ...before, env: "A=2\nB=3", ports: "80/tcp", labels: "", cpus: "2", memory: "" }
    const edited = withEdit(spec, after)
    expect(edited.TaskTemplate.ContainerSpec.Env as unknown).toEqual(["A=2", "B=3", "KEY=-----\nPEM"])
    expect(edited.TaskTemplate.Resources as unknown).toEqual({
      Limits: { NanoCPUs: 2e9, Pids: 9 },
      Reservations: { MemoryBytes: 7 }
    })
    expect(edited.Labels as unknown).toEqual({ long: "two\nlines" })
    const changes = changesOf(before, after)
    expect(changes).toEqual([
      { field: "env", gone: ["A=1"], come: ["A=2", "B=3"] },
      { field: "ports", gone: ["8080:80/tcp"], come: ["80/tcp"] },
      { field: "labels", gone: ["team=shop"], come: [] },
      { field: "cpus", gone: [], come: ["2"] },
      { field: "memory", gone: ["1500000"], come: [] }
    ])
    expect(updateCommand("web", changes)).toBe(
      "docker service update --env-add A=2 --env-add B=3 --publish-rm 80/tcp --publish-add 80/tcp --label-rm team --limit-cpu 2 --limit-memory 0 web"
    )
  })

  test("shows sizes so that they are read again as the same", () => {
    for (const bytes of [1, 1000, 1024, 1_500_000, 67_108_864, 3_221_225_472]) {
      const memory = showBytes(bytes)
      const limits = withEdit(spec, { ...editOf(spec), memory }).TaskTemplate.Resources.Limits
      expect(limits.MemoryBytes as number).toBe(bytes)
    }
  })
})
