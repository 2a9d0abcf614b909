import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { agentSuite } from '../support/agent-suite.ts'
import { copyInto, ensureFolder, filesystemImage } from '../support/images.ts'
import { openRealAgent } from '../support/real-agent.ts'

agentSuite('real', async () => {
  const real = await openRealAgent()
  return {
    agent: real.agent,
    repositoryPath: real.repositoryPath,
    otherRepositoryPath: ensureFolder(join(real.folder, 'repository-2')),
    firstPort: real.firstPort,
    writeFilesystem: async (exportName, _, port) => {
      const image = join(real.folder, 'image.raw')
      filesystemImage(image, 'ext4', 64 << 20, (folder) => {
        writeFileSync(join(ensureFolder(join(folder, 'etc')), 'hostname'), 'guest\n')
        writeFileSync(join(folder, 'empty'), '')
      })
      copyInto(image, port, exportName)
    },
    close: real.close,
  }
})
