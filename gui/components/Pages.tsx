import { Group, Pagination, Text } from '@mantine/core'
import { count, words } from '../lib/format.ts'
import { useUrlState } from '../lib/url-state.ts'

/** The page that the URL names, from 1. */
export const usePage = (): number => Math.max(1, Number(useUrlState()[0].page ?? 1) || 1)

/** From page to page of a list that the hub pages; nothing where one page holds it all. @param noun of many: `jobs` */
export const Pages = ({ total, pageSize, noun }: { total: number; pageSize: number; noun: string }) => {
  const page = usePage()
  const [, setUrl] = useUrlState()
  if (total <= pageSize) return null
  return (
    <Group justify="space-between" mt="sm">
      <Text size="sm" c="dimmed">
        {count(total)} {noun}
      </Text>
      <Pagination
        total={Math.ceil(total / pageSize)}
        value={page}
        onChange={(next) => setUrl({ page: next === 1 ? '' : String(next) })}
        getControlProps={(control) => ({ 'aria-label': `${words(control)} page` })}
        getItemProps={(item) => ({ 'aria-label': `Page ${item}` })}
      />
    </Group>
  )
}
