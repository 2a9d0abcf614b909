/// <reference lib="dom" />
/**
 * Every page, empty and full, light and dark, small and large: nothing overflows, nothing keeps anybody out. With SENDENSE_SCREENSHOTS set to a folder it
 * leaves a picture of each there; docs/screenshots is made so.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { waitFor } from '../../runtime/service.ts'
import { type Console, consoleForTests } from '../support/browser.ts'
import { type Hub, registerVm, runBackup } from '../support/hub.ts'
import { hubForTests } from '../support/hub-suite.ts'
import { filesystemImage } from '../support/images.ts'

const hub = hubForTests()
/** Two people at once: most of a page's time is waiting for it to come to rest. */
const views = [consoleForTests(hub), consoleForTests(hub)] as const
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const pictures = process.env.SENDENSE_SCREENSHOTS

/** 255 characters, as long as a name may be; and one that is written from right to left. */
const longName = `backup of the machine with the longest name ${'that anybody would ever think of '.repeat(8)}`.slice(
  0,
  255,
)
const rightToLeft = 'שרת קבצים ראשי'
const vmNames = ['web-01', 'database', rightToLeft]

const fill = async (on: Hub) => {
  for (const [at, name] of vmNames.entries()) {
    const folder = join(on.folder, 'vms', name)
    mkdirSync(folder)
    filesystemImage(join(folder, 'disk0.raw'), 'ext4', 48 * 2 ** 20, (root) => {
      mkdirSync(join(root, 'etc'))
      for (const file of ['fstab', 'hostname', 'passwd'])
        writeFileSync(join(root, 'etc', file), `${name}\n`.repeat(200))
      writeFileSync(join(root, `${'a long name '.repeat(20)}.txt`), 'x')
      writeFileSync(join(root, 'notes.txt'), 'content '.repeat(5000 * (at + 1)))
    })
    const vm = await registerVm(on, name)
    await runBackup(on, vm, 'full')
    await runBackup(on, vm, 'incremental')
  }
  const made = async (path: string, body: object) => {
    const { status, body: answer } = await on.api('POST', path, body)
    if (status > 201) throw new Error(JSON.stringify(answer))
    return answer
  }
  const repository_id = (await on.api('GET', '/repositories')).body.repositories[0].id
  const schedule = await made('/schedules', {
    name: 'nightly',
    cron_expression: '0 2 * * *',
    timezone: 'Europe/Berlin',
  })
  await made('/schedules', { name: longName, cron_expression: '*/15 8-18 * * 1-5', timezone: 'UTC', enabled: false })
  const policy = await made('/policies', {
    name: 'a week of days, a month of weeks',
    primary_repository_id: repository_id,
    retention_days: 0,
    keep: { last: 1, daily: 7, weekly: 4, monthly: 0, hourly: 0, yearly: 0 },
  })
  const group = await made('/machine-groups', { name: 'web servers', description: 'Those that customers see.' })
  await made('/machine-groups', { name: longName })
  const vms = (await on.api('GET', '/vm-contexts')).body.vm_contexts
  await made(`/machine-groups/${group.id}/vms/bulk`, { vm_context_ids: [vms[0].context_id] })
  const flow = await made('/protection-flows', {
    name: 'web servers each night',
    flow_type: 'backup',
    target_type: 'group',
    target_id: group.id,
    repository_id,
    schedule_id: schedule.id,
    policy_id: policy.id,
  })
  await made('/protection-flows', {
    name: longName,
    flow_type: 'backup',
    target_type: 'vm',
    target_id: vms[1].context_id,
    repository_id,
  })
  await made('/notifications', { name: 'to the admins', type: 'webhook', config: { url: 'http://127.0.0.1:9/hook' } })
  await made('/users', {
    username: 'operator',
    role: 'operator',
    display_name: longName,
    password: 'a good long password',
  })
  await made('/api-tokens', { name: 'monitoring', role: 'viewer' })
  const backups = (await on.api('GET', '/backups')).body.backups
  for (const { backup_id } of backups) await made(`/backups/${backup_id}/index`, {})
  const isIndexed = async () =>
    (await on.api('GET', `/backups/${backups[0].backup_id}`)).body.file_index.status === 'completed'
  await waitFor('the index', isIndexed, 60_000)
  const mount = await made('/restore/mount', { backup_id: backups[0].backup_id, disk_index: 0 })
  return {
    vm: vms[0].context_id,
    job: backups[0].backup_id,
    mount: mount.mount_id,
    group: group.id,
    flow: flow.id,
    schedule: schedule.id,
    policy: policy.id,
  }
}

