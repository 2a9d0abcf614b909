import type { DatabaseAddress } from '../db/database.ts'
import type { Settings } from '../wrangler-style.config.ts'
import { hubUser } from './privileges.ts'

export const databaseName = 'sendense'
export const databaseSocket = ({ runDir }: Settings) => `${runDir}/database/db.sock`

/**
 * The named database, or the private one. That one knows its clients by the user they run as, so there is no password.
 * @param user who is connecting
 */
export const databaseAddress = (settings: Settings, user: string = hubUser): DatabaseAddress =>
  settings.databaseUrl
    ? { url: settings.databaseUrl }
    : { socketPath: databaseSocket(settings), user, database: databaseName }
