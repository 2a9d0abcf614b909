/** A look at a small text or picture, without downloading it. */
import { Code, Image, Modal, ScrollArea, Text } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { ApiError, apiUrl, type Problem as ProblemBody, withQuery } from '../api/client.ts'
import type { Entry } from '../api/types.ts'
import { Loaded } from '../components/Loaded.tsx'
import { bytes } from '../lib/format.ts'
import { type FolderPlace, placeQuery } from './use-listing.ts'

const pictures = /\.(png|jpe?g|gif|webp|bmp|ico|svg)$/i
const texts =
  /\.(txt|md|log|conf|cfg|ini|json|ya?ml|xml|html?|css|[jt]sx?|sh|py|rb|pl|php|c|h|cpp|java|go|rs|sql|csv|env|service|toml|rules|list|fstab|hosts)$|^[^.]+$|^(hosts|fstab|passwd|group|hostname|README|LICENSE|Makefile)$/i
const pictureMax = 8 * 2 ** 20
const textMax = 64 * 1024
/** Longer files are shown from their beginning. */
const textFileMax = 16 * 2 ** 20

export const canPreview = ({ type, special, name, size, is_symlink }: Entry) =>
  type === 'file' &&
  !special &&
  !is_symlink &&
  size > 0 &&
  ((pictures.test(name) && size <= pictureMax) || (texts.test(name) && size <= textFileMax))

const Words = ({ url }: { url: string }) => {
  const query = useQuery({
    queryKey: ['preview', url],
    queryFn: async ({ signal }) => {
      const response = await fetch(url, {
        headers: { Range: `bytes=0-${textMax - 1}` },
        credentials: 'same-origin',
        signal,
      })
      if (!response.ok) throw new ApiError(response.status, (await response.json()) as ProblemBody)
      return new Uint8Array(await response.arrayBuffer())
    },
    staleTime: Number.POSITIVE_INFINITY,
  })
  return (
    <Loaded query={query}>
      {(data) =>
        data.includes(0) ? (
          <Text c="dimmed">This is no text. Download it to open it.</Text>
        ) : (
          <ScrollArea.Autosize mah="65dvh" type="auto" viewportProps={{ tabIndex: 0, 'aria-label': 'Content' }}>
            <Code block style={{ whiteSpace: 'pre-wrap', overflowWrap: 'anywhere' }}>
              {new TextDecoder().decode(data)}
            </Code>
            {data.length === textMax && (
              <Text size="sm" c="dimmed" mt="xs">
                The first {bytes(textMax)}.
              </Text>
            )}
          </ScrollArea.Autosize>
        )
      }
    </Loaded>
  )
}

export const Preview = ({ place, entry, onClose }: { place: FolderPlace; entry: Entry; onClose: () => void }) => {
  const url = apiUrl(
    withQuery(`/restore/${encodeURIComponent(place.mountId)}/download`, {
      ...placeQuery({ path: entry.path, pathB64: entry.path_b64 }),
      partition: place.partition,
    }),
  )
  return (
    <Modal opened onClose={onClose} title={<bdi>{entry.name}</bdi>} size="xl">
      {pictures.test(entry.name) ? <Image src={url} alt={entry.name} mah="65dvh" fit="contain" /> : <Words url={url} />}
    </Modal>
  )
}
