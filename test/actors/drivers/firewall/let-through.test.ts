import { expect, test } from "bun:test"
import { mend } from "#actors/drivers/firewall/let-through.ts"

const ours = "-A DOCKER-USER -m connmark --mark 0x74726f75 -m comment --comment troupe_ingress_n1 -j ACCEPT"
const docker = ["-P FORWARD DROP", "-N DOCKER-USER", "-A FORWARD -j DOCKER-USER"]
const end = "-A DOCKER-USER -j RETURN"
const admins = "-A DOCKER-USER -s 192.0.2.0/24 -j DROP"
const [, , ...rule] = ours.split(" ")

test("our rule comes after administrators' own and before the chain ends", () => {
  expect(mend([...docker, admins, end], true, "n1")).toEqual([["-I", "DOCKER-USER", "2", ...rule]])
  expect(mend([...docker, admins], true, "n1")).toEqual([["-I", "DOCKER-USER", "2", ...rule]])
  expect(mend([...docker, admins, ours, end], true, "n1")).toEqual([])
  expect(mend([...docker, ours, admins, end], true, "n1")).toEqual([])
})

test("where it is twice, or behind the end, it is put in its place; where it is not wanted, it goes", () => {
  const [remove, insert] = [
    ["-D", "DOCKER-USER", ...rule],
    ["-I", "DOCKER-USER", "1", ...rule]
  ]
  expect(mend([...docker, end, ours], true, "n1")).toEqual([remove, insert])
  expect(mend([...docker, ours, ours, end], true, "n1")).toEqual([remove, remove, insert])
  expect(mend([...docker, ours, end], false, "n1")).toEqual([remove])
  expect(mend([...docker, end], false, "n1")).toEqual([])
})

test("another node's rule is left alone, and without Docker's chain nothing is changed that would let it through", () => {
  const others = ours.replace("_n1", "_n2")
  expect(mend([...docker, others, end], false, "n1")).toEqual([])
  expect(mend(["-P FORWARD ACCEPT"], true, "n1")).toEqual([])
  for (const more of [[], ["-A FORWARD -i lo -j ufw-before", "-A FORWARD -j DROP"]])
    expect(mend(["-P FORWARD DROP", ...more], true, "n1")).toEqual([["-I", "FORWARD", "1", ...rule]])
  expect(mend([], true, "n1")).toEqual([])
})
