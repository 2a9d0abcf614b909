/** Debian's Chromium before the console of a running hub. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type BrowserContext, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, expect } from 'vitest'
import { type Hub, password } from './hub.ts'

export type Console = {
  page: Page
  context: BrowserContext
  /** A path of the console. */
  open: (path: string) => Promise<void>
  logIn: () => Promise<void>
  /** What the page has complained of so far: errors, refusals by its own policy, answers of 500 and above. */
  complaints: string[]
  close: () => Promise<void>
}

/** @param options of the browser's context, such as its viewport */
export const openConsole = async (url: string, options: BrowserContextOptions = {}): Promise<Console> => {
  const folder = mkdtempSync(join(tmpdir(), 'sendense-browser-'))
  const context = await chromium.launchPersistentContext(folder, {
    executablePath: '/usr/bin/chromium',
    headless: true,
    acceptDownloads: true,
    baseURL: url,
    viewport: { width: 1280, height: 800 },
    locale: 'en-GB',
    timezoneId: 'UTC',
    args: [
      ...['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'],
      // Nothing but the hub is to be reached.
      ...['--disable-background-networking', '--disable-component-update', '--disable-sync'],
    ],
    ...options,
  })
  const page = context.pages()[0] ?? (await context.newPage())
  page.setDefaultTimeout(20_000)
  const complaints: string[] = []
  page.on('pageerror', (error) => complaints.push(`error: ${error.message}`))
  page.on('console', (message) => {
    // The browser's own words for an answer of 4xx or no answer; those are looked at by who expects them.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource'))
      complaints.push(`console: ${message.text()}`)
  })
  page.on('response', (response) => {
    if (response.status() >= 500) complaints.push(`${response.status()} ${response.url()}`)
  })
  const open = async (path: string) => {
    await page.goto(path)
  }
  return {
    page,
    context,
    open,
    logIn: async () => {
      await open('/')
      await page.getByRole('textbox', { name: 'User name' }).fill('admin')
      await page.getByRole('textbox', { name: 'Password' }).fill(password)
      await page.getByRole('button', { name: 'Log in' }).click()
      await page
        .getByRole('navigation', { name: 'Main' })
        .or(page.getByRole('button', { name: 'Menu' }))
        .first()
        .waitFor()
    },
    complaints,
    close: async () => {
      await context.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** A console for all tests of a file, logged in; what it complains of fails the test that is running. */
export const consoleForTests = (hub: Hub, options: BrowserContextOptions = {}): Console => {
  const view = {} as Console
  beforeAll(async () => {
    Object.assign(view, await openConsole(hub.url, options))
    await view.logIn()
  })
  afterAll(async () => {
    await view.close()
    expect(view.complaints).toEqual([])
  })
  return view
}
