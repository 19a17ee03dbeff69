import { describe, expect, test } from "bun:test"
import type { AssignedFile } from "#actors/node/protocol.ts"
import { encodeBase64, strictText } from "#actors/task/base64.ts"
import { fill } from "#actors/task/fill.ts"
import { aPursuit } from "#test/actors/task/build.ts"

const file = (id: string, text: string, template?: string): AssignedFile => ({
  id,
  name: id,
  data: encodeBase64(text),
  ...(template !== undefined && { template })
})

const pursuit = aPursuit(
  {},
  {
    Env: ["COLOUR=red=dark", "COLOURS=none"],
    Secrets: [{ SecretID: "s", SecretName: "password", File: { Name: "pw" } }],
    Configs: [
      { ConfigID: "c", ConfigName: "site", File: { Name: "/etc/site" } },
      { ConfigID: "gone", ConfigName: "gone", File: { Name: "gone" } }
    ]
  },
  { secrets: [file("s", "grüße")], configs: [file("c", "{{.Task.ID}}")] }
)
const filled = (text: string, template = "golang"): string | undefined => {
  const content = fill(file("t", text, template), pursuit)
  return "problem" in content ? content.problem : strictText(content.value)
}

describe("a file that is a template", () => {
  test("names service, node and task, and what the container is given", () => {
    expect(filled("{{.Service.Name}}.{{.Task.Slot}}@{{.Node.Hostname}}")).toBe("web.1@host-1")
    expect(filled('pw = {{ secret "pw" }}')).toBe("pw = grüße")
    expect(filled('{{env "COLOUR"}} {{env "NONE"}}.')).toBe("red=dark .")
  })

  test("takes in another file as it is kept, not filled in", () => {
    expect(filled('{{config "/etc/site"}}')).toBe("{{.Task.ID}}")
  })

  test("that asks for what the container is not given is an error that names it", () => {
    expect(filled('{{secret "other"}}')).toBe("secret target other not found")
    expect(filled('{{config "gone"}}')).toBe("config target gone not found")
    expect(filled("{{secret}}")).toStartWith("template: cannot evaluate {{secret}}")
  })

  test("is known by its driver, of which there is one", () => {
    expect(filled("x", "jinja")).toBe("unrecognized templating driver jinja: expected golang")
    const plain = fill(file("t", "{{.Task.ID}}"), pursuit)
    expect(plain).toEqual({ value: encodeBase64("{{.Task.ID}}") })
  })

  test("is text", () => {
    const binary = { id: "b", name: "b", data: "/////w==", template: "golang" }
    expect(fill(binary, pursuit)).toEqual({ problem: "template: expected UTF-8 text" })
    expect(fill({ ...binary, template: undefined } as unknown as AssignedFile, pursuit)).toEqual({
      value: "/////w=="
    })
  })
})
