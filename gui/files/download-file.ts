/** One file of a restore point, without opening that first. */
import { withQuery } from '../api/client.ts'
import { sayDone, sayProblem } from '../components/say.ts'
import { download } from '../lib/browser.ts'

export type FoundFile = {
  vm_name: string
  backup_id: string
  volume: string
  path: string
  /** Where the path is no text. */
  path_b64: string | null
}

export const pathQuery = ({ path, path_b64 }: Pick<FoundFile, 'path' | 'path_b64'>) =>
  path_b64 === null ? { path } : { path_b64 }

export const downloadFile = (file: FoundFile) => {
  const url = withQuery(`/backups/${encodeURIComponent(file.backup_id)}/file`, {
    volume: file.volume,
    ...pathQuery(file),
  })
  void download(url).then(() => sayDone('The download has begun'), sayProblem)
}
