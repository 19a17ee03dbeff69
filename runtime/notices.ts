/**
 * Messages that an actor is to get later, by key, unless it changes its mind before it has handled them.
 *
 * A notice that is due waits in the mailbox like any message; it counts only while it stands here, so what was taken
 * back, replaced, or asked for in an earlier life is not handled, however far it had come.
 */

export class Notice {
  readonly #notices: Map<string, Notice>
  readonly #key: string
  /** Takes it back where it was asked for. */
  cancel: () => void = () => {}

  constructor(notices: Map<string, Notice>, key: string) {
    this.#notices = notices
    this.#key = key
  }

  /** True once, if it still counts. */
  take(): boolean {
    if (this.#notices.get(this.#key) !== this) return false
    return this.#notices.delete(this.#key)
  }
}

export class Notices {
  readonly #notices = new Map<string, Notice>()

  /** Replaces what stands under `key`. `arrange` asks for it; what it returns takes that back. */
  add(key: string, arrange: (notice: Notice) => () => void): void {
    this.drop(key)
    const notice = new Notice(this.#notices, key)
    this.#notices.set(key, notice)
    notice.cancel = arrange(notice)
  }

  drop(key: string): void {
    const notice = this.#notices.get(key)
    if (!notice) return
    this.#notices.delete(key)
    notice.cancel()
  }

  /** What stands, in the order in which it was asked for. */
  keys(): ReadonlyArray<string> {
    return [...this.#notices.keys()]
  }

  clear(): void {
    for (const key of [...this.#notices.keys()]) this.drop(key)
  }
}
