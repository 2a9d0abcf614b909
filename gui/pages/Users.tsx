import { IconPassword, IconUserCheck, IconUserOff, IconUsers } from '@tabler/icons-react'
import { useQuery } from '@tanstack/react-query'
import { useState } from 'react'
import { call, get } from '../api/client.ts'
import { useRefresh } from '../api/queries.ts'
import type { User } from '../api/types.ts'
import { confirm } from '../components/confirm.tsx'
import type { Column } from '../components/DataTable.tsx'
import { FormDialog } from '../components/FormDialog.tsx'
import { Moment } from '../components/Moment.tsx'
import { Name } from '../components/Name.tsx'
import { ResourcePage } from '../components/ResourcePage.tsx'
import { Secret } from '../components/Secret.tsx'
import { StatusBadge } from '../components/StatusBadge.tsx'
import { sayDone, sayProblem } from '../components/say.ts'
import { words } from '../lib/format.ts'

const roleOptions = [
  { value: 'viewer', label: 'Viewer: sees all, changes nothing' },
  { value: 'operator', label: 'Operator: runs backups and restores, too' },
  { value: 'admin', label: 'Admin: may do everything' },
]

const columns: Column<User>[] = [
  {
    id: 'name',
    header: 'User name',
    value: ({ username }) => username,
    cell: ({ username }) => <Name>{username}</Name>,
  },
  {
    id: 'display',
    header: 'Name',
    wide: true,
    value: ({ display_name }) => display_name,
    cell: ({ display_name }) => <Name>{display_name ?? '–'}</Name>,
  },
  { id: 'role', header: 'Role', value: ({ role }) => role, cell: ({ role }) => words(role) },
  {
    id: 'active',
    header: 'State',
    value: ({ is_active }) => is_active,
    cell: ({ is_active }) => <StatusBadge status={is_active ? 'enabled' : 'disabled'} />,
  },
  {
    id: 'login',
    header: 'Last login',
    wide: true,
    value: ({ last_login_at }) => last_login_at,
    cell: ({ last_login_at }) => <Moment at={last_login_at} relative />,
  },
]

const Users = () => {
  const refresh = useRefresh()
  const [secret, setSecret] = useState<{ username: string; password: string } | null>(null)
  const query = useQuery({
    queryKey: ['users'],
    queryFn: ({ signal }) => get<{ users: User[] }>('/users', signal),
    select: ({ users }) => users,
  })
  const show = (username: string, password: string | null) => password !== null && setSecret({ username, password })
  return (
    <>
      <ResourcePage
        title="Users"
        text="Who may log in, and what they may do."
        noun="user"
        icon={IconUsers}
        emptyText="There is always at least one."
        needs="admin"
        query={query}
        columns={columns}
        rowId={({ id }) => id}
        nameOf={({ username }) => username}
        dialog={(user, close) => (
          <FormDialog
            key={user?.id}
            title={user ? `Edit ${user.username}` : 'New user'}
            action={user ? 'Save' : 'Create'}
            fields={[
              ...(user ? [] : [{ name: 'username', label: 'User name', required: true }]),
              { name: 'display_name', label: 'Name' },
              { name: 'role', label: 'Role', kind: 'select' as const, required: true, options: roleOptions },
              ...(user
                ? []
                : [
                    {
                      name: 'password',
                      label: 'Password',
                      kind: 'password' as const,
                      description: 'At least 12 characters. Empty: the hub makes one and shows it once.',
                    },
                  ]),
            ]}
            initial={
              user
                ? { display_name: user.display_name ?? '', role: user.role }
                : { username: '', display_name: '', role: 'operator', password: '' }
            }
            submit={async ({ password, display_name, ...values }) => {
              const body = { ...values, display_name: display_name || null }
              if (user) await call('PATCH', `/users/${user.id}`, body)
              else {
                const made = await call<{ password: string | null }>(
                  'POST',
                  '/users',
                  password ? { ...body, password } : body,
                )
                show(String(values.username), made.password)
              }
              await refresh('users')
              return user ? 'Saved' : `${values.username} may log in`
            }}
            onClose={close}
          />
        )}
        actions={(user, mayChange) => [
          {
            label: 'Reset the password',
            icon: IconPassword,
            disabled: !mayChange,
            onClick: () =>
              confirm({
                title: `Reset the password of ${user.username}?`,
                text: 'A new one is made and shown once. All logins of this user end.',
                action: 'Reset',
                work: async () => {
                  const { password } = await call<{ password: string | null }>(
                    'POST',
                    `/users/${user.id}/reset-password`,
                    {},
                  )
                  show(user.username, password)
                  return 'The password is reset'
                },
              }),
          },
          {
            label: user.is_active ? 'Disable' : 'Enable',
            icon: user.is_active ? IconUserOff : IconUserCheck,
            disabled: !mayChange,
            onClick: () =>
              void call('PATCH', `/users/${user.id}`, { is_active: !user.is_active }).then(
                () => refresh('users').then(() => sayDone('Saved')),
                sayProblem,
              ),
          },
        ]}
      />
      {secret && (
        <Secret
          title={`Password of ${secret.username}`}
          text="Give it to them on a safe way. They can change it after they have logged in."
          value={secret.password}
          onClose={() => setSecret(null)}
        />
      )}
    </>
  )
}
export default Users
