/**
 * Which tasks this machine has reached at their ports: the kernel leads a connection to one task and tries no other, so it
 * is told only of those that take connections. The data plane goes on trying the others.
 */
import net from "node:net"
import { Effect } from "effect"

const answerWithinMs = 1_000
/** A first packet that is lost is sent again after a second, which is too late: so another connection is tried beside it. */
const tryEveryMs = 250
/** A task that listens is there within this; nobody is kept waiting longer for one that does not. */
const waitMs = 150
/** A node that begins again tries all tasks of the cluster. */
const mostAtOnce = 512

export interface Target {
  readonly address: string
  readonly port: number
}

export const keyOfTarget = ({ address, port }: Target): string => `${address} ${port}`

export class Reached {
  readonly #reached = new Set<string>()
  readonly #underway = new Map<string, Promise<void>>()

  get keys(): ReadonlySet<string> {
    return this.#reached
  }

  /** Tries those that were not reached yet, and forgets all others; true when every one is reached. */
  readonly try = (targets: ReadonlyArray<Target>): Effect.Effect<boolean> =>
    Effect.promise(async () => {
      const wanted = new Map(targets.map((target) => [keyOfTarget(target), target]))
      for (const key of this.#reached) if (!wanted.has(key)) this.#reached.delete(key)
      const begun: Array<Promise<void>> = []
      for (const [key, target] of wanted) {
        if (this.#reached.has(key) || this.#underway.has(key)) continue
        if (this.#underway.size >= mostAtOnce) break
        const attempt = connects(target).then((does) => {
          this.#underway.delete(key)
          if (does) this.#reached.add(key)
        })
        this.#underway.set(key, attempt)
        begun.push(attempt)
      }
      if (begun.length > 0) {
        let timer: ReturnType<typeof setTimeout> | undefined
        const enough = new Promise<void>((resolve) => {
          timer = setTimeout(resolve, waitMs)
        })
        await Promise.race([Promise.all(begun), enough])
        clearTimeout(timer)
      }
      return [...wanted.keys()].every((key) => this.#reached.has(key))
    })
}

function connects({ address: host, port }: Target): Promise<boolean> {
  return new Promise((resolve) => {
    const sockets: Array<net.Socket> = []
    const settle = (does: boolean): void => {
      clearTimeout(late)
      clearInterval(again)
      for (const socket of sockets) socket.destroy()
      resolve(does)
    }
    const attempt = (): void => {
      const socket = net.connect({ host, port })
      sockets.push(socket)
      socket.once("connect", () => settle(true))
      socket.on("error", () => settle(false))
    }
    const late = setTimeout(settle, answerWithinMs, false)
    const again = setInterval(attempt, tryEveryMs)
    attempt()
  })
}
