/** What is refused of a service's spec, as far as the spec alone tells. */
import { expect, test } from "bun:test"
import { checkService, checkShape } from "#actors/gateway/validate/check-service.ts"
import { completeService } from "#actors/gateway/validate/complete-service.ts"
import type { ContainerSpec, ServiceSpec, TaskSpec } from "#actors/model/spec.ts"

const spec = (extra: ServiceSpec = {}): ServiceSpec => ({
  Name: "web",
  TaskTemplate: { ContainerSpec: { Image: "busybox" } },
  ...extra
})
const withTask = (task: TaskSpec): ServiceSpec =>
  spec({ TaskTemplate: { ContainerSpec: { Image: "busybox" }, ...task } })
const withContainer = (container: ContainerSpec): ServiceSpec =>
  spec({ TaskTemplate: { ContainerSpec: { Image: "busybox", ...container } } })
const said = (asked: ServiceSpec) => (checkShape(asked) ?? checkService(completeService(asked)))?.message
const invalid = (text: string): string => `rpc error: code = InvalidArgument desc = ${text}`

test("a plain service is fine", () => expect(said(spec())).toBeUndefined())

test("CT-01: names are DNS labels of at most 63 characters", () => {
  for (const name of ["web", "Web_1", "a", "a-b__c", "x".repeat(63)])
    expect(said(spec({ Name: name }))).toBeUndefined()
  for (const name of ["web.1", "-web", "web-", "we b", "é", "_x"]) {
    expect(said(spec({ Name: name }))).toBe(invalid("name must be valid as a DNS name component"))
  }
  expect(said(spec({ Name: "x".repeat(64) }))).toBe(invalid("name must be 63 characters or fewer"))
  expect(said(spec({ Name: "" }))).toBe(invalid("meta: name must be provided"))
})

test("no name takes long to refuse", () => {
  expect(said(spec({ Name: `${"a".repeat(62)}!` }))).toBe(
    invalid("name must be valid as a DNS name component")
  )
  expect(said(withContainer({ Image: `${"a-".repeat(2000)}!` }))).toContain("is not a valid repository/tag")
})

test("an image must be there, and be a reference", () => {
  expect(said(withContainer({ Image: "" }))).toBe(invalid("ContainerSpec: image reference must be provided"))
  expect(said(withContainer({ Image: "UPPER case" }))).toBe(
    invalid('ContainerSpec: "UPPER case" is not a valid repository/tag')
  )
  for (const image of [
    "busybox:1.36",
    "localhost:5000/a/b:tag",
    `registry.example.com/team/app@sha256:${"a".repeat(64)}`,
    `app:v1@sha256:${"0".repeat(64)}`,
    "{{.Node.Hostname}}"
  ]) {
    expect(said(withContainer({ Image: image }))).toBeUndefined()
  }
})

test("placeholders that no task could fill in are refused", () => {
  const all =
    '{{.Service.ID}}{{index .Service.Labels "a"}}{{.Node.Platform.OS}}{{.Task.Slot}}{{join "-" .Task.Name "x"}}'
  expect(said(withContainer({ Hostname: all, Env: [`A=${all}`] }))).toBeUndefined()
  for (const [container, field] of [
    [{ Env: ["A={{.Foo}}"] }, "env"],
    [{ Hostname: "{{.Node.Foo}}" }, "hostname"],
    [{ Mounts: [{ Type: "volume", Source: "{{.Task.Foo}}", Target: "/a" }] }, "mounts"]
  ] as const) {
    expect(said(withContainer(container))).toStartWith(
      invalid(`expanding ${field} failed: template: cannot evaluate {{`)
    )
  }
  expect(said(withContainer({ Hostname: "{{.Node" }))).toBe(
    invalid('expanding hostname failed: template: unclosed action in "{{.Node"')
  )
})

test("CT-02: too little memory or cpu cannot be meant", () => {
  expect(said(withTask({ Resources: { Limits: { MemoryBytes: 10 } } }))).toBe(
    invalid("invalid memory value 10: Must be at least 4MiB")
  )
  expect(said(withTask({ Resources: { Reservations: { NanoCPUs: 100_000 } } }))).toBe(
    invalid("invalid cpu value 0.0001: Must be at least 0.001")
  )
  expect(said(withTask({ Resources: { Limits: { NanoCPUs: 1000 } } }))).toBe(
    invalid("invalid cpu value 1e-06: Must be at least 0.001")
  )
  expect(said(withTask({ Resources: { Limits: { MemoryBytes: 4 * 1024 * 1024 } } }))).toBeUndefined()
})

test("CT-03: counts are not negative", () => {
  expect(said(spec({ Mode: { Replicated: { Replicas: -1 } } }))).toBe(
    invalid("Number of replicas must be non-negative")
  )
  expect(said(spec({ Mode: { ReplicatedJob: { MaxConcurrent: -1 } } }))).toBe(
    invalid("Maximum concurrent jobs must not be negative")
  )
  expect(said(spec({ Mode: { ReplicatedJob: { TotalCompletions: -2 } } }))).toBe(
    invalid("Total completed jobs must not be negative")
  )
  expect(said(withTask({ Placement: { MaxReplicas: -1 } }))).toContain("must not be negative, got -1")
})

