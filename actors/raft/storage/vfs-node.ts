/** The machine's file system. Log writes use O_DSYNC: asynchronous fdatasync shares a thread pool and stalls. */
import { Buffer } from "node:buffer"
import {
  closeSync,
  constants,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  statfsSync,
  unlinkSync,
  writeSync
} from "node:fs"
import { DiskError, type OpenMode, type Vfs, type VfsFile } from "#actors/raft/storage/vfs.ts"

const saying = <A>(operation: string, path: string, attempt: () => A): A => {
  try {
    return attempt()
  } catch (error) {
    const code = (error as { code?: string }).code ?? "EUNKNOWN"
    throw new DiskError(operation, path, code, (error as Error).message)
  }
}

// Systems without the flag get a write and an fdatasync, which is what the flag means.
const dataSync: number | undefined = constants.O_DSYNC

const flags = (mode: OpenMode): number => {
  switch (mode) {
    case "read":
      return constants.O_RDONLY
    case "create":
      return constants.O_RDWR | constants.O_CREAT | constants.O_TRUNC
    case "durable":
      return constants.O_RDWR | (dataSync ?? 0)
  }
}

function openFile(path: string, mode: OpenMode): VfsFile {
  const descriptor = saying("open", path, () => openSync(path, flags(mode), 0o600))
  return {
    size: () => saying("stat", path, () => fstatSync(descriptor).size),
    read: (offset, length) =>
      saying("read", path, () => {
        const bytes = Buffer.allocUnsafeSlow(length)
        let filled = 0
        while (filled < length) {
          const count = readSync(descriptor, bytes, filled, length - filled, offset + filled)
          if (count === 0) break
          filled += count
        }
        return new Uint8Array(bytes.buffer, bytes.byteOffset, filled)
      }),
    write: (offset, bytes) =>
      saying("write", path, () => {
        let written = 0
        while (written < bytes.length) {
          const count = writeSync(descriptor, bytes, written, bytes.length - written, offset + written)
          if (count <= 0) throw Object.assign(new Error("nothing was written"), { code: "EIO" })
          written += count
        }
        if (mode === "durable" && dataSync === undefined) fdatasyncSync(descriptor)
      }),
    sync: () => saying("fsync", path, () => fsyncSync(descriptor)),
    close: () => saying("close", path, () => closeSync(descriptor))
  }
}

export const nodeVfs: Vfs = {
  makeDirectory: (path) => saying("create", path, () => mkdirSync(path, { recursive: true, mode: 0o700 })),
  list: (path) =>
    saying("list", path, () => {
      try {
        return readdirSync(path).sort()
      } catch (error) {
        if ((error as { code?: string }).code === "ENOENT") return []
        throw error
      }
    }),
  open: openFile,
  rename: (from, to) => saying("rename", from, () => renameSync(from, to)),
  remove: (path) => saying("remove", path, () => unlinkSync(path)),
  syncDirectory: (path) =>
    saying("fsync", path, () => {
      const descriptor = openSync(path, constants.O_RDONLY)
      try {
        fsyncSync(descriptor)
      } finally {
        closeSync(descriptor)
      }
    }),
  freeBytes: (path) =>
    saying("statfs", path, () => {
      const stats = statfsSync(path)
      return stats.bavail * stats.bsize
    })
}
