/** A folder as a file explorer shows it: sorted, found by typing, picked, previewed, downloaded. */
import { ActionIcon, Button, Checkbox, Group, Menu, Text, TextInput, Tooltip } from '@mantine/core'
import {
  IconArrowDown,
  IconArrowUp,
  IconCornerLeftUp,
  IconDownload,
  IconEye,
  IconFile,
  IconFolder,
  IconHome,
  IconInfoCircle,
  IconLink,
  IconRefresh,
  IconSearch,
} from '@tabler/icons-react'
import { useVirtualizer } from '@tanstack/react-virtual'
import { type KeyboardEvent, useDeferredValue, useMemo, useRef, useState } from 'react'
import { useMay } from '../api/session.ts'
import type { Entry } from '../api/types.ts'
import { Problem } from '../components/Problem.tsx'
import { bytes, count, dateTime, utc } from '../lib/format.ts'
import { useUrlState } from '../lib/url-state.ts'
import { Details } from './Details.tsx'
import { archiveFormats, downloadEntries, formatWords } from './download.tsx'
import classes from './folder.module.css'
import { canPreview, Preview } from './Preview.tsx'
import { type FolderPlace, useListing } from './use-listing.ts'

const rowHeight = 36
const headHeight = 40
type SortBy = 'name' | 'size' | 'modified'

const keyOf = ({ path, path_b64 }: Entry) => path_b64 ?? path

/** The hub's own order is by name: only another one is made here. Folders stay before files. */
const sorted = (entries: Entry[], by: SortBy, isDown: boolean): Entry[] => {
  if (by === 'name' && !isDown) return entries
  const value: (entry: Entry) => string | number =
    by === 'size' ? ({ size }) => size : by === 'modified' ? ({ modified_time }) => modified_time : ({ name }) => name
  const sign = isDown ? -1 : 1
  const kind = ({ type }: Entry) => (type === 'directory' ? 0 : 1)
  return entries.toSorted((a, b) => {
    if (kind(a) !== kind(b)) return kind(a) - kind(b)
    const [one, other] = [value(a), value(b)]
    return one < other ? -sign : one > other ? sign : 0
  })
}

const parentOf = (path: string) => path.slice(0, path.lastIndexOf('/')) || '/'

