/** A new key ends every token and keeps every secret, also when it was cut in the middle. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { hubForTests } from '../support/hub-suite.ts'

const hub = hubForTests()
const keyFile = () => join(hub.folder, 'data/keys.json')
const keys = () => JSON.parse(readFileSync(keyFile(), 'utf8')) as { hubId: string; masterKey: string }
const statusWith = async (token: string) =>
  (await fetch(`${hub.url}/api/v1/vms`, { headers: { Authorization: `Bearer ${token}` } })).status
/** The node is told the stored password: a wrong key would be an error before that. */
const secretIsLost = async () =>
  (await hub.api('POST', '/discovery/discover-vms', { credential_id: 1 })).body.code === 'INTERNAL'

it('rotates', async () => {
  await hub.api('POST', '/vmware-credentials', {
    credential_name: 'vc',
    vcenter_host: 'image:lab',
    username: 'u',
    password: 'a stored secret',
    datacenter: 'lab',
  })
  const [oldToken, oldKeys] = [hub.token, keys()]
  await hub.restart(() => undefined, ['--rotate-keys'])
  expect(keys().hubId).toBe(oldKeys.hubId)
  expect(keys().masterKey).not.toBe(oldKeys.masterKey)
  expect(await statusWith(oldToken)).toBe(401)
  expect(await statusWith(hub.token)).toBe(200)
  expect(await secretIsLost()).toBe(false)
  // As a crash leaves it after the first step: the next start finishes what was begun.
  const begun = { ...keys(), masterKey: Buffer.alloc(32, 7).toString('base64'), previousKey: keys().masterKey }
  await hub.restart(() => writeFileSync(keyFile(), JSON.stringify(begun)))
  expect(keys()).toEqual({ hubId: begun.hubId, masterKey: begun.masterKey })
  expect(await secretIsLost()).toBe(false)
  // And a key that is not ours is noticed, so the test can fail.
  const foreign = { ...keys(), masterKey: Buffer.alloc(32, 8).toString('base64') }
  await hub.restart(() => writeFileSync(keyFile(), JSON.stringify(foreign)))
  expect(await secretIsLost()).toBe(true)
})
