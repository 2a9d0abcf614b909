import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { writeDurably } from '../../host-agent/ledger.ts'

it('lets many write one file at once, and leaves nothing beside it', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sendense-test-'))
  try {
    const path = join(folder, 'context.json')
    await Promise.all(Array.from({ length: 20 }, (_, at) => writeDurably(path, `${at}`)))
    expect(await readFile(path, 'utf8')).toBe('19')
    expect(await readdir(folder)).toEqual(['context.json'])
  } finally {
    await rm(folder, { recursive: true })
  }
})
