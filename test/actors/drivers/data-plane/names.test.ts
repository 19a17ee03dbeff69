import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import net from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Names } from "#actors/drivers/data-plane/names.ts"
import { addressesIn, askOverTcp, askOverUdp, freePort } from "#test/actors/drivers/data-plane/asker.ts"
import { openResolver, type Resolver } from "#test/actors/drivers/data-plane/resolver.ts"
import { service, task, zone } from "#test/actors/network/names/zones.ts"

const web1 = "127.9.1.11"
const db1 = "127.9.1.31"
const many = Array.from({ length: 60 }, (_, i) => task(`many.${i}.m${i}`, [`127.9.1.${i + 100}`]))
const front = zone("front", "127.9.1", [
  service("web", { vips: ["127.9.1.2"], tasks: [task("web.1.w1", [web1])] }),
  service("db", {
    vips: ["127.9.1.3"],
    tasks: [task("db.1.d1", [db1], { resolvers: ["127.9.0.52", "127.9.0.53"] })]
  }),
  service("loop", { tasks: [task("loop.1.l1", ["127.9.1.41"], { resolvers: ["127.9.1.1"] })] }),
  service("many", { tasks: many })
])

const folder = mkdtempSync(join(tmpdir(), "troupe-names-"))
const kept = join(folder, "names.json")
let port = 0
let names: Names
let first: Resolver
let second: Resolver
const resolverOptions = { resolvConf: join(folder, "resolv.conf"), resolverPort: 0 }

beforeAll(async () => {
  port = await freePort()
  const resolverPort = await freePort()
  first = await openResolver("127.9.0.52", resolverPort, {})
  second = await openResolver("127.9.0.53", resolverPort, {
    answers: (name) => [{ type: "A", name, ttl: 300, data: "192.0.2.80" }]
  })
  writeFileSync(resolverOptions.resolvConf, "# the machine's\nnameserver 127.9.0.53\nsearch example.test\n")
  resolverOptions.resolverPort = resolverPort
  names = new Names(kept, { port, ...resolverOptions })
  expect(await names.tell([front])).toEqual([])
})
afterAll(() => {
  names.close()
  first.close()
  second.close()
  rmSync(folder, { recursive: true })
})

const at = (from: string) => ({ port, from })

describe("a task's question", () => {
  test("is answered over UDP, with authority and the asker's id", async () => {
    const told = await askOverUdp("WEB", at(web1))
    expect(told).toMatchObject({
      id: 4_711,
      rcode: "NOERROR",
      flag_aa: true,
      flag_ra: true,
      flag_rd: true,
      flag_tc: false
    })
    expect(told?.answers).toMatchObject([{ name: "WEB", type: "A", ttl: 5, data: "127.9.1.2" }])
  })

  test("is answered over TCP, several on one connection, however they are cut", async () => {
    const told = await askOverTcp(["web", "db", "tasks.web"], at(web1))
    expect(told.map(addressesIn)).toEqual([["127.9.1.2"], ["127.9.1.3"], [web1]])
  })

  test("from an address that is on no network here is not answered, and its connection is closed", async () => {
    expect(await askOverUdp("web", at("127.9.7.7"), 150)).toBeUndefined()
    expect(await askOverTcp(["web"], at("127.9.7.7"))).toEqual([])
  })

  test("of another type has no data, of another class or kind is refused", async () => {
    const none = await askOverUdp("web", { ...at(web1), type: "AAAA" })
    expect([none?.rcode, none?.answers, none?.flag_aa]).toEqual(["NOERROR", [], true])
    const chaos = { questions: [{ type: "TXT", name: "version.bind", class: "CH" }] } as const
    expect(await askOverUdp({ ...chaos, questions: [...chaos.questions] }, at(web1))).toMatchObject({
      rcode: "REFUSED"
    })
    const update = { flags: 5 << 11, questions: [{ type: "A" as const, name: "web" }] }
    expect(await askOverUdp(update, at(web1))).toMatchObject({ rcode: "NOTIMP" })
  })

  test("that cannot be read is told so; what is none at all is passed over", async () => {
    const torn = Buffer.from("1267010000010000000000000377", "hex")
    expect(await askOverUdp(torn, at(web1))).toMatchObject({ id: 0x1267, rcode: "FORMERR", questions: [] })
    // Whoever is on no network here does not even learn that somebody listens.
    expect(await askOverUdp(torn, at("127.9.7.7"), 150)).toBeUndefined()
    expect(await askOverUdp(Buffer.from("1267"), at(web1), 100)).toBeUndefined()
    const answer = Buffer.from("126781000000000000000000", "hex")
    expect(await askOverUdp(answer, at(web1), 100)).toBeUndefined()
    expect(addressesIn(await askOverUdp("web", at(web1)))).toEqual(["127.9.1.2"])
  })
})

describe("an answer that is too large for a datagram", () => {
  test("is cut at 512 bytes and says so; over TCP it is whole", async () => {
    const cut = await askOverUdp("many", at(web1))
    expect(cut?.flag_tc).toBe(true)
    expect(cut?.bytes).toBeWithin(480, 513)
    expect(cut?.answers?.length).toBeGreaterThan(15)
    const [whole] = await askOverTcp(["many"], at(web1))
    expect(whole?.flag_tc).toBe(false)
    expect(addressesIn(whole)).toEqual(many.flatMap(({ addresses }) => addresses).sort())
  })

  test("goes up to what the asker takes (EDNS), and no further than networks carry", async () => {
    const opt = (udpPayloadSize: number) => ({
      questions: [{ type: "A" as const, name: "many" }],
      additionals: [
        {
          type: "OPT" as const,
          name: ".",
          udpPayloadSize,
          extendedRcode: 0,
          ednsVersion: 0,
          flags: 0,
          flag_do: false,
          options: []
        }
      ]
    })
    const some = await askOverUdp(opt(800), at(web1))
    expect([some?.flag_tc, some?.additionals?.length]).toEqual([true, 1])
    expect(some?.bytes).toBeWithin(770, 801)
    const most = await askOverUdp(opt(65_000), at(web1))
    expect(most?.bytes).toBeWithin(1_200, 1_233)
  })
})

