/** The table of every list: sorted, filtered, with its state in the URL; long ones draw only the rows that are seen. */
import { Checkbox, Group, Text, TextInput } from '@mantine/core'
import { IconArrowDown, IconArrowUp, IconSearch } from '@tabler/icons-react'
import {
  createSortedRowModel,
  rowSortingFeature,
  type SortingState,
  sortFn_alphanumeric,
  sortFn_basic,
  tableFeatures,
  useTable,
} from '@tanstack/react-table'
import { useVirtualizer } from '@tanstack/react-virtual'
import { type KeyboardEvent, type ReactNode, useMemo, useRef } from 'react'
import { useUrlState } from '../lib/url-state.ts'
import classes from './table.module.css'

const features = tableFeatures({
  rowSortingFeature,
  sortedRowModel: createSortedRowModel(),
  sortFns: { alphanumeric: sortFn_alphanumeric, basic: sortFn_basic },
})

export type Column<T> = {
  id: string
  header: string
  /** What it is sorted and found by. */
  value?: (row: T) => string | number | boolean | null
  cell?: (row: T) => ReactNode
  align?: 'end'
  /** Left out where there is little room. */
  wide?: boolean
  narrow?: boolean
}
type Selection = { ids: ReadonlySet<string>; onChange: (ids: Set<string>) => void }

const rowHeight = 45
/** More rows than this are drawn only where they are seen. */
const manyRows = 40

/** Arrow keys, and j and k, go from row to row; Home and End to the first and last. */
const moveFocus = (event: KeyboardEvent<HTMLTableSectionElement>) => {
  const steps: Record<string, number> = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1 }
  const target = event.target as HTMLElement
  if (target.closest('input, textarea, [role=menu]') && target.getAttribute('type') !== 'checkbox') return
  const rows = [...event.currentTarget.querySelectorAll<HTMLElement>('tr[data-row] :is(a, button)')].filter(
    (element) => element === element.closest('tr')?.querySelector('a, button'),
  )
  const at = rows.findIndex((element) => element.closest('tr')?.contains(target))
  const step = steps[event.key]
  const next = step !== undefined ? at + step : event.key === 'Home' ? 0 : event.key === 'End' ? rows.length - 1 : -1
  if (at === -1 || !rows[next]) return
  event.preventDefault()
  rows[next].focus()
}

