import { expect, test } from "bun:test"
import { tablesIn } from "#actors/drivers/kernel/own-tables.ts"

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
