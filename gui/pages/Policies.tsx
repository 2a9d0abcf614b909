import { IconRecycle } from '@tabler/icons-react'
import { call } from '../api/client.ts'
import { usePolicies, useRefresh, useRepositories } from '../api/queries.ts'
import type { Policy } from '../api/types.ts'
import type { Column } from '../components/DataTable.tsx'
import { Name, NameLink } from '../components/Name.tsx'
import { ResourcePage } from '../components/ResourcePage.tsx'
import { StatusBadge } from '../components/StatusBadge.tsx'
import { keepsInWords } from '../protection/in-words.ts'
import { PolicyDialog } from '../protection/PolicyDialog.tsx'

const Policies = () => {
  const repositories = useRepositories()
  const refresh = useRefresh()
  const nameOf = (id: string | null) => repositories.data?.find((row) => row.id === id)?.name ?? '–'
  const columns: Column<Policy>[] = [
    {
      id: 'name',
      header: 'Name',
      value: ({ name }) => name,
      cell: ({ id, name }) => (
        <NameLink to="/policies/$id" params={{ id }}>
          {name}
        </NameLink>
      ),
    },
    { id: 'keeps', header: 'Keeps', value: keepsInWords },
    {
      id: 'enabled',
      header: 'State',
      value: ({ enabled }) => enabled,
      cell: ({ enabled }) => <StatusBadge status={enabled ? 'enabled' : 'disabled'} />,
    },
    {
      id: 'repository',
      header: 'Repository',
      wide: true,
      value: ({ primary_repository_id }) => nameOf(primary_repository_id),
      cell: ({ primary_repository_id }) => <Name>{nameOf(primary_repository_id)}</Name>,
    },
    {
      id: 'copies',
      header: 'Copies to',
      wide: true,
      value: ({ copy_rules }) =>
        copy_rules.map(({ destination_repository_id }) => nameOf(destination_repository_id)).join(', ') || 'nowhere',
    },
  ]
  return (
    <ResourcePage
      title="Policies"
      text="How long restore points are kept, and where copies of them go."
      noun="policy"
      icon={IconRecycle}
      emptyText="Without a policy every restore point is kept until somebody deletes it."
      needs="admin"
      query={usePolicies()}
      columns={columns}
      rowId={({ id }) => id}
      nameOf={({ name }) => name}
      dialog={(policy, close) => <PolicyDialog key={policy?.id} policy={policy} onClose={close} />}
      remove={{
        text: 'Restore points under it are kept until somebody deletes them, or another policy is given to them.',
        run: async ({ id }) => {
          await call('DELETE', `/policies/${id}`)
          await refresh('flows')
        },
      }}
    />
  )
}
export default Policies
