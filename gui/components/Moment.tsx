import { Text } from '@mantine/core'
import { ago, dateTime, utc } from '../lib/format.ts'

/** A time in the viewer's zone, UTC on hover. */
export const Moment = ({ at, relative = false }: { at: string | null; relative?: boolean }) =>
  at === null ? (
    <Text span c="dimmed" inherit>
      –
    </Text>
  ) : (
    // The browser's own tip: a component for each time took most of the time of a long list.
    <time dateTime={at} title={utc(at)} style={{ whiteSpace: 'nowrap' }}>
      {relative ? ago(at) : dateTime(at)}
    </time>
  )
