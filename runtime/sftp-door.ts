/** Opens the door for SFTP, as far as it can be had: a hub without it serves all the rest. */
import type { SftpDoor } from '../sftp/server.ts'
import type { Settings } from '../wrangler-style.config.ts'
import { openAudit } from './audit.ts'
import type { Env } from './bindings/index.ts'
import { causes, log } from './log.ts'

export const openSftpDoor = async (
  env: Env<'DB' | 'AGENT' | 'CLOCK' | 'KEYS'>,
  { host, sftpPort }: Pick<Settings, 'host' | 'sftpPort'>,
): Promise<SftpDoor | null> => {
  if (sftpPort === 0) return null
  try {
    const { openSftp } = await import('../sftp/server.ts')
    return await openSftp(env, {
      host,
      port: sftpPort,
      audit: openAudit(env.DB, env.CLOCK),
      onTrouble: (error) => log.error({ causes: causes(error) }, 'an SFTP session met an error'),
    })
  } catch (error) {
    log.warn({ port: sftpPort, causes: causes(error) }, 'SFTP is not served: SENDENSE_SFTP_PORT names another port')
    return null
  }
}
