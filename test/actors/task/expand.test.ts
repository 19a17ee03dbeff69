import { describe, expect, test } from "bun:test"
import { contextOf, expand, expandMount } from "#actors/task/expand.ts"
import { aPursuit } from "#test/actors/task/build.ts"

const context = contextOf(aPursuit({ labels: { "com.shop.tier": "front", plain: "yes" } }))
const value = (text: string): string => {
  const expanded = expand(text, context)
  return "value" in expanded ? expanded.value : expanded.problem
}

describe("a placeholder", () => {
  test("names every fact that Swarm documents", () => {
    const facts: ReadonlyArray<readonly [string, string]> = [
      ["{{.Service.ID}}", "s1"],
      ["{{.Service.Name}}", "web"],
      ['{{index .Service.Labels "com.shop.tier"}}', "front"],
      ['{{.Service.Labels "com.shop.tier"}}', "front"],
      ["{{.Service.Labels.plain}}", "yes"],
      ["{{.Node.ID}}", "n1"],
      ["{{.Node.Hostname}}", "host-1"],
      ["{{.Node.Platform.OS}}", "linux"],
      ["{{.Node.Platform.Architecture}}", "x86_64"],
      ["{{.Task.ID}}", "t1"],
      ["{{.Task.Name}}", "web.1.t1"],
      ["{{.Task.Slot}}", "1"]
    ]
    for (const [text, expected] of facts) expect(value(text)).toBe(expected)
  })

  test("stands anywhere in a text, any number of times, with or without blanks", () => {
    expect(value("a-{{ .Task.Slot }}-{{.Node.Hostname}}.{{.Service.Name }}")).toBe("a-1-host-1.web")
  })

  test("takes the blanks beside it away when it says so", () => {
    expect(value("a {{- .Task.Slot -}} b")).toBe("a1b")
  })

  test("may be a comment, a text or a list of texts", () => {
    expect(value('{{/* why */}}x{{"}}"}}{{`y`}}{{join "-" .Task.ID "z" .Node.ID}}')).toBe("x}}yt1-z-n1")
  })

  test("of a label that is not there is empty", () => {
    expect(value('[{{index .Service.Labels "nope"}}]')).toBe("[]")
  })

  test("shows the node's id as the slot of a global task, which has none", () => {
    const { slot: _, ...assigned } = aPursuit().assigned
    const global = contextOf({ ...aPursuit(), assigned })
    expect(expand("{{.Task.Slot}}", global)).toEqual({ value: "n1" })
  })

  test("that names nothing is an error that quotes it and says what is expected", () => {
    for (const text of [
      "{{.Task.Color}}",
      "{{.Service.Labels}}",
      "{{range .X}}",
      "{{.constructor}}",
      "{{printf 1}}"
    ])
      expect(value(text)).toStartWith(`template: cannot evaluate ${text}: expected .Service.{ID,Name,Labels}`)
    expect(value("{{.Task.ID")).toBe('template: unclosed action in "{{.Task.ID"')
    expect(value("{{}}")).toBe("template: missing value for command")
  })

  test("leaves a text without braces as it is", () => {
    expect(value("$HOME {x} %s")).toBe("$HOME {x} %s")
  })
})

test("a mount's source, target, labels and driver options are expanded, and nothing else", () => {
  const mount = {
    Type: "volume" as const,
    Source: "data-{{.Task.Slot}}",
    Target: "/srv/{{.Service.Name}}",
    VolumeOptions: {
      Labels: { node: "{{.Node.ID}}" },
      DriverConfig: { Name: "local", Options: { o: "addr={{.Node.Hostname}}" } }
    }
  }
  expect(expandMount(mount, context)).toEqual({
    value: {
      Type: "volume",
      Source: "data-1",
      Target: "/srv/web",
      VolumeOptions: {
        Labels: { node: "n1" },
        DriverConfig: { Name: "local", Options: { o: "addr=host-1" } }
      }
    }
  })
})
