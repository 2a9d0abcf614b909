/// <reference lib="dom" />
/** What an operator does with the console, in a real browser before a hub with everything real. */
import { createHash, randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Download, Locator } from 'playwright-core'
import { expect, it } from 'vitest'
import { consoleForTests, openConsole } from '../support/browser.ts'
import { password, waitForEnd } from '../support/hub.ts'
import { hubForTests } from '../support/hub-suite.ts'
import { blankImage, filesystemImage, sh, withLoop } from '../support/images.ts'
import { slowDown } from '../support/slowed-down.ts'
import { encrypted, VolumeGroup } from '../support/volumes.ts'

// Mounts that close soon are warned of; these do from the beginning.
const hub = hubForTests({ SENDENSE_MOUNT_IDLE_SECONDS: '240' })
const view = consoleForTests(hub)

const report = randomBytes(300_000)
const makeVm = (name: string, megabytes: number, fill: (root: string) => void) => {
  const folder = join(hub.folder, 'vms', name)
  mkdirSync(folder)
  filesystemImage(join(folder, 'disk0.raw'), 'ext4', megabytes * 2 ** 20, fill)
}
const sha256 = (data: Buffer) => createHash('sha256').update(data).digest('hex')
const button = (name: string | RegExp, within: Pick<Locator, 'getByRole'> = view.page) =>
  within.getByRole('button', { name, exact: true })
const dialog = () => view.page.getByRole('dialog')
const row = (name: string) => view.page.getByRole('row').filter({ hasText: name })
const backUp = async (vm: string, kind: 'Full' | 'Incremental') => {
  await view.open('/vms')
  await button(`Actions for ${vm}`).click()
  await view.page.getByRole('menuitem', { name: 'Back up now' }).click()
  await dialog().getByRole('radio', { name: kind }).check()
  await button(new RegExp(`Start ${kind.toLowerCase()} backup`), dialog()).click()
  await view.page.waitForURL(/\/jobs\/backup-/)
  return decodeURIComponent(new URL(view.page.url()).pathname.split('/').at(-1)!)
}
const saved = async (download: Download): Promise<Buffer> => readFileSync(await download.path())

it('refuses a wrong password in words, and shows what to do first', async () => {
  const other = await openConsole(hub.url)
  const { page } = other
  await other.open('/vms')
  await page.getByRole('textbox', { name: 'User name' }).fill('admin')
  await page.getByRole('textbox', { name: 'Password' }).fill('wrong')
  await page.getByRole('button', { name: 'Log in' }).click()
  const alert = page.getByRole('alert')
  await alert.getByText('Name or password is wrong').waitFor()
  expect(await alert.textContent()).toContain('INVALID_CREDENTIALS')
  await page.getByRole('textbox', { name: 'Password' }).fill(password)
  await page.getByRole('button', { name: 'Log in' }).click()
  // Where it was to go to.
  await page.getByRole('heading', { name: 'Virtual machines', level: 1 }).waitFor()
  await page.getByText('No virtual machines yet').waitFor()
  await other.close()
})

it('protects a machine from nothing: repository, credential, discovery', async () => {
  const { page } = view
  makeVm('web', 64, (root) => {
    writeFileSync(join(root, 'report.pdf'), report)
    mkdirSync(join(root, 'etc/deep/deeper'), { recursive: true })
    writeFileSync(join(root, 'etc/hostname'), 'web.example\n')
    for (let at = 0; at < 40; at++) writeFileSync(join(root, `etc/file-${at}.conf`), 'x'.repeat(at * 100))
    writeFileSync(join(root, 'etc/deep/deeper/last'), 'found')
  })
  await view.open('/')
  await page.getByRole('link', { name: '1. Add a repository' }).click()
  await button('New repository').first().click()
  await dialog().getByRole('textbox', { name: 'Name' }).fill('main')
  // A mistake first: the hub's own words stand at the field.
  await dialog().getByRole('textbox', { name: 'Folder' }).fill('relative')
  await button('Create', dialog()).click()
  await dialog().getByText('must be an absolute path').waitFor()
  await dialog().getByRole('textbox', { name: 'Folder' }).fill(hub.repositoryPath)
  await button('Test', dialog()).click()
  await dialog().getByRole('status').getByText('are free').waitFor()
  await button('Create', dialog()).click()
  await row('main').waitFor()

  await view.open('/vms?discover=1')
  await dialog().getByRole('link', { name: 'Add a credential' }).click()
  await dialog().getByRole('textbox', { name: 'Name' }).fill('lab')
  await dialog().getByRole('textbox', { name: 'vCenter or source' }).fill('image:lab')
  await dialog().getByRole('textbox', { name: 'Datacenter' }).fill('lab')
  await button('Create', dialog()).click()
  await row('image:lab').waitFor()

  await view.open('/vms?discover=1')
  await button('Find', dialog()).click()
  await dialog().getByRole('checkbox', { name: 'Select web' }).check()
  await button('Add 1', dialog()).click()
  await page.getByRole('link', { name: 'web' }).waitFor()
  expect(await row('web').textContent()).toContain('Unprotected')
})

