import { customType, int, mysqlTable, primaryKey } from 'drizzle-orm/mysql-core'
import { big } from './columns.ts'
import { fileVolumes } from './file-volumes.ts'

const mediumblob = customType<{ data: Buffer }>({ dataType: () => 'mediumblob' })

/** Marks of a volume's newest walk (contract/index-slices.ts), a part of them in each row. */
export const fileMarks = mysqlTable(
  'file_marks',
  {
    volumeId: int()
      .notNull()
      .references(() => fileVolumes.id, { onDelete: 'cascade' }),
    part: int().notNull(),
    pointAt: big().notNull(),
    marks: mediumblob().notNull(),
  },
  (table) => [primaryKey({ columns: [table.volumeId, table.part] })],
)
