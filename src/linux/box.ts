// One box, described completely: what the launcher is told and all that it does. Plain data without a single reference to
// the host, so that what a profile turns into can be tested on any operating system. `plan.ts` makes it, `launcher.ts`
// writes it down for the launcher.

/** Everything a process gets. The lists are carried out in their order; the order of the steps is the launcher's own. */
export interface BoxSetup {
  /** `namespaces`: own mounts, processes, IPC and host name. `flat`: Landlock and seccomp in the host's own tree. */
  readonly kind: 'namespaces' | 'flat'
  /** Whether the namespaces belong to a user namespace of their own, in which only the caller's ids exist. */
  readonly userNamespace: boolean
  /** `none`: not even loopback. `loopback`: nothing but loopback. `host`: the network of the host. */
  readonly network: 'none' | 'loopback' | 'host'
  readonly hostname: string
  /** In order: a directory before what is mounted inside it. Empty for `flat`. */
  readonly mounts: readonly MountItem[]
  /** Where a command starts that does not say so itself. */
  readonly workdir: string
  /** TCP sockets made inside the box's own network and handed to this process. */
  readonly listeners: readonly BoxListener[]
  readonly rlimits: readonly Rlimit[]
  readonly landlock?: LandlockRuleset
  /** Classic BPF, eight bytes an instruction, little endian; taken by the first process of the box and so by all. */
  readonly seccomp: Uint8Array
  /** Whether `seccomp` answers some calls with SECCOMP_RET_USER_NOTIF, which become reports and EPERM. */
  readonly notify: boolean
  /** A second program, taken only by commands: calls that the first process of the box cannot do without. */
  readonly commandSeccomp?: Uint8Array
  /** Directories of control groups that every process of the box is a member of. */
  readonly cgroups: { readonly v2?: string; readonly v1: readonly string[] }
  readonly bpf?: BpfObject
  /** Milliseconds from the first command to the end of the box. */
  readonly wallMs?: number
}

/** Targets are absolute paths in the new tree; parents are made. Nothing is setuid, and no item but `device` has devices. */
export type MountItem =
  /** `source` is a path of the host with no symbolic link in it. Executable implies read-only. */
  | {
      readonly type: 'bind'
      readonly source: string
      readonly target: string
      readonly access: 'read' | 'write' | 'execute'
      /** With the mounts below it. */
      readonly recursive: boolean
    }
  /** An empty file system in memory. `bytes` bounds it; `readonly` makes it a hole that nothing can be put in. */
  | {
      readonly type: 'tmpfs'
      readonly target: string
      readonly bytes: number
      readonly mode: number
      readonly readonly: boolean
    }
  /** An empty directory of the root. */
  | { readonly type: 'directory'; readonly target: string }
  | { readonly type: 'symlink'; readonly target: string; readonly to: string }
  /** A small file of the root, mode 0444. */
  | { readonly type: 'file'; readonly target: string; readonly content: string }
  /** An unreadable, unwritable, empty file over what is there. */
  | { readonly type: 'mask'; readonly target: string }
  /** `/dev` with null, zero, full, random, urandom, tty, shm, pts and the links to /proc/self/fd. */
  | { readonly type: 'dev' }
  /** `/proc` of the box's own processes, read-only. */
  | { readonly type: 'proc' }

export interface BoxListener {
  /** How the socket is recognised when it arrives. */
  readonly name: string
  /** Dotted quad inside 127.0.0.0/8, or 0.0.0.0. */
  readonly address: string
  readonly port: number
}

/** Numbers of setrlimit(2). `undefined` is RLIM_INFINITY. */
export interface Rlimit {
  readonly resource: number
  readonly limit: bigint | undefined
}

/** landlock_create_ruleset(2) and its rules, already masked to what the kernel knows. */
export interface LandlockRuleset {
  readonly handledFs: bigint
  readonly handledNet: bigint
  readonly scoped: bigint
  /** Bytes of the attribute to pass: 8, 16 or 24. */
  readonly attributeSize: number
  readonly paths: readonly { readonly path: string; readonly access: bigint }[]
  readonly ports: readonly { readonly port: number; readonly access: bigint }[]
}

/** Extended BPF for the launcher to load with bpf(2) before the box exists. */
export interface BpfObject {
  readonly maps: readonly BpfMap[]
  readonly programs: readonly BpfProgram[]
}

export interface BpfMap {
  /** At most 15 characters. */
  readonly name: string
  readonly type: number
  readonly keySize: number
  readonly valueSize: number
  readonly maxEntries: number
  readonly flags: number
  readonly entries: readonly { readonly key: Uint8Array; readonly value: Uint8Array }[]
}

export interface BpfProgram {
  /** At most 15 characters. */
  readonly name: string
  /** bpf_prog_type. */
  readonly type: number
  readonly expectedAttachType: number
  /** BTF id of the kernel function, for LSM programs; 0 otherwise. */
  readonly attachBtfId: number
  /** Eight bytes an instruction, little endian. */
  readonly instructions: Uint8Array
  /** Instructions that load the file descriptor of a map: index of the instruction, index of the map. */
  readonly relocations: readonly { readonly instruction: number; readonly map: number }[]
  /** `cgroup`: BPF_PROG_ATTACH to the v2 directory with BPF_F_ALLOW_MULTI. Else by the named raw tracepoint, or as LSM. */
  readonly attach:
    | { readonly to: 'cgroup' }
    | { readonly to: 'raw_tracepoint'; readonly tracepoint: string }
    | { readonly to: 'lsm' }
}
