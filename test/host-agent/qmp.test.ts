/** QEMU's monitor, spoken by whoever has taken over its process: it costs the disk that it shows, never the agent. */
import { afterEach, expect, it } from 'vitest'
import { QmpProcess } from '../../host-agent/attach/qmp.ts'
import { type Daemon, startDaemon } from '../../host-agent/exec.ts'

let daemon: Daemon | undefined
afterEach(async () => {
  await daemon?.stop(0)
})
/** @param script what it says for each line that it is told, which is in $_ */
const speaking = async (script: string): Promise<QmpProcess> => {
  const program = `$| = 1; while (<STDIN>) { my ($id) = /"id":(\\d+)/; ${script} }`
  daemon = await startDaemon('/usr/bin/perl', ['-e', program], { isTalkedTo: true })
  return new QmpProcess(daemon)
}

it('gives answers to whom they belong, in whatever order and pieces they come', async () => {
  const qmp = await speaking(
    `push @said, $id; if (@said == 3) { for (reverse @said) { print '{"return": {"at": '; sleep 0.05; print "$_}, \\"id\\": $_}\\n{\\"event\\": \\"x\\"}\\n\\n" } }`,
  )
  expect(await Promise.all([qmp.execute('first'), qmp.execute('second')])).toEqual([{ at: 2 }, { at: 3 }])
})

it("tells a refusal in QEMU's words", async () => {
  const qmp = await speaking(`print "{\\"error\\": {\\"desc\\": \\"no such node\\"}, \\"id\\": $id}\\n"`)
  await expect(qmp.execute('any')).rejects.toThrow('no such node')
})

it.each([
  ['no JSON', 'print "nonsense\\n"'],
  ['null', 'print "null\\n"'],
  ['a line without an end', 'print "x" x 65536 for 1..64'],
])('believes nothing else: %s', async (_, script) => {
  const qmp = await speaking(script)
  await expect(qmp.execute('any')).rejects.toMatchObject({
    code: 'SERVICE_UNAVAILABLE',
    details: 'it says what can not be',
  })
  await daemon!.ended
  await expect(qmp.execute('any')).rejects.toThrow('QEMU has ended')
})

it('takes an error without words, and answers to nobody, for what they are', async () => {
  const qmp = await speaking(
    `print "7\\n\\"text\\"\\n{\\"return\\": 1, \\"id\\": \\"1\\"}\\n{\\"error\\": 5, \\"id\\": $id}\\n"`,
  )
  await expect(qmp.execute('any')).rejects.toThrow('undefined')
})
