/** Who may import whom: the table of docs/architecture.md, watched. */
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'

const root = fileURLToPath(new URL('../../', import.meta.url))
/** Folders of ours that a folder may import, and packages or built-ins that it must not. */
const rules: Record<string, { may: string[]; never: RegExp }> = {
  contract: { may: ['contract'], never: /^(?!zod$|node:(stream|crypto)$)/ },
  cli: { may: ['cli', 'contract'], never: /^(hono|@hono|execa|drizzle|mysql2|node:child_process)/ },
  nbd: { may: ['nbd'], never: /^(?!node:)/ },
  durable: { may: ['durable'], never: /^(?!node:)/ },
  doctor: { may: ['doctor', 'contract', 'db', 'host-agent'], never: /^(hono|@hono|execa|node:child_process)/ },
  db: { may: ['db', 'contract'], never: /^(hono|@hono|execa|node:child_process|node:fs)/ },
  workflows: { may: ['workflows', 'contract', 'db'], never: /^(hono|@hono|execa|node:child_process|node:fs)/ },
  functions: { may: ['contract', 'db', 'workflows'], never: /^(hono|@hono|execa|node:child_process|node:fs)/ },
  runtime: { may: ['runtime', 'contract', 'db', 'durable'], never: /^execa/ },
  sftp: { may: ['sftp', 'contract', 'workflows'], never: /^(hono|@hono|execa|node:child_process|node:fs)/ },
  gui: { may: ['gui', 'contract'], never: /^(?!react|@mantine|@tanstack|@tabler|uplot|cronstrue$|croner$|zod$)/ },
  'host-agent': { may: ['host-agent', 'contract', 'nbd', 'durable'], never: /^(drizzle|mysql2)/ },
  'source-node': { may: ['source-node', 'contract', 'nbd'], never: /^(drizzle|mysql2)/ },
}
/** Single files beside those folders, and why. */
const also: Record<string, RegExp> = {
  // Types of what the map grants; the declaration of a function.
  workflows: /^runtime\/(bindings\/(index|keys)|function)\.ts$/,
  functions: /^runtime\/function\.ts$/,
  // How to reach the database and the agent.
  doctor: /^(runtime\/(bindings\/agent|database-address)|wrangler-style\.config)\.ts$/,
  // The door that is no function.
  runtime: /^(wrangler-style\.config|sftp\/server)\.ts$/,
  // Who may come in, and who is told of it.
  sftp: /^runtime\/(audit|tokens|bindings\/index)\.ts$/,
}
/** Starting processes is for these files alone. */
const mayStartProcesses =
  /^(host-agent\/(exec|run-tool)|source-node\/exec|source-node\/mover\/hash-in-background|runtime\/(host|service|embedded-database))\.ts$/

const imports = (text: string) =>
  [...text.matchAll(/(?<!['.])\b(?:from|import)\s*\(?\s*'([^']+)'/g)].map((match) => match[1]!)
const files = Object.keys(rules).flatMap((folder) =>
  (readdirSync(join(root, folder), { recursive: true }) as string[])
    .filter((name) => /\.tsx?$/.test(name) && !/^node_modules|vite\.config/.test(name))
    .map((name) => join(folder, name)),
)

it.each(files)('%s', (file) => {
  const folder = Object.keys(rules).find((name) => file.startsWith(`${name}/`))!
  const { may, never } = rules[folder]!
  const text = readFileSync(join(root, file), 'utf8')
  // A page takes types of shapes alone: what checks requests belongs to the hub.
  if (folder === 'gui') expect(text).not.toMatch(/^import (?!type )[^'"]*'(\.\.\/)+contract\//m)
  for (const name of imports(text)) {
    if (!name.startsWith('.')) {
      expect(never.test(name), `${file} imports ${name}`).toBe(false)
      if (/^(execa|node:child_process)$/.test(name) && !/^import type .*'(execa|node:child_process)'/m.test(text))
        expect(mayStartProcesses.test(file), `${file} starts processes`).toBe(true)
      continue
    }
    const target = relative(root, resolve(root, file, '..', name))
    const allowed = may.includes(target.split('/')[0]!) || also[folder]?.test(target)
    expect(allowed, `${file} imports ${target}`).toBe(true)
  }
  expect(text, `${file} uses a shell`).not.toMatch(/shell:\s*true|\bexec(Sync)?\(`/)
})

/** Packages that are loaded when a file is; not types, and not what it loads later. */
const packagesOf = (file: string, seen = new Set<string>()): Set<string> => {
  if (seen.has(file)) return seen
  seen.add(file)
  const text = readFileSync(join(root, file), 'utf8')
  for (const [, name] of text.matchAll(/^(?:import|export) (?!type )[^'"]*?from '([^']+)'/gm))
    if (name!.startsWith('.')) packagesOf(relative(root, resolve(root, file, '..', name!)), seen)
    else seen.add(name!)
  return seen
}

it('a reader, which is started for each mount, loads little', () => {
  const loaded = [...packagesOf('host-agent/sandbox/reader.ts')]
  expect(loaded.filter((name) => !/\.ts$|^node:/.test(name)).sort()).toEqual(['lru-cache', 'zod/mini'])
})
