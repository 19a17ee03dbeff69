import { expect, test } from "bun:test"
import { fit, parseJson } from "#actors/gateway/decode.ts"
import { NetworkCreateRequest, SecretSpec, ServiceSpec } from "#actors/model/spec.ts"

const spec = (json: unknown) => {
  const decoded = fit(ServiceSpec, json)
  if ("refusal" in decoded) throw new Error(decoded.refusal.message)
  return decoded.value
}
const refusal = (json: unknown): string => {
  const decoded = fit(ServiceSpec, json)
  return "refusal" in decoded ? decoded.refusal.message : "fits"
}

test("null is an absent field, at every depth, as in Go", () => {
  expect(spec({ Name: null, Labels: null, TaskTemplate: { ContainerSpec: null, Networks: null } })).toEqual({
    TaskTemplate: {}
  })
})

test("null inside a list or a map is Go's zero value", () => {
  const value = spec({ Labels: { a: null }, TaskTemplate: { ContainerSpec: { Env: [null, "B=1"] } } })
  expect(value.Labels).toEqual({ a: "" })
  expect(value.TaskTemplate?.ContainerSpec?.Env).toEqual(["", "B=1"])
})

test("field names match whatever their case, labels keep theirs", () => {
  expect(spec({ name: "web", LABELS: { Aa: "x" }, taskTemplate: { containerspec: { image: "i" } } })).toEqual(
    {
      Name: "web",
      Labels: { Aa: "x" },
      TaskTemplate: { ContainerSpec: { Image: "i" } }
    }
  )
})

test("unknown fields are dropped", () => {
  expect(spec({ Name: "web", Bogus: 1, TaskTemplate: { Zz: {} } })).toEqual({ Name: "web", TaskTemplate: {} })
})

test("an empty choice is none, and choices match in any case", () => {
  const value = spec({
    EndpointSpec: { Mode: "", Ports: [{ Protocol: "TCP", TargetPort: 80, PublishMode: "Host" }] },
    TaskTemplate: { RestartPolicy: { Condition: "" } }
  })
  expect(value.EndpointSpec).toEqual({ Ports: [{ Protocol: "tcp", TargetPort: 80, PublishMode: "host" }] })
  expect(value.TaskTemplate?.RestartPolicy).toEqual({})
})

test("a wrong type is told by its path, what is expected, and what came", () => {
  expect(refusal({ Name: 3 })).toBe("invalid JSON: Name: expected string, got 3")
  expect(refusal({ TaskTemplate: { ContainerSpec: { Env: ["a", 2] } } })).toBe(
    "invalid JSON: TaskTemplate.ContainerSpec.Env[1]: expected string, got 2"
  )
  expect(refusal({ Mode: { Replicated: { Replicas: 1.5 } } })).toBe(
    "invalid JSON: Mode.Replicated.Replicas: expected an integer, got 1.5"
  )
  expect(refusal({ TaskTemplate: { ContainerSpec: { Mounts: [{ Type: "disk" }] } } })).toStartWith(
    'TaskTemplate.ContainerSpec.Mounts[0].Type: expected "bind" | "volume"'
  )
  expect(refusal([1])).toContain("body: expected")
})

test("what may be a secret is not repeated", () => {
  const decoded = fit(SecretSpec, { Name: "s", Data: 31337 })
  expect("refusal" in decoded && decoded.refusal.message).toBe(
    "invalid JSON: Data: expected string, got a number"
  )
})

test("names that mean something to the language are only names", () => {
  const value = spec(JSON.parse('{"Labels":{"__proto__":"x","constructor":"y"},"__proto__":{"Name":"evil"}}'))
  expect(value.Name).toBeUndefined()
  expect(Object.keys(value.Labels ?? {})).toEqual(["__proto__", "constructor"])
})

test("parts without a schema have a bounded depth", () => {
  const deep = (levels: number): unknown => JSON.parse("[".repeat(levels) + "]".repeat(levels))
  const body = (levels: number) => ({
    TaskTemplate: { ContainerSpec: { Privileges: { CredentialSpec: deep(levels) } } }
  })
  expect(refusal(body(30))).toBe("fits")
  expect(refusal(body(5000))).toBe("invalid JSON: exceeded max depth")
})

test("syntax errors are told apart as Go tells them", () => {
  const message = (text: string) => {
    const parsed = parseJson(text)
    return "refusal" in parsed ? parsed.refusal.message : "parses"
  }
  expect(message("  ")).toBe("invalid JSON: got EOF while reading request body")
  expect(message('{"Name":"web"')).toBe("invalid JSON: unexpected EOF")
  expect(message('{"Name":"web"} {}')).toBe("unexpected content after JSON")
  expect(message("{nope}")).toStartWith("invalid JSON: ")
  expect(message('"text"')).toBe("parses")
})

test("what docker stack deploy sends for a network is understood", () => {
  const decoded = fit(NetworkCreateRequest, {
    Driver: "overlay",
    Scope: "",
    IPAM: null,
    ConfigFrom: null,
    Options: null,
    Labels: { "com.docker.stack.namespace": "s1" },
    Name: "s1_net1"
  })
  expect(decoded).toEqual({
    value: {
      Driver: "overlay",
      Scope: "",
      Labels: { "com.docker.stack.namespace": "s1" },
      Name: "s1_net1"
    }
  })
})