export const Folder = (place: FolderPlace) => {
  const { query, entries, total } = useListing(place)
  const [url, setUrl] = useUrlState()
  const mayDownload = useMay('operator')
  const [picked, setPicked] = useState<ReadonlySet<string>>(new Set())
  const [shown, setShown] = useState<Entry | null>(null)
  const [detailed, setDetailed] = useState<Entry | null>(null)
  const text = useDeferredValue(url.q ?? '').toLowerCase()
  const sortWord = url.sort ?? 'name'
  const [by, isDown] = [sortWord.replace('-', '') as SortBy, sortWord.startsWith('-')]
  const rows = useMemo(() => {
    const found = text === '' ? entries : entries.filter(({ name }) => name.toLowerCase().includes(text))
    return sorted(found, by, isDown)
  }, [entries, text, by, isDown])
  const scroll = useRef<HTMLDivElement>(null)
  const search = useRef<HTMLInputElement>(null)
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroll.current,
    estimateSize: () => rowHeight,
    overscan: 10,
    scrollPaddingStart: headHeight,
  })

  const go = (path: string, pathB64?: string | null) =>
    setUrl({ path: path === '/' ? '' : path, b64: pathB64 ?? '', q: '' })
  const open = (entry: Entry) => {
    if (entry.type === 'directory') go(entry.path, entry.path_b64)
    else if (canPreview(entry)) setShown(entry)
    else if (mayDownload && !entry.special) downloadEntries(place, [entry], 'zip')
  }
  const pick = (entry: Entry, isOn: boolean) => {
    const next = new Set(picked)
    if (isOn) next.add(keyOf(entry))
    else next.delete(keyOf(entry))
    setPicked(next)
  }
  const selection = entries.filter((entry) => picked.has(keyOf(entry)))

  const onKeyDown = (event: KeyboardEvent<HTMLDivElement>) => {
    const row = (event.target as HTMLElement).closest<HTMLElement>('[data-at]')
    if (event.key === 'Backspace' && place.path !== '/') return go(parentOf(place.path))
    if (event.key.length === 1 && !event.ctrlKey && !event.metaKey && !event.altKey && event.key !== ' ') {
      // Typing finds, wherever the focus is in the list.
      search.current?.focus()
      return
    }
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10 }[event.key]
    if (step === undefined && event.key !== 'Home' && event.key !== 'End') return
    event.preventDefault()
    const at = row ? Number(row.dataset.at) : -1
    const next =
      event.key === 'Home'
        ? 0
        : event.key === 'End'
          ? rows.length - 1
          : Math.max(0, Math.min(rows.length - 1, at + step!))
    virtual.scrollToIndex(next)
    requestAnimationFrame(() =>
      scroll.current?.querySelector<HTMLElement>(`[data-at="${next}"] button[data-open]`)?.focus(),
    )
  }
  const head = (id: SortBy, label: string, className?: string) => {
    const direction = by === id ? (isDown ? 'descending' : 'ascending') : undefined
    return (
      <div role="columnheader" aria-sort={direction ?? 'none'} className={className}>
        <button
          type="button"
          className={classes.sort}
          onClick={() => setUrl({ sort: direction === 'ascending' ? `-${id}` : id })}
        >
          {label}
          {direction === 'ascending' && <IconArrowUp size={14} aria-hidden />}
          {direction === 'descending' && <IconArrowDown size={14} aria-hidden />}
        </button>
      </div>
    )
  }
  const isAll = rows.length > 0 && rows.every((entry) => picked.has(keyOf(entry)))
  const nothing = query.isSuccess && rows.length === 0
  return (
    <div>
      <Group gap="xs" mb="sm">
        <Tooltip label="Up">
          <ActionIcon
            variant="default"
            size="lg"
            aria-label="Up"
            disabled={place.path === '/'}
            onClick={() => go(parentOf(place.path))}
          >
            <IconCornerLeftUp size={18} aria-hidden />
          </ActionIcon>
        </Tooltip>
        <Tooltip label="Root">
          <ActionIcon
            variant="default"
            size="lg"
            aria-label="Root"
            disabled={place.path === '/'}
            onClick={() => go('/')}
          >
            <IconHome size={18} aria-hidden />
          </ActionIcon>
        </Tooltip>
        <Tooltip label="Refresh">
          <ActionIcon
            variant="default"
            size="lg"
            aria-label="Refresh"
            loading={query.isRefetching}
            onClick={() => void query.refetch()}
          >
            <IconRefresh size={18} aria-hidden />
          </ActionIcon>
        </Tooltip>
        <TextInput
          ref={search}
          aria-label="Find in this folder"
          placeholder="Find in this folder"
          leftSection={<IconSearch size={16} aria-hidden />}
          value={url.q ?? ''}
          onChange={(event) => setUrl({ q: event.currentTarget.value })}
          style={{ flex: '1 1 12rem' }}
          maw={320}
          data-search
        />
        <Menu position="bottom-start" withinPortal disabled={selection.length === 0}>
          <Menu.Target>
            <Button
              variant={selection.length > 0 ? 'filled' : 'default'}
              leftSection={<IconDownload size={16} aria-hidden />}
              disabled={!mayDownload || selection.length === 0}
            >
              Download{selection.length > 0 ? ` ${count(selection.length)}` : ''}
            </Button>
          </Menu.Target>
          <Menu.Dropdown>
            {archiveFormats.map((format) => (
              <Menu.Item key={format} onClick={() => downloadEntries(place, selection, format)}>
                As {formatWords[format]}
              </Menu.Item>
            ))}
          </Menu.Dropdown>
        </Menu>
        <Menu position="bottom-start" withinPortal>
          <Menu.Target>
            <Button variant="default" disabled={!mayDownload}>
              Whole folder
            </Button>
          </Menu.Target>
          <Menu.Dropdown>
            {archiveFormats.map((format) => (
              <Menu.Item
                key={format}
                onClick={() =>
                  downloadEntries(
                    place,
                    [
                      {
                        name: place.path,
                        path: place.path,
                        path_b64: place.pathB64 ?? null,
                        type: 'directory',
                        size: 0,
                      },
                    ],
                    format,
                  )
                }
              >
                As {formatWords[format]}
              </Menu.Item>
            ))}
          </Menu.Dropdown>
        </Menu>
      </Group>
      {query.error && <Problem error={query.error} onRetry={() => void query.refetch()} />}
      <div
        role="grid"
        aria-label="Files"
        aria-rowcount={rows.length + 1}
        aria-busy={query.isFetching}
        className={classes.grid}
        tabIndex={-1}
        onKeyDown={onKeyDown}
      >
        <div ref={scroll} className={classes.body} role="presentation">
          <div role="row" className={`${classes.row} ${classes.head}`}>
            <div role="columnheader">
              <Checkbox
                size="xs"
                aria-label="Select all"
                checked={isAll}
                indeterminate={!isAll && picked.size > 0}
                onChange={(event) => setPicked(new Set(event.currentTarget.checked ? rows.map(keyOf) : []))}
              />
            </div>
            {head('name', 'Name')}
            {head('size', 'Size', classes.end)}
            {head('modified', 'Modified', classes.wide)}
            <div role="columnheader" className={classes.wide}>
              Mode
            </div>
            <div role="columnheader" aria-label="Actions" />
          </div>
          <div style={{ height: virtual.getTotalSize(), position: 'relative' }} role="presentation">
            {virtual.getVirtualItems().map(({ index, start }) => (
              <Row
                key={keyOf(rows[index]!)}
                entry={rows[index]!}
                at={index}
                start={start}
                isPicked={picked.has(keyOf(rows[index]!))}
                mayDownload={mayDownload}
                onPick={pick}
                onOpen={open}
                onPreview={setShown}
                onDetails={setDetailed}
                onDownload={(entry) => downloadEntries(place, [entry], 'zip')}
              />
            ))}
          </div>
          {nothing && (
            <Text c="dimmed" ta="center" py="xl">
              {text === '' ? 'This folder is empty.' : `Nothing fits “${text}”.`}
            </Text>
          )}
        </div>
      </div>
      <Text size="sm" c="dimmed" mt="xs" role="status">
        {query.isPending
          ? 'Reading the folder…'
          : `${count(rows.length)}${text !== '' || entries.length < total ? ` of ${count(total)}` : ''} entries${entries.length < total ? ', more are coming' : ''}${selection.length > 0 ? ` · ${count(selection.length)} picked, ${bytes(selection.reduce((sum, { size }) => sum + size, 0))} in files` : ''}`}
      </Text>
      {shown && <Preview place={place} entry={shown} onClose={() => setShown(null)} />}
      {detailed && <Details place={place} entry={detailed} onClose={() => setDetailed(null)} />}
    </div>
  )
}

