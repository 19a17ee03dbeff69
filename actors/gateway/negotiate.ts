/**
 * Which versions of the Engine's API we speak, and what is said to a client that asks for another.
 *
 * A path may carry a version, `/v1.41/info`, or none. We accept 1.24 up to the least of 1.50 and the Engine's own
 * newest, because whatever is passed through must be a version that the Engine understands too.
 */

/** A version of the Engine's API; the major number has been 1 since the beginning. */
export interface ApiVersion {
  readonly major: number
  readonly minor: number
}

/** The oldest that current clients still fall back to. */
export const oldestVersion = "1.24"
/** The newest that our half of the API was checked against. */
export const newestVersion = "1.50"

/** The parts of `1.41`, or `undefined` when the text is no version. */
function parseVersion(text: string): ApiVersion | undefined {
  const match = /^(\d{1,4})\.(\d{1,4})$/.exec(text)
  return match ? { major: Number(match[1]), minor: Number(match[2]) } : undefined
}

/** Below zero when `a` is older than `b`, zero when they are the same. Unreadable versions count as 0.0. */
export function compareVersions(a: string, b: string): number {
  const left = parseVersion(a) ?? { major: 0, minor: 0 }
  const right = parseVersion(b) ?? { major: 0, minor: 0 }
  return left.major - right.major || left.minor - right.minor
}

/** The newest version we offer beside an Engine whose newest is `engine`; ours alone while there is none. */
export const offeredVersion = (engine: string | undefined): string =>
  engine !== undefined && parseVersion(engine) !== undefined && compareVersions(engine, newestVersion) < 0
    ? engine
    : newestVersion

export interface VersionedPath {
  /** Without the version; starts with a slash and has no query. */
  readonly path: string
  /** As written in the path, `1.41`; absent when there was none. */
  readonly version?: string
}

/** Splits the version off a request's path. `/version` is a path, `/v1.41/version` carries a version. */
export function splitVersion(url: string): VersionedPath {
  const query = url.indexOf("?")
  const path = query === -1 ? url : url.slice(0, query)
  const match = /^\/v(\d+\.\d+)(\/.*)?$/.exec(path)
  if (match === null) return { path: path === "" ? "/" : path }
  return { path: match[2] ?? "/", version: match[1] as string }
}

/** Why a client of `version` is turned away, in the Engine's words; `undefined` when it is welcome. */
export function refuseVersion(version: string, newest: string): string | undefined {
  if (compareVersions(version, oldestVersion) < 0) {
    return `client version ${version} is too old. Minimum supported API version is ${oldestVersion}, please upgrade your client to a newer version`
  }
  if (compareVersions(version, newest) > 0) {
    return `client version ${version} is too new. Maximum supported API version is ${newest}`
  }
  return undefined
}
