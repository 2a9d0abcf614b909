/** Every page and every VM, a few keys away. */
import { createSpotlight, Spotlight, type SpotlightActionData } from '@mantine/spotlight'
import { IconDeviceDesktop, IconSearch } from '@tabler/icons-react'
import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { useEffect, useState } from 'react'
import { get, withQuery } from '../api/client.ts'
import { useMay } from '../api/session.ts'
import type { VmList } from '../api/types.ts'
import { navigation } from './navigation.ts'

const [store, palette] = createSpotlight()

const CommandPalette = ({ onClose }: { onClose: () => void }) => {
  const [text, setText] = useState('')
  const navigate = useNavigate()
  const isAdmin = useMay('admin')
  useEffect(() => palette.open(), [])
  const { data } = useQuery({
    queryKey: ['vms', 'palette', text],
    queryFn: ({ signal }) => get<VmList>(withQuery('/vm-contexts', { search: text, limit: 20 }), signal),
    placeholderData: keepPreviousData,
  })
  const wanted = text.toLowerCase()
  const pages = navigation
    .flatMap(({ items }) => items)
    .filter(({ role }) => role === undefined || isAdmin)
    .filter(({ label, keywords = '' }) => `${label} ${keywords}`.toLowerCase().includes(wanted))
    .map(
      ({ to, label, icon: Picture }): SpotlightActionData => ({
        id: to,
        label,
        leftSection: <Picture size={18} aria-hidden />,
        onClick: () => void navigate({ to }),
      }),
    )
  // What an earlier search found stays until the next answer, as far as it still fits.
  const fitting = (data?.vm_contexts ?? []).filter(({ vm_name }) => vm_name.toLowerCase().includes(wanted))
  const vms = fitting.map(
    (vm): SpotlightActionData => ({
      id: vm.context_id,
      label: vm.vm_name,
      description: 'Virtual machine',
      leftSection: <IconDeviceDesktop size={18} aria-hidden />,
      onClick: () => void navigate({ to: '/vms/$id', params: { id: vm.context_id } }),
    }),
  )
  const actions = [...pages, ...vms]
  // The first is what Enter means; Spotlight chooses it while the list still shows what the last letter found, and it may be gone from the next.
  const found = actions.map(({ id }) => id).join()
  useEffect(() => {
    if (document.querySelector('[data-action][data-selected]')) return
    document.querySelector('[data-action]')?.setAttribute('data-selected', 'true')
    store.updateState((state) => ({ ...state, selected: 0 }))
  }, [found])
  return (
    <Spotlight
      store={store}
      actions={actions}
      filter={(_, actions) => actions}
      query={text}
      onQueryChange={setText}
      onSpotlightClose={onClose}
      shortcut={null}
      nothingFound="Nothing fits"
      highlightQuery
      scrollable
      maxHeight={420}
      searchProps={{
        leftSection: <IconSearch size={18} aria-hidden />,
        placeholder: 'A page or a virtual machine',
        'aria-label': 'Go to',
        // At once, not when it has come to rest: the first letters would go elsewhere.
        autoFocus: true,
      }}
    />
  )
}
export default CommandPalette
