/**
 * A small process that runs the agent's tools for it (see exec.ts). A fork copies the page tables of whoever forks, and every page that is written
 * after it: 4 ms of the agent's event loop for each tool, 2 ms of nobody's here.
 * Takes one ToolRequest a line on standard input, writes one ToolAnswer a line on standard output, and ends with its input.
 */
import { createInterface } from 'node:readline'
import { runTool, type ToolCall, type ToolResult } from './run-tool.ts'

export type ToolRequest = ToolCall & { id: number }
export type ToolAnswer = ToolResult & { id: number }

const answer = async (line: string) => {
  const { id, ...call } = JSON.parse(line) as ToolRequest
  process.stdout.write(`${JSON.stringify({ id, ...(await runTool(call)) } satisfies ToolAnswer)}\n`)
}

createInterface({ input: process.stdin })
  .on('line', (line) => void answer(line))
  .on('close', () => process.exit(0))
