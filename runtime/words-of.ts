/** What anything that was thrown says, for people: an error's message, or the thing itself. */
export const wordsOf = (thrown: unknown): string =>
  thrown instanceof Error ? thrown.message : String(thrown)
