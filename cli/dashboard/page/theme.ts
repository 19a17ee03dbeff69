/** Dark or light: what was chosen here, else what the system prefers. */
import { signal } from "@preact/signals"

const key = "troupe-theme"

export type Theme = "dark" | "light"
const preferred = (): Theme => (matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark")
export const theme = signal<Theme>((localStorage.getItem(key) as Theme | null) ?? preferred())
theme.subscribe((chosen) => {
  document.documentElement.dataset.theme = chosen
})

export function choose(wanted: Theme): void {
  localStorage.setItem(key, wanted)
  theme.value = wanted
}
