/** What a Linux guest mounts where (fstab(5)), and which of its volumes each line means. */
import { placeInTable, type Volume } from '../volumes/volume.ts'

export type FstabLine = { what: string; where: string; options: string[] }

/** More lines than anybody writes. */
const linesMax = 512
const withoutEscapes = (field: string) =>
  field.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))

export const parseFstab = (text: string): FstabLine[] =>
  text
    .split('\n')
    .slice(0, linesMax)
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .flatMap((line) => {
      const [what, where, , options = ''] = line.split(/\s+/)
      if (what === undefined || !where?.startsWith('/')) return []
      return [{ what: withoutEscapes(what), where: withoutEscapes(where), options: options.split(',') }]
    })

/** `mapper` names of LVM: a dash between group and volume, two for one that is in a name. */
const mapperName = (name: string) => {
  const parts = /^((?:[^-]|--)+)-((?:[^-]|--)+)$/.exec(name)
  return parts ? `${parts[1]!.replaceAll('--', '-')}/${parts[2]!.replaceAll('--', '-')}` : undefined
}

/** What crypttab(5) calls what it opens: the volume that each name is made of. */
export const parseCrypttab = (text: string): Map<string, string> =>
  new Map(
    text
      .split('\n')
      .map((line) => line.trim().split(/\s+/))
      .filter(([name, what]) => name !== undefined && !name.startsWith('#') && what !== undefined)
      .map(([name, what]) => [name!, what!]),
  )

type Names = { volumes: readonly Volume[]; crypttab: ReadonlyMap<string, string> }

/** @returns the volume that is meant, as far as it can be told */
export const volumeOf = (what: string, names: Names): Volume | undefined => {
  const { volumes } = names
  const text = what.replace(/^(\w+)="(.*)"$/, '$1=$2')
  const by = /^(UUID|LABEL|PARTUUID|PARTLABEL)=(.*)$/.exec(text)
  const byPath = /^\/dev\/disk\/by-(uuid|label|partuuid|partlabel)\/(.*)$/.exec(text)
  const kind = by?.[1] ?? byPath?.[1]?.toUpperCase()
  const value = by?.[2] ?? byPath?.[2]
  if (kind !== undefined && value !== undefined) {
    const same = (of: string | null) => of !== null && of.toLowerCase() === value.toLowerCase()
    switch (kind) {
      case 'UUID':
        return volumes.find(({ uuid }) => same(uuid))
      case 'LABEL':
        return volumes.find(({ label }) => label === value)
      case 'PARTUUID':
        return volumes.find(({ partUuid }) => same(partUuid))
      default:
        return volumes.find(({ partLabel }) => partLabel === value)
    }
  }
  const mapped = /^\/dev\/mapper\/(.+)$/.exec(text)?.[1]
  if (mapped !== undefined) {
    const logical = mapperName(mapped)
    const found = volumes.find(({ kind: of, name }) => of === 'lv' && name === logical)
    return found ?? decrypted(mapped, names)
  }
  const disk = /^\/dev\/(?:[shv]|xv)d([a-z])(\d*)$/.exec(text) ?? /^\/dev\/nvme(\d)n1(?:p(\d+))?$/.exec(text)
  if (disk) {
    const letter = disk[1]!
    const at = /\d/.test(letter) ? Number(letter) : letter.charCodeAt(0) - 'a'.charCodeAt(0)
    return volumes.find(
      (volume) =>
        (volume.kind === 'partition' || volume.kind === 'whole_disk') &&
        volume.piece?.disk === at &&
        placeInTable(volume) === Number(disk[2] || 0),
    )
  }
  const named = /^\/dev\/(?:md\/)?([^/]+(?:\/[^/]+)?)$/.exec(text)?.[1]
  return volumes.find(({ kind: of, name }) => (of === 'lv' || of === 'raid') && name === named)
}

/** What an encrypted volume holds, under the name that the guest gives it. */
const decrypted = (name: string, names: Names): Volume | undefined => {
  const { volumes, crypttab } = names
  const what = crypttab.get(name) ?? `UUID=${/^luks-(.+)$/.exec(name)?.[1] ?? ''}`
  // Never through itself: a name that stands for a name is not looked up again.
  const outer = what.startsWith('/dev/mapper/') ? undefined : volumeOf(what, names)
  return outer && volumes.find(({ kind, within }) => kind === 'decrypted' && within === outer.number)
}
