import { z } from 'zod'
import { exportNamePattern } from '../names.ts'
import { listCounts, str, time } from './common.ts'

const exportName = z.string().regex(exportNamePattern)
const jobId = str(1, 191)

export const allocatePortsBody = z.object({
  job_id: jobId,
  export_name: exportName,
  disk_count: z.int().min(1).max(64).default(1),
})
const port = z.object({ port: z.int(), export_name: z.string() })
export const allocatePortsAnswer = z.object({ job_id: z.string(), allocated_ports: z.array(port), expires_at: time })

export const releasePortsBody = z.object({
  job_id: jobId,
  ports: z.array(z.int().min(1).max(65535)).max(1000).optional(),
})
export const releasePortsAnswer = z.object({ success: z.literal(true), released_count: z.int() })

export const portsStatusAnswer = z.object({
  total_ports: z.int(),
  allocated: z.int(),
  available: z.int(),
  allocations: z.array(port.extend({ job_id: z.string(), allocated_at: time, expires_at: time })),
})

export const startExportBody = z.object({
  export_name: exportName,
  port: z.int().min(1).max(65535),
  qcow2_path: str(1, 4096),
  read_only: z.boolean().default(false),
  shared_connections: z.int().min(5).max(32).default(10),
})
export const startExportAnswer = z.object({
  pid: z.int(),
  port: z.int(),
  export_name: z.string(),
  status: z.literal('running'),
})

export const stopExportBody = z
  .object({
    pid: z
      .int()
      .min(1)
      .max(2 ** 31 - 1)
      .optional(),
    export_name: exportName.optional(),
  })
  .superRefine((body, check) => {
    if ((body.pid === undefined) !== (body.export_name === undefined)) return
    check.addIssue({
      code: 'custom',
      path: ['pid'],
      message: 'give exactly one of pid and export_name',
      params: { code: body.pid === undefined ? 'REQUIRED' : 'FORBIDDEN' },
    })
  })
export const stopExportAnswer = z.object({ success: z.literal(true), stopped_pid: z.int() })

export const listExportsAnswer = z.object({
  processes: z.array(
    z.object({
      pid: z.int(),
      port: z.int(),
      export_name: z.string(),
      qcow2_path: z.string(),
      uptime_seconds: z.int(),
      connection_count: z.int(),
      shared_limit: z.int(),
      read_only: z.boolean(),
      job_id: z.string().nullable(),
    }),
  ),
  ...listCounts,
})
