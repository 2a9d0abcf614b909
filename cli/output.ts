/** What a command prints: a table for people, or with --json the hub's own answer for scripts. */
import Table from 'cli-table3'
import type { Json } from './client.ts'

/** Names in a guest, and messages, may hold what a terminal would obey. */
const printable = (text: string) => text.replace(/[\x00-\x1f\x7f-\x9f]/g, '?')

const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']
export const size = (bytes: number): string => {
  const unit = bytes <= 0 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(bytes) / 10))
  return `${(bytes / 1024 ** unit).toFixed(unit === 0 ? 0 : 1)} ${units[unit]}`
}
export const when = (time: string | null): string =>
  time === null ? '' : time.replace('T', ' ').replace(/\.\d+Z$/, 'Z')

export type Column = [title: string, value: (row: Json) => string | number | null | undefined]

export const print = (text: string): void => {
  process.stdout.write(`${text}\n`)
}
export const printJson = (value: unknown) => print(JSON.stringify(value, null, 2))

const sides = ['top', 'bottom', 'left', 'right', 'mid', 'middle'] as const
const corners = ['top-mid', 'top-left', 'top-right', 'bottom-mid', 'bottom-left', 'bottom-right'] as const
const crossings = ['left-mid', 'mid-mid', 'right-mid'] as const
const noLines = Object.fromEntries([...sides, ...corners, ...crossings].map((line) => [line, '']))

/** @param none what to say when there are no rows */
export const printTable = (rows: Json[], columns: Column[], none: string) => {
  if (rows.length === 0) return print(none)
  const table = new Table({
    head: columns.map(([title]) => title),
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 2 },
    chars: noLines,
  })
  for (const row of rows) table.push(columns.map(([, value]) => printable(String(value(row) ?? ''))))
  print(table.toString().replace(/ +$/gm, ''))
}
/** The same, or the answer itself. */
export const show = (isJson: boolean, answer: Json, rows: Json[], columns: Column[], none: string) =>
  isJson ? printJson(answer) : printTable(rows, columns, none)
