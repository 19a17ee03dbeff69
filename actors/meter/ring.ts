/** Rows of numbers at a fixed step of time, the newest so many of them, in one typed array that grows as it is used. */

const firstRows = 64

export class Ring {
  readonly stepMs: number
  readonly #width: number
  readonly #most: number
  #rows: number
  #values: Float32Array
  /** Numbers of steps since the epoch; nothing yet where `newest` is before `oldest`. */
  #oldest = 0
  #newest = -1

  constructor(stepMs: number, most: number, width: number) {
    this.stepMs = stepMs
    this.#width = width
    this.#most = most
    this.#rows = Math.min(firstRows, most)
    this.#values = new Float32Array(this.#rows * width).fill(Number.NaN)
  }

  get bytes(): number {
    return this.#values.byteLength
  }

  /** In the step of `at`, in place of what is there; not at all where that is too long ago. NaN is what is not known. */
  put(at: number, row: ReadonlyArray<number>): void {
    const step = Math.floor(at / this.stepMs)
    if (this.#newest < this.#oldest || step - this.#newest >= this.#most) this.#begin(step)
    else if (step < this.#oldest) return
    else this.#advance(step)
    const from = this.#place(step)
    for (let column = 0; column < this.#width; column++)
      this.#values[from + column] = row[column] ?? Number.NaN
  }

  /** Times of the rows from `since` on, and for each of `columns` the values at these times, NaN in gaps. */
  since(
    since: number,
    columns: ReadonlyArray<number>
  ): { readonly times: ReadonlyArray<number>; readonly values: ReadonlyArray<ReadonlyArray<number>> } {
    const times: Array<number> = []
    const values = columns.map((): Array<number> => [])
    const first = Math.max(this.#oldest, Math.ceil(since / this.stepMs))
    for (let step = first; step <= this.#newest; step++) {
      times.push(step * this.stepMs)
      const from = this.#place(step)
      columns.forEach((column, index) => void values[index]?.push(this.#values[from + column] ?? Number.NaN))
    }
    return { times, values }
  }

  #place(step: number): number {
    return (step % this.#rows) * this.#width
  }

  #begin(step: number): void {
    this.#values.fill(Number.NaN)
    this.#oldest = step
    this.#newest = step
  }

  /** Makes room up to `step`; what is between is not known. */
  #advance(step: number): void {
    if (step <= this.#newest) return
    const wanted = step - this.#oldest + 1
    if (wanted > this.#rows && this.#rows < this.#most) this.#grow(Math.min(wanted, this.#most))
    for (let next = this.#newest + 1; next <= step; next++) {
      const from = this.#place(next)
      this.#values.fill(Number.NaN, from, from + this.#width)
    }
    this.#newest = step
    this.#oldest = Math.max(this.#oldest, step - this.#rows + 1)
  }

  #grow(least: number): void {
    let rows = this.#rows
    while (rows < least) rows *= 2
    rows = Math.min(rows, this.#most)
    const before = this.#values
    const beforeRows = this.#rows
    this.#rows = rows
    this.#values = new Float32Array(rows * this.#width).fill(Number.NaN)
    for (let step = this.#oldest; step <= this.#newest; step++) {
      const from = (step % beforeRows) * this.#width
      this.#values.set(before.subarray(from, from + this.#width), this.#place(step))
    }
  }
}
