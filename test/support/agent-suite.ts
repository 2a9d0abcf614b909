/** The contract of the agent as one suite. The real agent and the tests' fake both pass it, so neither drifts from the other. */

import { createHash, randomUUID } from 'node:crypto'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { AgentApi, DiskFile, ExportBody, IndexLine, SealBody } from '../../contract/agent.ts'
import { entriesOf } from './index-lines.ts'
import { mountOf } from './sealed-disk.ts'

export type AgentUnderTest = {
  agent: AgentApi
  /** A folder that can be a repository. */
  repositoryPath: string
  /** Another one. */
  otherRepositoryPath: string
  /** First of a few ports that are free and the agent's own. */
  firstPort: number
  /** Puts a filesystem into an export that is being written: /etc/hostname holding `guest\n`, and an empty file /empty. */
  writeFilesystem: (exportName: string, file: DiskFile, port: number) => Promise<void>
  close: () => Promise<void>
}

const virtualSize = 64 * 1024 * 1024
const encode = (path: string) => Buffer.from(path).toString('base64')
const code = (work: Promise<unknown>) =>
  work.then(
    () => 'no error',
    (error: { code?: string }) => error.code,
  )

export const agentSuite = (name: string, open: () => Promise<AgentUnderTest>) =>
  describe(`the contract of the ${name} agent`, () => {
    let under: AgentUnderTest
    let agent: AgentApi
    let port: number
    const repository = 'repo-1'
    beforeAll(async () => {
      under = await open()
      agent = under.agent
      port = under.firstPort
      await agent.ensureRepository(repository, under.repositoryPath)
    })
    afterAll(() => under.close())

    const file = (base: string): DiskFile => ({
      repository_id: repository,
      vm_backup_context_id: 'ctx-backup-vm-1',
      disk_index: 0,
      base,
    })
    const chain = (...bases: string[]) => ({
      repository_id: repository,
      vm_backup_context_id: 'ctx-backup-vm-1',
      disk_index: 0,
      bases,
    })
    const body = (base: string, parents: string[] = [], more: object = {}): ExportBody => ({
      kind: 'new',
      job_id: `job ${base}`,
      port: port++,
      file: file(base),
      virtual_size_bytes: virtualSize,
      parent_bases: parents,
      shared_connections: 10,
      ...more,
    })
    const sealBody = (base: string, changeId: string | null = `change ${base}`): SealBody => ({
      wait_seconds: 30,
      change_id: changeId,
      bytes_transferred: 1,
      manifest: {
        backup_id: base,
        backup_type: 'full',
        parent_backup_id: null,
        vm_name: 'vm',
        vm_context_id: null,
        source: { vcenter_host: null, vm_path: null, vm_id: null },
        disk_count: 1,
        disk_label: null,
        created_at: '2026-01-01T00:00:00.000Z',
      },
    })
    const sealed = async (base: string, parents: string[] = [], fill = false) => {
      const request = body(base, parents)
      const state = await agent.ensureExport(base, request)
      if (fill) await under.writeFilesystem(base, file(base), state.port)
      expect(await agent.sealExport(base, sealBody(base))).toMatchObject({
        status: 'sealed',
        change_id: `change ${base}`,
        pid: null,
      })
      await agent.dropExport(base, false)
    }

    it('knows repositories', async () => {
      expect(await agent.repositoryStorage(repository)).toMatchObject({
        total_bytes: expect.any(Number),
        mount_point: under.repositoryPath,
      })
      expect(await code(agent.ensureRepository('repo-2', '/missing/folder'))).toBe('REPOSITORY_TEST_FAILED')
      expect(await code(agent.testRepository('/missing/folder'))).toBe('REPOSITORY_TEST_FAILED')
      expect(await code(agent.repositoryStorage('repo-none'))).toBe('REPOSITORY_NOT_FOUND')
      // Many looks at one folder do not disturb each other.
      await Promise.all(Array.from({ length: 20 }, () => agent.ensureRepository(repository, under.repositoryPath)))
    })
    it('ensures an export: the same call again finds its own work', async () => {
      const request = body('one')
      const first = await agent.ensureExport('one', request)
      expect(first).toMatchObject({
        export_name: 'one',
        kind: 'new',
        status: 'writing',
        port: request.port,
        read_only: false,
      })
      expect(first.pid).toBeGreaterThan(0)
      expect(first.path).toBe(`${under.repositoryPath}/ctx-backup-vm-1/disk-0/one.qcow2`)
      expect((await agent.ensureExport('one', request)).pid).toBe(first.pid)
      expect(await code(agent.ensureExport('one', { ...request, job_id: 'another' }))).toBe('EXPORT_IN_USE')
      expect((await agent.listExports()).map((state) => state.export_name)).toEqual(['one'])
      expect(await agent.dropExport('one', true)).toEqual({ stopped_pid: first.pid })
      expect(await agent.dropExport('one', true)).toEqual({ stopped_pid: null })
      expect(await code(agent.getExport('one'))).toBe('EXPORT_NOT_FOUND')
      expect((await agent.inspectChain(chain('one')))[0]).toMatchObject({ exists: false, problem: 'is missing' })
    })
    it('seals what was written, once', async () => {
      await agent.ensureExport('two', body('two'))
      const first = await agent.sealExport('two', sealBody('two'))
      expect(first).toMatchObject({
        status: 'sealed',
        change_id: 'change two',
        sealed_bytes: virtualSize,
        total_bytes: virtualSize,
      })
      expect(await agent.sealExport('two', sealBody('two', 'other'))).toMatchObject({
        status: 'sealed',
        change_id: 'change two',
      })
      expect((await agent.inspectChain(chain('two')))[0]).toMatchObject({ exists: true, sealed: true, problem: null })
      await agent.dropExport('two', false)
      expect(await code(agent.sealExport('two', sealBody('two')))).toBe('EXPORT_NOT_FOUND')
      expect((await agent.deleteDiskFile(file('two'))).freed_bytes).toBeGreaterThan(0)
      expect((await agent.deleteDiskFile(file('two'))).freed_bytes).toBe(0)
    })
    it('verifies what was sealed, and says what is missing', async () => {
      await sealed('checked')
      const ask = (base: string) => ({
        chain: chain(base),
        manifest_digest: null,
        from_bytes: 0,
        bytes_per_second: 0,
        wait_seconds: 30,
      })
      expect(await agent.verifyFile(ask('checked'))).toMatchObject({ status: 'done', damages: [] })
      expect((await agent.verifyFile(ask('never'))).damages).toEqual([
        expect.objectContaining({ file: 'never.manifest.json', kind: 'missing' }),
      ])
      await agent.stopVerify(file('checked'))
      await agent.deleteDiskFile(file('checked'))
    })
    it('copies what was sealed into another repository, once', async () => {
      await agent.ensureRepository('repo-2', under.otherRepositoryPath)
      await sealed('copied')
      const ask = (base: string) => ({
        file: file(base),
        to_repository_id: 'repo-2',
        manifest_digest: null,
        replace: false,
        bytes_per_second: 0,
        wait_seconds: 30,
      })
      const there = { ...chain('copied'), repository_id: 'repo-2' }
      for (let time = 0; time < 2; time++) expect(await agent.copyFile(ask('copied'))).toMatchObject({ status: 'done' })
      expect((await agent.inspectChain(there))[0]).toMatchObject({ exists: true, sealed: true, problem: null })
      expect(await code(agent.copyFile(ask('never')))).toBe('CHAIN_BROKEN')
      expect(await code(agent.copyFile({ ...ask('copied'), to_repository_id: 'none' }))).toBe('REPOSITORY_NOT_FOUND')
      for (const [base, repository_id] of [
        ['copied', 'repo-2'],
        ['never', 'repo-2'],
        ['copied', repository],
      ] as const) {
        await agent.stopCopy({ ...file(base), repository_id })
        await agent.deleteDiskFile({ ...file(base), repository_id })
      }
      expect((await agent.inspectChain(there))[0]).toMatchObject({ exists: false })
    })
    it('never writes over a file, nor removes one that it did not make', async () => {
      await sealed('kept')
      expect(await code(agent.ensureExport('kept-again', body('kept')))).toBe('EXPORT_IN_USE')
      await agent.dropExport('kept-again', true)
      expect((await agent.inspectChain(chain('kept')))[0]).toMatchObject({ exists: true, sealed: true, problem: null })
      await agent.deleteDiskFile(file('kept'))
    })

    it('builds on sealed parents only', async () => {
      expect(await code(agent.ensureExport('three', body('three', ['nothing'])))).toBe('CHAIN_BROKEN')
      await agent.ensureExport('open', body('open'))
      expect(await code(agent.ensureExport('three', body('three', ['open'])))).toBe('CHAIN_BROKEN')
      await agent.dropExport('open', true)
      await sealed('base')
      await sealed('over', ['base'])
      expect(await agent.inspectChain(chain('over', 'base'))).toMatchObject([{ problem: null }, { problem: null }])
      await agent.deleteDiskFile(file('over'))
      await agent.deleteDiskFile(file('base'))
    })
    it('mounts, reads and releases', async () => {
      await sealed('disk', [], true)
      const id = randomUUID()
      const request = mountOf(chain('disk'))
      const state = await agent.ensureMount(id, request)
      expect(state).toMatchObject({
        mount_id: id,
        status: 'mounted',
        filesystem_type: 'ext4',
        default_partition: 0,
        partitions: [{ number: 0, kind: 'whole_disk', mounted: true, is_default: true, journal: 'clean' }],
      })
      expect((await agent.ensureMount(id, request)).device).toBe(state.device)
      const { entries } = await agent.listFiles(id, { path_b64: encode('/'), recursive: false, limit: 10, offset: 0 })
      expect(entries.map((entry) => entry.path)).toEqual(expect.arrayContaining(['/etc', '/empty']))
      const info = await agent.fileInfo(id, { path_b64: encode('/etc/hostname') })
      expect(info).toMatchObject({ type: 'file', size: 6, partition: 0 })
      expect(
        await text(
          await agent.readFile(id, { path_b64: encode('/etc/hostname'), start: 1, length: 3, etag: info.etag }),
        ),
      ).toBe('ues')
      expect(
        (await text(await agent.readArchive(id, { path_b64: encode('/etc'), format: 'zip' }))).length,
      ).toBeGreaterThan(0)
      const only = (name: string) =>
        agent.readArchive(id, { path_b64: encode('/etc'), format: 'zip', only_b64: [encode(name)] })
      expect((await text(await only('hostname'))).length).toBeGreaterThan(0)
      expect(await code(only('none'))).toBe('FILE_NOT_FOUND')
      for (const [path, expected] of [
        ['/none', 'FILE_NOT_FOUND'],
        ['/../x', 'PATH_FORBIDDEN'],
        ['/etc/hostname', 'NOT_A_DIRECTORY'],
      ])
        expect(
          await code(agent.listFiles(id, { path_b64: encode(path!), recursive: false, limit: 1, offset: 0 })),
        ).toBe(expected)
      expect(await code(agent.readFile(id, { path_b64: encode('/etc'), start: 0, length: 1, etag: '' }))).toBe(
        'IS_DIRECTORY',
      )
      expect(await code(agent.fileInfo(id, { path_b64: encode('/'), partition: 5 }))).toBe('PARTITION_NOT_FOUND')
      expect((await agent.listMounts()).mounts.map(({ mount_id }) => mount_id)).toEqual([id])
      await agent.removeMount(id, 'user')
      await agent.removeMount(id, 'user')
      expect(await code(agent.getMount(id))).toBe('MOUNT_NOT_FOUND')
      expect((await agent.listMounts()).ended).toMatchObject([{ mount_id: id, reason: 'user' }])
    })
    it('tells of every file, and gives one, where nobody sees a mount', async () => {
      await sealed('walked', [], true)
      const request = mountOf(chain('walked'))
      const walk = async (at: number, since: number | null) =>
        (await text(await agent.readIndex({ ...request, walk: { vm_backup_context_id: 'ctx-walked', at, since } })))
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line) as IndexLine)
      const lines = await walk(1, null)
      expect(lines[0]).toEqual({ volume: 'disk 0 partition 0' })
      expect(lines.at(-1)).toEqual({ end: true })
      const entries = entriesOf(lines)
      expect(entries).toContainEqual(['/etc', 'd', 0, expect.any(Number)])
      expect(entries).toContainEqual(['/etc/hostname', 'f', 6, expect.any(Number)])
      // Of what the walk before saw it tells only that it is there, and of one that is not kept everything.
      const told = await walk(2, 1)
      expect(entriesOf(told)).toEqual([])
      expect(entriesOf(await walk(4, 3))).toEqual(entries)
      expect(told.reduce((sum, line) => sum + ('folder' in line ? (line.same ?? 0) : 0), 0)).toBe(entries.length)
      const fetch = (path: string, volume = 'disk 0 partition 0') =>
        agent.fetchFile({ ...request, volume, path_b64: encode(path) })
      const { info, content } = await fetch('/etc/hostname')
      expect(info).toMatchObject({ name: 'hostname', size: 6 })
      expect(await text(content)).toBe('guest\n')
      expect(await code(fetch('/gone'))).toBe('FILE_NOT_FOUND')
      expect(await code(fetch('/etc'))).toBe('IS_DIRECTORY')
      const digests = (paths: string[], volume = 'disk 0 partition 0') =>
        agent.readDigests({ ...request, volume, paths_b64: paths.map(encode) })
      const said = await text(await digests(['/gone', '/etc/hostname', '/etc', '/etc/localtime']))
      const expected = [1, createHash('sha256').update('guest\n').digest('hex')]
      expect(said.split('\n').filter((line) => line !== '')).toEqual([JSON.stringify(expected), '"end"'])
      expect(await code(digests(['/etc'], 'another'))).toBe('PARTITION_NOT_FOUND')
      expect(await code(agent.readIndex(mountOf(chain('gone'))))).toBe('CHAIN_BROKEN')
      expect((await agent.listMounts()).mounts).toEqual([])
      expect((await agent.health()).mounts).toBe(0)
    })
    it('refuses what can not be mounted', async () => {
      await sealed('blank')
      expect(await code(agent.ensureMount(randomUUID(), mountOf(chain('blank'))))).toBe('NO_MOUNTABLE_FILESYSTEM')
      expect(await code(agent.ensureMount(randomUUID(), mountOf(chain('gone'))))).toBe('CHAIN_BROKEN')
      expect(await code(agent.fileInfo(randomUUID(), { path_b64: encode('/') }))).toBe('MOUNT_NOT_FOUND')
      expect((await agent.listMounts()).mounts).toEqual([])
      expect((await agent.health()).mounts).toBe(0)
    })
  })
