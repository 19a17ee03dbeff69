/** What came of an order to a supervisor, in words. */
import type { Order, OrderOutcome } from "#runtime/system.ts"

const words: Readonly<Record<Exclude<OrderOutcome, "done">, string>> = {
  "not-found": "nothing of that name runs there, or it is the top of a tree, which can only be restarted",
  running: "it runs: stop it first",
  restarting: "it is between two lives: stop it first",
  stopping: "it is on its way out",
  "supervisor-down": "its supervisor does not run: start that first"
}

export const orderDone = {
  restart: "restarted",
  stop: "stopped",
  start: "started",
  delete: "forgotten"
} as const

export const whyNot = (order: Order, name: string, outcome: Exclude<OrderOutcome, "done">): string =>
  `Cannot ${order} ${name}: ${words[outcome]}`
