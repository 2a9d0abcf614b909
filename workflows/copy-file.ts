/** Has the agent copy one file, as far as it gets in the time there is. */
import type { AgentApi, CopyBody, CopyState } from '../contract/agent.ts'

/** How long one question to the agent waits before progress is written. */
const waitSeconds = 1

/** @param onProgress hears of it about once a second @returns the end; undefined: time is up, and the same call again goes on */
export const copyUntil = async (
  agent: AgentApi,
  what: Pick<CopyBody, 'file' | 'to_repository_id' | 'manifest_digest' | 'replace'>,
  until: number,
  onProgress: (state: CopyState) => Promise<unknown>,
): Promise<CopyState | undefined> => {
  for (;;) {
    const state = await agent.copyFile({ ...what, bytes_per_second: 0, wait_seconds: waitSeconds })
    await onProgress(state)
    if (state.status === 'done') return state
    if (performance.now() > until) return undefined
  }
}
