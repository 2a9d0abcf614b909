import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { errorBody, errorFromBody, errorStatus, HubError } from '../../contract/errors.ts'
import * as names from '../../contract/names.ts'
import { contractRoutes, notBuiltYet } from '../../contract/routes.ts'
import { isoTime } from '../../host-agent/files/entries.ts'
import { archiveName } from '../../host-agent/files/walk.ts'
import { parseTargets } from '../../source-node/backup-job.ts'
import { attachment, wantedSpan } from '../../workflows/downloads.ts'

const vmName = fc.string({ unit: 'binary', minLength: 1, maxLength: 255 })
const at = new Date('2025-10-08T19:24:31Z')

describe('names', () => {
  it('have the forms of the contract', () => {
    expect(names.backupId('pgtest1', at)).toBe('backup-pgtest1-1759951471')
    expect(names.backupContextId('pgtest1', at)).toBe('ctx-backup-pgtest1-20251008-192431')
    expect(names.diskFileBase('pgtest1', 0, at)).toBe('backup-pgtest1-disk0-20251008-192431')
    expect(names.exportName('pgtest1', 1)).toBe('pgtest1-disk-2001')
    expect(names.toGb(1_500_000_000)).toBe(1.397)
  })
  it('fit their columns and are safe as file names, whatever the VM is called', () => {
    fc.assert(
      fc.property(vmName, fc.integer({ min: 0, max: 63 }), (name, index) => {
        expect(names.backupId(name, at).length).toBeLessThanOrEqual(64)
        expect(names.contextId(name, at).length).toBeLessThanOrEqual(64)
        expect(names.backupContextId(name, at).length).toBeLessThanOrEqual(64)
        expect(names.exportName(name, index, 99)).toMatch(names.exportNamePattern)
        for (const id of [
          names.backupId(name, at),
          names.backupContextId(name, at),
          names.diskFileBase(name, index, at),
        ])
          expect(id).toMatch(names.safeIdPattern)
      }),
    )
  })
  it('survive an archive without one becoming another', () => {
    const bytes = fc.uint8Array({ minLength: 1, maxLength: 40 }).map((array) => Buffer.from(array))
    fc.assert(
      fc.property(
        bytes,
        bytes,
        (a, b) =>
          a.equals(b) ||
          archiveName(a) !== archiveName(b) ||
          (a.toString().includes('%') && b.toString().includes('%')) ||
          a.includes(0x25) ||
          b.includes(0x25),
      ),
    )
    expect(archiveName(Buffer.from('50% ü'))).toBe('50% ü')
    expect(archiveName(Buffer.from([0x61, 0xff, 0xfe, 0x25]))).toBe('a%FF%FE%25')
  })
})

describe('errors', () => {
  it('keep their code over a socket', () => {
    const sent = new HubError('BACKUP_RUNNING', 'running', { details: 'd', extra: { backup_id: 'b' } })
    const received = errorFromBody(JSON.parse(JSON.stringify(errorBody(sent, 'r', at))))
    expect(received).toMatchObject({
      code: 'BACKUP_RUNNING',
      message: 'running',
      details: 'd',
      extra: { backup_id: 'b' },
      status: 409,
    })
  })
  it('are not made from strangers', () => {
    for (const body of [null, 'x', {}, { code: 'toString', error: 'x' }, { code: 'INTERNAL' }])
      expect(errorFromBody(body)).toBeUndefined()
  })
  it('have statuses that are errors', () => {
    for (const status of Object.values(errorStatus)) expect(status).toBeGreaterThanOrEqual(400)
  })
})

describe('times and ranges', () => {
  it('keep nanoseconds', () => {
    expect(isoTime(1_700_000_000_123_456_789n)).toBe('2023-11-14T22:13:20.123456789Z')
    expect(isoTime(-1n)).toBe('1969-12-31T23:59:59.999999999Z')
    expect(isoTime(0n)).toBe('1970-01-01T00:00:00Z')
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (time) =>
        /^\d{4}-\d\d-\d\dT[\d:]{8}(\.\d{1,9})?Z$/.test(isoTime(time)),
      ),
    )
  })
  it('never give a span outside the file', () => {
    const info = { size: 0, etag: '"e"', modified_http: at.toUTCString() }
    fc.assert(
      fc.property(
        fc.nat(100),
        fc.string(),
        fc.option(fc.nat(200)),
        fc.option(fc.nat(200)),
        (size, noise, first, last) => {
          for (const range of [noise.replace(/[^\x20-\x7e]/g, ''), `bytes=${first ?? ''}-${last ?? ''}`]) {
            try {
              const span = wantedSpan(new Headers({ Range: range }), { ...info, size } as never)
              if (span) expect(span.start >= 0 && span.length > 0 && span.start + span.length <= size).toBe(true)
            } catch (error) {
              expect((error as HubError).code).toBe('RANGE_NOT_SATISFIABLE')
            }
          }
        },
      ),
    )
  })
  it('make headers that no name can break', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (name) => {
        const header = attachment(name)
        expect(header).toMatch(/^attachment; filename="[\x20-\x21\x23-\x7e]*"; filename\*=UTF-8''[A-Za-z0-9%._~!-]+$/)
        new Headers({ 'Content-Disposition': header })
      }),
    )
    expect(attachment('ä "b".txt')).toBe(`attachment; filename="_ 'b'.txt"; filename*=UTF-8''%C3%A4%20%22b%22.txt`)
  })
})

describe('routes and targets', () => {
  it('are listed once', () => {
    const all = [...contractRoutes, ...notBuiltYet]
    expect(new Set(all).size).toBe(all.length)
  })
  it('are parsed or refused', () => {
    expect(parseTargets('2000:nbd://127.0.0.1:10104/a-disk-2000,2001:nbd://127.0.0.1:10105/b').get(2001)).toEqual({
      host: '127.0.0.1',
      port: 10105,
      exportName: 'b',
    })
    for (const text of ['', 'x', '2000:http://a:1/b', '2000:nbd://a/b'])
      expect(() => parseTargets(text)).toThrow('nbd_targets')
  })
})
