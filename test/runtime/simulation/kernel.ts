/**
 * What every simulation stands on, without actors: imitated time, lanes, lives, the bus, the network and Effects on
 * imitated time. Its trace changes only when one of these does, and is the same on every machine.
 */
import { Buffer } from "node:buffer"
import { Effect } from "effect"
import { VirtualHost } from "#runtime/host-virtual.ts"
import { Fresh } from "#runtime/ids.ts"
import { Life } from "#runtime/life.ts"
import { MemoryBus } from "#runtime/transport/memory.ts"
import { Network } from "#runtime/transport/network.ts"

/** Five lives that chat for a minute in changing weather. */
export function chat(seed: number): VirtualHost {
  const host = new VirtualHost(seed)
  const chance = Fresh.from(seed).fork()
  const network = new Network(chance.fork(), host)
  const bus = new MemoryBus(host, { link: network.link })
  const names = ["a", "b", "c", "d", "e"]
  for (const [lane, name] of names.entries()) {
    const life = new Life(host, { chance: chance.fork(), lane: lane + 1 })
    const transport = life.transport(bus.connect(name))
    transport.subscribe(`to.${name}`, {}, ({ body, respond }) => {
      const text = Buffer.from(body).toString()
      host.note(`${name} hears ${text} at ${life.host.now()}`)
      life.host.defer(() => host.note(`${name} takes its turn`))
      respond?.({}, Buffer.from(`${name}:${text}`))
    })
    const talk = Effect.gen(function* () {
      for (let count = 0; count < 60; count++) {
        yield* Effect.sleep(50 + life.host.random() * 900)
        const other = names[Math.floor(life.host.random() * names.length)] as string
        const question = transport.request(`to.${other}`, {}, Buffer.from(String(count)), 300)
        const heard = yield* question.pipe(
          Effect.map(({ body }) => Buffer.from(body).toString()),
          Effect.catch(({ _tag }) => Effect.succeed(_tag))
        )
        host.note(`${name} asked ${other}: ${heard}`)
      }
    })
    Effect.runForkWith(life.context)(talk)
    host.after(5_000 * (lane + 1), () => life.pause())
    host.after(5_000 * (lane + 1) + 2_000, () => life.resume())
    host.after(20_000 + lane, () => {
      life.skewMs = lane * 1_000 - 2_000
    })
  }
  host.advance(10_000)
  network.weather = { loss: 0.2, doubling: 0.2, leastMs: 1, mostMs: 200 }
  network.cutWay("a", "b")
  host.advance(15_000)
  network.weather = { ...network.weather, inOrder: true }
  network.partition(["a", "b"], ["c", "d", "e"])
  host.advance(15_000)
  network.heal()
  host.advance(20_000)
  return host
}
