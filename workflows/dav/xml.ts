/** The XML of WebDAV (RFC 4918, sections 9.1, 14 and 15): what a PROPFIND asks for, and what answers it. */
import { DOMParser, type Element } from '@xmldom/xmldom'
import { HubError } from '../../contract/errors.ts'

/** A client asks for a dozen. */
const propertiesMax = 100
const davNamespace = 'DAV:'

type Name = { namespace: string; local: string }
/** `all`: whatever there is; `names`: which there are, without what they say. */
export type Asked = { kind: 'all' } | { kind: 'names' } | { kind: 'some'; properties: Name[] }

const invalid = (details: string) => new HubError('VALIDATION_FAILED', 'The request body is no PROPFIND', { details })

const elementsIn = (parent: Element): Element[] =>
  Array.from(parent.childNodes).filter((node): node is Element => node.nodeType === node.ELEMENT_NODE)
const isDav = ({ namespaceURI, localName }: Element, name: string) =>
  namespaceURI === davNamespace && localName === name

/** @param text empty: everything @throws VALIDATION_FAILED */
export const parsePropfind = (text: string): Asked => {
  if (text.trim() === '') return { kind: 'all' }
  // What a document type could declare is nothing that we need.
  if (/<!DOCTYPE/i.test(text)) throw invalid('a document type is not accepted')
  let root: Element | null
  try {
    const onError = (level: string, message: string) => {
      if (level !== 'warning') throw new Error(message)
    }
    root = new DOMParser({ onError }).parseFromString(text, 'text/xml').documentElement
  } catch (error) {
    throw invalid(String((error as Error).message).slice(0, 200))
  }
  if (!root || !isDav(root, 'propfind')) throw invalid('its root is not propfind of DAV:')
  const [first] = elementsIn(root).filter((element) =>
    ['allprop', 'propname', 'prop'].some((name) => isDav(element, name)),
  )
  if (!first || isDav(first, 'allprop')) return { kind: 'all' }
  if (isDav(first, 'propname')) return { kind: 'names' }
  const properties = elementsIn(first).map(({ namespaceURI, localName }) => ({
    namespace: namespaceURI ?? '',
    local: localName ?? '',
  }))
  if (properties.length > propertiesMax) throw invalid(`it asks for more than ${propertiesMax} properties`)
  return { kind: 'some', properties }
}

const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&apos;' }
/** Text of a document; characters that XML can not hold at all become U+FFFD. */
const escaped = (text: string) =>
  text
    .toWellFormed()
    .replace(/[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/gu, '\uFFFD')
    .replace(/[&<>"']/g, (character) => entities[character]!)

/** What there is to be said of a file or folder. */
export type Resource = {
  /** Absolute and percent-encoded; a folder's ends with a slash. */
  href: string
  name: string
  isFolder: boolean
  sizeBytes: number
  /** As HTTP writes dates; null: unknown. */
  modified: string | null
  contentType: string
}

/** By their local names; what they say as XML. */
const propertiesOf = ({ name, isFolder, sizeBytes, modified, contentType }: Resource): Map<string, string> =>
  new Map([
    ['displayname', escaped(name)],
    ['resourcetype', isFolder ? '<D:collection/>' : ''],
    ...(modified === null ? [] : ([['getlastmodified', modified]] as const)),
    ...(isFolder
      ? []
      : ([
          ['getcontentlength', String(sizeBytes)],
          ['getcontenttype', escaped(contentType)],
        ] as const)),
    // Nothing can be locked where nothing can be written.
    ['supportedlock', ''],
  ])

const group = (properties: readonly string[], status: string) =>
  properties.length === 0
    ? ''
    : `<D:propstat><D:prop>${properties.join('')}</D:prop><D:status>HTTP/1.1 ${status}</D:status></D:propstat>`
const element = (name: string, content: string) =>
  content === '' ? `<D:${name}/>` : `<D:${name}>${content}</D:${name}>`

/** One response of a multistatus. */
export const responseOf = (resource: Resource, asked: Asked): string => {
  const known = propertiesOf(resource)
  const found: string[] = []
  const missing: string[] = []
  if (asked.kind === 'some') {
    for (const { namespace, local } of asked.properties)
      if (namespace === davNamespace && known.has(local)) found.push(element(local, known.get(local)!))
      else missing.push(`<x:${local} xmlns:x="${escaped(namespace)}"/>`)
  } else for (const [name, content] of known) found.push(element(name, asked.kind === 'names' ? '' : content))
  return `<D:response><D:href>${escaped(resource.href)}</D:href>${group(found, '200 OK')}${group(missing, '404 Not Found')}</D:response>`
}

export const multistatusBegin = '<?xml version="1.0" encoding="utf-8"?><D:multistatus xmlns:D="DAV:">'
export const multistatusEnd = '</D:multistatus>'