const lists = [
  'vms',
  'restore',
  'search',
  'jobs',
  'flows',
  'groups',
  'schedules',
  'policies',
  'repositories',
  'credentials',
  'notifications',
  'users',
  'tokens',
  'audit',
  'about',
]
const dialogs = [
  'vms?discover=1',
  'flows?new=1',
  'groups?new=1',
  'schedules?new=1',
  'policies?new=1',
  'repositories?new=1',
  'credentials?new=1',
  'notifications?new=1',
  'users?new=1',
  'tokens?new=1',
]
let ids: Awaited<ReturnType<typeof fill>>
const details = (): [string, string][] => [
  ['vm', `vms/${ids.vm}`],
  ['vm-history', `vms/${ids.vm}?tab=history`],
  ['vm-disks', `vms/${ids.vm}?tab=disks`],
  ['job', `jobs/${ids.job}`],
  ['restore-point', `restore?vm=${ids.vm}`],
  ['files', `restore/${ids.mount}`],
  ['changes', `jobs/${ids.job}/changes`],
  ['search-found', 'search?q=notes&deleted=true'],
  ['flow', `flows/${ids.flow}`],
  ['group', `groups/${ids.group}`],
  ['schedule', `schedules/${ids.schedule}`],
  ['policy', `policies/${ids.policy}`],
]
const nameOf = (path: string) => (path === '' ? 'dashboard' : path.replace(/\?.*/, '-new'))

/** Until nothing is on its way any more; live events always are. */
const settled = async (view: Console, path: string) => {
  await view.open(`/${path}`)
  if (path.includes('?new=') || path.includes('?discover=')) await dialog(view).waitFor()
  await rested(view)
}
const dialog = (view: Console) => view.page.getByRole('dialog')
const rested = async (view: Console) => {
  await view.page.getByRole('heading').first().waitFor()
  await view.page.waitForFunction(() => document.querySelector('[aria-label=Loading], [aria-busy=true]') === null)
  await view.page.waitForTimeout(250)
}

type Result = { violations: { id: string; impact: string; nodes: { target: string[]; failureSummary: string }[] }[] }
/** @returns what keeps people out, by the rules of axe-core: serious and critical alone */
const barriers = async (view: Console): Promise<string[]> => {
  await view.page.evaluate(axe)
  const { violations } = await view.page.evaluate(() =>
    (globalThis as unknown as { axe: { run: (on: Document) => Promise<Result> } }).axe.run(document),
  )
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .flatMap(({ id, nodes }) =>
      nodes.slice(0, 3).map((node) => `${id}: ${node.target.join(' ')}: ${node.failureSummary.slice(0, 300)}`),
    )
}
/** @returns what sticks out of the page to the right, once it has come to rest after a change of its size */
const overflow = async (view: Console): Promise<string[]> => {
  for (let look = 1; ; look++) {
    const found = await sticksOut(view)
    if (found.length === 0 || look === 6) return found
    await view.page.waitForTimeout(200)
  }
}
const sticksOut = (view: Console) =>
  view.page.evaluate(() => {
    const { scrollWidth, clientWidth } = document.documentElement
    return scrollWidth <= clientWidth
      ? []
      : [...document.querySelectorAll('body *')]
          .filter(
            (element) =>
              element.getBoundingClientRect().right > clientWidth + 1 &&
              // What a part of the page scrolls by itself sticks out of nothing.
              !element.parentElement?.closest('section, [class*=ScrollArea]'),
          )
          .slice(-3)
          .map((element) => `${element.tagName} ${element.className} ${element.textContent?.slice(0, 40)}`)
  })

const laptop = { width: 1280, height: 800 }
const others = {
  least: { width: 320, height: 640 },
  phone: { width: 375, height: 812 },
  desktop: { width: 1920, height: 1080 },
  '4K': { width: 3840, height: 2160 },
}
/** As in another tab of the same person: pages that are open follow. */
const scheme = async (view: Console, name: 'light' | 'dark') => {
  await view.page.evaluate((value) => {
    const key = 'mantine-color-scheme-value'
    localStorage.setItem(key, value)
    window.dispatchEvent(new StorageEvent('storage', { storageArea: localStorage, key, newValue: value }))
  }, name)
  await view.page.locator(`html[data-mantine-color-scheme=${name}]`).waitFor()
  // Colours change gently.
  await view.page.waitForTimeout(250)
}
/** All that must hold of each page. */
const look = async (paths: [name: string, path: string][], folder: string) => {
  const left = [...paths]
  const found: string[] = []
  const lookBy = async (view: Console) => {
    for (let next = left.shift(); next; next = left.shift()) found.push(...(await lookAt(view, next, folder)))
  }
  await Promise.all(views.map(lookBy))
  return found
}
const lookAt = async (view: Console, [name, path]: [name: string, path: string], folder: string) => {
  const found: string[] = []
  await settled(view, path)
  for (const colours of ['light', 'dark'] as const) {
    await scheme(view, colours)
    found.push(...(await barriers(view)).map((text) => `${name} ${colours} ${text}`))
    if (!pictures) continue
    mkdirSync(join(pictures, folder), { recursive: true })
    await view.page.screenshot({ path: join(pictures, folder, `${name}-${colours}.png`) })
  }
  await scheme(view, 'light')
  for (const [size, viewport] of Object.entries(others)) {
    await view.page.setViewportSize(viewport)
    await view.page.waitForTimeout(100)
    found.push(...(await overflow(view)).map((text) => `${name} at ${size}: ${text}`))
  }
  await view.page.setViewportSize(laptop)
  return found
}
/** By the palette, as somebody does who has no mouse. */
const goTo = async (view: Console, label: string) => {
  const { page } = view
  await page.keyboard.press('Control+k')
  await page.locator('[aria-label="Go to"]:focus').waitFor()
  await page.keyboard.type(label)
  await page.locator('[data-action][data-selected]', { hasText: label }).waitFor()
  await page.keyboard.press('Enter')
  await page.getByRole('textbox', { name: 'Go to' }).waitFor({ state: 'detached' })
  await rested(view)
}
/**
 * @param within what is walked through
 * @returns what can be used by a mouse there and is not reached by Tab; within a group of choices it is reached by arrow keys
 */
