/** 32-bit integers by position, 0 where none was set. They grow by pieces, so that growing never copies what is there. */

const pieceBits = 13
const pieceMask = (1 << pieceBits) - 1

export class Integers {
  readonly #pieces: Array<Int32Array> = []

  get(at: number): number {
    const piece = this.#pieces[at >>> pieceBits]
    return piece === undefined ? 0 : (piece[at & pieceMask] as number)
  }

  set(at: number, value: number): void {
    const number = at >>> pieceBits
    while (this.#pieces.length <= number) this.#pieces.push(new Int32Array(pieceMask + 1))
    const piece = this.#pieces[number] as Int32Array
    piece[at & pieceMask] = value
  }
}
