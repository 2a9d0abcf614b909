/** Bounds of a listing of files: entries of one page, and what a recursive one walks at most. */
export const listingLimits = {
  plain: 10_000,
  recursive: 1_000,
  max: 10_000,
  walkEntries: 100_000,
  walkLevels: 64,
} as const
