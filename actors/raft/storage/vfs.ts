/**
 * The few file operations the log needs, synchronous, as an interface: `vfs-node.ts` is the machine's,
 * `test/support/sim-vfs.ts` imitates a disk that loses power.
 */

/** The disk said no. `code` is the system's (`ENOSPC`, `EIO`, …). */
export class DiskError extends Error {
  override readonly name = "DiskError"
  readonly operation: string
  readonly path: string
  readonly code: string

  constructor(operation: string, path: string, code: string, detail: string) {
    super(`Cannot ${operation} ${path}: ${detail}`)
    this.operation = operation
    this.path = path
    this.code = code
  }

  /** Whether it would have worked with more room. */
  get noSpace(): boolean {
    return this.code === "ENOSPC" || this.code === "EDQUOT"
  }
}

/**
 * `read`: an existing file. `create`: a new one, or an old one emptied; written through the cache until `sync`.
 * `durable`: an existing file, each write durable when it returns.
 */
export type OpenMode = "read" | "create" | "durable"

export interface VfsFile {
  readonly size: () => number
  /** Fewer bytes than asked at the file's end. */
  readonly read: (offset: number, length: number) => Uint8Array
  readonly write: (offset: number, bytes: Uint8Array) => void
  /** Makes contents and length durable. */
  readonly sync: () => void
  readonly close: () => void
}

/** Every operation throws `DiskError`. Files are readable by their owner only. */
export interface Vfs {
  /** With its parents; nothing when it is there. */
  readonly makeDirectory: (path: string) => void
  /** Names in a directory, sorted; none when it is not there. */
  readonly list: (path: string) => ReadonlyArray<string>
  readonly open: (path: string, mode: OpenMode) => VfsFile
  readonly rename: (from: string, to: string) => void
  readonly remove: (path: string) => void
  /** Makes creations, renames and removals in a directory durable. */
  readonly syncDirectory: (path: string) => void
  /** Bytes that may still be written on the file system of `path`. */
  readonly freeBytes: (path: string) => number
}

export function readWhole(vfs: Vfs, path: string): Uint8Array {
  const file = vfs.open(path, "read")
  try {
    return file.read(0, file.size())
  } finally {
    file.close()
  }
}

/** Puts a whole file in place so that after a crash it is there entirely or not at all. */
export function placeWhole(vfs: Vfs, directory: string, name: string, bytes: Uint8Array): void {
  const draft = `${directory}/${name}.tmp`
  const file = vfs.open(draft, "create")
  try {
    file.write(0, bytes)
    file.sync()
  } catch (error) {
    if (error instanceof DiskError && error.noSpace) vfs.remove(draft)
    throw error
  } finally {
    file.close()
  }
  vfs.rename(draft, `${directory}/${name}`)
  vfs.syncDirectory(directory)
}
