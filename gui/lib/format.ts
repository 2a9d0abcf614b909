/** How figures are written: sizes in binary units, times in the viewer's zone. */

const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const
/** @param digits after the point, at most */
export const bytes = (value: number, digits = 1): string => {
  const power = value < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(value) / 10))
  return `${(value / 1024 ** power).toLocaleString(undefined, { maximumFractionDigits: power === 0 ? 0 : digits })} ${units[power]}`
}
export const speed = (bytesPerSecond: number) => `${bytes(bytesPerSecond)}/s`
export const percent = (value: number) => `${value.toLocaleString(undefined, { maximumFractionDigits: 1 })} %`
export const count = (value: number) => value.toLocaleString()

/** `3 h 12 min`: the two greatest units. */
export const duration = (seconds: number): string => {
  const whole = Math.max(0, Math.round(seconds))
  const parts: [number, string][] = [
    [Math.floor(whole / 86_400), 'd'],
    [Math.floor((whole % 86_400) / 3600), 'h'],
    [Math.floor((whole % 3600) / 60), 'min'],
    [whole % 60, 's'],
  ]
  const first = parts.findIndex(([value]) => value > 0)
  if (first === -1) return '0 s'
  return parts
    .slice(first, first + 2)
    .filter(([value]) => value > 0)
    .map(([value, unit]) => `${value} ${unit}`)
    .join(' ')
}

const relative = new Intl.RelativeTimeFormat(undefined, { numeric: 'auto' })
/** `3 hours ago`, `in 2 days`. */
export const ago = (iso: string, now = Date.now()): string => {
  const seconds = (Date.parse(iso) - now) / 1000
  const [size, unit] = (
    [
      [86_400, 'day'],
      [3600, 'hour'],
      [60, 'minute'],
      [1, 'second'],
    ] as const
  ).find(([limit]) => Math.abs(seconds) >= limit) ?? [1, 'second']
  return relative.format(Math.trunc(seconds / size), unit)
}
export const dateTime = (iso: string) =>
  new Date(iso).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' })
export const utc = (iso: string) => `${iso.replace('T', ' ').replace(/\.\d+Z$|Z$/, '')} UTC`

/** `in_progress` as people read it. */
export const words = (code: string) => {
  const text = code.replaceAll('_', ' ')
  return text.charAt(0).toUpperCase() + text.slice(1)
}
