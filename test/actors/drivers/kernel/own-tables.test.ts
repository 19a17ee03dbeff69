import { expect, test } from "bun:test"
import { execFileSync } from "node:child_process"
import process from "node:process"
import { Effect } from "effect"
import { countRules } from "#actors/drivers/kernel/count.ts"
import { hindrance } from "#actors/drivers/kernel/hindrance.ts"
import { countTable } from "#actors/drivers/kernel/names.ts"
import { OwnTables, tablesIn } from "#actors/drivers/kernel/own-tables.ts"
import { path } from "#actors/drivers/kernel/run.ts"

const set = (elements: string) => `table inet troupe_vip_n1 {
	set held {
		type ipv4_addr . inet_service
		size 65535
		flags dynamic,timeout
		timeout 10s${elements}
	}
}
`

test("what rules note themselves makes no table another", () => {
  const other = "table inet other {\n\tset s {\n\t\telements = { 1, 2 }\n\t}\n}\n"
  const noted = "\n\t\telements = { 10.0.1.5 . 4000 expires 9s,\n\t\t\t     10.0.1.6 . 4000 expires 9s }"
  const [before, after] = [tablesIn(set("") + other), tablesIn(other + set(noted))]
  expect([...before.keys()]).toEqual(["troupe_vip_n1", "other"])
  expect(after.get("troupe_vip_n1")).toBe(before.get("troupe_vip_n1") as string)
  expect(after.get("other")).toBe(other)
})

test.skipIf(hindrance("unix:///run/docker.sock") !== undefined)(
  "a table that counts is written once, and again only where somebody changed it",
  async () => {
    const name = countTable(`nobody${process.pid}`)
    const rules = new Map([[name, countRules(`nobody${process.pid}`)]])
    const tables = new OwnTables(0, [name])
    const bring = async (isLook: boolean) =>
      (await Effect.runPromise(tables.bring(rules, isLook))).changed.has(name)
    const nft = (...words: ReadonlyArray<string>): string =>
      execFileSync("nft", words, { encoding: "utf8", env: { ...process.env, PATH: path } })
    const isCounted = (): boolean => nft("list", "table", "inet", name).includes("counter packets 7")
    try {
      expect(await bring(false)).toBe(true)
      nft("add", "element", "inet", name, "tcp_ports", "{ 8080 counter packets 7 bytes 420 }")
      for (const isLook of [true, false, true]) expect(await bring(isLook)).toBe(false)
      expect(isCounted()).toBe(true)
      nft("flush", "chain", "inet", name, "leaving")
      expect(await bring(true)).toBe(true)
      expect([nft("list", "table", "inet", name).includes("@tcp_ports"), isCounted()]).toEqual([true, false])
    } finally {
      nft("delete", "table", "inet", name)
    }
  }
)
