import { customType, int, mysqlTable, primaryKey } from 'drizzle-orm/mysql-core'
import { big } from './columns.ts'
import { fileVolumes } from './file-volumes.ts'

const mediumblob = customType<{ data: Buffer }>({ dataType: () => 'mediumblob' })

/** Fingerprints that a volume's newest walk told (contract/agent.ts), a part of them in each row; and those of a walk that has not ended, or was cut off. */
export const fileFingerprints = mysqlTable(
  'file_fingerprints',
  {
    volumeId: int()
      .notNull()
      .references(() => fileVolumes.id, { onDelete: 'cascade' }),
    /** When the point was completed that the walk was of. */
    pointAt: big().notNull(),
    part: int().notNull(),
    fingerprints: mediumblob().notNull(),
  },
  (table) => [primaryKey({ columns: [table.volumeId, table.pointAt, table.part] })],
)
