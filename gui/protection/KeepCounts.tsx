/** How many restore points stay, beside those that the days keep. */
import { NumberInput, SimpleGrid } from '@mantine/core'
import type { Policy } from '../api/types.ts'

export type Keep = NonNullable<Policy['keep']>
export const keepNothing: Keep = { last: 0, hourly: 0, daily: 0, weekly: 0, monthly: 0, yearly: 0 }
export const keepCounts = Object.keys(keepNothing) as (keyof Keep)[]
const keepMax = 10_000

export const KeepCounts = ({ keep, onChange }: { keep: Keep; onChange: (keep: Keep) => void }) => (
  <SimpleGrid cols={{ base: 2, sm: 3 }}>
    {keepCounts.map((name) => (
      <NumberInput
        key={name}
        label={name === 'last' ? 'Last points' : `${name.charAt(0).toUpperCase()}${name.slice(1)}`}
        min={0}
        max={keepMax}
        value={keep[name]}
        onChange={(value) => onChange({ ...keep, [name]: Number(value) || 0 })}
      />
    ))}
  </SimpleGrid>
)
