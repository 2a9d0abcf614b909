import { FakeAgent } from '../fakes/agent.ts'
import { agentSuite } from '../support/agent-suite.ts'

agentSuite('fake', async () => {
  const agent = new FakeAgent()
  return {
    agent,
    repositoryPath: '/fake/repository',
    otherRepositoryPath: '/fake/repository-2',
    firstPort: 10100,
    writeFilesystem: async (_, file) => {
      agent.mountable.add(`${file.repository_id}/${file.vm_backup_context_id}/${file.disk_index}/${file.base}`)
    },
    close: async () => undefined,
  }
})
