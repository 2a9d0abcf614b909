/** A source node that we did not write: it says which VMs there are, takes every backup, and leaves the copying to the test. */
import { createServer } from 'node:http'
import { text } from 'node:stream/consumers'
import { freePorts } from './real-agent.ts'

export type ForeignVm = { name: string; diskBytes: number[] }
/** What the hub sends with a start. */
export type ForeignStart = {
  job_id: string
  nbd_targets: string
  hub_url: string
  callback_token: string
  backup_type: string
  disks: { disk_index: number; previous_change_id: string | null }[]
}
export type ForeignNode = { url: string; started: ForeignStart[]; close: () => Promise<void> }

export const startForeignNode = async (vms: readonly ForeignVm[]): Promise<ForeignNode> => {
  const started: ForeignStart[] = []
  const discovered = vms.map(({ name, diskBytes }) => ({
    id: `vm-${name}`,
    name,
    path: `/DC/vm/${name}`,
    power_state: 'poweredOn',
    disks: diskBytes.map((capacity_bytes, at) => ({ id: `disk-${2000 + at}`, capacity_bytes })),
  }))
  const server = createServer(async (incoming, outgoing) => {
    const body = JSON.parse((await text(incoming)) || '{}')
    const answers: Record<string, object> = {
      '/api/v1/health': { status: 'healthy' },
      '/api/v1/discover': { vcenter: { host: 'vc.example', datacenter: 'DC' }, vms: discovered },
      '/api/v1/backup/start': {
        job_id: body.job_id,
        status: 'started',
        message: 'ok',
        started_at: new Date().toISOString(),
        pid: 1,
      },
    }
    if (incoming.url === '/api/v1/backup/start') started.push(body)
    const answer = answers[incoming.url ?? '']
    outgoing
      .writeHead(answer ? 200 : 404, { 'Content-Type': 'application/json' })
      .end(JSON.stringify(answer ?? { error: 'no such job' }))
  })
  const port = await freePorts(1)
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${port}`,
    started,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
