/**
 * Live events for those who listen: one look at the database every half second, however many they are, and none while nobody listens. The state of the
 * system is in the database alone, so it is the same from every hub.
 */
import { randomUUID } from 'node:crypto'
import { Readable } from 'node:stream'
import type { EventType } from '../../contract/api/events.ts'
import { HubError } from '../../contract/errors.ts'
import { causes, log } from '../log.ts'

/** Something whose changes are told. */
export type Watched = { type: EventType; id: string; state: Record<string, unknown>; hasEnded: boolean }
/** @param endedSince what ended before is left out */
type Look = (endedSince: Date) => Promise<Watched[]>
type Event = { id: string; type: EventType; data: string }

export type Events = {
  /**
   * Server-sent events from now on: at first all that is there, or what came after the last one that the listener has had.
   * @throws SERVICE_UNAVAILABLE when too many listen
   */
  listen: (lastEventId: string | undefined) => Readable
  close: () => void
}

const pingMs = 15_000
/** As long as somebody who lost the connection may take to come back and still see every end. */
const endedForMs = 10 * 60_000
const keptEvents = 2000
const listenersMax = 200
/** A listener that has not taken so much is let go: it comes back and goes on behind its last event. */
const waitingBytesMax = 4 * 1024 * 1024

const textOf = ({ id, type, data }: Event) => `id: ${id}\nevent: ${type}\ndata: ${data}\n\n`

export const openEvents = (look: Look, pollMs = 500): Events => {
  /** Tells the events of this process from those of another hub. */
  const origin = randomUUID().slice(0, 8)
  const listeners = new Set<Readable>()
  let known = new Map<string, { type: EventType; id: string; data: string; hasEnded: boolean }>()
  let kept: Event[] = []
  let number = 0
  let timer: NodeJS.Timeout | undefined
  let looking: Promise<void> | undefined
  let hasLooked = false
  let pinged = performance.now()

  const send = (listener: Readable, text: string) => {
    // One that is gone already.
    if (listener.destroyed) return
    listener.push(text)
    if (listener.readableLength > waitingBytesMax) listener.destroy()
  }
  const tell = (type: EventType, data: string) => {
    const event = { id: `${origin}-${++number}`, type, data }
    kept.push(event)
    if (kept.length > 2 * keptEvents) kept = kept.slice(-keptEvents)
    for (const listener of listeners) send(listener, textOf(event))
  }

  const lookOnce = async () => {
    const now = new Map(
      (await look(new Date(Date.now() - endedForMs))).map(({ type, id, state, hasEnded }) => [
        `${type} ${id}`,
        { type, id, data: JSON.stringify(state), hasEnded },
      ]),
    )
    for (const [key, { type, data }] of now) if (hasLooked && known.get(key)?.data !== data) tell(type, data)
    // What has ended is no longer looked at some day; all else that is gone was removed.
    for (const [key, { type, id, hasEnded }] of known)
      if (!now.has(key) && !hasEnded) tell(type, JSON.stringify({ id, removed: true }))
    known = now
    hasLooked = true
  }
  const lookAgain = () => {
    looking ??= lookOnce()
      .catch((error: unknown) => log.error({ causes: causes(error) }, 'live events could not be looked up'))
      .finally(() => {
        looking = undefined
      })
    return looking
  }
  const round = async () => {
    await lookAgain()
    if (performance.now() - pinged > pingMs) {
      pinged = performance.now()
      for (const listener of listeners) send(listener, ': ping\n\n')
    }
    // Nobody listens: the next one begins with a look of its own.
    if (listeners.size > 0) timer = setTimeout(round, pollMs)
    else [timer, hasLooked] = [undefined, false]
  }

  /** What came after an event of ours; undefined: that one is not known any more, or of another hub. */
  const since = (lastEventId: string | undefined): Event[] | undefined => {
    const at = kept.findIndex(({ id }) => id === lastEventId)
    return at === -1 ? undefined : kept.slice(at + 1)
  }

  const begin = async (listener: Readable, lastEventId: string | undefined) => {
    if (timer === undefined) timer = setTimeout(round, pollMs)
    if (!hasLooked) await lookAgain()
    const missed = since(lastEventId)
    // The state as of the newest event, under its id.
    const id = `${origin}-${number}`
    const first =
      missed ?? [...known.values()].flatMap(({ type, data, hasEnded }) => (hasEnded ? [] : { id, type, data }))
    send(listener, `retry: 2000\n: ${missed ? 'what came after' : 'what is there'}\n\n`)
    for (const event of first) send(listener, textOf(event))
    if (!listener.destroyed) listeners.add(listener)
  }

  return {
    listen: (lastEventId) => {
      if (listeners.size >= listenersMax)
        throw new HubError('SERVICE_UNAVAILABLE', 'Too many listen for live events', {
          headers: { 'Retry-After': '30' },
        })
      const listener = new Readable({ read: () => undefined })
      listener.once('close', () => listeners.delete(listener))
      void begin(listener, lastEventId)
      return listener
    },
    close: () => {
      clearTimeout(timer)
      for (const listener of listeners) listener.push(null)
      listeners.clear()
    },
  }
}
