/** Counts what a run could leave behind: processes, devices, mounts, sockets, temporary files. */
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'

export type Census = Record<string, string[]>

const lines = (text: string) => text.split('\n').filter((line) => line !== '')
const output = (program: string, args: string[]) => execFileSync(program, args, { encoding: 'utf8' })

const processes = () =>
  lines(output('/bin/ps', ['-eo', 'args']))
    .filter((line) => /qemu|nbdcopy|mariadbd|host-agent\/main|source-node\/main|runtime\/(main|start)|start\.mjs|ntfs-3g/.test(line))
    .map((line) => line.slice(0, 200))
const temporary = () => readdirSync('/tmp').filter((name) => name.startsWith('sendense-') && !name.startsWith('sendense-test-report-'))

export const census = async (): Promise<Census> => ({
  processes: processes(),
  'loop devices': lines(output('/usr/sbin/losetup', ['--list', '--noheadings', '--output', 'NAME,BACK-FILE'])),
  'nbd devices': readdirSync('/sys/block').filter((name) => /^nbd/.test(name) && readFileSync(`/sys/block/${name}/size`, 'utf8').trim() !== '0'),
  mounts: lines(readFileSync('/proc/self/mountinfo', 'utf8')).map((line) => line.split(' ')[4]!),
  'unix sockets': lines(readFileSync('/proc/net/unix', 'utf8')).map((line) => line.split(/\s+/)[7] ?? '').filter((path) => path.includes('sendense')),
  'temporary files': [...temporary(), ...readdirSync('/dev/shm').filter((name) => name.startsWith('sendense-'))],
})

/** What is there now and was not before. */
export const differences = (before: Census, now: Census): string[] =>
  Object.entries(now).flatMap(([kind, things]) => {
    const left = [...things]
    for (const known of before[kind] ?? []) {
      const at = left.indexOf(known)
      if (at >= 0) left.splice(at, 1)
    }
    return left.map((thing) => `${kind}: ${thing}`)
  })
