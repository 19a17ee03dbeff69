/** Users and groups of this machine, by the names and numbers that container requests use. */
import { readFileSync } from "node:fs"

export interface Credentials {
  readonly uid: number
  readonly gid: number
  readonly home: string
}

/**
 * Looks up `user`, `user:group`, `1000` or `1000:1000`; a number need not be known here. A string says what is not.
 */
export function findUser(text: string): Credentials | string {
  const [user = "", group] = text.split(":")
  const isNumber = /^\d+$/.test(user)
  const entry = entries("/etc/passwd").find(([name, , uid]) => (isNumber ? uid === user : name === user))
  if (entry === undefined && !isNumber)
    return `unable to find user ${user}: no matching entries in passwd file`
  const uid = Number(entry?.[2] ?? user)
  const home = entry?.[5] || "/"
  // Root's group is not for strangers: an unknown number gets a group of the same number.
  if (group === undefined) return { uid, gid: Number(entry?.[3] ?? uid), home }
  if (/^\d+$/.test(group)) return { uid, gid: Number(group), home }
  const found = entries("/etc/group").find(([name]) => name === group)
  return found === undefined
    ? `unable to find group ${group}: no matching entries in group file`
    : { uid, gid: Number(found[2]), home }
}

function entries(path: string): Array<Array<string>> {
  try {
    return readFileSync(path, "utf8")
      .split("\n")
      .map((line) => line.split(":"))
  } catch {
    return []
  }
}
