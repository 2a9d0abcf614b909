/** Finds the source that a credential names: `image:<name>` and the like, or a vCenter. */
import { HubError } from '../../contract/errors.ts'
import { imageSource } from './image.ts'
import { readSources } from './settings.ts'
import type { Source } from './source.ts'

export type SourceContext = { sourcesFile: string; stateDir: string }

/** @throws DISCOVERY_FAILED */
export const openSource = async ({ sourcesFile, stateDir }: SourceContext, host: string): Promise<Source> => {
  const [, kind, name] = /^([a-z]+):(.+)$/.exec(host) ?? []
  if (kind !== 'image')
    throw new HubError('DISCOVERY_FAILED', `This node can not read ${host.slice(0, 100)}`, {
      details: 'it knows sources of the kind image:<name>',
    })
  const settings = (await readSources(sourcesFile))[name!]
  if (!settings)
    throw new HubError('DISCOVERY_FAILED', `This node has no source ${host.slice(0, 100)}`, {
      details: 'name it in the file of SENDENSE_SOURCES',
    })
  return imageSource(host, settings.folder, stateDir)
}
