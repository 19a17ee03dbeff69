/** How much that is, in words: `15.2 GiB`. */

const units = ["B", "KiB", "MiB", "GiB", "TiB"]

export function showBytes(count: number): string {
  let value = Math.max(0, count)
  let unit = 0
  for (; value >= 1024 && unit < units.length - 1; unit++) value /= 1024
  return `${Math.round(value * 10) / 10} ${units[unit]}`
}
