/** What the flags of `node` come to, and what is said of those that cannot be meant. */
import { describe, expect, test } from "bun:test"
import { Effect, Option } from "effect"
import { nodeFlags, type RawNodeOptions, resolveNodeOptions } from "#cli/node-options.ts"

const resolve = (given: Readonly<Record<string, string>>) => {
  const raw = Object.fromEntries(
    Object.keys(nodeFlags).map((flag) => [
      flag,
      flag === "forceNewCluster" ? false : Option.fromUndefinedOr(given[flag])
    ])
  ) as unknown as RawNodeOptions
  return Effect.runSync(Effect.result(resolveNodeOptions(raw, "10.0.0.7")))
}

const refusal = (given: Readonly<Record<string, string>>): string => {
  const result = resolve({ role: "manager", ...given })
  return result._tag === "Failure" ? result.failure.message : "taken"
}

test("a manager needs nothing but its role", () => {
  const result = resolve({ role: "manager", dataDir: "/var/lib/x" })
  expect(result).toMatchObject({
    success: { dataDir: "/var/lib/x", http: "127.0.0.1:4500", natsPort: 4222, advertiseAddr: "10.0.0.7" }
  })
})

test("a node without a role waits for orders", () => {
  const result = resolve({})
  expect(result._tag === "Success" && result.success.role).toBeUndefined()
})

test("an IPv6 loopback address is written with brackets", () => {
  expect(resolve({ role: "manager", http: "[::1]:4500" })).toMatchObject({ success: { http: "[::1]:4500" } })
})

test("a port of the HTTP entrance has TLS, or has none", () => {
  expect(refusal({ httpEntrance: "80,443", httpEntranceTls: "443" })).toBe(
    "--http-entrance-tls '443': expected other ports than --http-entrance has"
  )
})

describe("a bad value is an error that names the flag, the value and what is expected", () => {
  test.each([
    [
      "httpEntranceTls",
      "https",
      "--http-entrance-tls 'https': expected ports from 1 to 65535, separated by commas, such as 80"
    ],
    [
      "httpEntrance",
      "80,http",
      "--http-entrance '80,http': expected ports from 1 to 65535, separated by commas, such as 80"
    ],
    ["http", "4500", "--http '4500': expected host:port, such as 127.0.0.1:4500"],
    ["http", "127.0.0.1:65536", "--http '127.0.0.1:65536': expected host:port, such as 127.0.0.1:4500"],
    [
      "http",
      "10.0.0.7:4500",
      "--http '10.0.0.7:4500': expected a loopback address, such as 127.0.0.1:4500: beyond it the token would travel in the clear"
    ],
    [
      "http",
      "127.example.org:1",
      "--http '127.example.org:1': expected a loopback address, such as 127.0.0.1:4500: beyond it the token would travel in the clear"
    ],
    ["dockerHost", "ssh://x", "--docker-host 'ssh://x': expected unix:///path or tcp://host:port"],
    ["dockerHost", "tcp://x:0", "--docker-host 'tcp://x:0': expected unix:///path or tcp://host:port"],
    [
      "defaultAddrPool",
      "10.1.0.0/16,10.2.0.0/30",
      "--default-addr-pool '10.2.0.0/30': expected an IPv4 subnet of at least a /24"
    ],
    ["dataPathAddr", "eth1", "--data-path-addr 'eth1': expected an IPv4 or IPv6 address"],
    ["natsPort", "-1", "--nats-port '-1': expected a port from 0 to 65535"],
    ["availability", "busy", "--availability 'busy': expected one of active, pause, drain"]
  ])("%s %s", (flag, value, message) => {
    expect(refusal({ [flag]: value })).toBe(message)
  })
})

test("the Engine is not the node itself, which a shell that speaks to the node by DOCKER_HOST would make it", () => {
  const own = { socket: "/run/troupe.sock", dockerHost: "unix:///run/../run/troupe.sock" }
  expect(refusal(own)).toStartWith(
    "--docker-host 'unix:///run/../run/troupe.sock': expected the Engine's socket, this is the node's own"
  )
  expect(refusal({ ...own, dockerHost: "unix:///run/docker.sock" })).toBe("taken")
})
