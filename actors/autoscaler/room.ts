/** How many tasks of a service the nodes could hold, by what the scheduler asks of them. */
import type { LedgerReader } from "#actors/ledger/reader.ts"
import type { Service } from "#actors/model/objects.ts"
import { rules, type Wanted, wanted } from "#actors/scheduler/filter.ts"
import { type Room, rooms as roomsOf } from "#actors/scheduler/rooms.ts"

/** Those that have their place count, too. Infinite where nothing limits them. */
export function room(ledger: LedgerReader, service: Service): number {
  const rooms = ledger.view(roomsOf)
  const wants = wanted(ledger, service.ID, service.SpecVersion)
  let total = 0
  for (const one of rooms.all()) {
    const own = rooms.wantedOn(one, service.ID)
    total += own
    if (rules.every(({ admits }) => admits(one, wants))) total += more(one, wants, own)
  }
  return total
}

/** How many more a node holds that would take one. */
function more(
  { cpus, memory, generic }: Room,
  { demand, hostPorts, maxReplicas }: Wanted,
  own: number
): number {
  let most = hostPorts.length > 0 ? 1 : Number.POSITIVE_INFINITY
  if (demand.cpus > 0) most = Math.min(most, Math.floor(cpus / demand.cpus))
  if (demand.memory > 0) most = Math.min(most, Math.floor(memory / demand.memory))
  for (const [kind, amount] of demand.generic) {
    if (amount > 0) most = Math.min(most, Math.floor((generic?.left(kind) ?? 0) / amount))
  }
  if (maxReplicas > 0) most = Math.min(most, maxReplicas - own)
  return Math.max(0, most)
}
