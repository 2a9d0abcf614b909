/** Metadata of LVM that a guest has made up, with checksums that are right: it costs its own volumes. */
import { expect, it } from 'vitest'
import { openVolumeGroups } from '../../host-agent/volumes/layers/lvm.ts'

const blocks = {
  sizeBytes: 2 ** 26,
  piece: { disk: 0, offsetBytes: 0 },
  read: async (_: number, length: number) => Buffer.alloc(length),
}
const group = (volumes: string) => `vg {
  id = "group" seqno = 1 extent_size = 8192
  physical_volumes { pv0 { id = "pv-0" pe_start = 2048 pe_count = 10 } }
  logical_volumes { good { id = "1" status = ["VISIBLE"] segment_count = 1
    segment1 { start_extent = 0 extent_count = 2 type = "striped" stripe_count = 1 stripes = ["pv0", 0] } } ${volumes} }
}`
const volume = (name: string, body: string) => `${name} { id = "${name}" status = ["VISIBLE"] ${body} }`

it('opens what is whole beside what is not, and nothing of what is no text', async () => {
  const texts = [
    volume('noSegments', 'segment_count = 2'),
    volume(
      'itself',
      'segment_count = 1 segment1 { start_extent = 0 extent_count = 1 type = "striped" stripe_count = 1 stripes = ["itself", 0] }',
    ),
    volume(
      'huge',
      'segment_count = 1 segment1 { start_extent = 0 extent_count = 9007199254740991 type = "striped" stripe_count = 1 stripes = ["pv0", 0] }',
    ),
    volume('strange', 'segment_count = 1 segment1 { start_extent = 0 extent_count = 1 type = "vdo" }'),
    volume(
      'outside',
      'segment_count = 1 segment1 { start_extent = 0 extent_count = 9 type = "striped" stripe_count = 1 stripes = ["pv0", 9] }',
    ),
  ]
  const found = await openVolumeGroups([
    { uuid: 'pv0', blocks, metadata: ['this is { no = text', group(texts.join('\n'))] },
  ])
  expect(found.map((one) => [one.name, 'blocks' in one])).toEqual([
    ['vg/good', true],
    ...['huge', 'itself', 'noSegments', 'outside', 'strange'].map((name) => [`vg/${name}`, false]),
  ])
})
