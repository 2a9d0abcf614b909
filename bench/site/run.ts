/** 200 VMs for 60 simulated days: does everything hold? */
import { runSite } from '../../test/support/site.ts'
import { print, row } from '../support/measure.ts'

const days = Number(process.env.SENDENSE_SITE_DAYS ?? 60)
const report = await runSite(
  {
    vms: 200,
    groups: 10,
    schedules: 12,
    days,
    diskBytes: 64 << 20,
    chainLimit: 30,
    refusedPercent: 5,
    compared: 300,
  },
  (day) => process.stderr.write(`day ${day + 1} of ${days}\n`),
)
const { runs, backups, failedTries, kills, merges, points, longestChain, seconds, problems } = report
for (const problem of problems) process.stderr.write(`${problem}\n`)
print([
  row(
    `A site of 200 VMs for ${days} days: ${runs} runs, ${backups} backups, ${failedTries} failed tries, ${kills} kills, ${merges} merges`,
    `${points} points left, the longest chain ${longestChain}, ${seconds} s`,
    'what the counts name, calculated apart',
    problems.length,
    '0 problems',
    problems.length === 0,
  ),
])
if (problems.length > 0) process.exitCode = 1
