/** GET /backups/chain: the chain of a VM, full first. */
import { chainAnswer, chainQuery } from '../../contract/api/backups.ts'
import { defineFunction } from '../../runtime/function.ts'
import { showChain } from '../../workflows/show-chain.ts'

export default defineFunction(
  {
    summary: 'The chain of a VM',
    needs: ['DB', 'AGENT'],
    query: chainQuery,
    responses: { 200: chainAnswer },
    errors: ['VM_NOT_FOUND', 'VM_AMBIGUOUS', 'REPOSITORY_NOT_FOUND', 'DISK_NOT_FOUND'],
  },
  ({ query, env }) => showChain(env, query),
)