const Row = ({
  entry,
  at,
  start,
  isPicked,
  mayDownload,
  onPick,
  onOpen,
  onPreview,
  onDetails,
  onDownload,
}: {
  entry: Entry
  at: number
  start: number
  isPicked: boolean
  mayDownload: boolean
  onPick: (entry: Entry, isOn: boolean) => void
  onOpen: (entry: Entry) => void
  onPreview: (entry: Entry) => void
  onDetails: (entry: Entry) => void
  onDownload: (entry: Entry) => void
}) => {
  const isFolder = entry.type === 'directory'
  const Picture = isFolder ? IconFolder : entry.is_symlink ? IconLink : IconFile
  return (
    <div
      role="row"
      aria-rowindex={at + 2}
      aria-selected={isPicked}
      data-at={at}
      className={classes.row}
      style={{
        transform: `translateY(${start}px)`,
        position: 'absolute',
        top: 0,
        left: 0,
        right: 0,
        height: rowHeight,
      }}
    >
      <div role="gridcell">
        <Checkbox
          size="xs"
          aria-label={`Select ${entry.name}`}
          checked={isPicked}
          onChange={(event) => onPick(entry, event.currentTarget.checked)}
        />
      </div>
      <div role="gridcell" className={classes.name}>
        <Picture size={18} aria-hidden className={isFolder ? classes.folder : undefined} />
        <button type="button" data-open className={classes.open} title={entry.name} onClick={() => onOpen(entry)}>
          <bdi>{entry.name}</bdi>
          {entry.is_symlink && entry.symlink_target !== null && (
            <span className={classes.target}> → {entry.symlink_target}</span>
          )}
        </button>
      </div>
      <div role="gridcell" className={classes.end}>
        {isFolder ? '' : bytes(entry.size)}
      </div>
      <div role="gridcell" className={classes.wide}>
        <time dateTime={entry.modified_time} title={utc(entry.modified_time)}>
          {dateTime(entry.modified_time)}
        </time>
      </div>
      <div role="gridcell" className={`${classes.wide} ${classes.mode}`}>
        {entry.mode}
      </div>
      <div role="gridcell" className={classes.actions}>
        {canPreview(entry) && (
          <ActionIcon
            variant="subtle"
            color="gray"
            aria-label={`Preview ${entry.name}`}
            onClick={() => onPreview(entry)}
          >
            <IconEye size={16} aria-hidden />
          </ActionIcon>
        )}
        <ActionIcon
          variant="subtle"
          color="gray"
          aria-label={`Details of ${entry.name}`}
          onClick={() => onDetails(entry)}
        >
          <IconInfoCircle size={16} aria-hidden />
        </ActionIcon>
        <ActionIcon
          variant="subtle"
          color="gray"
          aria-label={`Download ${entry.name}${isFolder ? ' as ZIP' : ''}`}
          disabled={!mayDownload || entry.special}
          onClick={() => onDownload(entry)}
        >
          <IconDownload size={16} aria-hidden />
        </ActionIcon>
      </div>
    </div>
  )
}
