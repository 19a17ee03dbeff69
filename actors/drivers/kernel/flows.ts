/**
 * Connections that the kernel goes on leading to tasks that no longer serve: UDP has no end that it could wait for, and of
 * TCP those that nobody has answered. They are forgotten, so that the client's next packet finds another task.
 */
import { Effect } from "effect"
import { type KernelError, run } from "#actors/drivers/kernel/run.ts"
import { holds, parseAddress, parseSubnet } from "#actors/network/ip.ts"
import type { OverlayTable } from "#actors/network/table.ts"

/** All addresses of tasks that serve. */
export const servingAddresses = (tables: ReadonlyArray<OverlayTable>): ReadonlySet<string> =>
  new Set(
    tables.flatMap(({ services }) =>
      services.flatMap(({ tasks }) =>
        tasks.filter(({ serving }) => serving).flatMap(({ addresses }) => addresses)
      )
    )
  )

/** Where flows that were given another address lead, by the answers that are expected: `conntrack -L`'s second `src=`. */
export const targetsOf = (listed: string): ReadonlySet<string> =>
  new Set(listed.split("\n").flatMap((line) => [...line.matchAll(/ src=(\S+)/g)][1]?.[1] ?? []))

/** Of so few addresses the flows are forgotten without asking first which of them have any: each asking reads all flows. */
const few = 4

export class Flows {
  /** Where flows may lead; unknown at first: an earlier life may have left some that should not be there. */
  #serving: ReadonlySet<string> | undefined

  /** Forgets what leads to tasks of these networks that do not serve any more. */
  readonly settle = Effect.fnUntraced(function* (this: Flows, tables: ReadonlyArray<OverlayTable>) {
    const [before, serving] = [this.#serving, servingAddresses(tables)]
    const subnets = tables.flatMap((table) =>
      table.subnets.flatMap(({ subnet }) => parseSubnet(subnet) ?? [])
    )
    const isOurs = (text: string): boolean => {
      const address = parseAddress(text)
      return address !== undefined && subnets.some((subnet) => holds(subnet, address))
    }
    const isGone = (address: string): boolean =>
      !serving.has(address) && (before === undefined ? isOurs(address) : before.has(address))
    const gone = [...(before ?? [])].filter(isGone)
    if (before === undefined || gone.length > 0) {
      const some = before === undefined ? subnets : gone.flatMap((address) => parseAddress(address) ?? [])
      const families = new Set(some.map(({ family }) => family))
      const forget = Effect.fnUntraced(function* ({ family, kind }: Kind) {
        const found =
          before === undefined || gone.length > few
            ? [...targetsOf(yield* run("conntrack", ["-L", ...kind], ""))].filter(isGone)
            : gone.filter((address) => parseAddress(address)?.family === family)
        yield* Effect.forEach(found, (address) => dropped(...kind, address), {
          concurrency: few,
          discard: true
        })
      })
      yield* Effect.forEach([...families].flatMap(kindsOf), forget, {
        concurrency: "unbounded",
        discard: true
      })
    }
    this.#serving = serving
  })
}

interface Kind {
  readonly family: 4 | 6
  /** As `conntrack` is told, before an address. */
  readonly kind: ReadonlyArray<string>
}

/** Those that were given another address: by protocol. */
const kindsOf = (family: 4 | 6): ReadonlyArray<Kind> => [
  { family, kind: ["-f", `ipv${family}`, "-p", "udp", "--dst-nat"] },
  { family, kind: ["-f", `ipv${family}`, "-p", "tcp", "--state", "SYN_SENT", "--dst-nat"] }
]

/** That there was none is no failure. */
const dropped = (...args: ReadonlyArray<string>): Effect.Effect<void, KernelError> =>
  run("conntrack", ["-D", ...args], "").pipe(
    Effect.catchIf(
      ({ message }) => message.includes("0 flow entries"),
      () => Effect.void
    )
  ) as Effect.Effect<void, KernelError>

/** Whether this machine has the tool at all. */
export const hasConntrack: Effect.Effect<boolean> = run("conntrack", ["--version"], "").pipe(
  Effect.match({ onSuccess: () => true, onFailure: () => false })
)
