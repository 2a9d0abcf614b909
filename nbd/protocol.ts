/** Numbers of the NBD protocol (https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md). */
export const magic = {
  server: 0x4e42444d41474943n,
  option: 0x49484156454f5054n,
  optionReply: 0x0003e889045565a9n,
  request: 0x25609513,
  simpleReply: 0x67446698,
} as const
export const handshakeFlags = { fixedNewstyle: 1, noZeroes: 2 } as const
export const option = { abort: 2, info: 6, go: 7 } as const
export const optionReply = {
  ack: 1,
  info: 3,
  errorBit: 0x80000000,
  unsupported: 0x80000001,
  unknown: 0x80000006,
} as const
export const info = { export: 0, blockSize: 3 } as const
export const command = { read: 0, write: 1, disconnect: 2, flush: 3, writeZeroes: 6 } as const
export const transmissionFlags = {
  hasFlags: 1,
  readOnly: 1 << 1,
  flush: 1 << 2,
  writeZeroes: 1 << 6,
  multiConnection: 1 << 8,
} as const
/** Errors of a reply, by number. */
export const errorNames: Record<number, string> = {
  1: 'EPERM',
  5: 'EIO',
  12: 'ENOMEM',
  22: 'EINVAL',
  28: 'ENOSPC',
  75: 'EOVERFLOW',
  95: 'ENOTSUP',
  108: 'ESHUTDOWN',
}
