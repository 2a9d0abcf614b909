import { readFileSync } from 'node:fs'

/** What a process has of the host's memory, in bytes (proc_pid_status(5)). */
export const residentBytes = (pid: number): number =>
  Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) * 1024
