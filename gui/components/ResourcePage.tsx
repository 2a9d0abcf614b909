/** A page that lists things of one kind, with what can be done with each: make, change, remove. */
import { Button } from '@mantine/core'
import { type Icon, IconPencil, IconPlus, IconTrash } from '@tabler/icons-react'
import type { UseQueryResult } from '@tanstack/react-query'
import type { ReactNode } from 'react'
import type { Role } from '../../contract/api/auth.ts'
import { useMay } from '../api/session.ts'
import { useUrlState } from '../lib/url-state.ts'
import { confirm } from './confirm.tsx'
import { type Column, DataTable } from './DataTable.tsx'
import { Empty } from './Empty.tsx'
import { Loaded } from './Loaded.tsx'
import { Page } from './Page.tsx'
import { type RowAction, RowMenu } from './RowMenu.tsx'

type Props<T> = {
  title: string
  text: string
  /** Of one: `repository`. */
  noun: string
  icon: Icon
  emptyText: string
  /** Least role that may change them. */
  needs: Role
  query: UseQueryResult<T[]>
  columns: Column<T>[]
  rowId: (row: T) => string
  nameOf: (row: T) => string
  /** The form for a new one, or for one that is there; without it nothing is changed here. */
  dialog?: (row: T | null, close: () => void) => ReactNode
  canEdit?: boolean
  remove?: { text: ReactNode; run: (row: T) => Promise<unknown>; label?: string }
  actions?: (row: T, mayChange: boolean) => RowAction[]
  selection?: { ids: ReadonlySet<string>; onChange: (ids: Set<string>) => void }
  extra?: ReactNode
  sort?: string
}

export const ResourcePage = <T,>({
  title,
  text,
  noun,
  icon,
  emptyText,
  needs,
  query,
  columns,
  rowId,
  nameOf,
  dialog,
  canEdit = true,
  remove,
  actions,
  selection,
  extra,
  sort = 'name',
}: Props<T>) => {
  const mayChange = useMay(needs)
  const [url, setUrl] = useUrlState()
  const edited = query.data?.find((row) => rowId(row) === url.edit)
  const close = () => setUrl({ new: '', edit: '' })
  const menuOf = (row: T): RowAction[] => [
    ...(actions?.(row, mayChange) ?? []),
    ...(dialog && canEdit
      ? [{ label: 'Edit', icon: IconPencil, disabled: !mayChange, onClick: () => setUrl({ edit: rowId(row) }) }]
      : []),
    ...(remove
      ? [
          {
            label: remove.label ?? 'Delete',
            icon: IconTrash,
            isDangerous: true,
            disabled: !mayChange,
            onClick: () =>
              confirm({
                title: `${remove.label ?? 'Delete'} the ${noun} ${nameOf(row)}?`,
                text: remove.text,
                action: remove.label ?? 'Delete',
                work: async () => {
                  await remove.run(row)
                  await query.refetch()
                  return `The ${noun} ${nameOf(row)} is gone`
                },
              }),
          },
        ]
      : []),
  ]
  const add = dialog && (
    <Button leftSection={<IconPlus size={16} aria-hidden />} disabled={!mayChange} onClick={() => setUrl({ new: '1' })}>
      New {noun}
    </Button>
  )
  return (
    <Page
      title={title}
      text={text}
      actions={
        <>
          {extra}
          {add}
        </>
      }
    >
      <Loaded query={query}>
        {(rows) => (
          <DataTable
            label={title}
            rows={rows}
            columns={[
              ...columns,
              {
                id: 'actions',
                header: '',
                narrow: true,
                cell: (row) => (menuOf(row).length > 0 ? <RowMenu name={nameOf(row)} actions={menuOf(row)} /> : null),
              },
            ]}
            rowId={rowId}
            sort={sort}
            {...(selection ? { selection } : {})}
            empty={
              <Empty icon={icon} title={`No ${noun} yet`} text={emptyText}>
                {add}
              </Empty>
            }
          />
        )}
      </Loaded>
      {dialog && url.new !== undefined && mayChange && dialog(null, close)}
      {dialog && edited !== undefined && mayChange && dialog(edited, close)}
    </Page>
  )
}
