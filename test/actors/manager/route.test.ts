import { expect, test } from "bun:test"
import { allocatorAt, route } from "#actors/manager/route.ts"
import type { ServiceSpec } from "#actors/model/spec.ts"
import { Book } from "#test/support/ledger.ts"

/** Whether the allocator hears of what `change` does to `book`. */
function tellsAllocator(book: Book, change: () => void): boolean {
  book.changes()
  change()
  const to = { ledger: book.tables, everywhere: new Set<string>(), serviceProps: 0, nodeProps: 0 }
  return route(to, book.changes()).some((action) => action._tag === "Tell" && action.to === allocatorAt)
}

test("the allocator hears of services that ask for something of it, and of no others", () => {
  const book = new Book().cluster()
  const make = (id: string, spec: ServiceSpec) => tellsAllocator(book, () => book.service(id, spec))
  const remove = (id: string) => tellsAllocator(book, () => book.must({ type: "service.remove", v: 1, id }))
  const published: ServiceSpec = { EndpointSpec: { Ports: [{ TargetPort: 80, PublishedPort: 8080 }] } }
  expect(make("plain", {})).toBe(false)
  expect(make("web", published)).toBe(true)
  expect(make("netted", { TaskTemplate: { Networks: [{ Target: "n" }] } })).toBe(true)
  expect(remove("plain")).toBe(false)
  expect(remove("web")).toBe(true)
})
