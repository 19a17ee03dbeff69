/** Pieces of what nftables is told. */

/** What `nft` is told to have these rules in the table and no others; without any, the table is gone. */
export const replacing = (table: string, rules = ""): string =>
  // Adding it first makes deleting it right in any case; nobody sees the moment between.
  `table inet ${table}\ndelete table inet ${table}\n${rules}`

export type Family = "ip" | "ip6"

/** The addresses by family, as nftables calls it; a family without one is left out. */
export function families(addresses: ReadonlyArray<string>): ReadonlyArray<[Family, ReadonlyArray<string>]> {
  const some: Array<[Family, ReadonlyArray<string>]> = []
  for (const family of ["ip", "ip6"] as const) {
    const own = addresses
      .filter((address) => address !== "" && address.includes(":") === (family === "ip6"))
      .sort()
    if (own.length > 0) some.push([family, own])
  }
  return some
}

/** A set as it stands in a rule. */
export const oneOf = (values: ReadonlyArray<string | number>): string =>
  `{ ${[...new Set(values)].join(", ")} }`
