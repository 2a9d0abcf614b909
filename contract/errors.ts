/** Every error this product answers with: its codes, the status of each, and the body of contract section 1.4. */

/** Code to HTTP status. A code that is not here can't be thrown. */
export const errorStatus = {
  INVALID_JSON: 400,
  VALIDATION_FAILED: 400,
  DISK_ID_NOT_ALLOWED: 400,
  DISK_ID_REQUIRED: 400,
  INVALID_BACKUP_TYPE: 400,
  FULL_BACKUP_REQUIRED: 400,
  UNKNOWN_REPOSITORY: 400,
  REPOSITORY_DISABLED: 400,
  UNKNOWN_POLICY: 400,
  UNKNOWN_SCHEDULE: 400,
  UNKNOWN_GROUP: 400,
  UNKNOWN_TARGET: 400,
  UNKNOWN_CREDENTIAL: 400,
  CREDENTIAL_MISSING: 400,
  REPOSITORY_TEST_FAILED: 400,
  UNSUPPORTED_REPOSITORY_TYPE: 400,
  UNSUPPORTED_FORMAT: 400,
  SCHEDULE_DISABLED: 400,
  NO_ACTIVE_OSSEA_CONFIG: 400,
  PATH_INVALID: 400,
  IS_DIRECTORY: 400,
  NOT_A_DIRECTORY: 400,
  NOT_A_REGULAR_FILE: 400,
  UNAUTHENTICATED: 401,
  TOKEN_INVALID: 401,
  TOKEN_EXPIRED: 401,
  INVALID_CREDENTIALS: 401,
  FORBIDDEN: 403,
  TOKEN_SCOPE: 403,
  PATH_FORBIDDEN: 403,
  ROUTE_NOT_FOUND: 404,
  VM_NOT_FOUND: 404,
  BACKUP_NOT_FOUND: 404,
  DISK_NOT_FOUND: 404,
  REPOSITORY_NOT_FOUND: 404,
  COPY_NOT_FOUND: 404,
  POLICY_NOT_FOUND: 404,
  SCHEDULE_NOT_FOUND: 404,
  GROUP_NOT_FOUND: 404,
  MEMBERSHIP_NOT_FOUND: 404,
  FLOW_NOT_FOUND: 404,
  JOB_NOT_FOUND: 404,
  MOUNT_NOT_FOUND: 404,
  MOUNT_EXPIRED: 404,
  PARTITION_NOT_FOUND: 404,
  FILE_NOT_FOUND: 404,
  CREDENTIAL_NOT_FOUND: 404,
  NOTIFICATION_NOT_FOUND: 404,
  USER_NOT_FOUND: 404,
  API_TOKEN_NOT_FOUND: 404,
  PROCESS_NOT_FOUND: 404,
  EXPORT_NOT_FOUND: 404,
  VM_HAS_NO_DISKS: 404,
  NO_CHANGE_ID: 404,
  NO_DEFAULT_CREDENTIAL: 404,
  NAME_TAKEN: 409,
  LAST_ADMIN: 409,
  LIMIT_REACHED: 409,
  VM_AMBIGUOUS: 409,
  BACKUP_RUNNING: 409,
  BACKUP_NOT_COMPLETED: 409,
  BACKUP_PROTECTED: 409,
  HAS_DEPENDENTS: 409,
  CHAIN_BROKEN: 409,
  CHAIN_IN_USE: 409,
  CHANGE_ID_CONFLICT: 409,
  JOB_ENDED: 409,
  JOB_RUNNING: 409,
  DISK_ALREADY_MOUNTED: 409,
  MOUNT_NOT_READY: 409,
  NOT_INDEXED: 409,
  IMMUTABLE_RETENTION_ACTIVE: 409,
  REPOSITORY_HAS_BACKUPS: 409,
  REPOSITORY_IN_USE: 409,
  COPY_RUNNING: 409,
  COPY_EXISTS: 409,
  SCHEDULE_IN_USE: 409,
  GROUP_NOT_EMPTY: 409,
  ALREADY_MEMBER: 409,
  FLOW_RUNNING: 409,
  PORT_NOT_OWNED: 409,
  PORT_NOT_ALLOCATED: 409,
  PORT_IN_USE: 409,
  EXPORT_IN_USE: 409,
  BODY_TOO_LARGE: 413,
  UNSUPPORTED_MEDIA_TYPE: 415,
  RANGE_NOT_SATISFIABLE: 416,
  NO_MOUNTABLE_FILESYSTEM: 422,
  RATE_LIMITED: 429,
  INTERNAL: 500,
  NODE_UNREACHABLE: 502,
  NODE_ERROR: 502,
  DISCOVERY_FAILED: 502,
  NBD_PORTS_EXHAUSTED: 503,
  RESTORE_SLOTS_EXHAUSTED: 503,
  INSUFFICIENT_STORAGE: 503,
  SERVICE_UNAVAILABLE: 503,
} as const

export type ErrorCode = keyof typeof errorStatus

export const fieldCodes = ['REQUIRED', 'TYPE', 'RANGE', 'LENGTH', 'FORMAT', 'ENUM', 'UNKNOWN', 'FORBIDDEN'] as const
export type FieldError = { field: string; message: string; code: (typeof fieldCodes)[number] }

export type ErrorBody = {
  success: false
  error: string
  details: string
  code: ErrorCode
  timestamp: string
  request_id: string
  fields: FieldError[]
  [extra: string]: unknown
}

type Options = {
  /** A sentence of context for people; never holds a secret or a host path that the caller did not name. */
  details?: string
  fields?: FieldError[]
  /** Fields that the code's block of the contract adds, e.g. `backup_id` of BACKUP_RUNNING. */
  extra?: Record<string, unknown>
  /** Response headers, e.g. `Retry-After`. */
  headers?: Record<string, string>
  cause?: unknown
}

/** The one error that the product throws on purpose; anything else is INTERNAL. */
export class HubError extends Error {
  override readonly name = 'HubError'
  readonly code: ErrorCode
  readonly details: string
  readonly fields: FieldError[]
  readonly extra: Record<string, unknown>
  readonly headers: Record<string, string>

  /** @param sentence one sentence for people, the `error` field of the answer */
  constructor(code: ErrorCode, sentence: string, options: Options = {}) {
    super(sentence, { cause: options.cause })
    this.code = code
    this.details = options.details ?? ''
    this.fields = options.fields ?? []
    this.extra = options.extra ?? {}
    this.headers = options.headers ?? {}
  }

  get status() {
    return errorStatus[this.code]
  }
}

/** The body of contract section 1.4. */
export const errorBody = (error: HubError, requestId: string, at: Date): ErrorBody => ({
  success: false,
  error: error.message,
  details: error.details,
  code: error.code,
  timestamp: at.toISOString(),
  request_id: requestId,
  fields: error.fields,
  ...error.extra,
})

/**
 * Rebuilds the error that another process of ours answered with, so that its code survives the socket.
 * @param body the parsed answer; anything that is not our error body gives undefined
 */
export const errorFromBody = (body: unknown): HubError | undefined => {
  if (typeof body !== 'object' || body === null) return undefined
  const { success, error, details, code, timestamp, request_id, fields, ...extra } = body as Record<string, unknown>
  if (typeof code !== 'string' || !Object.hasOwn(errorStatus, code) || typeof error !== 'string') return undefined
  return new HubError(code as ErrorCode, error, {
    details: typeof details === 'string' ? details : '',
    fields: Array.isArray(fields) ? (fields as FieldError[]) : [],
    extra,
  })
}