describe("other names", () => {
  test("are asked of the machine's resolver, whose answer comes as it is", async () => {
    const told = await askOverUdp("Example.COM", at(web1))
    expect(told).toMatchObject({ id: 4_711, flag_aa: false, questions: [{ name: "Example.COM" }] })
    expect(told?.answers).toMatchObject([{ ttl: 300, data: "192.0.2.80" }])
  })

  test("that the first resolver cannot look up are asked of the next", async () => {
    for (const code of [2, 5]) {
      first.behaviour = { code }
      expect(addressesIn(await askOverUdp(`code-${code}.example.com`, at(db1)))).toEqual(["192.0.2.80"])
    }
    first.behaviour = { code: 3 }
    expect(await askOverUdp("none.example.com", at(db1))).toMatchObject({ rcode: "NXDOMAIN" })
    expect(second.asked).not.toContain("udp none.example.com")
  })

  test("that the first resolver is silent about are asked of the next, too", async () => {
    first.behaviour = { silent: true }
    expect(addressesIn(await askOverUdp("silent.example.com", at(db1)))).toEqual(["192.0.2.80"])
    first.behaviour = {}
  })

  test("are not believed of whoever was not asked", async () => {
    second.behaviour = { ...second.behaviour, isForged: true }
    expect(addressesIn(await askOverUdp("forged.example.com", at(web1)))).toEqual(["192.0.2.80"])
    second.behaviour = { ...second.behaviour, isForged: false }
  })

  test("whose answer is cut go to the asker cut, who comes again over TCP, as we do", async () => {
    second.behaviour = { ...second.behaviour, isCut: true }
    expect(await askOverUdp("large.example.com", at(web1))).toMatchObject({ flag_tc: true, answers: [] })
    const [whole] = await askOverTcp(["large.example.com"], at(web1))
    expect(addressesIn(whole)).toEqual(["192.0.2.80"])
    expect(second.asked).toContain("tcp large.example.com")
    second.behaviour = { ...second.behaviour, isCut: false }
  })

  test("that many ask for at once are asked once, and each gets them as it asked", async () => {
    const before = second.asked.length
    const { forwarded } = names.status()
    const { promise, resolve } = Promise.withResolvers<void>()
    second.behaviour = { ...second.behaviour, until: promise }
    const asking = ["once.example.com", "ONCE.example.com", "once.example.com"].map((name) =>
      askOverUdp(name, at(web1))
    )
    while (names.status().forwarded < forwarded + 3) await new Promise((next) => setTimeout(next, 1))
    resolve()
    const told = await Promise.all(asking)
    expect(told.map((one) => one?.questions?.[0]?.name)).toEqual([
      "once.example.com",
      "ONCE.example.com",
      "once.example.com"
    ])
    expect(second.asked.length).toBe(before + 1)
  })

  test("that nobody can look up are a failure, unless they begin with one of ours: a search list goes on then", async () => {
    const before = second.behaviour
    second.behaviour = { code: 2 }
    expect(await askOverUdp("failing.example.com", at(web1))).toMatchObject({ rcode: "SERVFAIL" })
    expect(await askOverUdp("web.example.com", at(web1))).toMatchObject({ rcode: "NXDOMAIN", id: 4_711 })
    second.behaviour = before
    expect(addressesIn(await askOverUdp("web.example.com", at(web1)))).toEqual(["192.0.2.80"])
  })

  test("do not exist where the only resolver is ourselves", async () => {
    const told = await askOverUdp("example.com", at("127.9.1.41"))
    expect(told).toMatchObject({ rcode: "NXDOMAIN" })
  })
})

test("what it was told last is there again when it starts, with nobody to tell it", async () => {
  const again = await freePort()
  const heir = new Names(kept, { port: again, ...resolverOptions })
  await heir.restore()
  expect(addressesIn(await askOverUdp("web", { port: again, from: web1 }))).toEqual(["127.9.1.2"])
  expect(heir.status()).toEqual({ networks: 1, answered: 1, forwarded: 0, problems: [] })
  expect(await heir.tell([])).toEqual([])
  expect(await askOverTcp(["web"], { port: again, from: web1 })).toEqual([])
  heir.close()
})

test("a port that somebody has is told with its number, and taken once it is free", async () => {
  const taken = await freePort()
  const rival = net.createServer()
  await new Promise<void>((resolve) => rival.listen(taken, "::", resolve))
  const waiting = new Names(join(folder, "other.json"), { port: taken, ...resolverOptions })
  const [problem] = await waiting.tell([front])
  expect(problem).toStartWith(`Port ${taken}/tcp of this node is in use`)
  // Over UDP nobody is in the way.
  expect(addressesIn(await askOverUdp("web", { port: taken, from: web1 }))).toEqual(["127.9.1.2"])
  await new Promise((resolve) => rival.close(resolve))
  expect(await waiting.tell([front])).toEqual([])
  expect((await askOverTcp(["web"], { port: taken, from: web1 })).map(addressesIn)).toEqual([["127.9.1.2"]])
  waiting.close()
})