const unreached = async (view: Console, within: 'main' | '[role=dialog]'): Promise<string[]> => {
  const { page } = view
  const count = await page.evaluate((root) => {
    const usable = [
      'a[href]',
      'button',
      'input',
      'select',
      'textarea',
      '[role=button]',
      '[role=switch]',
      '[tabindex="0"]',
    ]
    const not = [
      '[type=hidden]',
      '[type=file]',
      '[type=radio]',
      '[role=tab]',
      '[aria-hidden=true]',
      '[aria-hidden=true] *',
    ]
    const controls = [...document.querySelectorAll<HTMLElement>(`${root} :is(${usable.join()})`)].filter(
      (control) =>
        control.checkVisibility({ visibilityProperty: true }) && !control.matches(`:disabled, ${not.join()}`),
    )
    for (const [at, control] of controls.entries()) control.dataset.control = String(at)
    return controls.length
  }, within)
  const reached = new Set<string>()
  const note = async () => {
    const at = await page.evaluate(() => (document.activeElement as HTMLElement | null)?.dataset.control)
    if (at !== undefined) reached.add(at)
  }
  await note()
  // Before a page's own come those of its frame.
  for (let press = 0; press < count + 60 && reached.size < count; press++) {
    await page.keyboard.press('Tab')
    await note()
  }
  return page.evaluate(
    (known) =>
      [...document.querySelectorAll<HTMLElement>('[data-control]')]
        .filter((control) => !known.includes(control.dataset.control!))
        .map((control) => control.outerHTML.slice(0, 300)),
    [...reached],
  )
}
const listed = () => ['', ...lists].map((path): [string, string] => [nameOf(path), path])

it('says on every page of an empty hub what to do next', { timeout: 600_000 }, async () => {
  expect(await look(listed(), 'empty')).toEqual([])
})

describe('with machines, restore points and all that belongs to them', () => {
  beforeAll(async () => {
    ids = await fill(hub)
  })
  it('lists them', { timeout: 600_000 }, async () => {
    expect(await look(listed(), 'full')).toEqual([])
  })
  it('shows each by itself', { timeout: 600_000 }, async () => {
    expect(await look(details(), 'full')).toEqual([])
  })
  it('makes new ones', { timeout: 600_000 }, async () => {
    expect(
      await look(
        dialogs.map((path): [string, string] => [nameOf(path), path]),
        'full',
      ),
    ).toEqual([])
  })
  it('is reached and used by keyboard alone', { timeout: 600_000 }, async () => {
    const [view, other] = views
    await settled(view, '')
    const labels = await view.page.getByRole('navigation', { name: 'Main' }).getByRole('link').allInnerTexts()
    expect(labels.length).toBe(lists.length + 1)
    const found: string[] = []
    const byPalette = async () => {
      for (const label of labels) {
        await goTo(view, label)
        found.push(...(await unreached(view, 'main')).map((control) => `${label}: ${control}`))
      }
    }
    const byPath = async () => {
      for (const [name, path] of details()) {
        await settled(other, path)
        found.push(...(await unreached(other, 'main')).map((control) => `${name}: ${control}`))
      }
      for (const path of dialogs) {
        await settled(other, path)
        found.push(...(await unreached(other, '[role=dialog]')).map((control) => `${path}: ${control}`))
        await other.page.keyboard.press('Escape')
        await dialog(other).waitFor({ state: 'detached' })
      }
    }
    await Promise.all([byPalette(), byPath()])
    expect(found).toEqual([])
    // What a row can do lies behind one button, which has the focus again when the menu is left.
    await settled(view, 'schedules')
    const { page } = view
    const button = page.getByRole('button', { name: 'Actions for nightly' })
    const open = async () => {
      await page.keyboard.press('Enter')
      await page.locator('[role=menu]:focus-within').waitFor()
    }
    await button.focus()
    await open()
    await page.keyboard.press('Escape')
    await page.getByRole('menu').waitFor({ state: 'detached' })
    await page.locator('[aria-label="Actions for nightly"]:focus').waitFor()
    await open()
    await page.keyboard.type('Edit')
    await page.locator('[role=menuitem]:focus', { hasText: 'Edit' }).waitFor()
    await page.keyboard.press('Enter')
    await dialog(view).waitFor()
    await page.keyboard.press('Escape')
    await dialog(view).waitFor({ state: 'detached' })
  })
  it('is logged in to', async () => {
    for (const { context } of views) await context.clearCookies()
    expect(await look([['login', '']], 'empty')).toEqual([])
  })
})
