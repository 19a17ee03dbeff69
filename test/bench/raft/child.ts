/** A process of the benchmark, asked one thing after another. */
import { type ChildProcess, fork } from "node:child_process"
import { mkdirSync } from "node:fs"
import type { Order, Report, Setting } from "#test/bench/raft/orders.ts"

export class Child {
  readonly #setting: Setting
  #process: ChildProcess

  constructor(setting: Setting) {
    this.#setting = setting
    mkdirSync(setting.directory, { recursive: true })
    this.#process = this.#start()
  }

  get id(): string {
    return this.#setting.id
  }

  get pid(): number {
    return this.#process.pid ?? 0
  }

  ready(): Promise<unknown> {
    return this.#next()
  }

  ask<Answer>(order: Order): Promise<Answer> {
    const answer = this.#next<Answer>()
    this.#process.send(order)
    return answer
  }

  report(): Promise<Report> {
    return this.ask<Report>({ _tag: "Report" })
  }

  kill(): void {
    this.#process.kill("SIGKILL")
  }

  restart(): Promise<unknown> {
    this.#process = this.#start()
    return this.ready()
  }

  #start(): ChildProcess {
    return fork(new URL("./member.ts", import.meta.url), [JSON.stringify(this.#setting)])
  }

  #next<Answer>(): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#process.once("message", (message: Answer & { readonly error?: string }) =>
        message.error === undefined ? resolve(message) : reject(new Error(message.error))
      )
    })
  }
}
