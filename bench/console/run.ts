/// <reference lib="dom" />
/** Is the console of a site with 5 000 VMs and 1 000 000 backups as fluid as that of a small one? */
import { type Console, openConsole } from '../../test/support/browser.ts'
import { startHub } from '../../test/support/hub.ts'
import { fillSite } from '../support/large-site.ts'
import { median, print, row } from '../support/measure.ts'

const small = { vms: 5, flows: 2, backups: 50 }
const large = { vms: 5_000, flows: 500, backups: 1_000_000 }
const times = 7
const laterMaxMs = 300
const frameMaxMs = 50

/** By the name of its link in the menu: what is there when the page is. */
const pages: Record<string, string> = {
  Dashboard: 'section[aria-label="Storage"]',
  'Virtual machines': 'tr[data-row]',
  Restore: 'main input',
  Jobs: 'tr[data-row]',
  'Protection flows': 'tr[data-row]',
}
type Measured = { opened: Record<string, number>; longestFrame: number; search: number }

const measure = async ({ page, logIn }: Console): Promise<Measured> => {
  await logIn()
  const menu = page.getByRole('navigation', { name: 'Main' })
  const opened: Record<string, number[]> = Object.fromEntries(Object.keys(pages).map((name) => [name, []]))
  // The first round brings the pages' programs.
  for (let round = 0; round <= times; round++)
    for (const [name, content] of Object.entries(pages)) {
      await menu.getByRole('link', { name: 'Settings and about' }).click()
      await page.getByRole('heading', { name: 'Settings and about', level: 1 }).waitFor()
      await page.waitForTimeout(150)
      const began = performance.now()
      await menu.getByRole('link', { name, exact: true }).click()
      await page.locator(content).first().waitFor()
      if (round > 0) opened[name]!.push(performance.now() - began)
    }
  await menu.getByRole('link', { name: 'Virtual machines' }).click()
  await page.locator('tr[data-row]').first().waitFor()
  await page.waitForTimeout(500)
  await page.evaluate(() => {
    const gaps: number[] = []
    Object.assign(globalThis, { gaps })
    let before = performance.now()
    const frame = (now: number) => {
      gaps.push(now - before)
      before = now
      requestAnimationFrame(frame)
    }
    requestAnimationFrame(frame)
  })
  for (let step = 0; step < 60; step++) {
    await page.mouse.move(700, 500)
    await page.mouse.wheel(0, 400)
    await page.waitForTimeout(16)
  }
  const longestFrame = await page.evaluate(() => Math.max(...(globalThis as unknown as { gaps: number[] }).gaps))
  // Only rows that are seen are drawn.
  await page.locator('section[aria-label="Virtual machines"]').evaluate((list) => list.scrollTo(0, 0))
  const searches: number[] = []
  for (let round = 0; round < times; round++) {
    const field = page
      .getByRole('searchbox')
      .or(page.getByPlaceholder(/search/i))
      .first()
    await field.fill('')
    await page.getByRole('link', { name: 'vm 1', exact: true }).waitFor()
    await page.waitForTimeout(400)
    const began = performance.now()
    await field.fill('vm 3')
    await page.getByRole('link', { name: 'vm 1', exact: true }).waitFor({ state: 'detached' })
    searches.push(performance.now() - began)
  }
  return {
    opened: Object.fromEntries(Object.entries(opened).map(([name, values]) => [name, median(values)])),
    longestFrame,
    search: median(searches),
  }
}

const measureSite = async (size: typeof small): Promise<Measured> => {
  const hub = await startHub()
  try {
    const site = await fillSite(hub, size)
    const view = await openConsole(hub.url)
    try {
      return await measure(view)
    } finally {
      await view.close()
      await site.close()
    }
  } finally {
    await hub.stop()
  }
}

const [floor, ours] = [await measureSite(small), await measureSite(large)]
const timed = (what: string, took: number, floorTook: number) =>
  row(
    what,
    `${took.toFixed(0)} ms`,
    `${small.vms} VMs, ${small.backups} backups: ${floorTook.toFixed(0)} ms`,
    took / floorTook,
    `${laterMaxMs} ms later at most`,
    took - floorTook <= laterMaxMs,
  )
const what = `${large.vms} VMs, ${large.backups} backups`
print([
  ...Object.keys(pages).map((name) => timed(`${name} opens, ${what}`, ours.opened[name]!, floor.opened[name]!)),
  timed(`Searching the list of VMs, ${what}`, ours.search, floor.search),
  row(
    `Longest frame while the list of VMs is scrolled, ${what}`,
    `${ours.longestFrame.toFixed(0)} ms`,
    `${small.vms} VMs: ${floor.longestFrame.toFixed(0)} ms`,
    ours.longestFrame / floor.longestFrame,
    `≤ ${frameMaxMs} ms`,
    ours.longestFrame <= frameMaxMs,
  ),
])
