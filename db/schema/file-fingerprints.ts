import { customType, int, mysqlTable, primaryKey } from 'drizzle-orm/mysql-core'
import { big } from './columns.ts'
import { fileVolumes } from './file-volumes.ts'

const mediumblob = customType<{ data: Buffer }>({ dataType: () => 'mediumblob' })

/** Fingerprints that a volume's newest walk told (contract/agent.ts), a part of them in each row. */
export const fileFingerprints = mysqlTable(
  'file_fingerprints',
  {
    volumeId: int()
      .notNull()
      .references(() => fileVolumes.id, { onDelete: 'cascade' }),
    part: int().notNull(),
    pointAt: big().notNull(),
    fingerprints: mediumblob().notNull(),
  },
  (table) => [primaryKey({ columns: [table.volumeId, table.part] })],
)
