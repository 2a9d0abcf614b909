/**
 * A small process that runs the agent's tools for it (see exec.ts). A fork copies the page tables of whoever forks, and every page that is written
 * after it: 4 ms of the agent's event loop for each tool, 2 ms of nobody's here.
 * Takes one ToolRequest a line on standard input, writes one ToolResult a line on standard output, and ends with its input.
 */
import { execFile } from 'node:child_process'
import { createInterface } from 'node:readline'

export type ToolRequest = { id: number; tool: string; args: readonly string[]; timeoutMs: number }
/** @property failure why there is no exit code */
export type ToolResult = { id: number; exitCode: number | null; stdout: string; stderr: string; failure: string }

/** No tool that the agent waits for says more. */
const outputBytesMax = 4 * 1024 * 1024

const start = ({ id, tool, args, timeoutMs }: ToolRequest) => {
  const options = { timeout: timeoutMs, killSignal: 'SIGKILL', maxBuffer: outputBytesMax } as const
  // Not execa: it takes twice as long to start a process, and a mount waits for several.
  const child = execFile(tool, args, options, (error, stdout, stderr) => {
    const failure = error?.killed ? 'timed out' : String(error ?? '')
    const result: ToolResult = { id, exitCode: child.exitCode, stdout, stderr, failure }
    process.stdout.write(`${JSON.stringify(result)}\n`)
  })
  child.stdin?.end()
}

createInterface({ input: process.stdin })
  .on('line', (line) => start(JSON.parse(line) as ToolRequest))
  .on('close', () => process.exit(0))
