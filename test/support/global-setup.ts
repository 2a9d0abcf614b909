/** Vitest's global set-up of the tests that need a database: one server for all files. */
import type { TestProject } from 'vitest/node'
import { startDatabaseServer } from './database-server.ts'
import { forgetSeenErrors } from './seen-errors.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    databaseSocket: string
  }
}

export default async (project: TestProject) => {
  forgetSeenErrors()
  const { socketPath, stop } = await startDatabaseServer()
  project.provide('databaseSocket', socketPath)
  return stop
}
