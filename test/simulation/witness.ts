/**
 * The ledger as the group has committed it: what any manager applies first is applied here, and nothing here is ever
 * killed, cut off or late. Every manager's state must be the same at the same entry.
 */
import { Machine } from "#actors/ledger/machine.ts"
import type { StateMachine } from "#actors/raft/protocol.ts"

export class Witness {
  readonly machine: Machine
  readonly #digests = new Map<number, string>()
  readonly #broken: (law: string, facts: string) => void

  constructor(onDefect: (defect: unknown) => void, broken: (law: string, facts: string) => void) {
    this.machine = new Machine(onDefect)
    this.#broken = broken
  }

  /** A manager's state machine, watched. */
  watch(name: string, machine: Machine): StateMachine {
    return {
      apply: (index, data) => {
        const result = machine.apply(index, data)
        if (index > this.machine.tables.index) {
          this.machine.apply(index, data)
          this.#digests.set(index, this.machine.digest())
        }
        this.#compare(name, index, machine)
        return result
      },
      snapshot: () => machine.snapshot(),
      restore: (chunks) => {
        machine.restore(chunks)
        this.#compare(name, machine.tables.index, machine)
      }
    }
  }

  #compare(name: string, index: number, machine: Machine): void {
    const expected = this.#digests.get(index)
    if (index > 0 && expected !== machine.digest())
      this.#broken("managers have the same state at the same entry", `${name} at entry ${index}`)
  }
}
