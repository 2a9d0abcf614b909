/** Chooses machines among thousands: the hub looks for what is typed, and a page of what it finds is shown. */
import { MultiSelect, Select, type SelectProps } from '@mantine/core'
import { useDebouncedValue } from '@mantine/hooks'
import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { get, withQuery } from '../api/client.ts'
import { useVm } from '../api/queries.ts'
import type { VmList } from '../api/types.ts'

const shown = 50
type Option = { value: string; label: string }

const useFound = (text: string) => {
  const [search] = useDebouncedValue(text, 200)
  const query = useQuery({
    queryKey: ['vms', 'found', search],
    queryFn: ({ signal }) => get<VmList>(withQuery('/vm-contexts', { search, limit: shown }), signal),
    placeholderData: keepPreviousData,
  })
  const options = (query.data?.vm_contexts ?? []).map(
    ({ context_id, vm_name }): Option => ({ value: context_id, label: vm_name }),
  )
  return { options, total: query.data?.total ?? 0 }
}
const more = (total: number) => (total > shown ? `The first ${shown} of ${total}; type a part of the name.` : undefined)

export const VmSelect = ({
  value,
  onChange,
  ...props
}: Omit<SelectProps, 'value' | 'onChange' | 'data'> & {
  value: string | null
  onChange: (value: string | null) => void
}) => {
  const [text, setText] = useState('')
  const chosen = useVm(value ?? '', value !== null).data?.context
  // The name of the chosen one stands in the field, and is no search.
  const { options, total } = useFound(text === chosen?.vm_name ? '' : text)
  const isListed = options.some((option) => option.value === value)
  const data = chosen && !isListed ? [{ value: chosen.context_id, label: chosen.vm_name }, ...options] : options
  return (
    <Select
      {...props}
      data={data}
      value={value}
      onChange={onChange}
      searchable
      searchValue={text}
      onSearchChange={setText}
      // The hub has looked already.
      filter={({ options: all }) => all}
      nothingFoundMessage="No machine fits"
      description={props.description ?? more(total)}
    />
  )
}

export const VmMultiSelect = ({
  label,
  error,
  value,
  onChange,
  without,
}: {
  label: string
  error: string | undefined
  value: string[]
  onChange: (value: string[]) => void
  without: ReadonlySet<string>
}) => {
  const [text, setText] = useState('')
  const { options, total } = useFound(text)
  const [known, setKnown] = useState<Option[]>([])
  const listed = options.filter((option) => !without.has(option.value))
  const data = [...known.filter(({ value: id }) => !listed.some((option) => option.value === id)), ...listed]
  return (
    <MultiSelect
      label={label}
      error={error}
      required
      withAsterisk
      data={data}
      value={value}
      onChange={(next) => {
        setKnown(data.filter((option) => next.includes(option.value)))
        onChange(next)
      }}
      searchable
      searchValue={text}
      onSearchChange={setText}
      filter={({ options: all }) => all}
      clearable
      nothingFoundMessage="No machine fits"
      description={more(total)}
    />
  )
}