test("a network that stands alone has none beside it, and nothing comes in by the ingress network", () => {
  const on = (Networks: ReadonlyArray<string>, more: ServiceSpec = {}) =>
    said({ ...withTask({ Networks: Networks.map((Target) => ({ Target })) }), ...more })
  expect(on(["host", "ov"])).toBe(invalid("TaskTemplate.Networks: host must be the only network, got 2"))
  const port = { TargetPort: 80, PublishedPort: 80 }
  const ingress = invalid(
    "TaskTemplate.Networks: host can't be used with ports published with ingress mode or an HTTP entrance"
  )
  expect(on(["host"], { EndpointSpec: { Ports: [port] } })).toBe(ingress)
  expect(on(["host"], { Labels: { "troupe.http.host": "a.test" } })).toBe(ingress)
  expect(on(["host"], { EndpointSpec: { Ports: [{ ...port, PublishMode: "host" }] } })).toBeUndefined()
  expect(on(["bridge", "ov"], { EndpointSpec: { Ports: [port] } })).toBeUndefined()
})

test("a number of tasks that cannot be meant is refused", () => {
  expect(said(spec({ Mode: { Replicated: { Replicas: 1_000_000 } } }))).toBeUndefined()
  for (const [mode, field, counts] of [
    ["Replicated", "Replicas", { Replicas: 10_000_000 }],
    ["ReplicatedJob", "MaxConcurrent", { MaxConcurrent: 10_000_000 }],
    ["ReplicatedJob", "TotalCompletions", { MaxConcurrent: 1, TotalCompletions: 10_000_000 }]
  ] as const) {
    expect(said(spec({ Mode: { [mode]: counts } }))).toBe(
      invalid(`Mode.${mode}.${field} must be 1000000 at most, got 10000000`)
    )
  }
})

test("two modes are one too many", () => {
  expect(said(spec({ Mode: { Global: {}, Replicated: {} } }))).toBe("must specify only one service mode")
})

test("jobs have no update config (JB-24)", () => {
  expect(said(spec({ Mode: { GlobalJob: {} }, UpdateConfig: { Parallelism: 1 } }))).toBe(
    invalid("Jobs may not have an update config")
  )
})

test("CT-08 AL-12: dnsrr excludes ingress, and a port is published once per protocol", () => {
  const ports = (...Ports: NonNullable<NonNullable<ServiceSpec["EndpointSpec"]>["Ports"]>) =>
    said(spec({ EndpointSpec: { Ports } }))
  expect(
    said(spec({ EndpointSpec: { Mode: "dnsrr", Ports: [{ TargetPort: 80, PublishedPort: 80 }] } }))
  ).toBe(invalid("EndpointSpec: port published with ingress mode can't be used with dnsrr mode"))
  expect(
    said(
      spec({
        EndpointSpec: { Mode: "dnsrr", Ports: [{ TargetPort: 80, PublishedPort: 80, PublishMode: "host" }] }
      })
    )
  ).toBeUndefined()
  expect(ports({ TargetPort: 80, PublishedPort: 8080 }, { TargetPort: 81, PublishedPort: 8080 })).toBe(
    invalid("EndpointSpec: duplicate published ports provided")
  )
  expect(
    ports({ TargetPort: 53, PublishedPort: 53 }, { TargetPort: 53, PublishedPort: 53, Protocol: "udp" })
  ).toBeUndefined()
  expect(ports({ TargetPort: 80 }, { TargetPort: 81 })).toBeUndefined()
  expect(ports({ TargetPort: 70_000 })).toBe(
    invalid("EndpointSpec: TargetPort must be from 1 to 65535, got 70000")
  )
  expect(ports({ TargetPort: 80, PublishedPort: 70_000 })).toBe(
    invalid("EndpointSpec: PublishedPort must be from 0 to 65535, got 70000")
  )
})

test("CT-10: references to secrets and configs name a file of their own", () => {
  const secret = (name: string, file?: string) => ({
    SecretID: `id-${name}`,
    SecretName: name,
    ...(file === undefined ? {} : { File: { Name: file } })
  })
  expect(said(withContainer({ Secrets: [{ SecretName: "s" }] }))).toBe(invalid("malformed secret reference"))
  expect(said(withContainer({ Secrets: [secret("s")] }))).toBe(
    invalid("malformed secret reference, no target provided")
  )
  expect(said(withContainer({ Secrets: [secret("s", "")] }))).toBe(
    invalid("malformed file secret reference, invalid target file name provided")
  )
  expect(said(withContainer({ Secrets: [secret("a", "x"), secret("b", "x")] }))).toBe(
    invalid("secret references 'a' and 'b' have a conflicting target: 'x'")
  )
  expect(said(withContainer({ Configs: [{ ConfigID: "i", ConfigName: "c" }] }))).toBe(
    "invalid Config: either File or Runtime should be set"
  )
  expect(
    said(withContainer({ Configs: [{ ConfigID: "i", ConfigName: "c", File: { Name: "f" }, Runtime: {} }] }))
  ).toBe("invalid Config: cannot specify both File and Runtime")
})