it('makes a full backup and an incremental one from the list of machines, and tells how they went', async () => {
  const { page } = view
  for (const kind of ['Full', 'Incremental'] as const) {
    const id = await backUp('web', kind)
    // No reload: the page follows by itself.
    await page.getByText('Completed').first().waitFor()
    expect(await waitForEnd(hub, id)).toMatchObject({ status: 'completed', backup_type: kind.toLowerCase() })
  }
  await view.open('/vms')
  await page.getByRole('link', { name: 'web' }).click()
  await page.getByText('Chain of 2 points').waitFor()
  await page.getByRole('tab', { name: 'History' }).click()
  const history = page.getByRole('region', { name: 'History' })
  await history.waitFor()
  expect(await history.getByRole('row').count()).toBe(3)
  expect(page.url()).toContain('tab=history')
  await page.getByRole('img', { name: /Speed of backups/ }).waitFor()
})

it('shows progress as it happens, and cancels', async () => {
  const { page } = view
  // The mover tells of its progress every 128 MiB.
  makeVm('large', 800, (root) => writeFileSync(join(root, 'noise'), randomBytes(640 * 2 ** 20)))
  // That took long: connections that the hub has closed meanwhile are to be noticed.
  await page.waitForTimeout(100)
  const { body } = await hub.api('GET', '/vmware-credentials')
  await hub.api('POST', '/discovery/add-vms', { credential_id: body.credentials[0].id, vm_names: ['large'] })
  const goOn = slowDown(hub.pidOf('source-node'), '/usr/bin/nbdcopy')
  try {
    const id = await backUp('large', 'Full')
    const bar = page.getByRole('progressbar', { name: 'Backup of large' })
    await bar.waitFor()
    const seen = new Set<string | null>()
    await expect.poll(async () => seen.add(await bar.getAttribute('aria-valuetext')).size, { timeout: 30_000 }).toBe(3)
    await button('Cancel backup').click()
    await button('Cancel backup', dialog()).click()
    await page.getByText('Cancelled').first().waitFor({ timeout: 60_000 })
    expect((await waitForEnd(hub, id)).status).toBe('cancelled')
  } finally {
    await goOn()
  }
})

