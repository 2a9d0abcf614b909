/** Every version of one file that restore points have. */
import { Button, Modal } from '@mantine/core'
import { IconDownload } from '@tabler/icons-react'
import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { get, withQuery } from '../api/client.ts'
import type { FileHistory } from '../api/types.ts'
import { type Column, DataTable } from '../components/DataTable.tsx'
import { Empty } from '../components/Empty.tsx'
import { Loaded } from '../components/Loaded.tsx'
import { Moment } from '../components/Moment.tsx'
import { bytes, count } from '../lib/format.ts'
import { downloadFile, type FoundFile, pathQuery } from './download-file.ts'

type Version = FileHistory['versions'][number]

const digestShown = 12
/** Leads to all files that hold the same. */
const digestColumn: Column<Version> = {
  id: 'sha256',
  header: 'SHA-256',
  value: ({ sha256 }) => sha256 ?? '',
  cell: ({ sha256 }) =>
    sha256 === null ? (
      '–'
    ) : (
      <Link to="/search" search={{ q: sha256, deleted: 'true' }} title={sha256} style={{ color: 'inherit' }}>
        <code>{sha256.slice(0, digestShown)}…</code>
      </Link>
    ),
}

const columns = (vmName: string, withDigests: boolean): Column<Version>[] => [
  {
    id: 'modified',
    header: 'Changed',
    value: ({ modified_time }) => modified_time,
    cell: ({ modified_time }) => <Moment at={modified_time} />,
  },
  { id: 'size', header: 'Size', align: 'end', value: ({ size }) => size, cell: ({ size }) => bytes(size) },
  ...(withDigests ? [digestColumn] : []),
  {
    id: 'points',
    header: 'In restore points',
    value: ({ last_completed_at }) => last_completed_at,
    cell: ({ point_count, first_completed_at, last_completed_at }) =>
      point_count === 1 ? (
        <Moment at={last_completed_at} />
      ) : (
        <>
          {count(point_count)}, <Moment at={first_completed_at} /> to <Moment at={last_completed_at} />
        </>
      ),
  },
  {
    id: 'actions',
    header: '',
    narrow: true,
    cell: (version) => (
      <Button
        size="xs"
        variant="default"
        leftSection={<IconDownload size={14} aria-hidden />}
        disabled={version.type !== 'file'}
        onClick={() => downloadFile({ ...version, vm_name: vmName, backup_id: version.last_backup_id })}
      >
        Download
      </Button>
    ),
  },
]

export const VersionsDialog = ({ file, onClose }: { file: FoundFile; onClose: () => void }) => {
  const query = useQuery({
    queryKey: ['versions', file.vm_name, file.volume, file.path, file.path_b64],
    queryFn: ({ signal }) =>
      get<FileHistory>(
        withQuery('/files/history', { vm_name: file.vm_name, volume: file.volume, ...pathQuery(file) }),
        signal,
      ),
  })
  return (
    <Modal opened onClose={onClose} title={`Versions of ${file.path.split('/').at(-1)}`} size="xl">
      <Loaded query={query}>
        {({ versions }) => (
          <DataTable
            label="Versions"
            rows={versions}
            columns={columns(
              file.vm_name,
              versions.some(({ sha256 }) => sha256 !== null),
            )}
            rowId={({ first_backup_id }) => first_backup_id}
            search={false}
            urlPrefix="versions"
            sort="-points"
            empty={<Empty title="No restore point has it any more" text="Retention has taken those that had it." />}
            maxHeight="60dvh"
          />
        )}
      </Loaded>
    </Modal>
  )
}
