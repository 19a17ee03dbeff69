import { describe, expect, test } from "bun:test"
import { type Answer, answer } from "#actors/network/names/answer.ts"
import { Directory } from "#actors/network/names/directory.ts"
import type { Zone } from "#actors/network/names/zone.ts"
import { back, front, ingress, service, task, vault, zone } from "#test/actors/network/names/zones.ts"

const directory = new Directory([ingress, back, vault, front])
const web1 = "10.0.1.11"
const web1OnIngress = "10.0.0.11"
const db1 = "10.0.2.31"
const keys1 = "10.0.3.11"

const ask = (name: string, asker: string, type = "A", seed = 1): Answer =>
  answer(directory, { name, type }, asker, seed)

/** What the records say, in alphabetical order; the tag for any other answer. */
function said(given: Answer): ReadonlyArray<string> | string {
  if (given._tag !== "Answered") return given._tag
  return given.records
    .map(({ data }) => (typeof data === "string" ? data : `${data.target}:${data.port}`))
    .sort()
}
const addresses = (name: string, asker: string, type = "A") => said(ask(name, asker, type))
const noData: ReadonlyArray<string> = []

describe("what a name stands for", () => {
  test("a service is found at its virtual address", () => {
    expect(addresses("web", "10.0.1.41")).toEqual(["10.0.1.2"])
  })

  test("a service without a virtual address (dnsrr) is found at the tasks that serve", () => {
    expect(addresses("db", web1)).toEqual(["10.0.2.31", "10.0.2.32"])
  })

  test("tasks.<service> is the tasks that serve, whatever the endpoint mode", () => {
    expect(addresses("tasks.web", "10.0.1.41")).toEqual(["10.0.1.11", "10.0.1.12"])
    expect(addresses("tasks.db", web1)).toEqual(["10.0.2.31", "10.0.2.32"])
  })

  test("an alias is the service, and tasks.<alias> its tasks, on its own network alone", () => {
    expect(addresses("www", "10.0.1.41")).toEqual(["10.0.1.2"])
    expect(addresses("tasks.www", "10.0.1.41")).toEqual(["10.0.1.11", "10.0.1.12"])
    expect(addresses("www", "10.0.2.32")).toBe("Forward")
  })

  test("an alias that two services share is both", () => {
    const shared = new Directory([
      zone("n", "10.0.9", [
        service("blue", { aliases: ["app"], vips: ["10.0.9.2"] }),
        service("green", { aliases: ["app", "green", "app"], vips: ["10.0.9.3"] })
      ])
    ])
    const both = answer(shared, { name: "app", type: "A" }, "10.0.9.200", 1)
    expect(said(both)).toEqual(["10.0.9.2", "10.0.9.3"])
    const green = answer(shared, { name: "green", type: "A" }, "10.0.9.200", 1)
    expect(said(green)).toEqual(["10.0.9.3"])
  })

  test("a network's name may follow any of them", () => {
    expect(addresses("web.shop_back", web1)).toEqual(["10.0.2.2"])
    expect(addresses("web.front", web1)).toEqual(["10.0.1.2"])
    expect(addresses("tasks.web.shop_back", web1)).toEqual(["10.0.2.11", "10.0.2.12"])
    expect(addresses("web.1.w1.front", web1)).toEqual(["10.0.1.11"])
  })

  test("a task is found by its container's name, also while it does not serve", () => {
    expect(addresses("web.2.w2", "10.0.1.41")).toEqual(["10.0.1.12"])
    expect(addresses("web.3.w3", "10.0.1.41")).toEqual(["10.0.1.13"])
  })

  test("a container of an attachable network is found by its host name, which takes no service's", () => {
    const tasks = [task("probe.1.p1", ["10.0.9.21"], { hostname: "probe-host" })]
    const services = [
      service("probe", { vips: ["10.0.9.2"], tasks }),
      service("web", { vips: ["10.0.9.3"] }),
      service("thief", { tasks: [task("thief.1.t1", ["10.0.9.22"], { hostname: "web" })] })
    ]
    const of = (attachable: boolean, name: string) =>
      said(
        answer(
          new Directory([zone("n", "10.0.9", services, { attachable })]),
          { name, type: "A" },
          "10.0.9.21",
          1
        )
      )
    expect(of(true, "probe-host")).toEqual(["10.0.9.21"])
    expect(of(true, "web")).toEqual(["10.0.9.3"])
    expect(of(false, "probe-host")).toBe("Forward")
  })

  test("letters are neither large nor small, and the answer repeats the name as it was asked", () => {
    const given = ask("CACHE", web1)
    expect(said(given)).toEqual(["10.0.1.4"])
    expect(given).toMatchObject({ records: [{ name: "CACHE" }] })
    expect(addresses("Web.Front", web1)).toEqual(["10.0.1.2"])
  })

  test("no answer is believed for more than five seconds", () => {
    for (const name of ["web", "tasks.web", "db", "web.1.w1"]) {
      const given = ask(name, web1)
      if (given._tag !== "Answered") throw new Error(`${name} is not answered`)
      expect(given.records.length).toBeGreaterThan(0)
      for (const { ttl } of given.records) expect(ttl >= 1 && ttl <= 5).toBe(true)
    }
  })
})

