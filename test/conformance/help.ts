/** The commands and flags that an installed docker CLI offers, read from its own help. */
import { execFileSync } from "node:child_process"

export interface Flag {
  /** `--cap-add` */
  readonly name: string
  /** What kind of value it takes, as the help calls it; empty for a switch. */
  readonly value: string
}

/** What `docker <noun> --help` lists: `create`, `ls` … */
export const verbsOf = (cli: string, noun: string, host: string): ReadonlyArray<string> =>
  parseCommands(helpOf(cli, noun, host))

/** Lines such as `  ls          List services` under `Commands:`. */
export function parseCommands(help: string): ReadonlyArray<string> {
  const [, listed = ""] = help.split(/^Commands:$/m)
  return listed.split("\n").flatMap((line) => /^ {2}([a-z][\w-]*)\*? /.exec(line)?.[1] ?? [])
}

/** Of `docker <command> --help`. An Engine is asked nothing that matters: `host` need not take part in a cluster. */
export function flagsOf(cli: string, command: string, host: string): ReadonlyArray<Flag> {
  return parseHelp(helpOf(cli, command, host))
}

function helpOf(cli: string, command: string, host: string): string {
  return execFileSync(cli, [...command.split(" "), "--help"], {
    encoding: "utf8",
    env: { ...process.env, DOCKER_HOST: host }
  })
}

/** Lines such as `  -e, --env list    Set environment variables`; what a line goes on with is not one. */
export function parseHelp(help: string): ReadonlyArray<Flag> {
  return help.split("\n").flatMap((line) => {
    const found = /^ {2}(?:-\w, | {4})(--[a-z][\w-]*)(?: (\S+))?(?: {2}|$)/.exec(line)
    return found === null ? [] : [{ name: found[1] ?? "", value: found[2] ?? "" }]
  })
}
