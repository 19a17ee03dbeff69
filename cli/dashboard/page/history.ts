/** Pages by their hash: a new one begins at its top, one that is gone back to is where it was left, and readers are told of both. */

export function followHistory(show: (hash: string) => void): void {
  const places = new Map<number, number>()
  let entry = 0
  let newest = 0
  history.scrollRestoration = "manual"
  history.replaceState({ entry }, "")
  addEventListener("scroll", () => places.set(entry, scrollY), { passive: true })
  addEventListener("hashchange", () => {
    const known: unknown = history.state?.entry
    entry = typeof known === "number" ? known : ++newest
    const place = places.get(entry) ?? 0
    history.replaceState({ entry }, "")
    show(location.hash)
    // Once it is drawn.
    requestAnimationFrame(() =>
      requestAnimationFrame(() => {
        scrollTo(0, place)
        const heading = document.querySelector<HTMLElement>("main h1")
        if (heading === null) return
        heading.tabIndex = -1
        heading.focus({ preventScroll: true })
      })
    )
  })
}