it('opens a restore point, walks through its folders, and brings files back', async () => {
  const { page } = view
  await view.open('/restore')
  await page.getByRole('combobox', { name: 'Virtual machine' }).click()
  await page.getByRole('option', { name: 'web' }).click()
  await button('Browse files').first().click()
  await page.waitForURL(/\/restore\/[0-9a-f-]{36}/)
  const grid = page.getByRole('grid', { name: 'Files' })
  const names = async () => {
    await page.waitForFunction(() => document.querySelector('[role=grid]')?.getAttribute('aria-busy') === 'false')
    return (await grid.locator('[data-open]').allTextContents()).map((text) => text.trim())
  }
  await grid.getByRole('button', { name: 'etc', exact: true }).waitFor()
  expect(await names()).toEqual(['etc', 'lost+found', 'report.pdf'])
  await grid.getByRole('button', { name: 'Details of report.pdf' }).click()
  const details = page.getByRole('dialog', { name: 'Details of report.pdf' })
  await details.getByText('application/pdf').waitFor()
  expect(await details.getByRole('definition').allTextContents()).toEqual(
    expect.arrayContaining(['/report.pdf', '0, 0']),
  )
  await page.keyboard.press('Escape')

  await grid.getByRole('button', { name: 'etc', exact: true }).click()
  await grid.getByRole('button', { name: 'deep', exact: true }).waitFor()
  await grid.getByRole('button', { name: 'deep', exact: true }).click()
  await grid.getByRole('button', { name: 'deeper', exact: true }).click()
  await grid.getByRole('button', { name: 'last', exact: true }).waitFor()
  expect(new URL(page.url()).searchParams.get('path')).toBe('/etc/deep/deeper')
  // A bookmark brings somebody else to the very same folder.
  await page.reload()
  await grid.getByRole('button', { name: 'last', exact: true }).waitFor()
  await page.getByRole('navigation', { name: 'Folder' }).getByRole('button', { name: 'etc' }).click()
  await grid.getByRole('button', { name: 'file-0.conf', exact: true }).waitFor()
  await page.getByRole('textbox', { name: 'Find in this folder' }).fill('file-1')
  await expect.poll(names).toHaveLength(11)
  await page.getByRole('textbox', { name: 'Find in this folder' }).fill('')
  await page.getByRole('button', { name: 'Size', exact: true }).click()
  await page.getByRole('button', { name: 'Size', exact: true }).click()
  await expect.poll(async () => (await names()).slice(0, 2)).toEqual(['deep', 'file-39.conf'])

  await grid.getByRole('button', { name: 'deep', exact: true }).focus()
  // Typing finds, wherever the focus is in the list.
  await page.keyboard.type('hostn')
  await grid.getByRole('button', { name: 'hostname', exact: true }).click()
  await dialog().getByText('web.example').waitFor()
  await page.keyboard.press('Escape')
  await button('Up').click()
  await grid.getByRole('button', { name: 'report.pdf', exact: true }).waitFor()

  const [file] = await Promise.all([page.waitForEvent('download'), button('Download report.pdf').click()])
  expect(file.suggestedFilename()).toBe('report.pdf')
  expect(sha256(await saved(file))).toBe(sha256(report))

  const [archive] = await Promise.all([page.waitForEvent('download'), button('Download etc as ZIP').click()])
  expect(archive.suggestedFilename()).toBe('etc.zip')
  const zip = join(hub.folder, 'etc.zip')
  writeFileSync(zip, await saved(archive))
  expect(sh('/usr/bin/unzip', ['-p', zip, '*hostname'])).toBe('web.example\n')
  expect(sh('/usr/bin/unzip', ['-t', zip])).toContain('No errors detected')

  await grid.getByRole('checkbox', { name: 'Select etc' }).check()
  await grid.getByRole('checkbox', { name: 'Select report.pdf' }).check()
  await button('Download 2').click()
  const [first] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('menuitem', { name: 'As tar.gz' }).click(),
  ])
  const tar = join(hub.folder, 'selection.tar.gz')
  writeFileSync(tar, await saved(first))
  const inside = sh('/usr/bin/tar', ['-tzf', tar]).split('\n')
  expect(inside).toContain('report.pdf')
  expect(inside).toContain('etc/deep/deeper/last')
  expect(inside.some((name) => name.startsWith('lost+found'))).toBe(false)
})

it('warns before a mount closes, keeps it open, and closes it', async () => {
  const { page } = view
  const url = page.url()
  const id = new URL(url).pathname.split('/').at(-1)!
  await page.getByRole('alert').getByText('This mount closes soon').waitFor()
  const before = (await hub.api('GET', `/restore/${id}`)).body.expires_at
  await page.waitForTimeout(1100)
  await button('Keep open').click()
  await page.getByText('stays open').waitFor()
  expect(Date.parse((await hub.api('GET', `/restore/${id}`)).body.expires_at)).toBeGreaterThan(Date.parse(before))
  // The same files for a file manager, with a password of their own.
  await button('File manager').click()
  const [address, password] = await Promise.all(
    ['WebDAV', 'Password'].map((label) => dialog().getByRole('textbox', { name: label }).inputValue()),
  )
  const authorization = `Basic ${Buffer.from(`mount:${password}`).toString('base64')}`
  const listing = await fetch(address!, { method: 'PROPFIND', headers: { authorization, depth: '1' } })
  expect([listing.status, await listing.text()]).toEqual([207, expect.stringContaining('report.pdf')])
  await button('Done', dialog()).click()
  await button('Close').click()
  await button('Close', dialog()).last().click()
  await page.waitForURL(/\/restore$/)
  expect((await hub.api('GET', `/restore/${id}`)).body.code).toBe('MOUNT_EXPIRED')
  // A bookmark of it says what happened, and what to do.
  await page.goto(url)
  await page.getByText('MOUNT_EXPIRED').first().waitFor()
  await page.getByRole('link', { name: 'Open a restore point' }).waitFor()
})

