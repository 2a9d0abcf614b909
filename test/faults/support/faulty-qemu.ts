/**
 * Stands before qemu-nbd (`qemu-nbd <real> <rule file> …`), qemu-storage-daemon, and nsenter, which starts the latter in a sandbox; and puts QEMU's
 * blkdebug below one image of the chain that they are given. Without a rule file it changes nothing.
 * Usage: node faulty-qemu.js <real program> <rule file> <arguments of the program>
 */
import { spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { createInterface } from 'node:readline'

export type BlockRule = {
  /** How far below the top of the chain; the last image when the chain is shorter. */
  depth: number
  /** blkdebug's `inject-error`. */
  rule: { event: string; errno: number; once: boolean; iotype?: string }
}
type Node = { driver?: string; file?: Node; backing?: Node | null; [option: string]: unknown }

const withRule = (node: Node, { depth, rule }: BlockRule): Node =>
  depth > 0 && node.backing
    ? { ...node, backing: withRule(node.backing, { depth: depth - 1, rule }) }
    : { ...node, file: { driver: 'blkdebug', 'inject-error': [rule], image: node.file } }

const isImage = (fd: number) => {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`).endsWith('.qcow2')
  } catch {
    return false
  }
}

const [program, ruleFile, ...args] = process.argv.slice(2)
if (program !== undefined && ruleFile !== undefined) {
  const rule = existsSync(ruleFile) ? (JSON.parse(readFileSync(ruleFile, 'utf8')) as BlockRule) : undefined
  const rewritten = args.map((text) =>
    rule && text.startsWith('json:')
      ? `json:${JSON.stringify(withRule(JSON.parse(text.slice(5)) as Node, rule))}`
      : text,
  )
  // The files that it is handed are descriptors of ours.
  const handed = readdirSync('/proc/self/fd')
    .map(Number)
    .filter((fd) => fd > 2 && isImage(fd))
    .sort((a, b) => a - b)
  const child = spawn('/usr/bin/setpriv', ['--pdeathsig', 'KILL', '--', program, ...rewritten], {
    stdio: ['pipe', 'inherit', 'inherit', ...handed],
  })
  const input = child.stdin!
  input.on('error', () => undefined)
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => child.kill(signal))
  child.once('exit', (code, signal) => process.exit(code ?? (signal ? 1 : 0)))
  createInterface({ input: process.stdin })
    .on('line', (line) => {
      const command = JSON.parse(line) as { execute: string; arguments: Node }
      // Read anew: the daemon may have waited since before the rule was made.
      const now = existsSync(ruleFile) ? (JSON.parse(readFileSync(ruleFile, 'utf8')) as BlockRule) : undefined
      if (now && command.execute === 'blockdev-add')
        command.arguments = { ...withRule(command.arguments, now), 'node-name': command.arguments['node-name'] }
      input.write(`${JSON.stringify(command)}\n`)
    })
    .on('close', () => input.end())
}
