/**
 * Which system calls nobody in a sandbox may make, as the program that the kernel runs before each (seccomp(2), Documentation/userspace-api/seccomp_filter.rst).
 * What is left is what a program needs to read a disk: systemd's @system-service and mounting, without @privileged, @resources and what tools are not made of.
 * Root of a user namespace reaches far more of the kernel than a user does; most of what was ever broken into that way is behind the calls that are named here.
 */

type Architecture = 'x64' | 'arm64'
type Numbers = readonly [x64: number | null, arm64: number | null]

/** As the kernel counts them: arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h; null where there is no such call. */
const refused: Record<string, Numbers> = {
  // Looking into or driving other processes.
  ptrace: [101, 117],
  process_vm_readv: [310, 270],
  process_vm_writev: [311, 271],
  kcmp: [312, 272],
  pidfd_getfd: [438, 438],
  process_madvise: [440, 440],
  process_mrelease: [448, 448],
  // Parts of the kernel with a history.
  add_key: [248, 217],
  request_key: [249, 218],
  keyctl: [250, 219],
  bpf: [321, 280],
  perf_event_open: [298, 241],
  userfaultfd: [323, 282],
  vmsplice: [278, 75],
  lookup_dcookie: [212, 18],
  fanotify_init: [300, 262],
  // Files by their number, past the folders that may be seen.
  name_to_handle_at: [303, 264],
  open_by_handle_at: [304, 265],
  // Other namespaces than its own.
  setns: [308, 268],
  pivot_root: [155, 41],
  // The machine's own.
  acct: [163, 89],
  quotactl: [179, 60],
  quotactl_fd: [443, 443],
  reboot: [169, 142],
  kexec_load: [246, 104],
  kexec_file_load: [320, 294],
  init_module: [175, 105],
  finit_module: [313, 273],
  delete_module: [176, 106],
  swapon: [167, 224],
  swapoff: [168, 225],
  syslog: [103, 116],
  vhangup: [153, 58],
  settimeofday: [164, 170],
  clock_settime: [227, 112],
  clock_adjtime: [305, 266],
  adjtimex: [159, 171],
  // Where memory lies.
  mbind: [237, 235],
  set_mempolicy: [238, 237],
  set_mempolicy_home_node: [450, 450],
  migrate_pages: [256, 238],
  move_pages: [279, 239],
  // What no program of today uses.
  personality: [135, 92],
  modify_ldt: [154, null],
  iopl: [172, null],
  ioperm: [173, null],
  uselib: [134, null],
  ustat: [136, null],
  sysfs: [139, null],
  _sysctl: [156, null],
  create_module: [174, null],
  get_kernel_syms: [177, null],
  query_module: [178, null],
  nfsservctl: [180, 42],
}

/** Said to be unknown, so that Node and mount(8) do without them as they do on an older kernel. */
const unknown: Record<string, Numbers> = {
  io_uring_setup: [425, 425],
  io_uring_enter: [426, 426],
  io_uring_register: [427, 427],
  // Mounting by pieces; the one call of old is enough.
  open_tree: [428, 428],
  move_mount: [429, 429],
  fsopen: [430, 430],
  fsconfig: [431, 431],
  fsmount: [432, 432],
  fspick: [433, 433],
  mount_setattr: [442, 442],
}

/** The last that this list was made with; whatever comes later is unknown, and so are the calls of x32, which have greater numbers. */
const lastKnown = 450
const socket: Record<Architecture, number> = { x64: 41, arm64: 198 }

/** include/uapi/linux/audit.h */
const auditArchitecture: Record<Architecture, number> = { x64: 0xc000003e, arm64: 0xc00000b7 }
const column: Record<Architecture, 0 | 1> = { x64: 0, arm64: 1 }

/** Errors, include/uapi/asm-generic/errno.h */
const EPERM = 1
const ENOSYS = 38
const EAFNOSUPPORT = 97
const AF_UNIX = 1

/** Instructions and answers: include/uapi/linux/bpf_common.h, seccomp.h */
const LOAD = 0x20
const JUMP_IF_EQUAL = 0x15
const JUMP_IF_GREATER = 0x25
const RETURN = 0x06
const ALLOW = 0x7fff0000
const KILL_PROCESS = 0x80000000
const fails = (errno: number) => 0x00050000 | errno
/** Where struct seccomp_data has what; of an argument the lower half, which is first on both. */
const data = { number: 0, architecture: 4, firstArgument: 16 } as const

type Instruction = [code: number, ifTrue: number, ifFalse: number, value: number]
const answer = (value: number): Instruction => [RETURN, 0, 0, value]
/** @returns two instructions: for one call an answer, all others go on */
const answerTo = (number: number, value: number): Instruction[] => [[JUMP_IF_EQUAL, 0, 1, number], answer(value)]

/** Which call fails with which error, by its name. */
export const refusals = (architecture: Architecture): { name: string; number: number; errno: number }[] => {
  const of = (calls: Record<string, Numbers>, errno: number) =>
    Object.entries(calls).flatMap(([name, numbers]) => {
      const number = numbers[column[architecture]]
      return number === null ? [] : [{ name, number, errno }]
    })
  return [...of(refused, EPERM), ...of(unknown, ENOSYS)]
}

/**
 * The program, as bubblewrap takes it: struct sock_filter, one after the other.
 * @throws Error on an architecture that it has no numbers of
 */
export const systemCallFilter = (architecture: string = process.arch): Buffer => {
  if (architecture !== 'x64' && architecture !== 'arm64')
    throw new Error(`a sandbox knows the system calls of x64 and arm64, not those of ${architecture}`)
  const program: Instruction[] = [
    [LOAD, 0, 0, data.architecture],
    // Calls of another architecture have other numbers.
    [JUMP_IF_EQUAL, 1, 0, auditArchitecture[architecture]],
    answer(KILL_PROCESS),
    [LOAD, 0, 0, data.number],
    [JUMP_IF_GREATER, 0, 1, lastKnown],
    answer(fails(ENOSYS)),
    ...refusals(architecture).flatMap(({ number, errno }) => answerTo(number, fails(errno))),
    // Sockets of a file alone: no packets, no netlink, no ciphers of the kernel.
    [JUMP_IF_EQUAL, 0, 3, socket[architecture]],
    [LOAD, 0, 0, data.firstArgument],
    [JUMP_IF_EQUAL, 1, 0, AF_UNIX],
    answer(fails(EAFNOSUPPORT)),
    answer(ALLOW),
  ]
  const bytes = Buffer.alloc(program.length * 8)
  program.forEach(([code, ifTrue, ifFalse, value], at) => {
    bytes.writeUInt16LE(code, at * 8)
    bytes.writeUInt8(ifTrue, at * 8 + 2)
    bytes.writeUInt8(ifFalse, at * 8 + 3)
    bytes.writeUInt32LE(value >>> 0, at * 8 + 4)
  })
  return bytes
}