it('opens a whole machine of encrypted and logical volumes as it saw itself', async () => {
  const { page } = view
  const folder = join(hub.folder, 'vms', 'vault')
  mkdirSync(folder)
  const [root, data] = [join(hub.folder, 'root.raw'), join(hub.folder, 'data.raw')]
  filesystemImage(root, 'ext4', 80 * 2 ** 20, (into) => {
    for (const name of ['etc', 'srv']) mkdirSync(join(into, name))
    writeFileSync(join(into, 'etc/hostname'), 'vault.example\n')
    writeFileSync(
      join(into, 'etc/fstab'),
      '/dev/vault/root / ext4 defaults 0 1\nLABEL=secrets /srv ext4 defaults 0 2\n',
    )
  })
  filesystemImage(data, 'ext4', 48 * 2 ** 20, (into) => writeFileSync(join(into, 'treasure.txt'), 'gold'))
  sh('/usr/sbin/e2label', [data, 'secrets'])
  blankImage(join(folder, 'disk0.raw'), 120 * 2 ** 20)
  withLoop(join(folder, 'disk0.raw'), (device) => {
    const group = new VolumeGroup('vault', [device])
    group.add('root', 20)
    group.pour('root', root)
  })
  encrypted(join(folder, 'disk1.raw'), data, 'open sesame', ['--type', 'luks2', '--sector-size', '512'])
  for (const path of [root, data]) rmSync(path)
  const { body } = await hub.api('GET', '/vmware-credentials')
  await hub.api('POST', '/discovery/add-vms', { credential_id: body.credentials[0].id, vm_names: ['vault'] })
  await backUp('vault', 'Full')
  await page.getByText('Completed').first().waitFor()

  await button('Browse files').click()
  await page.getByRole('menuitem', { name: 'The whole machine, 2 disks' }).click()
  await page.waitForURL(/\/restore\/[0-9a-f-]{36}/)
  await page.getByText('vault.example').waitFor()
  await page.getByText('A volume is encrypted').waitFor()
  const grid = page.getByRole('grid', { name: 'Files' })
  const first = page.url()
  await button('Unlock').click()
  await dialog().getByRole('textbox', { name: 'Password' }).fill('wrong')
  await button('Unlock', dialog()).click()
  // The rest of the machine is open all the same, as another mount.
  await page.waitForURL((url) => url.href !== first)
  await dialog().waitFor({ state: 'detached' })
  await button('Unlock').click()
  await dialog().getByRole('textbox', { name: 'Password' }).fill('open sesame')
  await button('Unlock', dialog()).click()
  await page.getByText('A volume is encrypted').waitFor({ state: 'detached' })
  await grid.getByRole('button', { name: 'srv', exact: true }).click()
  const [file] = await Promise.all([page.waitForEvent('download'), button('Download treasure.txt').click()])
  expect((await saved(file)).toString()).toBe('gold')
  await page.getByRole('combobox', { name: 'Volume' }).click()
  await page.getByRole('option', { name: /^vault\/root · \/ · ext4/ }).waitFor()
  await page.keyboard.press('Escape')
  await button('Close').click()
  await button('Close', dialog()).last().click()
  await page.waitForURL(/\/restore$/)
})

