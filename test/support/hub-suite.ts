/** A hub for all tests of a file. */
import { afterAll, beforeAll, expect } from 'vitest'
import { type Census, census, leftBehind } from './census.ts'
import { type Hub, startHub } from './hub.ts'

/** @returns the hub, which is there once the tests run; after them the doctor has found nothing and nothing is left behind */
export const hubForTests = (environment: Record<string, string> = {}): Hub => {
  const hub = {} as Hub
  let before: Census
  beforeAll(async () => {
    before = await census()
    Object.defineProperties(hub, Object.getOwnPropertyDescriptors(await startHub(environment)))
  })
  afterAll(async () => {
    await hub.stop()
    expect(await leftBehind(before)).toEqual([])
  })
  return hub
}
