/**
 * A disk that loses power. What was not synced is a list of atoms (sectors, lengths, directory entries), and any
 * part of that list may have reached the disk, in any order, when the power goes.
 */
import { DiskError, type OpenMode, type Vfs, type VfsFile } from "#actors/raft/storage/vfs.ts"

const sectorBytes = 512

type FileAtom =
  | { readonly _tag: "Truncate" }
  | { readonly _tag: "Write"; readonly at: number; readonly bytes: Uint8Array }

class Inode {
  /** The same bytes as `durable` while nothing is pending: copied by whoever changes only one of the two. */
  live: Uint8Array = new Uint8Array(0)
  durable: Uint8Array = this.live
  pending: Array<FileAtom> = []
  /** It shows what will never be on the disk. */
  pretends = false
}

type NameAtom =
  | { readonly _tag: "Link"; readonly path: string; readonly inode: Inode }
  | { readonly _tag: "Unlink"; readonly path: string }
  | { readonly _tag: "Rename"; readonly from: string; readonly to: string; readonly inode: Inode }
  /** A directory with all that is in it. */
  | { readonly _tag: "RenameTree"; readonly from: string; readonly to: string }

type Atom =
  | { readonly of: "file"; readonly inode: Inode; readonly atom: FileAtom }
  | { readonly of: "names"; readonly atom: NameAtom }

export type Fate = "kept" | "lost" | "garbled"

/** What a disk holds after a power loss. */
export type Image = ReadonlyMap<string, Uint8Array>

export interface SimOperation {
  readonly kind: "write" | "sync" | "open" | "rename" | "remove" | "syncDirectory"
  readonly path: string
}

const applyTo = (content: Uint8Array, atom: FileAtom): Uint8Array => {
  if (atom._tag === "Truncate") return new Uint8Array(0)
  const end = atom.at + atom.bytes.length
  const grown = end > content.length ? grow(content, end) : content
  grown.set(atom.bytes, atom.at)
  return grown
}

/** With room to spare, because files grow sector by sector. Contents are never views into somebody else's bytes. */
function grow(content: Uint8Array, end: number): Uint8Array {
  if (end <= content.buffer.byteLength) return new Uint8Array(content.buffer, 0, end)
  const room = new Uint8Array(Math.max(end, 2 * content.length))
  room.set(content)
  return room.subarray(0, end)
}

const applyName = (names: Map<string, Inode>, atom: NameAtom): void => {
  switch (atom._tag) {
    case "Link":
      names.set(atom.path, atom.inode)
      return
    case "Unlink":
      names.delete(atom.path)
      return
    case "Rename":
      names.delete(atom.from)
      names.set(atom.to, atom.inode)
      return
    case "RenameTree":
      for (const [path, inode] of [...names]) {
        if (!path.startsWith(`${atom.from}/`)) continue
        names.delete(path)
        names.set(atom.to + path.slice(atom.from.length), inode)
      }
      return
  }
}

/** What was pending in a directory that has moved is pending where it is now. */
const within = (atom: NameAtom, moved: { readonly from: string; readonly to: string }): NameAtom => {
  const at = (path: string): string =>
    path.startsWith(`${moved.from}/`) ? moved.to + path.slice(moved.from.length) : path
  return "path" in atom ? { ...atom, path: at(atom.path) } : { ...atom, from: at(atom.from), to: at(atom.to) }
}

const parentOf = (path: string): string => path.slice(0, path.lastIndexOf("/"))
function isZero(bytes: Uint8Array): boolean {
  for (let at = 0; at < bytes.length; at++) if (bytes[at] !== 0) return false
  return true
}

/** What of a write can arrive without the rest. Zeros over zeros, or over nothing, are one. */
function sectorsOf(atom: FileAtom): ReadonlyArray<FileAtom> {
  if (atom._tag === "Truncate" || atom.bytes.length <= sectorBytes || isZero(atom.bytes)) return [atom]
  const sectors: Array<FileAtom> = []
  for (let at = 0; at < atom.bytes.length; at += sectorBytes) {
    sectors.push({ _tag: "Write", at: atom.at + at, bytes: atom.bytes.subarray(at, at + sectorBytes) })
  }
  return sectors
}

/** Whether `bytes` stand in `content` at `at` already. */
function standsAt(content: Uint8Array, at: number, bytes: Uint8Array): boolean {
  for (let i = 0; i < bytes.length; i++) if (content[at + i] !== bytes[i]) return false
  return true
}

export class SimVfs implements Vfs {
  #live = new Map<string, Inode>()
  #durable = new Map<string, Inode>()
  #pendingNames: Array<NameAtom> = []
  #down = false
  /** Called in the middle of every operation that changes something: its atoms are pending, nothing is synced. */
  during: ((operation: SimOperation) => void) | undefined
  /** Asked before every operation; an answer makes it fail with that code, after `applied` or not. */
  fault:
    | ((operation: SimOperation) => { readonly code: string; readonly applied?: boolean } | undefined)
    | undefined
  operations = 0
  capacity = Number.POSITIVE_INFINITY

