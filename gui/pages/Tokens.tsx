import { IconKey } from '@tabler/icons-react'
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { call, get } from '../api/client.ts'
import { useRefresh } from '../api/queries.ts'
import type { ApiToken } from '../api/types.ts'
import type { Column } from '../components/DataTable.tsx'
import { FormDialog } from '../components/FormDialog.tsx'
import { Moment } from '../components/Moment.tsx'
import { Name } from '../components/Name.tsx'
import { ResourcePage } from '../components/ResourcePage.tsx'
import { Secret } from '../components/Secret.tsx'
import { words } from '../lib/format.ts'

const columns: Column<ApiToken>[] = [
  { id: 'name', header: 'Name', value: ({ name }) => name, cell: ({ name }) => <Name>{name}</Name> },
  { id: 'user', header: 'Of', wide: true, value: ({ username }) => username },
  { id: 'role', header: 'Role', value: ({ role }) => role, cell: ({ role }) => words(role) },
  {
    id: 'expires',
    header: 'Ends',
    value: ({ expires_at }) => expires_at,
    cell: ({ expires_at }) => (expires_at === null ? 'Never' : <Moment at={expires_at} />),
  },
  {
    id: 'used',
    header: 'Last used',
    wide: true,
    value: ({ last_used_at }) => last_used_at,
    cell: ({ last_used_at }) => <Moment at={last_used_at} relative />,
  },
]

const Tokens = () => {
  const refresh = useRefresh()
  const [secret, setSecret] = useState<string | null>(null)
  const query = useQuery({
    queryKey: ['tokens'],
    queryFn: ({ signal }) => get<{ api_tokens: ApiToken[] }>('/api-tokens', signal),
    select: ({ api_tokens }) => api_tokens,
  })
  return (
    <>
      <ResourcePage
        title="API tokens"
        text="For scripts, the command line and monitoring: they need no password, and can be revoked."
        noun="API token"
        icon={IconKey}
        emptyText="A script that backs up or restores logs in with a token of its own."
        needs="viewer"
        query={query}
        columns={columns}
        rowId={({ id }) => id}
        nameOf={({ name }) => name}
        canEdit={false}
        dialog={(_, close) => (
          <FormDialog
            title="New API token"
            action="Create"
            fields={[
              { name: 'name', label: 'Name', required: true, placeholder: 'monitoring' },
              {
                name: 'role',
                label: 'Role',
                kind: 'select',
                options: ['viewer', 'operator', 'admin'].map((value) => ({ value, label: words(value) })),
                description: 'Never more than your own; yours unless said.',
              },
              {
                name: 'expires_in_days',
                label: 'Ends after days',
                kind: 'number',
                min: 1,
                max: 3650,
                description: 'Empty: it is good until it is revoked.',
              },
            ]}
            initial={{ name: '', role: 'viewer', expires_in_days: 365 }}
            submit={async ({ name, role, expires_in_days }) => {
              const { token } = await call<{ token: string }>('POST', '/api-tokens', {
                name,
                ...(role ? { role } : {}),
                ...(expires_in_days ? { expires_in_days } : {}),
              })
              setSecret(token)
              await refresh('tokens')
              return `The token ${name} is there`
            }}
            onClose={close}
          />
        )}
        remove={{
          label: 'Revoke',
          text: 'Whoever uses it is refused from now on.',
          run: ({ id }) => call('DELETE', `/api-tokens/${id}`),
        }}
      />
      {secret && (
        <Secret
          title="New API token"
          text="Send it as Authorization: Bearer …"
          value={secret}
          onClose={() => setSecret(null)}
        />
      )}
    </>
  )
}
export default Tokens
