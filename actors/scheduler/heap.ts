/** Binary heaps, least on top: one of numbers, which costs no object per entry, and one of anything. */

export class NumberHeap {
  readonly #keys: Float64Array
  #size: number

  /** Of all `keys`, which it makes its own. It never holds more. */
  constructor(keys: Float64Array) {
    this.#keys = keys
    this.#size = keys.length
    for (let at = (this.#size >> 1) - 1; at >= 0; at--) this.#sink(at)
  }

  /** The least, or `undefined`. */
  get top(): number | undefined {
    return this.#size === 0 ? undefined : this.#keys[0]
  }

  pop(): void {
    this.#size -= 1
    this.replaceTop(this.#keys[this.#size] ?? 0)
  }

  replaceTop(key: number): void {
    this.#keys[0] = key
    this.#sink(0)
  }

  push(key: number): void {
    const keys = this.#keys
    let at = this.#size++
    while (at > 0) {
      const parent = (at - 1) >> 1
      const above = keys[parent] ?? 0
      if (above <= key) break
      keys[at] = above
      at = parent
    }
    keys[at] = key
  }

  #sink(from: number): void {
    const keys = this.#keys
    const size = this.#size
    const key = keys[from] ?? 0
    let at = from
    for (let child = 2 * at + 1; child < size; child = 2 * at + 1) {
      let least = keys[child] ?? 0
      const right = child + 1 < size ? (keys[child + 1] ?? 0) : Number.POSITIVE_INFINITY
      if (right < least) {
        least = right
        child += 1
      }
      if (key <= least) break
      keys[at] = least
      at = child
    }
    keys[at] = key
  }
}

export class Heap<T> {
  readonly #items: Array<T> = []
  readonly #isLess: (a: T, b: T) => boolean

  constructor(isLess: (a: T, b: T) => boolean) {
    this.#isLess = isLess
  }

  get top(): T | undefined {
    return this.#items[0]
  }

  push(item: T): void {
    const items = this.#items
    let at = items.push(item) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      const above = items[parent] as T
      if (!this.#isLess(item, above)) break
      items[at] = above
      at = parent
    }
    items[at] = item
  }

  pop(): void {
    const last = this.#items.pop()
    if (last === undefined || this.#items.length === 0) return
    this.#items[0] = last
    this.settleTop()
  }

  /** Puts the top where it belongs after it became greater. */
  settleTop(): void {
    const items = this.#items
    const item = items[0] as T
    let at = 0
    for (let child = 1; child < items.length; child = 2 * at + 1) {
      const right = items[child + 1]
      if (right !== undefined && this.#isLess(right, items[child] as T)) child += 1
      const least = items[child] as T
      if (!this.#isLess(least, item)) break
      items[at] = least
      at = child
    }
    items[at] = item
  }
}