export const DataTable = <T,>({
  label,
  rows,
  columns,
  rowId,
  empty,
  search = true,
  filters,
  selection,
  sort: initialSort = '',
  urlPrefix = '',
  onSort,
  sorted,
  maxHeight = 'calc(100dvh - 17rem)',
}: {
  label: string
  rows: readonly T[]
  columns: Column<T>[]
  rowId: (row: T) => string
  /** Shown when there is nothing at all, found or not. */
  empty: ReactNode
  search?: boolean
  filters?: ReactNode
  selection?: Selection | undefined
  /** `name` or `-name`, unless the URL says another. */
  sort?: string
  /** Tells the state of several tables of a page apart. */
  urlPrefix?: string
  /** Given: somebody else sorts, by this word. */
  onSort?: (sort: string) => void
  sorted?: string
  maxHeight?: string
}) => {
  const [url, setUrl] = useUrlState()
  const text = search ? (url[`${urlPrefix}q`] ?? '') : ''
  const sortWord = onSort ? (sorted ?? '') : (url[`${urlPrefix}sort`] ?? initialSort)
  const sorting = useMemo<SortingState>(
    () => (sortWord === '' || onSort ? [] : [{ id: sortWord.replace(/^-/, ''), desc: sortWord.startsWith('-') }]),
    [sortWord, onSort],
  )
  const found = useMemo(() => {
    const wanted = text.toLowerCase()
    if (wanted === '') return [...rows]
    return rows.filter((row) =>
      columns.some(
        ({ value }) =>
          value &&
          String(value(row) ?? '')
            .toLowerCase()
            .includes(wanted),
      ),
    )
  }, [rows, columns, text])
  const defs = useMemo(
    () =>
      columns.map(({ id, value }) => ({
        id,
        accessorFn: (row: T) => value?.(row) ?? null,
        enableSorting: value !== undefined,
        sortFn: (typeof (rows[0] && value?.(rows[0])) === 'number' ? 'basic' : 'alphanumeric') as 'basic',
        sortUndefined: 'last' as const,
      })),
    [columns, rows],
  )
  const table = useTable({ features, columns: defs, data: found as never[], state: { sorting } })
  const shown = table.getRowModel().rows as unknown as { original: T }[]
  const scroll = useRef<HTMLDivElement>(null)
  const isLong = shown.length > manyRows
  const virtual = useVirtualizer({
    count: isLong ? shown.length : 0,
    getScrollElement: () => scroll.current,
    estimateSize: () => rowHeight,
    overscan: 6,
  })
  const seen = isLong ? virtual.getVirtualItems().map(({ index }) => index) : shown.map((_, at) => at)
  const [before, after] = isLong
    ? [virtual.getVirtualItems()[0]?.start ?? 0, virtual.getTotalSize() - (virtual.getVirtualItems().at(-1)?.end ?? 0)]
    : [0, 0]

  const toggleSort = (id: string) => {
    const next = sortWord === id ? `-${id}` : id
    if (onSort) onSort(next)
    else setUrl({ [`${urlPrefix}sort`]: next })
  }
  const select = (id: string, isOn: boolean) => {
    const ids = new Set(selection!.ids)
    if (isOn) ids.add(id)
    else ids.delete(id)
    selection!.onChange(ids)
  }
  const className = ({ align, wide, narrow }: Column<T>) =>
    [align === 'end' && classes.end, wide && classes.wide, narrow && classes.narrow].filter(Boolean).join(' ') ||
    undefined

  if (rows.length === 0 && text === '' && !filters) return empty
  return (
    <div>
      {(search || filters) && (
        <Group mb="sm" gap="sm">
          {search && (
            <TextInput
              aria-label={`Search ${label.toLowerCase()}`}
              placeholder="Search"
              leftSection={<IconSearch size={16} aria-hidden />}
              value={text}
              onChange={(event) => setUrl({ [`${urlPrefix}q`]: event.currentTarget.value })}
              w={{ base: '100%', xs: 260 }}
              data-search
            />
          )}
          {filters}
        </Group>
      )}
      {rows.length === 0 && text === '' ? (
        empty
      ) : (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keyboard
        <section className={classes.scroll} style={{ maxHeight }} ref={scroll} tabIndex={0} aria-label={label}>
          <table className={classes.table} aria-rowcount={shown.length + 1}>
            <thead>
              <tr>
                {selection && (
                  <th className={classes.narrow}>
                    <Checkbox
                      aria-label="Select all"
                      checked={shown.length > 0 && shown.every(({ original }) => selection.ids.has(rowId(original)))}
                      indeterminate={
                        selection.ids.size > 0 && !shown.every(({ original }) => selection.ids.has(rowId(original)))
                      }
                      onChange={(event) =>
                        selection.onChange(
                          new Set(event.currentTarget.checked ? shown.map(({ original }) => rowId(original)) : []),
                        )
                      }
                    />
                  </th>
                )}
                {columns.map((column) => {
                  const direction =
                    sortWord === column.id ? 'ascending' : sortWord === `-${column.id}` ? 'descending' : undefined
                  return (
                    <th key={column.id} scope="col" className={className(column)} aria-sort={direction}>
                      {column.value ? (
                        <button type="button" className={classes.sort} onClick={() => toggleSort(column.id)}>
                          {column.header}
                          {direction === 'ascending' && <IconArrowUp size={14} aria-hidden />}
                          {direction === 'descending' && <IconArrowDown size={14} aria-hidden />}
                        </button>
                      ) : (
                        column.header
                      )}
                    </th>
                  )
                })}
              </tr>
            </thead>
            <tbody onKeyDown={moveFocus}>
              {before > 0 && (
                <tr style={{ height: before }}>
                  <td colSpan={columns.length + 1} style={{ padding: 0, border: 0 }} />
                </tr>
              )}
              {seen.map((at) => {
                const row = shown[at]!.original
                const id = rowId(row)
                return (
                  <tr
                    key={id}
                    data-row={id}
                    aria-rowindex={at + 2}
                    data-selected={selection?.ids.has(id) ? true : undefined}
                    style={isLong ? { height: rowHeight } : undefined}
                  >
                    {selection && (
                      <td className={classes.narrow}>
                        <Checkbox
                          aria-label={`Select ${id}`}
                          checked={selection.ids.has(id)}
                          onChange={(event) => select(id, event.currentTarget.checked)}
                        />
                      </td>
                    )}
                    {columns.map((column) => (
                      <td key={column.id} className={className(column)}>
                        {column.cell ? column.cell(row) : String(column.value?.(row) ?? '–')}
                      </td>
                    ))}
                  </tr>
                )
              })}
              {after > 0 && (
                <tr style={{ height: after }}>
                  <td colSpan={columns.length + 1} style={{ padding: 0, border: 0 }} />
                </tr>
              )}
            </tbody>
          </table>
          {shown.length === 0 && (
            <Text c="dimmed" ta="center" py="xl">
              Nothing fits “{text}”.
            </Text>
          )}
        </section>
      )}
    </div>
  )
}
