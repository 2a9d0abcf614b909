/**
 * The doctor, which looks at the whole hub as root: a program of its own, so that what it needs of memory and time is not the agent's. What it found last
 * outlives the agent.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import { type Examination, examination, findingsMax } from '../contract/api/doctor.ts'
import { HubError } from '../contract/errors.ts'
import type { AgentSettings } from '../contract/settings.ts'
import { writeFileDurably } from '../durable/write-file.ts'
import { run } from './exec.ts'
import { log } from './log.ts'

/** It reads a manifest of each restore point, twice when it finds something. */
const timeoutMs = 3600_000
const doctorProgram = fileURLToPath(new URL('../doctor/main.js', import.meta.url))
const said = z.object({ finding_count: z.int(), findings: examination.shape.findings })

export class Examinations {
  readonly #file: string
  readonly #settings: AgentSettings['doctor']
  #last: Examination = {
    state: 'never',
    started_at: null,
    ended_at: null,
    finding_count: 0,
    findings: [],
    error: null,
  }

  constructor({ stateDir, doctor }: AgentSettings) {
    this.#file = join(stateDir, 'examination.json')
    this.#settings = doctor
  }

  async open(): Promise<void> {
    try {
      this.#last = examination.parse(JSON.parse(await readFile(this.#file, 'utf8')))
    } catch {
      // Not there, damaged, or of another version: nothing that anybody builds on.
    }
  }

  get last(): Examination {
    return this.#last
  }

  /** @throws SERVICE_UNAVAILABLE */
  start(): Examination {
    if (this.#settings === null) throw new HubError('SERVICE_UNAVAILABLE', 'This host-agent has no doctor')
    if (this.#last.state !== 'running') void this.#examine(this.#settings)
    return this.#last
  }

  async #examine(settings: Record<string, string>): Promise<void> {
    const before = this.#last
    const started_at = new Date().toISOString()
    this.#last = { ...before, state: 'running', started_at }
    const ended = await this.#ask(settings).then(
      (found) => ({ ...found, state: 'done' as const, error: null }),
      (error: Error) => ({ finding_count: 0, findings: [], state: 'failed' as const, error: error.message }),
    )
    this.#last = { ...ended, started_at, ended_at: new Date().toISOString() }
    await writeFileDurably(this.#file, JSON.stringify(this.#last)).catch((error: Error) =>
      log.warn({ error: error.message }, 'what the doctor found could not be kept'),
    )
  }

  async #ask(settings: Record<string, string>) {
    const args = [doctorProgram, '--json', '--most', String(findingsMax), '--settings-from-input']
    const input = JSON.stringify(settings)
    const { stdout } = await run(process.execPath, args, { timeoutMs, okCodes: [0, 1], input })
    return said.parse(JSON.parse(stdout))
  }
}