describe("types", () => {
  const both = new Directory([
    zone(
      "dual",
      "10.0.9",
      [
        service("web", {
          vips: ["10.0.9.2", "fd00:9::2"],
          tasks: [task("web.1.w1", ["10.0.9.11", "fd00:9::11"])]
        })
      ],
      {
        subnets: [
          { subnet: "10.0.9.0/24", gateway: "10.0.9.1" },
          { subnet: "fd00:9::/64", gateway: "fd00:9::1" }
        ]
      }
    )
  ])
  const askBoth = (name: string, type: string, asker = "10.0.9.11") =>
    said(answer(both, { name, type }, asker, 1))

  test("A and AAAA each give their own family, ANY gives both", () => {
    expect(askBoth("web", "A")).toEqual(["10.0.9.2"])
    expect(askBoth("web", "AAAA")).toEqual(["fd00:9::2"])
    expect(askBoth("tasks.web", "AAAA")).toEqual(["fd00:9::11"])
    expect(askBoth("web", "ANY")).toEqual(["10.0.9.2", "fd00:9::2"])
  })

  test("an asker is known by its IPv6 address as by its IPv4 address", () => {
    expect(askBoth("web", "A", "fd00:9::11")).toEqual(["10.0.9.2"])
    expect(askBoth("web", "A", "::ffff:10.0.9.11")).toEqual(["10.0.9.2"])
    expect(askBoth("web", "A", "fd00:8::11")).toBe("Stranger")
  })

  test("a name that is ours and has nothing of the type is answered without data, not as nonexistent", () => {
    expect(addresses("web", web1, "AAAA")).toEqual(noData)
    expect(addresses("web", web1, "MX")).toEqual(noData)
    expect(addresses("web", web1, "UNKNOWN_65")).toEqual(noData)
  })

  test("a service that nobody serves is answered without data, and asked for nowhere else", () => {
    const idle = [service("web", { tasks: [task("web.1.w1", ["10.0.9.11"], { serving: false })] })]
    const given = answer(
      new Directory([zone("n", "10.0.9", idle)]),
      { name: "tasks.web", type: "A" },
      "10.0.9.200",
      1
    )
    expect(said(given)).toEqual(noData)
  })

  test("PTR gives the full name of a service's or a task's address", () => {
    expect(addresses("2.1.0.10.in-addr.arpa", web1, "PTR")).toEqual(["web.front"])
    expect(addresses("12.2.0.10.IN-ADDR.arpa", web1, "PTR")).toEqual(["web.2.w2.shop_back"])
    const nibbles = `1.1.${"0.".repeat(22)}9.0.0.0.0.0.d.f.ip6.arpa`
    expect(askBoth(nibbles, "PTR")).toEqual(["web.1.w1.dual"])
  })

  test("PTR of an address of our subnets that nobody has does not exist; any other is asked for elsewhere", () => {
    expect(addresses("99.1.0.10.in-addr.arpa", web1, "PTR")).toBe("Nonexistent")
    expect(addresses("8.8.8.8.in-addr.arpa", web1, "PTR")).toBe("Forward")
    // Of a network that the asker is not on, nothing is told.
    expect(addresses("11.3.0.10.in-addr.arpa", web1, "PTR")).toBe("Forward")
  })

  test("SRV gives a service's port by name or number, with the address beside it", () => {
    expect(ask("_http._tcp.web", "10.0.1.41", "SRV")).toEqual({
      _tag: "Answered",
      records: [
        {
          type: "SRV",
          name: "_http._tcp.web",
          ttl: 5,
          data: { priority: 0, weight: 1, port: 8080, target: "web.front" }
        }
      ],
      additionals: [{ type: "A", name: "web.front", ttl: 5, data: "10.0.1.2" }]
    })
    expect(addresses("_8080._tcp.web", "10.0.1.41", "SRV")).toEqual(["web.front:8080"])
  })

  test("SRV of tasks gives each that serves", () => {
    const wanted = ["web.1.w1.front:8080", "web.2.w2.front:8080"]
    expect(addresses("_http._tcp.tasks.web", "10.0.1.41", "SRV")).toEqual(wanted)
    expect(addresses("_http._tcp.db", web1, "SRV")).toEqual([
      "db.1.d1.shop_back:8080",
      "db.2.d2.shop_back:8080"
    ])
  })

  test("SRV of a port that the service has not does not exist, and SRV of a stranger is asked for elsewhere", () => {
    expect(addresses("_http._udp.web", "10.0.1.41", "SRV")).toBe("Nonexistent")
    expect(addresses("_ldap._tcp.example.com", web1, "SRV")).toBe("Forward")
    expect(addresses("_http._tcp.web", "10.0.1.41", "A")).toEqual(noData)
  })
})

