/** The digest of the whole replicated state: what all members must agree on at every entry. */
import { hashInto, showHash } from "#actors/ledger/hash.ts"
import type { Recent } from "#actors/ledger/recent.ts"
import type { LedgerTables } from "#actors/ledger/tables.ts"

/** 16 hexadecimal digits; a few dozen multiplications, because writes keep the sums. */
export const digestOf = (tables: LedgerTables, recent: Recent): string =>
  showHash(hashInto({ a: 0, b: 0 }, [tables.digest(), recent.digest()]))
