import { expect, test } from "bun:test"
import { areApart, checkPublish, publishedAt, publishLabel } from "#actors/network/publish-at.ts"

const at = (text: string) => ({ [publishLabel]: text })

test("a label says at which addresses ports are open: addresses and subnets, of both families", () => {
  expect(publishedAt({})).toBeUndefined()
  expect(publishedAt(at("192.168.1.5"))).toEqual(["192.168.1.5/32"])
  expect(publishedAt(at("192.168.1.7/24, fd00::1/64"))).toEqual(["192.168.1.0/24", "fd00::/64"])
  expect(publishedAt(at("fd00::5"))).toEqual(["fd00::5/128"])
})

test("what cannot be meant is refused with the label, its value and what is expected", () => {
  expect(checkPublish({ Labels: {} })).toBeUndefined()
  expect(checkPublish({ Labels: at("10.0.0.0/8") })).toBeUndefined()
  for (const text of ["", "localhost", "10.0.0.0/33", "10.0.0.1,", "10.0.0.1;10.0.0.2"]) {
    expect(checkPublish({ Labels: at(text) })).toBe(
      `label troupe.publish.ip ${JSON.stringify(text)}: expected addresses or subnets of nodes, like "192.168.1.5" or "192.168.1.0/24, fd00::/64"`
    )
  }
  const Ports = [{ TargetPort: 80, PublishMode: "host" }] as const
  expect(checkPublish({ Labels: at("10.0.0.1"), EndpointSpec: { Ports } })).toContain(
    "port 80 is in host mode"
  )
})

test("two services may share a port only where both say where, and nowhere the same", () => {
  expect(areApart(at("192.168.1.5"), at("192.168.1.6"))).toBe(true)
  expect(areApart(at("192.168.1.5"), at("192.168.1.0/24"))).toBe(false)
  expect(areApart(at("192.168.1.5"), at("fd00::/64"))).toBe(true)
  expect(areApart(at("192.168.1.5"), {})).toBe(false)
  expect(areApart({}, undefined)).toBe(false)
})
