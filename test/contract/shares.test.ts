/** What is refused before a mount command sees it. */
import { expect, it } from 'vitest'
import { mountOptions, networkShare, sourceOf } from '../../contract/shares.ts'
import { optionsOf } from '../../host-agent/shares.ts'

const nfs = { type: 'nfs', server: 'nas', export_path: '/backup', mount_point: '/mnt/x', options: [] }
const cifs = { type: 'cifs', server: 'nas', share_name: 'backup', mount_point: '/mnt/x', options: [] }
const accepts = (share: object) => networkShare.safeParse(share).success

it('takes hosts, addresses, exports and shares', () => {
  for (const server of ['nas', 'nas.example.org', '10.0.0.7', 'fd00::7', '::1'])
    expect(accepts({ ...nfs, server }), server).toBe(true)
  for (const export_path of ['/', '/backup', '/srv/nfs4/back up', '/a.b_c@d'])
    expect(accepts({ ...nfs, export_path }), export_path).toBe(true)
  expect(sourceOf(networkShare.parse(nfs))).toBe('nas:/backup')
  expect(sourceOf(networkShare.parse({ ...nfs, server: 'fd00::7' }))).toBe('[fd00::7]:/backup')
  expect(sourceOf(networkShare.parse(cifs))).toBe('//nas/backup')
})

it('refuses what would be an option, another host, another folder or another line', () => {
  for (const server of ['', '-o', 'nas,suid', 'nas:/x', 'nas/x', 'na s', 'nas\n', '../x', '-nas', 'nas-', ':', '[::1]'])
    expect(accepts({ ...nfs, server }), server).toBe(false)
  for (const export_path of ['', 'backup', '/a/../b', '/..', '/a,suid', '/a\nb', '/a\0', '/a:b', '/a"b', '/$(x)'])
    expect(accepts({ ...nfs, export_path }), export_path).toBe(false)
  for (const share_name of ['', '-o', 'a/b', 'a,suid', '..\\x', 'a\n', '/x'])
    expect(accepts({ ...cifs, share_name }), share_name).toBe(false)
  for (const field of ['username', 'password', 'domain'])
    for (const value of ['a\nuid=0', 'a\r', 'a\0']) expect(accepts({ ...cifs, [field]: value }), field).toBe(false)
  for (const mount_point of ['mnt', '/mnt/../etc', '/mnt\n', ''])
    expect(accepts({ ...nfs, mount_point }), mount_point).toBe(false)
  expect(accepts({ ...nfs, nfs_version: '4.1,suid' })).toBe(false)
})

it('lets nobody say what a share may do on this host', () => {
  const options = (type: 'nfs' | 'cifs', text: string) => mountOptions(type).safeParse(text).success
  for (const text of ['', 'noatime', 'timeo=100,retrans=3', 'nconnect=4,proto=tcp', 'sec=krb5p'])
    expect(options('nfs', text), text).toBe(true)
  for (const text of ['vers=3.0', 'seal,noatime', 'port=1445']) expect(options('cifs', text), text).toBe(true)
  for (const text of [
    ...[
      'suid',
      'dev',
      'exec',
      'rw,suid',
      'noatime,,',
      ' noatime',
      'timeo=1;x',
      'timeo=',
      'timeo=1e9',
      'hard',
      'remount',
    ],
    ...['bind', 'uid=0', 'credentials=/etc/shadow', 'x-systemd.automount', 'user=root', 'noatime\nsuid', '-o'],
  ])
    for (const type of ['nfs', 'cifs'] as const) expect(options(type, text), `${type} ${text}`).toBe(false)
  expect(accepts({ ...nfs, options: ['suid'] })).toBe(false)
  expect(optionsOf(networkShare.parse({ ...nfs, options: ['timeo=20'] }), '/c')).toEqual([
    ...['soft', 'nosuid', 'nodev', 'noexec', 'vers=4.1', 'retrans=2', 'timeo=20'],
  ])
  const withUser = networkShare.parse({ ...cifs, username: 'u', password: 'secret', options: ['guest'] })
  expect(optionsOf(withUser, '/c').join()).toContain('credentials=/c')
  expect(optionsOf(withUser, '/c').join()).not.toMatch(/secret|guest/)
  expect(optionsOf(networkShare.parse(cifs), '/c')).toContain('guest')
})