describe("who asks", () => {
  test("a task sees the names of all its networks, whichever of its addresses it asks from", () => {
    expect(addresses("db", web1)).toEqual(["10.0.2.31", "10.0.2.32"])
    expect(addresses("cache", "10.0.2.11")).toEqual(["10.0.1.4"])
    expect(addresses("cache", web1OnIngress)).toEqual(["10.0.1.4"])
  })

  test("nothing is told of networks that the asker is not on", () => {
    expect(addresses("keys", web1)).toBe("Forward")
    expect(addresses("keys.vault", web1)).toBe("Forward")
    expect(addresses("cache", db1)).toBe("Forward")
  })

  test("of two networks with the name, the one of the smaller name is asked; ingress is asked last", () => {
    expect(addresses("web", web1)).toEqual(["10.0.1.2"])
    expect(addresses("web", "10.0.2.12")).toEqual(["10.0.1.2"])
    expect(addresses("web.ingress", web1)).toEqual(["10.0.0.2"])
    const own = service("web", { vips: ["10.0.9.2"], tasks: [task("web.1.w1", ["10.0.9.11"])] })
    const last = new Directory([ingress, zone("zoo", "10.0.9", [own])])
    expect(said(answer(last, { name: "web", type: "A" }, "10.0.9.11", 1))).toEqual(["10.0.9.2"])
  })

  test("an address that no task has yet sees the network it lies in", () => {
    expect(addresses("cache", "10.0.1.200")).toEqual(["10.0.1.4"])
    expect(addresses("db", "10.0.1.200")).toBe("Forward")
  })

  test("whoever is on no network here is a stranger", () => {
    expect(addresses("web", "192.168.7.7")).toBe("Stranger")
    expect(addresses("web", "nonsense")).toBe("Stranger")
  })
})

