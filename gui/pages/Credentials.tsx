/** Where VMs are found: vCenters, and sources beside the hub. */
import { Alert } from '@mantine/core'
import { IconPlugConnected, IconStar } from '@tabler/icons-react'
import { call } from '../api/client.ts'
import { useCredentials, useRefresh } from '../api/queries.ts'
import type { Credential } from '../api/types.ts'
import type { Column } from '../components/DataTable.tsx'
import { FormDialog } from '../components/FormDialog.tsx'
import { Moment } from '../components/Moment.tsx'
import { Name } from '../components/Name.tsx'
import { ResourcePage } from '../components/ResourcePage.tsx'
import { StatusBadge } from '../components/StatusBadge.tsx'
import { sayDone, sayProblem } from '../components/say.ts'

const CredentialDialog = ({ credential, onClose }: { credential: Credential | null; onClose: () => void }) => {
  const refresh = useRefresh()
  return (
    <FormDialog
      title={credential ? `Edit ${credential.name}` : 'New credential'}
      action={credential ? 'Save' : 'Create'}
      fields={[
        { name: 'credential_name', label: 'Name', required: true },
        {
          name: 'vcenter_host',
          label: 'vCenter or source',
          required: true,
          placeholder: 'vcenter.example',
          description:
            'The name of a vCenter, or image:<name>, qemu:<name>, libvirt:<name> of a source that the node itself defines.',
        },
        { name: 'datacenter', label: 'Datacenter', required: true },
        { name: 'username', label: 'User', description: 'A source of the node needs none.' },
        {
          name: 'password',
          label: 'Password',
          kind: 'password',
          description: credential?.has_password ? 'Empty: it stays as it is.' : 'Kept encrypted and never shown again.',
        },
        { name: 'is_default', label: 'Chosen unless somebody chooses another', kind: 'switch' },
        { name: 'is_active', label: 'Active', kind: 'switch' },
      ]}
      initial={
        credential
          ? {
              credential_name: credential.credential_name,
              vcenter_host: credential.vcenter_host,
              datacenter: credential.datacenter,
              username: credential.username,
              password: '',
              is_default: credential.is_default,
              is_active: credential.is_active,
            }
          : {
              credential_name: '',
              vcenter_host: '',
              datacenter: '',
              username: '',
              password: '',
              is_default: false,
              is_active: true,
            }
      }
      submit={async ({ password, ...values }) => {
        if (credential)
          await call('PUT', `/vmware-credentials/${credential.id}`, password === '' ? values : { ...values, password })
        else await call('POST', '/vmware-credentials', { ...values, password })
        await refresh('credentials')
        return credential ? 'Saved' : `The credential ${values.credential_name} is there`
      }}
      {...(credential
        ? {
            test: {
              label: 'Test as saved',
              run: async () => {
                const { success, message, error } = await call<{
                  success: boolean
                  message: string
                  error: string | null
                }>('POST', `/vmware-credentials/${credential.id}/test`, {})
                return (
                  <Alert color={success ? 'green' : 'red'} title={message} variant="light" role="status">
                    {error}
                  </Alert>
                )
              },
            },
          }
        : {})}
      onClose={onClose}
    />
  )
}

const columns: Column<Credential>[] = [
  { id: 'name', header: 'Name', value: ({ name }) => name, cell: ({ name }) => <Name>{name}</Name> },
  {
    id: 'host',
    header: 'vCenter or source',
    value: ({ vcenter_host }) => vcenter_host,
    cell: ({ vcenter_host }) => <Name>{vcenter_host}</Name>,
  },
  { id: 'datacenter', header: 'Datacenter', wide: true, value: ({ datacenter }) => datacenter },
  { id: 'user', header: 'User', wide: true, value: ({ username }) => username || '–' },
  {
    id: 'active',
    header: 'State',
    value: ({ is_active }) => is_active,
    cell: ({ is_active }) => <StatusBadge status={is_active ? 'enabled' : 'disabled'} />,
  },
  { id: 'default', header: 'Default', wide: true, value: ({ is_default }) => (is_default ? 'Yes' : '') },
  {
    id: 'used',
    header: 'Last used',
    wide: true,
    value: ({ last_used }) => last_used,
    cell: ({ last_used }) => <Moment at={last_used} relative />,
  },
]

const Credentials = () => {
  const refresh = useRefresh()
  const attempt = (work: Promise<{ message: string; success?: boolean }>) =>
    void work.then(({ message, success }) => {
      void refresh('credentials')
      if (success === false) sayProblem(new Error(message))
      else sayDone(message)
    }, sayProblem)
  return (
    <ResourcePage
      title="Credentials"
      text="Where virtual machines are found."
      noun="credential"
      icon={IconPlugConnected}
      emptyText="A credential says which vCenter, or which source beside the hub, machines are found in and read from."
      needs="admin"
      query={useCredentials()}
      columns={columns}
      rowId={({ id }) => String(id)}
      nameOf={({ name }) => name}
      dialog={(credential, close) => <CredentialDialog key={credential?.id} credential={credential} onClose={close} />}
      actions={({ id, is_default }, mayChange) => [
        {
          label: 'Test',
          icon: IconPlugConnected,
          disabled: !mayChange,
          onClick: () => attempt(call('POST', `/vmware-credentials/${id}/test`, {})),
        },
        {
          label: 'Make it the default',
          icon: IconStar,
          disabled: !mayChange || is_default,
          onClick: () => attempt(call('PUT', `/vmware-credentials/${id}/set-default`, {})),
        },
      ]}
      remove={{
        text: 'Machines that were found with it stay, but can not be backed up until they have another one.',
        run: ({ id }) => call('DELETE', `/vmware-credentials/${id}`),
      }}
    />
  )
}
export default Credentials
