/**
 * Looks at database, repositories, ledger and this machine, and says which invariant is broken and by what. Changes nothing, unless
 * asked to adopt. Usage: npm run doctor -- [--json] [--most N] [--adopt [path …]], as root, with the hub's own settings in the environment; with
 * --settings-from-input (the host-agent) as JSON on its standard input.
 * Exit code: 0 all is well, 1 something is not, 2 it could not look.
 */
import { join } from 'node:path'
import { json } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { type Database, openDatabase } from '../db/database.ts'
import { openAgentClient } from '../runtime/bindings/agent.ts'
import { databaseAddress } from '../runtime/database-address.ts'
import { readSettings, type Settings } from '../wrangler-style.config.ts'
import { adopt } from './adopt.ts'
import { type Host, readLedger } from './check-host.ts'
import type { Finding } from './finding.ts'
import { look } from './look.ts'

/** A hub that works changes things while they are looked at: only what two looks see is a finding. */
const secondLookMs = 1_500

const hostOf = ({ dataDir, restoreRoot, nbdPorts }: Settings): Host => ({
  stateDir: join(dataDir, 'agent'),
  restoreRoot,
  nbdPorts,
})

const examine = async (db: Database, settings: Settings): Promise<Finding[]> => {
  const first = await look(db, hostOf(settings), new Date())
  if (first.length === 0) return []
  await sleep(secondLookMs)
  const seen = new Set(first.map((finding) => JSON.stringify(finding)))
  return (await look(db, hostOf(settings), new Date())).filter((finding) => seen.has(JSON.stringify(finding)))
}

/** Repositories that the agent's ledger still knows: it outlives the database. */
const knownRoots = async ({ dataDir }: Settings): Promise<string[]> =>
  [...(await readLedger<{ path: string }>(join(dataDir, 'agent'), 'repositories')).values()].map(({ path }) => path)

const main = async (): Promise<number> => {
  const { values, positionals } = parseArgs({
    options: {
      json: { type: 'boolean', default: false },
      /** Findings that are told of; all of them are counted. */
      most: { type: 'string', default: 'all' },
      adopt: { type: 'boolean', default: false },
      'settings-from-input': { type: 'boolean', default: false },
    },
    allowPositionals: true,
  })
  if (positionals.length > 0 && !values.adopt) throw new Error('paths are for --adopt alone')
  const most = values.most === 'all' ? Number.POSITIVE_INFINITY : Number(values.most)
  if (!(most >= 0)) throw new Error('--most takes a number')
  const settings = readSettings(
    values['settings-from-input'] ? ((await json(process.stdin)) as Record<string, string>) : process.env,
  )
  const db = openDatabase(databaseAddress(settings, 'root'))
  const agent = openAgentClient(settings.agentSocket)
  try {
    const adopted = values.adopt
      ? await adopt(db, agent, positionals.length > 0 ? positionals : await knownRoots(settings))
      : undefined
    const findings = await examine(db, settings)
    const told = findings.slice(0, most)
    if (values.json)
      process.stdout.write(
        `${JSON.stringify({ adopted: adopted ?? null, finding_count: findings.length, findings: told }, null, 2)}\n`,
      )
    else {
      if (adopted) {
        process.stdout.write(
          `Adopted ${adopted.repositories.length} repositories and ${adopted.backups.length} restore points, and ${adopted.copies.length} copies of known ones.\n`,
        )
        for (const { subject, problem } of adopted.refused)
          process.stdout.write(`Not adopted: ${subject}: ${problem}\n`)
      }
      for (const { invariant, subject, problem } of told) process.stdout.write(`${invariant}  ${subject}: ${problem}\n`)
      process.stdout.write(findings.length === 0 ? 'All is well.\n' : `${findings.length} findings.\n`)
    }
    return findings.length === 0 ? 0 : 1
  } finally {
    agent.close()
    await db.close()
  }
}

try {
  process.exitCode = await main()
} catch (error) {
  process.stderr.write(`The doctor could not look: ${(error as Error).message}\n`)
  process.exitCode = 2
}
