/** The flags that an installed docker CLI offers for a command, read from its own help. */
import { execFileSync } from "node:child_process"

export interface Flag {
  /** `--cap-add` */
  readonly name: string
  /** What kind of value it takes, as the help calls it; empty for a switch. */
  readonly value: string
}

/** Of `docker <command> --help`. An Engine is asked nothing that matters: `host` need not take part in a cluster. */
export function flagsOf(cli: string, command: string, host: string): ReadonlyArray<Flag> {
  const help = execFileSync(cli, [...command.split(" "), "--help"], {
    encoding: "utf8",
    env: { ...process.env, DOCKER_HOST: host }
  })
  return parseHelp(help)
}

/** Lines such as `  -e, --env list    Set environment variables`; what a line goes on with is not one. */
export function parseHelp(help: string): ReadonlyArray<Flag> {
  return help.split("\n").flatMap((line) => {
    const found = /^ {2}(?:-\w, | {4})(--[a-z][\w-]*)(?: (\S+))?(?: {2}|$)/.exec(line)
    return found === null ? [] : [{ name: found[1] ?? "", value: found[2] ?? "" }]
  })
}
