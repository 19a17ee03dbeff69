/**
 * This machine's WireGuard: the kernel's where it has one, else a process. Devices are compared with what the node's
 * encrypted overlays need at every look, and go with the last of them.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { Effect } from "effect"
import { links } from "#actors/drivers/kernel/links.ts"
import { aliasOf, tunnelName } from "#actors/drivers/kernel/names.ts"
import { batch, type KernelError, run } from "#actors/drivers/kernel/run.ts"
import type { Link } from "#actors/drivers/kernel/state.ts"
import { Keys } from "#actors/drivers/wireguard/keys.ts"
import {
  chooseTunnels,
  configurationOf,
  isConfigured,
  isTunnelled,
  type Tunnel,
  type TunnelsByPeer,
  tunnelsOf
} from "#actors/drivers/wireguard/plan.ts"
import { endProcess, startProcess } from "#actors/drivers/wireguard/process.ts"
import { parseShown, type Shown } from "#actors/drivers/wireguard/show.ts"
import type { WireGuard } from "#actors/model/objects.ts"
import type { OverlayTable } from "#actors/network/table.ts"

export interface Tunnelled {
  readonly tunnels: TunnelsByPeer
  readonly changed: number
  readonly problems: ReadonlyArray<string>
}

const nothing: Tunnelled = { tunnels: new Map(), changed: 0, problems: [] }

export class Tunnels {
  readonly #nodeId: string
  readonly #folder: string
  readonly #keys: Keys
  /** WireGuard was found here once. */
  #isAble = false
  /** An earlier life may have left some. */
  #mayHaveDevices = true

  constructor(nodeId: string, folder: string) {
    this.#nodeId = nodeId
    this.#folder = folder
    this.#keys = new Keys(`${folder}/keys.json`)
  }

  get ports(): ReadonlyArray<number> {
    return this.#keys.all.map(({ Port }) => Port)
  }

  readonly makeKey = (epoch?: number): Effect.Effect<WireGuard> =>
    this.#hindrance.pipe(
      Effect.flatMap((hindrance) =>
        hindrance === undefined
          ? Effect.as(this.#keys.make(epoch), undefined)
          : Effect.succeed<string | undefined>(hindrance)
      ),
      Effect.catch(({ message }) => Effect.succeed<string | undefined>(message)),
      Effect.map((Refusal) => ({
        Keys: this.#keys.all.map(({ Epoch, PublicKey, Port }) => ({ Epoch, PublicKey, Port })),
        ...(Refusal !== undefined && { Refusal })
      }))
    )

  /** Why there can be no tunnels from here. */
  get #hindrance(): Effect.Effect<string | undefined> {
    if (this.#isAble) return Effect.succeed(undefined)
    return Effect.map(findHindrance(tunnelName(this.#nodeId, 1)), (hindrance) => {
      this.#isAble = hindrance === undefined
      return hindrance
    })
  }

  /** Makes the devices as the overlays need them, and yields who is reached through which. */
  readonly bring = Effect.fnUntraced(function* (this: Tunnels, tables: ReadonlyArray<OverlayTable>) {
    const encrypted = tables.filter(isTunnelled)
    if (encrypted.length === 0 && !this.#mayHaveDevices) return nothing
    const wanted = tunnelsOf(tables, this.#keys.all, this.#nodeId)
    const byName = new Map((yield* links).map((link) => [link.ifname, link]))
    const problems: Array<string> = []
    let changed = 0
    const note = ({ message }: KernelError) =>
      Effect.sync(() => {
        problems.push(`encrypted overlays: ${message}`)
        return undefined
      })
    for (const epoch of [0, 1]) {
      const device = tunnelName(this.#nodeId, epoch)
      if (wanted.some((tunnel) => tunnel.device === device)) continue
      if (byName.has(device)) {
        yield* run("ip", ["link", "delete", "dev", device], "").pipe(Effect.catch(note))
        changed += 1
      }
      yield* endProcess(this.#folder, device)
    }
    this.#mayHaveDevices = wanted.length > 0
    const shown = new Map<string, Shown>()
    for (const tunnel of wanted) {
      const done = yield* this.#tend(tunnel, byName.get(tunnel.device)).pipe(Effect.catch(note))
      if (done === undefined) continue
      changed += done.changed
      shown.set(tunnel.device, done.shown)
    }
    const { tunnels, unreached } = chooseTunnels(tables, wanted, shown)
    if (encrypted.length > 0 && unreached.length > 0)
      problems.push(
        `encrypted overlays do not reach ${unreached.join(", ")}: it has no key of an epoch that this node has, or no data path of IPv4`
      )
    return { tunnels, changed, problems } satisfies Tunnelled
  })

  readonly #tend = Effect.fnUntraced(function* (this: Tunnels, tunnel: Tunnel, link: Link | undefined) {
    const { device, mtu } = tunnel
    if (link === undefined) yield* this.#make(device)
    const lines = [
      ...(link?.ifalias === undefined ? [`link set dev ${device} alias "${aliasOf(this.#nodeId)}"`] : []),
      ...(link?.mtu === mtu ? [] : [`link set dev ${device} mtu ${mtu}`]),
      ...(link?.addr_info?.some(({ local }) => local === anyAddress) === true
        ? []
        : [`address add ${anyAddress}/32 dev ${device} scope link`]),
      ...(link?.flags.includes("UP") === true ? [] : [`link set dev ${device} up`])
    ]
    yield* batch("ip", lines)
    acceptAnySource(device)
    const before = yield* show(device)
    if (isConfigured(tunnel, before)) return { changed: lines.length, shown: before }
    yield* configure(tunnel)
    return { changed: lines.length + 1, shown: yield* show(device) }
  })

  readonly #make = (device: string): Effect.Effect<void, KernelError> =>
    run("ip", ["link", "add", device, "type", "wireguard"], "").pipe(
      Effect.asVoid,
      Effect.catch((error) => (isUnknown(error) ? startProcess(this.#folder, device) : Effect.fail(error)))
    )
}

const show = (device: string): Effect.Effect<Shown, KernelError> =>
  Effect.map(run("wg", ["show", device, "dump"], ""), parseShown)

/** Through a pipe: `wg` opens its input by name, which a socket has not, and a file would hold the key. */
const configure = (tunnel: Tunnel): Effect.Effect<string, KernelError> =>
  run("sh", ["-c", 'cat | wg syncconf "$0" /dev/stdin', tunnel.device], configurationOf(tunnel))

/** The kernel has no device of this kind. */
const isUnknown = ({ message }: KernelError): boolean => /unknown device type|not supported/i.test(message)

/** `device` is made and removed again, where there is none of that name. */
const findHindrance = Effect.fnUntraced(function* (device: string) {
  const works = (command: string, ...args: ReadonlyArray<string>): Effect.Effect<KernelError | undefined> =>
    run(command, args, "").pipe(
      Effect.as(undefined),
      Effect.catch((error) => Effect.succeed<KernelError | undefined>(error))
    )
  if ((yield* works("wg", "--version")) !== undefined) return "there is no wg here: install wireguard-tools"
  const refused = yield* works("ip", "link", "add", device, "type", "wireguard")
  if (refused === undefined) {
    yield* works("ip", "link", "delete", "dev", device)
    return undefined
  }
  if (!isUnknown(refused)) return /File exists/.test(refused.message) ? undefined : refused.message
  if ((yield* works("wireguard-go", "--version")) !== undefined) {
    return "the kernel has no WireGuard, and there is no wireguard-go: install it"
  }
  return existsSync("/dev/net/tun")
    ? undefined
    : "the kernel has no WireGuard, and wireguard-go has no /dev/net/tun"
})

/**
 * Nobody is reached at it. But of a device without any address the kernel takes no packets whose sender it would answer by
 * another device, as soon as it looks at that at all.
 */
const anyAddress = "169.254.47.1"

/** What comes out of a tunnel has a sender that the routes have elsewhere; WireGuard has made sure of it. */
function acceptAnySource(device: string): void {
  const file = `/proc/sys/net/ipv4/conf/${device}/rp_filter`
  try {
    if (readFileSync(file, "utf8").trim() !== "2") writeFileSync(file, "2")
  } catch {
    // It is gone already, and the next look makes it anew.
  }
}
