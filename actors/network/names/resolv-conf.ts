/** A resolv.conf(5) as it is read, and as a task gets one that asks us. */

export interface ResolvConf {
  readonly nameservers: ReadonlyArray<string>
  readonly search: ReadonlyArray<string>
  readonly options: ReadonlyArray<string>
}

export function parseResolvConf(text: string): ResolvConf {
  const nameservers: Array<string> = []
  let search: ReadonlyArray<string> = []
  const options: Array<string> = []
  for (const line of text.split("\n")) {
    const [keyword, ...words] = (line.split(/[#;]/)[0] ?? "").trim().split(/\s+/)
    if (keyword === "nameserver" && words[0] !== undefined) nameservers.push(words[0])
    // The last of them holds.
    if (keyword === "search" || keyword === "domain") search = words
    if (keyword === "options") options.push(...words)
  }
  return { nameservers, search, options }
}

/** What a service says of it (`--dns-search`, `--dns-option`); where it says nothing, the machine's holds. */
export interface AskedResolvConf {
  readonly Search?: ReadonlyArray<string> | undefined
  readonly Options?: ReadonlyArray<string> | undefined
}

/** As Docker writes it for a container on a network of one's own, with our address in place of 127.0.0.11. */
export function writeResolvConf(nameserver: string, asked: AskedResolvConf, host: ResolvConf): string {
  const wanted = asked.Search === undefined || asked.Search.length === 0 ? host.search : asked.Search
  // `--dns-search .` asks for none.
  const search = wanted.filter((domain) => domain !== "." && domain !== "")
  const own = asked.Options === undefined || asked.Options.length === 0 ? host.options : asked.Options
  const options = own.some((option) => option.startsWith("ndots:")) ? own : [...own, "ndots:0"]
  return [
    `nameserver ${nameserver}`,
    ...(search.length > 0 ? [`search ${search.join(" ")}`] : []),
    `options ${options.join(" ")}`,
    ""
  ].join("\n")
}
