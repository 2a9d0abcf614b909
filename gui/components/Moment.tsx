import { Text, Tooltip } from '@mantine/core'
import { ago, dateTime, utc } from '../lib/format.ts'

/** A time in the viewer's zone, UTC on hover. */
export const Moment = ({ at, relative = false }: { at: string | null; relative?: boolean }) =>
  at === null ? (
    <Text span c="dimmed" inherit>
      –
    </Text>
  ) : (
    <Tooltip label={utc(at)}>
      <time dateTime={at} style={{ whiteSpace: 'nowrap' }}>
        {relative ? ago(at) : dateTime(at)}
      </time>
    </Tooltip>
  )
