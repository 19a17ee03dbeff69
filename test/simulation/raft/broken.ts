/** A law of the simulation does not hold. `law` is its number (I1 to I18), or L for liveness, or P for the product. */
export class Broken extends Error {
  override readonly name = "Broken"
  readonly law: string

  constructor(law: string, message: string) {
    super(`${law}: ${message}`)
    this.law = law
  }
}
