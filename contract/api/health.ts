import { z } from 'zod'
import { time } from './common.ts'

export const healthAnswer = z.object({
  service: z.string(),
  status: z.enum(['healthy', 'degraded']),
  timestamp: time,
  version: z.string(),
  database: z.enum(['connected', 'memory', 'disconnected']),
  uptime_seconds: z.int(),
  checks: z.record(z.string(), z.enum(['ok', 'warning', 'error'])),
})

const component = z.object({ status: z.string(), last_check: time, description: z.string() })
export const debugHealthAnswer = z.object({
  success: z.literal(true),
  message: z.string(),
  system_info: z.object({
    timestamp: time,
    uptime: z.string(),
    memory_stats: z.object({ rss: z.int(), heap_used: z.int(), heap_total: z.int() }),
    runtime_version: z.string(),
    database_status: z.string(),
    api_endpoints: z.int(),
    system_health: z.enum(['healthy', 'degraded']),
    component_status: z.record(z.string(), component),
  }),
  debug_data: z.object({
    cpu_cores: z.int(),
    active_jobs: z.int(),
    active_mounts: z.int(),
    nbd_ports_in_use: z.int(),
    request_time: time,
  }),
})

export const debugFailoverAnswer = z.object({
  success: z.literal(true),
  message: z.string(),
  debug_data: z.object({
    total_jobs: z.int(),
    active_jobs: z.int(),
    completed_jobs: z.int(),
    failed_jobs: z.int(),
    job_types: z.object({ live_failovers: z.int(), test_failovers: z.int() }),
    timestamp: time,
  }),
})

export const debugEndpointsAnswer = z.object({
  success: z.literal(true),
  message: z.string(),
  debug_data: z.object({
    total_endpoints: z.int(),
    endpoint_categories: z.int(),
    endpoints: z.record(z.string(), z.array(z.string())),
    authentication: z.string(),
    timestamp: time,
  }),
})

export const debugLogsAnswer = z.object({
  success: z.literal(true),
  message: z.string(),
  debug_data: z.object({
    log_summary: z.object({
      total_requests_today: z.int(),
      error_rate: z.number(),
      average_response_time: z.number(),
      slowest_endpoints: z.array(z.object({ endpoint: z.string(), average_ms: z.number(), requests: z.int() })),
    }),
    recent_requests: z.array(
      z.object({
        timestamp: time,
        method: z.string(),
        path: z.string(),
        status_code: z.int(),
        duration_ms: z.number(),
        remote_addr: z.string(),
        request_id: z.string(),
      }),
    ),
    timestamp: time,
  }),
})