it('tries a policy with other numbers, finds files by name, and shows what changed', async () => {
  const { page } = view
  const repositories = (await hub.api('GET', '/repositories')).body.repositories
  const policy = (
    await hub.api('POST', '/policies', { name: 'found', primary_repository_id: repositories[0].id, retention_days: 30 })
  ).body
  const { body: vms } = await hub.api('GET', '/vm-contexts?search=web')
  const web = { vmName: 'web', contextId: vms.vm_contexts[0].context_id }
  const backUpUnder = async () => {
    const asked = {
      vm_name: web.vmName,
      repository_id: repositories[0].id,
      backup_type: 'incremental',
      policy_id: policy.id,
    }
    const { backup_id } = (await hub.api('POST', '/backups', asked)).body
    expect((await waitForEnd(hub, backup_id)).status).toBe('completed')
    const isIndexed = async () => (await hub.api('GET', `/backups/${backup_id}`)).body.file_index?.status
    await expect.poll(isIndexed, { timeout: 30_000 }).toBe('completed')
    return backup_id as string
  }
  await backUpUnder()
  const disk = join(hub.folder, 'vms/web/disk0.raw')
  writeFileSync(join(hub.folder, 'budget'), 'numbers')
  sh('/usr/sbin/debugfs', ['-w', '-R', `write ${join(hub.folder, 'budget')} Budget-2027.ods`, disk])
  sh('/usr/sbin/debugfs', ['-w', '-R', 'rm report.pdf', disk])
  rmSync(join(hub.folder, 'budget'))
  const second = await backUpUnder()

  await view.open(`/policies/${policy.id}`)
  await page.getByText('4 stay, 0 go').waitFor()
  await button('Try other numbers').click()
  await page.getByRole('textbox', { name: 'Days' }).fill('0')
  await page.getByRole('textbox', { name: 'Last points' }).fill('1')
  await page.getByText('1 stay, 3 go').waitFor()
  await page.reload()
  await page.getByText('1 stay, 3 go').waitFor()
  await button('Back to the policy’s own').click()
  await page.getByText('4 stay, 0 go').waitFor()

  await view.open('/search')
  await page.getByRole('textbox', { name: 'Name' }).fill('budget 2027')
  await row('Budget-2027.ods').waitFor()
  const [file] = await Promise.all([page.waitForEvent('download'), button('Download /Budget-2027.ods').click()])
  expect((await saved(file)).toString()).toBe('numbers')
  await page.getByRole('textbox', { name: 'Name' }).fill('repo')
  await page.getByText('No file fits').waitFor()
  await page.getByRole('switch', { name: 'Also what is gone by now' }).check()
  await button('Versions of /report.pdf').click()
  const [old] = await Promise.all([page.waitForEvent('download'), button('Download', dialog()).first().click()])
  expect(sha256(await saved(old))).toBe(sha256(report))
  await page.keyboard.press('Escape')

  await view.open(`/jobs/${second}`)
  await page.getByRole('link', { name: 'what changed' }).click()
  await page.getByText('Added').waitFor()
  for (const [path, what] of [
    ['/Budget-2027.ods', 'Added'],
    ['/report.pdf', 'Removed'],
  ])
    expect(await row(path!).textContent()).toContain(what)
})

it('shows every refusal in the hub’s own words, and a way on', async () => {
  const { page } = view
  // The repository is full.
  const small = join(hub.folder, 'small')
  mkdirSync(small)
  sh('/usr/bin/mount', ['-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', small])
  try {
    const made = await hub.api('POST', '/repositories', { name: 'small', type: 'local', config: { path: small } })
    makeVm('noisy', 96, (root) => writeFileSync(join(root, 'noise'), randomBytes(60 * 2 ** 20)))
    const { body } = await hub.api('GET', '/vmware-credentials')
    await hub.api('POST', '/discovery/add-vms', { credential_id: body.credentials[0].id, vm_names: ['noisy'] })
    await view.open('/vms')
    await button('Actions for noisy').click()
    await page.getByRole('menuitem', { name: 'Back up now' }).click()
    await dialog().getByRole('combobox', { name: 'Repository' }).click()
    await page.getByRole('option', { name: 'small' }).click()
    await dialog().getByText('It may not fit').waitFor()
    await button(/Start full backup/, dialog()).click()
    await dialog().getByRole('alert').getByText('INSUFFICIENT_STORAGE').waitFor()
    await page.keyboard.press('Escape')
    await hub.api('DELETE', `/repositories/${made.body.repository_id}`)
  } finally {
    sh('/usr/bin/umount', [small])
  }
  // The node is down, and nobody starts it again until it is let.
  const launcher = Number(
    readFileSync(`/proc/${hub.pidOf('hub')}/stat`, 'utf8')
      .replace(/^.*\) /, '')
      .split(' ')[1],
  )
  const whileDown = async (name: 'source-node' | 'hub', work: () => Promise<void>) => {
    process.kill(launcher, 'SIGSTOP')
    try {
      process.kill(hub.pidOf(name), 'SIGKILL')
      await work()
    } finally {
      process.kill(launcher, 'SIGCONT')
    }
  }
  const alert = dialog().getByRole('alert')
  await whileDown('source-node', async () => {
    await view.open('/vms?discover=1')
    await button('Find', dialog()).click()
    await alert.getByText('NODE_UNREACHABLE').waitFor()
  })
  const credential_id = (await hub.api('GET', '/vmware-credentials')).body.credentials[0].id
  const find = () => hub.api('POST', '/discovery/preview', { credential_id })
  await expect.poll(async () => (await find()).status, { timeout: 30_000 }).toBe(200)
  await button('Try again', alert).click()
  await dialog().getByText('4 found').waitFor()
  // Those were asked for.
  const isAskedFor = (text: string) => /^(502 .*discovery|503 .*backups$)/.test(text)
  view.complaints.splice(0, view.complaints.length, ...view.complaints.filter((text) => !isAskedFor(text)))

  // The hub itself is down.
  await view.open('/groups')
  await page.getByText('No machine group yet').waitFor()
  // The other pages are loaded when nobody waits for them.
  await page.waitForFunction(() =>
    performance.getEntriesByType('resource').some(({ name }) => name.includes('/assets/Schedules-')),
  )
  await whileDown('hub', async () => {
    await page.getByRole('link', { name: 'Schedules' }).click()
    await page.getByText('The hub does not answer').first().waitFor()
    await page.getByText('Not connected').waitFor()
  })
  await hub.waitHealthy()
  await button('Try again').first().click()
  await page.getByText('No schedule yet').waitFor()
})

