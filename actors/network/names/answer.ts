/**
 * What a question for a name is answered with: the names of the asker's own networks, as Swarm has them, and for every
 * other name the advice to ask elsewhere.
 *
 * A name that is ours is never asked for elsewhere, also when nobody serves it: then there is no address to give
 * (NODATA). A name that is not ours is, of however many labels, as Docker does it; from networks that lead nowhere it
 * does not exist (NXDOMAIN), because a question too would carry something out.
 */
import { isWithin, keyOfArpa } from "#actors/network/names/address-key.ts"
import { type Directory, type Found, find, type Holder, type Scope } from "#actors/network/names/directory.ts"
import { shuffle } from "#actors/network/names/shuffle.ts"
import type { ZoneTask } from "#actors/network/names/zone.ts"

export interface Question {
  readonly name: string
  /** `A`, `AAAA`, `PTR`, `SRV`, `ANY` or any other, for which no name here has anything. */
  readonly type: string
}

export type NameRecord =
  | {
      readonly type: "A" | "AAAA" | "PTR"
      readonly name: string
      readonly ttl: number
      readonly data: string
    }
  | {
      readonly type: "SRV"
      readonly name: string
      readonly ttl: number
      readonly data: {
        readonly priority: number
        readonly weight: number
        readonly port: number
        readonly target: string
      }
    }

export type Answer =
  /** The name is ours. Without records it has none of this type. */
  | {
      readonly _tag: "Answered"
      readonly records: ReadonlyArray<NameRecord>
      readonly additionals: ReadonlyArray<NameRecord>
    }
  | { readonly _tag: "Nonexistent" }
  | {
      readonly _tag: "Forward"
      /** Ask these, or the node's own resolvers if absent. */
      readonly resolvers?: ReadonlyArray<string>
      /**
       * It begins with one of our names (`web.corp.test`), as from a search list. Where nobody can tell, it does not
       * exist: a failure would end the search of some resolvers (musl's) before they come to the name that is ours.
       */
      readonly beginsWithOurs: boolean
    }
  /** The asker is on no network here. */
  | { readonly _tag: "Stranger" }

/** A service keeps its virtual address for life. */
const vipTtl = 5
/** Tasks come and go: what was true is looked up again at once. */
const taskTtl = 1

/** `seed` is any number: equal seeds give equal orders. */
export function answer(directory: Directory, question: Question, asker: string, seed: number): Answer {
  const scope = directory.scopeOf(asker)
  if (scope === undefined) return { _tag: "Stranger" }
  const name = question.name.toLowerCase()
  const found = find(scope, name)
  if (found !== undefined) return answered(shuffle(addressesOf(question, found), seed))
  return (
    answerService(scope, question, name, seed) ??
    answerAddress(scope, question, name) ??
    elsewhere(scope, name)
  )
}

const answered = (
  records: ReadonlyArray<NameRecord>,
  additionals: ReadonlyArray<NameRecord> = []
): Answer => ({ _tag: "Answered", records, additionals })

function elsewhere(scope: Scope, name: string): Answer {
  const { isInternal, resolvers } = scope
  if (isInternal) return { _tag: "Nonexistent" }
  let beginsWithOurs = false
  for (let dot = name.indexOf("."); dot > 0 && !beginsWithOurs; dot = name.indexOf(".", dot + 1)) {
    beginsWithOurs = find(scope, name.slice(0, dot)) !== undefined
  }
  return { _tag: "Forward", beginsWithOurs, ...(resolvers !== undefined && { resolvers }) }
}

function addressesOf({ name, type }: Question, { holders }: Found): ReadonlyArray<NameRecord> {
  if (type !== "A" && type !== "AAAA" && type !== "ANY") return []
  const records: Array<NameRecord> = []
  for (const holder of holders) {
    const hasVip = holder.kind === "service" && holder.service.vips.length > 0
    const addresses = hasVip ? holder.service.vips : tasksOf(holder).flatMap((task) => task.addresses)
    for (const address of addresses) {
      const record = addressRecord(name, address, hasVip ? vipTtl : taskTtl)
      if (type === "ANY" || type === record.type) records.push(record)
    }
  }
  return records
}

/** One that is asked for by its own name is told also while it does not serve: nobody else could be meant. */
const tasksOf = (holder: Holder): ReadonlyArray<ZoneTask> =>
  holder.kind === "task" ? [holder.task] : holder.service.tasks.filter(({ serving }) => serving)

const addressRecord = (name: string, address: string, ttl: number): NameRecord => ({
  type: address.includes(":") ? "AAAA" : "A",
  name,
  ttl,
  data: address
})

/** `_http._tcp.web`, by the published port's name, or `_80._tcp.web` by its number in the container. RFC 2782. */
function answerService(scope: Scope, question: Question, name: string, seed: number): Answer | undefined {
  const [, port, protocol, service = ""] = /^_([^.]+)\._(tcp|udp)\.(.+)$/.exec(name) ?? []
  const found = find(scope, service)
  if (found === undefined) return undefined
  const pairs: Array<readonly [NameRecord, ReadonlyArray<NameRecord>]> = []
  let isKnown = false
  for (const holder of found.holders) {
    const served = holder.service.ports.find(
      (candidate) =>
        candidate.protocol === protocol &&
        (candidate.name?.toLowerCase() === port || String(candidate.targetPort) === port)
    )
    if (served === undefined) continue
    isKnown = true
    for (const { own, addresses, ttl } of targetsOf(holder)) {
      const target = `${own}.${found.network.zone.name}`
      pairs.push([
        {
          type: "SRV",
          name: question.name,
          ttl,
          data: { priority: 0, weight: 1, port: served.targetPort, target }
        },
        addresses.map((address) => addressRecord(target, address, ttl))
      ])
    }
  }
  if (!isKnown) return { _tag: "Nonexistent" }
  if (question.type !== "SRV" && question.type !== "ANY") return answered([])
  const order = shuffle(pairs, seed)
  return answered(
    order.map(([record]) => record),
    order.flatMap(([, addresses]) => addresses)
  )
}

interface Target {
  readonly own: string
  readonly addresses: ReadonlyArray<string>
  readonly ttl: number
}

function targetsOf(holder: Holder): ReadonlyArray<Target> {
  const { name, vips } = holder.service
  if (holder.kind === "service" && vips.length > 0) return [{ own: name, addresses: vips, ttl: vipTtl }]
  return tasksOf(holder).map((task) => ({ own: task.name, addresses: task.addresses, ttl: taskTtl }))
}

/** Whose an address is. All of the subnets is ours, so one that nobody has is not asked for elsewhere. */
function answerAddress(scope: Scope, question: Question, name: string): Answer | undefined {
  const key = keyOfArpa(name)
  if (key === undefined) return undefined
  for (const { addresses, zone } of scope.networks) {
    const owner = addresses.get(key)
    if (owner !== undefined) {
      const record: NameRecord = { type: "PTR", name: question.name, ttl: taskTtl, data: owner }
      return answered(question.type === "PTR" || question.type === "ANY" ? [record] : [])
    }
    if (zone.subnets.some(({ subnet }) => isWithin(key, subnet))) return { _tag: "Nonexistent" }
  }
  return undefined
}