test("CT-11: a path is mounted once", () => {
  const Mounts = [
    { Type: "tmpfs", Target: "/x" },
    { Type: "volume", Target: "/x" }
  ] as const
  expect(said(withContainer({ Mounts }))).toBe(invalid("ContainerSpec: duplicate mount point: /x"))
})

test("CT-12: probes take at least a millisecond", () => {
  for (const field of ["Interval", "Timeout", "StartPeriod", "StartInterval"] as const) {
    expect(said(withContainer({ Healthcheck: { [field]: 999_999 } }))).toBe(
      invalid(`ContainerSpec: ${field} in HealthConfig cannot be less than 1ms`)
    )
  }
  expect(said(withContainer({ Healthcheck: { Interval: 0, Timeout: 1_000_000 } }))).toBeUndefined()
  expect(said(withContainer({ Healthcheck: { Retries: -1 } }))).toBe(
    invalid("ContainerSpec: Retries in HealthConfig cannot be negative")
  )
})

test("CT-13: delays and ratios have a range", () => {
  expect(said(withTask({ RestartPolicy: { Delay: -1 } }))).toBe(
    invalid("TaskSpec: restart-delay cannot be negative")
  )
  expect(said(withTask({ RestartPolicy: { Window: -1 } }))).toBe(
    invalid("TaskSpec: restart-window cannot be negative")
  )
  expect(said(spec({ UpdateConfig: { Delay: -1 } }))).toBe(
    invalid("TaskSpec: update-delay cannot be negative")
  )
  expect(said(spec({ RollbackConfig: { Monitor: -1 } }))).toBe(
    invalid("TaskSpec: update-monitor cannot be negative")
  )
  expect(said(spec({ UpdateConfig: { MaxFailureRatio: 1.5 } }))).toBe(
    invalid("TaskSpec: update-maxfailureratio cannot be less than 0 or bigger than 1")
  )
})

test("SC-20: constraints have a grammar, and the Engine answers 500 when they break it", () => {
  const constraint = (text: string) =>
    checkService(completeService(withTask({ Placement: { Constraints: [text] } })))
  for (const fine of [
    "node.role==manager",
    "node.labels.a != b",
    "node.hostname == Web-1",
    "node.ip==10.0.0.0/8"
  ]) {
    expect(constraint(fine)).toBeUndefined()
  }
  expect(constraint("node.role=manager")).toEqual({
    code: "unknown",
    message: "rpc error: code = Unknown desc = constraint expected one operator from ==, !="
  })
  expect(constraint("==x")?.message).toBe("rpc error: code = Unknown desc = key '' is invalid")
  expect(constraint("node.id==a,b")?.message).toBe("rpc error: code = Unknown desc = value 'a,b' is invalid")
})

test("only containers are run", () => {
  expect(said(withTask({ Runtime: "plugin" }))).toContain("not supported")
  expect(said(withTask({ Runtime: "wasm" }))).toBe("unsupported runtime")
  expect(said({ Name: "web" })).toBe("mismatched Runtime and *Spec fields")
})

test("what a client is shown and sends back is the very same spec", () => {
  const asked: ServiceSpec = {
    Name: "web",
    Labels: {},
    TaskTemplate: {
      ContainerSpec: { Image: "busybox", Env: [], TTY: false, Mounts: [{ Target: "/x", Source: "/y" }] },
      RestartPolicy: {},
      Placement: { MaxReplicas: 0 }
    },
    UpdateConfig: {},
    EndpointSpec: { Ports: [{ TargetPort: 80 }] }
  }
  const stored = completeService(asked)
  expect(JSON.stringify(completeService(stored))).toBe(JSON.stringify(stored))
  expect(stored.TaskTemplate?.ContainerSpec).toEqual({
    Image: "busybox",
    Mounts: [{ Type: "bind", Source: "/y", Target: "/x" }],
    Isolation: "default"
  })
  expect(stored.TaskTemplate?.RestartPolicy).toEqual({ Condition: "any", MaxAttempts: 0 })
  expect(stored.Mode).toEqual({ Replicated: { Replicas: 1 } })
})

test("jobs run once, one after the other, unless told otherwise", () => {
  const mode = (Mode: NonNullable<ServiceSpec["Mode"]>) => completeService(spec({ Mode })).Mode
  expect(mode({ ReplicatedJob: {} })).toEqual({ ReplicatedJob: { MaxConcurrent: 1, TotalCompletions: 1 } })
  expect(mode({ ReplicatedJob: { MaxConcurrent: 3 } })).toEqual({
    ReplicatedJob: { MaxConcurrent: 3, TotalCompletions: 3 }
  })
  expect(mode({ Global: {} })).toEqual({ Global: {} })
})