it('loses nothing of a form when the login ends in the middle of it', async () => {
  const { page, context } = view
  await view.open('/groups?new=1')
  await dialog().getByRole('textbox', { name: 'Name' }).fill('written before')
  await context.clearCookies()
  await button('Create', dialog()).click()
  const again = page.getByRole('dialog', { name: 'Your login has ended' })
  await again.getByRole('textbox', { name: 'Password' }).fill(password)
  await again.getByRole('button', { name: 'Log in' }).click()
  // It is sent by itself then.
  await row('written before').waitFor()
})

it('is used by keyboard alone', async () => {
  const { page } = view
  await view.open('/')
  await page.getByRole('heading', { name: 'Dashboard' }).waitFor()
  await page.keyboard.press('Control+k')
  await page.getByRole('textbox', { name: 'Go to' }).waitFor()
  await page.keyboard.type('sched')
  await page.getByRole('button', { name: 'Schedules' }).waitFor()
  await page.keyboard.press('ArrowDown')
  await page.keyboard.press('Enter')
  await page.waitForURL(/\/schedules/)
  // A new schedule, and the cron expression in words.
  await button('New schedule').first().focus()
  await page.keyboard.press('Enter')
  await dialog().waitFor()
  await expect.poll(() => page.evaluate(() => document.activeElement?.getAttribute('name'))).toBe('name')
  await page.keyboard.type('nightly')
  await dialog().getByText('At 02:00').waitFor()
  await button('Create', dialog()).focus()
  await page.keyboard.press('Enter')
  await row('nightly').waitFor()
  await page.getByRole('link', { name: 'nightly' }).focus()
  await page.keyboard.press('Enter')
  await page.getByRole('region', { name: 'Next ten runs' }).getByRole('listitem').nth(9).waitFor()
  // Rows by arrow keys, and back by Escape out of a dialog.
  await view.open('/vms')
  await page.getByRole('link', { name: 'large' }).focus()
  await page.keyboard.press('ArrowDown')
  expect(await page.evaluate(() => document.activeElement?.textContent)).toBe('noisy')
  await page.keyboard.press('k')
  expect(await page.evaluate(() => document.activeElement?.textContent)).toBe('large')
  await button('Add virtual machines').focus()
  await page.keyboard.press('Enter')
  await dialog().waitFor()
  await page.keyboard.press('Escape')
  await dialog().waitFor({ state: 'detached' })
  await page.keyboard.press('/')
  expect(await page.evaluate(() => document.activeElement?.getAttribute('placeholder'))).toBe('Search')
})

it('logs out, and lets nobody back in', async () => {
  const { page } = view
  await view.open('/')
  await button(/user menu$/).click()
  await page.getByRole('menuitem', { name: 'Log out' }).click()
  await page.getByRole('heading', { name: 'Log in' }).waitFor()
  await page.goto('/users')
  await page.getByRole('heading', { name: 'Log in' }).waitFor()
})
