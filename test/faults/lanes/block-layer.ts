/** Lane C: QEMU's own block layer gives errors below an image (blkdebug), while it is written, sealed, mounted and read. */
import { chmodSync, copyFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { program } from '../../../host-agent/exec.ts'
import { projectRoot } from '../../../runtime/version.ts'
import type { Random } from '../../support/damage.ts'
import type { Lane } from '../lane.ts'
import { openAgentWorld } from '../support/agent-world.ts'
import type { BlockRule } from '../support/faulty-qemu.ts'

/** What blkdebug of QEMU 7.2 can wait for and what happens in an image that is written, read and flushed. */
const events = [
  ...['l1_update', 'l1_grow_alloc_table', 'l1_grow_write_table', 'l1_grow_activate_table', 'l2_load', 'l2_update'],
  ...['l2_alloc_write', 'read_aio', 'read_backing_aio', 'write_aio', 'cow_read', 'cow_write', 'reftable_load'],
  ...['reftable_grow', 'reftable_update', 'refblock_load', 'refblock_update', 'refblock_update_part'],
  ...['refblock_alloc', 'refblock_alloc_hookup', 'refblock_alloc_write', 'refblock_alloc_write_blocks'],
  ...['cluster_alloc', 'cluster_alloc_bytes', 'cluster_free', 'flush_to_os', 'flush_to_disk', 'pwritev_rmw_head'],
  ...[
    'pwritev_rmw_after_head',
    'pwritev_rmw_tail',
    'pwritev_rmw_after_tail',
    'pwritev',
    'pwritev_zero',
    'pwritev_done',
  ],
  ...['cor_write', 'none'],
]
const [eio, enospc] = [5, 28]
const kindsOfIo = ['read', 'write', 'write-zeroes', 'flush']
const operations = ['full', 'incremental', 'cancel', 'mount', 'read'] as const

const draw = (random: Random): BlockRule => {
  const event = events[random(events.length)]!
  return {
    depth: random(2),
    rule: {
      event,
      errno: random(2) === 0 ? eio : enospc,
      once: random(2) === 0,
      // Without an event to wait for, the kind of access says when.
      ...(event === 'none' ? { iotype: kindsOfIo[random(kindsOfIo.length)]! } : {}),
    },
  }
}

/** A command that puts itself before QEMU's programs, in a view of the files that only it and its children have, and then starts them. */
const standBefore = (folder: string, ruleFile: string): string[] => {
  mkdirSync(folder)
  // Where the user that qemu-nbd runs as can get at it, wherever this project lies.
  chmodSync(dirname(folder), 0o711)
  const script = join(folder, 'faulty-qemu.mjs')
  copyFileSync(fileURLToPath(new URL('dist/test/faults/support/faulty-qemu.js', projectRoot)), script)
  const lines = [program.qemuNbd, program.qemuStorageDaemon, program.nsenter].flatMap((path, at) => {
    const [real, stand] = [join(folder, `real-${at}`), join(folder, `stand-${at}`)]
    writeFileSync(real, '')
    writeFileSync(stand, `#!/bin/sh\nexec '${process.execPath}' '${script}' '${real}' '${ruleFile}' "$@"\n`)
    chmodSync(stand, 0o755)
    return [`mount --bind ${path} ${real}`, `mount --bind ${stand} ${path}`]
  })
  return ['/usr/bin/unshare', '--mount', '--', '/bin/sh', '-ec', `${lines.join('; ')}; exec "$@"`, 'sh']
}

export const blockLayer: Lane = {
  title: "errors of QEMU's block layer below an image",
  open: async () => {
    let ruleFile = ''
    const world = await openAgentWorld({
      command: (folder) => {
        ruleFile = join(folder, 'rule.json')
        return standBefore(join(folder, 'qemu'), ruleFile)
      },
    })
    return {
      trial: async (random) => {
        const operation = operations[random(operations.length)]!
        const rule = draw(random)
        const file = await world.prepare(operation)
        writeFileSync(ruleFile, JSON.stringify(rule))
        const answer = await world.perform(operation, file).then(
          () => 'done',
          (error: Error) => error.message,
        )
        rmSync(ruleFile)
        const violations = answer.includes('WRONG BYTES') ? [answer] : []
        if (!(await world.real.isRunning())) {
          violations.push('the host-agent has died of it')
          await world.real.start()
        }
        violations.push(...(await world.check(operation, file)))
        // An error that nobody was told of is not counted, and must have done no harm.
        return { fired: answer !== 'done', what: `${operation} with ${JSON.stringify(rule)}: ${answer}`, violations }
      },
      close: world.close,
    }
  },
}
