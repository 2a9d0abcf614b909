/** A message of JSON with bytes behind it: within the JSON, as base64, ten megabytes keep both sides busy for a second. */
const lineEnd = 0x0a

/** @param json what JSON.stringify takes @param bytes come one after the other */
export const joinBytes = (json: unknown, bytes: readonly Uint8Array[]): Buffer =>
  // Without a line's end within: JSON escapes those of strings.
  Buffer.concat([Buffer.from(`${JSON.stringify(json)}\n`), ...bytes])

/** @returns `json` as text that nobody has looked at; `bytes`: a view, empty where there are none */
export const splitBytes = (message: Buffer): { json: string; bytes: Buffer } => {
  const end = message.indexOf(lineEnd)
  const jsonBytes = end < 0 ? message.length : end
  return { json: message.toString('utf8', 0, jsonBytes), bytes: message.subarray(jsonBytes + 1) }
}
