/** Live events; an extension of the contract. */
export const eventTypes = ['job', 'mount', 'execution', 'repository'] as const
export type EventType = (typeof eventTypes)[number]