  static from(image: Image): SimVfs {
    const vfs = new SimVfs()
    for (const [path, bytes] of image) {
      const inode = new Inode()
      inode.live = bytes.slice()
      inode.durable = inode.live
      vfs.#live.set(path, inode)
      vfs.#durable.set(path, inode)
    }
    return vfs
  }

  /** The disk as it would be if everything pending had arrived. */
  image(): Image {
    return this.#build(this.#atoms(), () => "kept")
  }

  /** What would be left if the power went now and nothing pending had arrived. */
  durableImage(): Image {
    return this.#build(this.#atoms(), () => "lost")
  }

  /** The power goes: only what was synced is left, and what reading showed beyond that is gone. */
  powerLoss(): SimVfs {
    this.#down = true
    return SimVfs.from(this.durableImage())
  }

  /**
   * The process ends and the machine lives on, after an fsync that failed: pages that never reached the disk are
   * marked clean. They read back, and no later sync writes them.
   */
  processEnd(): void {
    for (const inode of this.#live.values()) {
      inode.pretends ||= inode.pending.length > 0
      inode.pending = []
    }
  }

  /** One legal disk after a power loss now: each atom kept, lost or, at times, garbled, by chance. */
  randomImage(random: () => number): Image {
    const keep = random()
    return this.#build(this.#atoms(), () => {
      const drawn = random()
      return drawn < keep ? "kept" : drawn < keep + 0.1 ? "garbled" : "lost"
    })
  }

  /** Legal disks after a power loss now: every combination when there are few atoms, else a wide sample. */
  *images(random: () => number): Generator<Image> {
    const atoms = this.#atoms()
    const count = atoms.length
    if (count <= 9) {
      for (let mask = 0; mask < 2 ** count; mask++) {
        yield this.#build(atoms, (i) => ((mask >> i) & 1 ? "kept" : "lost"))
      }
    } else {
      for (let length = 0; length <= count; length++) {
        yield this.#build(atoms, (i) => (i < length ? "kept" : "lost"))
      }
      for (let one = 0; one < count; one++) {
        yield this.#build(atoms, (i) => (i === one ? "kept" : "lost"))
        yield this.#build(atoms, (i) => (i === one ? "lost" : "kept"))
      }
      for (let round = 0; round < 16; round++) {
        const keeps = atoms.map(() => random() < 0.5)
        yield this.#build(atoms, (i) => (keeps[i] === true ? "kept" : "lost"))
      }
    }
    for (const [one, { of }] of atoms.entries()) {
      if (of === "file") yield this.#build(atoms, (i) => (i === one ? "garbled" : "kept"))
    }
  }

  makeDirectory(_path: string): void {}

  list(path: string): ReadonlyArray<string> {
    const names = new Set<string>()
    for (const file of this.#live.keys()) {
      if (file.startsWith(`${path}/`)) names.add(file.slice(path.length + 1).split("/", 1)[0] ?? "")
    }
    return [...names].sort()
  }

  open(path: string, mode: OpenMode): VfsFile {
    const found = this.#live.get(path)
    if (mode !== "create" && found === undefined) throw new DiskError("open", path, "ENOENT", "no such file")
    const inode = found ?? new Inode()
    if (mode === "create") {
      this.#change({ kind: "open", path }, () => {
        if (found === undefined) {
          const atom: NameAtom = { _tag: "Link", path, inode }
          applyName(this.#live, atom)
          this.#pendingNames.push(atom)
        } else if (found.live.length > 0) {
          inode.live = new Uint8Array(0)
          inode.pending.push({ _tag: "Truncate" })
        }
      })
    }
    return {
      size: () => inode.live.length,
      read: (offset, length) => inode.live.slice(offset, offset + length),
      write: (offset, bytes) => {
        // Nobody looks at what is in between: the same, without its parts.
        if (mode === "durable" && this.#isUnwatched() && inode.pending.length === 0) {
          this.#change({ kind: "write", path }, () => this.#writeDurably(inode, path, offset, bytes))
          return
        }
        this.#change(
          { kind: "write", path },
          () => this.#write(inode, path, offset, bytes),
          () => {
            if (mode === "durable") this.#syncFile(inode)
          }
        )
      },
      sync: () =>
        this.#change(
          { kind: "sync", path },
          () => {},
          () => this.#syncFile(inode)
        ),
      close: () => {}
    }
  }

  rename(from: string, to: string): void {
    const inode = this.#live.get(from)
    if (inode === undefined && this.list(from).length > 0) {
      this.#change({ kind: "rename", path: to }, () => this.#name({ _tag: "RenameTree", from, to }))
      return
    }
    if (inode === undefined) throw new DiskError("rename", from, "ENOENT", "no such file")
    this.#change({ kind: "rename", path: to }, () => this.#name({ _tag: "Rename", from, to, inode }))
  }

  remove(path: string): void {
    if (!this.#live.has(path)) throw new DiskError("remove", path, "ENOENT", "no such file")
    this.#change({ kind: "remove", path }, () => this.#name({ _tag: "Unlink", path }))
  }

  syncDirectory(path: string): void {
    this.#change(
      { kind: "syncDirectory", path },
      () => {},
      () => {
        const here = (atom: NameAtom): boolean =>
          parentOf(atom._tag === "Rename" || atom._tag === "RenameTree" ? atom.to : atom.path) === path
        const arrived = this.#pendingNames.filter(here)
        for (const atom of arrived) applyName(this.#durable, atom)
        this.#pendingNames = this.#pendingNames.filter((atom) => !here(atom))
        for (const moved of arrived) {
          if (moved._tag === "RenameTree")
            this.#pendingNames = this.#pendingNames.map((one) => within(one, moved))
        }
      }
    )
  }

  freeBytes(_path: string): number {
    return this.capacity === Number.POSITIVE_INFINITY ? this.capacity : this.capacity - this.usedBytes
  }
  get usedBytes(): number {
    let used = 0
    for (const inode of this.#live.values()) used += inode.live.length
    return used
  }

  #change(operation: SimOperation, pend: () => void, complete: () => void = () => {}): void {
    if (this.#down) throw new DiskError(operation.kind, operation.path, "EIO", "the power is off")
    this.operations++
    const fault = this.fault?.(operation)
    if (fault === undefined || fault.applied === true) pend()
    if (fault !== undefined) {
      throw new DiskError(operation.kind, operation.path, fault.code, `${fault.code} was asked for`)
    }
    this.during?.(operation)
    complete()
  }

  #name(atom: NameAtom): void {
    applyName(this.#live, atom)
    this.#pendingNames.push(atom)
  }

  #write(inode: Inode, path: string, offset: number, bytes: Uint8Array): void {
    const grows = Math.max(0, offset + bytes.length - inode.live.length)
    if (grows > 0 && this.freeBytes(path) < grows) {
      throw new DiskError("write", path, "ENOSPC", "no space left on device")
    }
    if (isZero(bytes) || this.#isUnwatched()) {
      this.#pend(inode, { _tag: "Write", at: offset, bytes: bytes.slice() })
    } else {
      for (let at = 0; at < bytes.length; at += sectorBytes) {
        const sector = bytes.slice(at, at + sectorBytes)
        this.#pend(inode, { _tag: "Write", at: offset + at, bytes: sector })
      }
    }
  }

  #isUnwatched(): boolean {
    return this.during === undefined && this.fault === undefined
  }

  #writeDurably(inode: Inode, path: string, offset: number, bytes: Uint8Array): void {
    const grows = Math.max(0, offset + bytes.length - inode.live.length)
    if (grows > 0 && this.freeBytes(path) < grows) {
      throw new DiskError("write", path, "ENOSPC", "no space left on device")
    }
    const write: FileAtom = { _tag: "Write", at: offset, bytes }
    const isOne = inode.live === inode.durable
    inode.live = applyTo(inode.live, write)
    inode.durable = isOne ? inode.live : applyTo(inode.durable, write)
  }

  /** A sector that says what is there already is no atom: it makes no two disks differ. */
  #pend(inode: Inode, atom: FileAtom & { readonly _tag: "Write" }): void {
    const { at, bytes } = atom
    const grows = at + bytes.length > inode.live.length
    if (!grows && standsAt(inode.live, at, bytes)) return
    if (inode.live === inode.durable) inode.live = inode.durable.slice()
    inode.live = applyTo(inode.live, atom)
    inode.pending.push(atom)
  }

  #syncFile(inode: Inode): void {
    if (inode.pretends) for (const atom of inode.pending) inode.durable = applyTo(inode.durable, atom)
    else inode.durable = inode.live
    inode.pending = []
  }

  #atoms(): ReadonlyArray<Atom> {
    const atoms: Array<Atom> = this.#pendingNames.map((atom) => ({ of: "names", atom }))
    const inodes = new Set([
      ...this.#live.values(),
      ...this.#durable.values(),
      ...this.#pendingNames.flatMap((atom) => ("inode" in atom ? [atom.inode] : []))
    ])
    for (const inode of inodes) {
      for (const whole of inode.pending) {
        for (const atom of sectorsOf(whole)) atoms.push({ of: "file", inode, atom })
      }
    }
    return atoms
  }

  #build(atoms: ReadonlyArray<Atom>, fateOf: (index: number) => Fate): Image {
    const names = new Map(this.#durable)
    const contents = new Map<Inode, Uint8Array>()
    for (const [i, one] of atoms.entries()) {
      const fate = fateOf(i)
      if (fate === "lost") continue
      if (one.of === "names") applyName(names, one.atom)
      else {
        const before = contents.get(one.inode) ?? one.inode.durable.slice()
        const { atom } = one
        const landed: FileAtom =
          fate === "garbled" && atom._tag === "Write"
            ? { ...atom, bytes: atom.bytes.map((byte, at) => byte ^ ((at * 31 + 7) & 0xff)) }
            : atom
        contents.set(one.inode, applyTo(before, landed))
      }
    }
    return new Map([...names].map(([path, inode]) => [path, contents.get(inode) ?? inode.durable.slice()]))
  }
}