describe("other names", () => {
  test("are asked for elsewhere, also those of one label, as Docker does it", () => {
    for (const name of ["example.com", "intranet", "."]) {
      expect(ask(name, web1)).toEqual({ _tag: "Forward", beginsWithOurs: false })
    }
  })

  test("are asked for where the task's service wants it (--dns)", () => {
    expect(ask("example.com", db1)).toMatchObject({ _tag: "Forward", resolvers: ["192.0.2.53"] })
    expect(ask("example.com", "10.0.2.32")).not.toHaveProperty("resolvers")
  })

  test("that begin with one of ours, as from a search list, are told apart", () => {
    for (const name of ["web.corp.test", "WEB.corp.test", "tasks.web.test", "web.shop_back.corp.test"]) {
      expect(ask(name, web1)).toMatchObject({ _tag: "Forward", beginsWithOurs: true })
    }
    expect(ask("cache.corp.test", db1)).toMatchObject({ _tag: "Forward", beginsWithOurs: false })
  })

  test("do not exist for a task whose networks are all internal", () => {
    expect(addresses("example.com", keys1)).toBe("Nonexistent")
    expect(addresses("keys", keys1)).toEqual(["10.0.3.2"])
    expect(addresses("keys", keys1, "AAAA")).toEqual(noData)
  })

  test("are asked for elsewhere by a task that has one network that leads out, beside internal ones", () => {
    const keys = (address: string) => service("keys", { tasks: [task("keys.1.k1", [address])] })
    const inner = zone("inner", "10.0.4", [keys("10.0.4.11")], { internal: true })
    const both = new Directory([inner, zone("outer", "10.0.5", [keys("10.0.5.11")])])
    for (const asker of ["10.0.4.11", "10.0.5.11"])
      expect(answer(both, { name: "example.com", type: "A" }, asker, 1)._tag).toBe("Forward")
  })

  test("the node's own addresses on the overlays are ours, so that no question goes round", () => {
    expect(directory.isOwn("10.0.2.1")).toBe(true)
    expect(directory.isOwn("::ffff:10.0.2.1")).toBe(true)
    expect(directory.isOwn("10.0.2.2")).toBe(false)
    expect(directory.isOwn("127.0.0.53")).toBe(false)
  })
})

describe("order", () => {
  const tasks = Array.from({ length: 8 }, (_, i) => task(`db.${i}.t${i}`, [`10.0.9.${i + 10}`]))
  const many = new Directory([zone("n", "10.0.9", [service("db", { tasks })])])
  const order = (seed: number): string => {
    const given = answer(many, { name: "db", type: "A" }, "10.0.9.10", seed)
    return given._tag === "Answered" ? given.records.map(({ data }) => data).join() : given._tag
  }

  test("follows from the seed", () => {
    expect(order(7)).toBe(order(7))
    expect(order(7)).not.toBe(order(8))
  })

  test("puts every task first about as often as any other", () => {
    const firsts = new Map<string, number>()
    for (let seed = 0; seed < 8_000; seed++) {
      const first = order(seed * 2_654_435_761).split(",")[0] ?? ""
      firsts.set(first, (firsts.get(first) ?? 0) + 1)
    }
    expect(firsts.size).toBe(8)
    for (const count of firsts.values()) expect(count).toBeWithin(850, 1_150)
  })
})

test("whatever is asked, nobody is given an address of a network that he is not on", () => {
  const zones: ReadonlyArray<Zone> = [ingress, back, vault, front]
  const askers = zones.flatMap(({ services }) => services.flatMap(({ tasks }) => tasks))
  const names = zones.flatMap(({ name: network, services }) =>
    services.flatMap(({ name, aliases, tasks }) =>
      [name, ...aliases, ...tasks.map((one) => one.name)].flatMap((one) => [
        one,
        `tasks.${one}`,
        `${one}.${network}`,
        `_http._tcp.${one}`
      ])
    )
  )
  let given = 0
  for (const { taskId, addresses: from } of askers) {
    const own = zones.filter(({ services }) =>
      services.some(({ tasks }) => tasks.some((other) => other.taskId === taskId))
    )
    const seen = new Set(
      own.flatMap(({ services }) =>
        services.flatMap(({ vips, tasks }) => [...vips, ...tasks.flatMap((one) => one.addresses)])
      )
    )
    for (const name of names) {
      for (const type of ["A", "SRV", "ANY"]) {
        const told = ask(name, from[0] ?? "", type)
        if (told._tag !== "Answered") continue
        for (const record of [...told.records, ...told.additionals]) {
          if (record.type === "SRV") continue
          given += 1
          expect(seen.has(record.data)).toBe(true)
        }
      }
    }
  }
  expect(given).toBeGreaterThan(100)
})
