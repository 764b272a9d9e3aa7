// What a box answers to each system call. Every name of the tables stands in exactly one list below; a name in none of
// them, and every number the tables do not know, does not exist as far as the box can tell (ENOSYS). Trusts nothing a
// process can choose but the low words of integer arguments: what is behind a pointer can change after it was looked at.
//
// The answers: ENOSYS where callers fall back to something we can judge (clone3 to clone, io_uring to plain calls), and
// for information that programs do without. EAFNOSUPPORT for socket families, as on a kernel without them. EPERM
// elsewhere, and told to the listener where no honest program goes often: a report must mean something.

import { closestName } from '../../core/nearest.ts'
import { fileModeRules } from './file-mode.ts'
import {
  ALLOW,
  type Answer,
  argumentIs,
  checked,
  fail,
  maskedIs,
  NOTIFY,
  type Rule,
  type RuleCase,
  type RuleSet,
  whenAll,
} from './rules.ts'
import { type Arch, SYSCALL_NAMES, syscallTable } from './syscalls.ts'

/** Everything false is the strictest box. */
export interface SeccompNeeds {
  readonly arch: Arch
  /** Anonymous executable memory, as a JIT compiler needs it. */
  readonly executableMemory: boolean
  readonly listen: boolean
  /** TCP sockets. Where they lead is not decided here. */
  readonly inet: boolean
  readonly udp: boolean
  readonly unixSockets: boolean
  /** Names of calls that the profile forbids besides. */
  readonly forbiddenSyscalls: readonly string[]
  /** Whether there is a listener for refused calls. Without one they fail silently. */
  readonly notify: boolean
  /** Whether the box has an IPC namespace of its own. */
  readonly namespaces: boolean
  /** Whether processes have uid 0 on the host, so that files they leave in its trees are root's. */
  readonly rootOutside: boolean
}

/** A forbidden call that cannot be forbidden. A box for such a profile must not be opened. */
export interface UnrepresentableSyscall {
  readonly syscall: string
  readonly reason: string
}

export interface Floor {
  /** For the first process of the box, and so for all. */
  readonly box: RuleSet
  /** For commands only, on top: forbidden calls that the first process cannot do without. Refuses silently. */
  readonly command: RuleSet | undefined
  readonly unrepresentable: readonly UnrepresentableSyscall[]
}

const EPERM = 1
const ENOENT = 2
const ENOSYS = 38
const EPROTONOSUPPORT = 93
const EAFNOSUPPORT = 97

const words = (text: string): readonly string[] => Object.freeze(text.trim().split(/\s+/))

/** Refused and told, whatever was granted. By what they are an attempt at. */
export const REFUSED = Object.freeze({
  privilege: words(`
    ptrace process_vm_readv process_vm_writev process_madvise kcmp pidfd_getfd
    kexec_load kexec_file_load init_module finit_module delete_module
    bpf perf_event_open userfaultfd fanotify_init fanotify_mark
    keyctl add_key request_key lsm_set_self_attr
    mount umount2 pivot_root chroot setns move_mount open_tree open_tree_attr fsopen fsconfig fsmount fspick mount_setattr
    open_by_handle_at name_to_handle_at
    modify_ldt iopl ioperm
    swapon swapoff reboot acct quotactl quotactl_fd syslog vhangup uselib lookup_dcookie nfsservctl _sysctl
    settimeofday clock_settime clock_adjtime adjtimex sethostname setdomainname`),
  // A file that has no path is outside every rule about paths: the exec list, noexec mounts, Landlock.
  fs_execute: words('memfd_create memfd_secret execveat'),
})

/**
 * ENOSYS, silently. clone3 hides its flags behind a pointer, io_uring whole calls; callers fall back to what can be judged.
 * statmount, listmount, listns and lsm_*: ENOSYS and not EPERM, because libmount and its like ask them first and then read
 * /proc/self/mountinfo, which shows the box's own mounts. file_setattr and file_getattr fall back to ioctl. What follows
 * them is obsolete, gone from every kernel, or never was there on these architectures.
 */
const ABSENT = words(`
  clone3 io_uring_setup io_uring_enter io_uring_register
  statmount listmount listns lsm_get_self_attr lsm_list_modules file_getattr file_setattr cachestat remap_file_pages
  sysfs ustat create_module get_kernel_syms query_module getpmsg putpmsg afs_syscall tuxcall security vserver
  epoll_ctl_old epoll_wait_old set_thread_area get_thread_area
  io_setup io_destroy io_submit io_cancel io_getevents io_pgetevents`)

/** Objects that all processes of an IPC namespace share. Without one of our own they are the host's. */
export const SHARED_IPC = words(`
  msgget msgsnd msgrcv msgctl semget semop semctl semtimedop shmget shmat shmctl shmdt
  mq_open mq_unlink mq_timedsend mq_timedreceive mq_notify mq_getsetattr`)

/** Allowed without a look at their arguments, which the kernel remembers. */
export const ALLOWED = words(`
  read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 open openat openat2 close close_range
  stat fstat lstat newfstatat statx lseek access faccessat faccessat2 dup dup2 dup3 flock pipe pipe2
  fsync fdatasync sync syncfs sync_file_range truncate ftruncate fallocate fadvise64 readahead copy_file_range
  sendfile splice tee vmsplice getdents getdents64 getcwd chdir fchdir umask statfs fstatfs
  rename renameat renameat2 mkdir mkdirat rmdir link linkat unlink unlinkat symlink symlinkat readlink readlinkat
  chown fchown lchown fchownat utime utimes futimesat utimensat
  setxattr lsetxattr fsetxattr getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr
  removexattr lremovexattr fremovexattr setxattrat getxattrat listxattrat removexattrat
  inotify_init inotify_init1 inotify_add_watch inotify_rm_watch
  poll ppoll select pselect6 epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2
  eventfd eventfd2 signalfd signalfd4 timerfd_create timerfd_settime timerfd_gettime
  
  munmap brk mremap msync mincore madvise mlock mlock2 munlock mlockall munlockall membarrier mseal map_shadow_stack
  mbind set_mempolicy get_mempolicy set_mempolicy_home_node pkey_alloc pkey_free
  rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigtimedwait rt_sigqueueinfo rt_tgsigqueueinfo
  rt_sigsuspend sigaltstack kill tkill tgkill pause restart_syscall pidfd_open pidfd_send_signal process_mrelease
  nanosleep clock_nanosleep clock_gettime clock_getres gettimeofday time times getitimer setitimer alarm
  timer_create timer_settime timer_gettime timer_getoverrun timer_delete
  futex futex_waitv futex_wake futex_wait futex_requeue set_robust_list get_robust_list rseq rseq_slice_yield
  fork vfork execve exit exit_group wait4 waitid
  getpid gettid getppid getpgrp getpgid setpgid getsid setsid getuid geteuid getgid getegid getresuid getresgid
  getgroups setuid setgid setreuid setregid setresuid setresgid setfsuid setfsgid setgroups capget capset
  getrlimit setrlimit getrusage getpriority setpriority ioprio_get ioprio_set
  sched_yield sched_setparam sched_getparam sched_setscheduler sched_getscheduler sched_setattr sched_getattr
  sched_get_priority_max sched_get_priority_min sched_rr_get_interval sched_setaffinity sched_getaffinity
  getcpu getrandom uname sysinfo set_tid_address arch_prctl uretprobe uprobe
  landlock_create_ruleset landlock_add_rule landlock_restrict_self
  connect bind accept accept4 recvfrom recvmsg recvmmsg shutdown getsockname getpeername getsockopt`)

/**
 * What the first process of the box lives on: it serves requests on a socket, forks, sets up and starts commands, waits
 * for them, and installs the commands' own program. It takes the box's program itself, and may be the listener too: a
 * call of its own that is told would wait for itself forever. So a call in this list is never forbidden there. Longer than
 * strictly needed: one call too many costs a report, one too few costs the box.
 */
export const SUPERVISOR_SYSCALLS: readonly string[] = words(`
  read write readv writev pread64 recvfrom recvmsg sendmsg sendto socketpair shutdown
  poll ppoll select pselect6 epoll_create1 epoll_ctl epoll_wait epoll_pwait
  eventfd2 signalfd4 timerfd_create timerfd_settime timerfd_gettime
  clone fork vfork execve exit exit_group wait4 waitid kill tkill tgkill pidfd_open pidfd_send_signal
  dup dup2 dup3 fcntl close close_range pipe pipe2 open openat fstat newfstatat statx lseek ioctl
  setsid setpgid getpid gettid getppid getpgrp getuid geteuid getgid getegid chdir fchdir getcwd umask
  prlimit64 getrlimit setrlimit prctl arch_prctl seccomp landlock_create_ruleset
  rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigtimedwait rt_sigsuspend sigaltstack restart_syscall pause
  mmap munmap mprotect mremap madvise brk futex set_robust_list set_tid_address rseq sched_yield getrandom
  clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday`)

/** Without these no command can be started, or none can end. */
const ESSENTIAL: ReadonlyMap<string, string> = new Map([
  ['execve', 'every command is started with it'],
  ['exit_group', 'no process could end without it'],
  ['exit', 'no thread could end without it'],
  ['rt_sigreturn', 'the kernel itself returns from every signal handler with it'],
  ['restart_syscall', 'the kernel itself resumes interrupted calls with it'],
])

/** Two rule sets for what a box needs. */
export function floorOf(needs: SeccompNeeds): Floor {
  const { auditArch, numbers } = syscallTable(needs.arch)
  const refuse = needs.notify ? NOTIFY : fail(EPERM)
  const named = namedRules(needs)
  const box = new Map<number, Rule>()
  for (const [name, number] of numbers) box.set(number, named.get(name) ?? fail(ENOSYS))

  const command = new Map<number, Rule>()
  const unrepresentable: UnrepresentableSyscall[] = []
  for (const syscall of new Set(needs.forbiddenSyscalls)) {
    const essential = ESSENTIAL.get(syscall)
    if (essential !== undefined) {
      unrepresentable.push(Object.freeze({ syscall, reason: essential }))
    } else if (!SYSCALL_NAMES.includes(syscall)) {
      const near = closestName(syscall, SYSCALL_NAMES)
      const reason = `no such system call${near === undefined ? '' : `; did you mean ${near}?`}`
      unrepresentable.push(Object.freeze({ syscall, reason }))
    } else {
      const number = numbers.get(syscall)
      // A call of another architecture cannot be made here at all.
      if (number === undefined) continue
      if (SUPERVISOR_SYSCALLS.includes(syscall)) command.set(number, fail(EPERM))
      else if (mayAllow(box.get(number))) box.set(number, refuse)
    }
  }
  return {
    box: { auditArch, rules: box, otherwise: fail(ENOSYS) },
    command: command.size === 0 ? undefined : { auditArch, rules: command, otherwise: ALLOW },
    unrepresentable: Object.freeze(unrepresentable),
  }
}

function mayAllow(rule: Rule | undefined): boolean {
  return rule?.kind === 'allow' || rule?.kind === 'checked'
}

function namedRules(needs: SeccompNeeds): ReadonlyMap<string, Rule> {
  const refuse = needs.notify ? NOTIFY : fail(EPERM)
  const rules = new Map<string, Rule>()
  const all = (names: readonly string[], rule: Rule): void => {
    for (const name of names) rules.set(name, rule)
  }
  all(ALLOWED, ALLOW)
  all(REFUSED.privilege, refuse)
  all(REFUSED.fs_execute, refuse)
  all(ABSENT, fail(ENOSYS))
  all(SHARED_IPC, needs.namespaces ? ALLOW : refuse)
  for (const [name, rule] of inspected(needs, refuse)) rules.set(name, rule)
  return rules
}

/** The calls that a box may make with some arguments and not with others, or as a right of their own. */
function inspected(needs: SeccompNeeds, refuse: Answer): readonly (readonly [string, Rule])[] {
  const rules: [string, Rule][] = [
    ['clone', checked(refuse, whenAll(ALLOW, maskedIs(0, CLONE_NAMESPACES, 0)))],
    ['unshare', checked(refuse, whenAll(ALLOW, maskedIs(0, ~UNSHARE_HARMLESS, 0)))],
    ['ioctl', checked(ALLOW, whenAll(refuse, argumentIs(1, ...TERMINAL_INJECTION)))],
    // A lease on a file of one's own holds up whoever opens it outside, for as long as the host lets leases be broken.
    ['fcntl', checked(ALLOW, whenAll(fail(EPERM), argumentIs(1, F_SETLEASE)))],
    ['prctl', checked(ALLOW, whenAll(refuse, argumentIs(0, PR_SET_MM)))],
    ['personality', checked(refuse, whenAll(ALLOW, argumentIs(0, PER_LINUX, PERSONALITY_QUERY)))],
    ['seccomp', checked(refuse, whenAll(ALLOW, maskedIs(1, SECCOMP_FILTER_FLAG_NEW_LISTENER, 0)))],
    ...fileModeRules(needs.rootOutside, refuse),
    ['sendto', checked(refuse, whenAll(ALLOW, maskedIs(3, MSG_FASTOPEN, 0)))],
    ['sendmsg', checked(refuse, whenAll(ALLOW, maskedIs(2, MSG_FASTOPEN, 0)))],
    ['sendmmsg', checked(refuse, whenAll(ALLOW, maskedIs(3, MSG_FASTOPEN, 0)))],
    [
      'setsockopt',
      checked(
        ALLOW,
        // Programs for the kernel's BPF machine and protocol layers loaded on demand: attack surface without a need.
        whenAll(refuse, argumentIs(1, SOL_SOCKET), argumentIs(2, ...SO_ATTACH)),
        // As on a kernel without the module: OpenSSL and others then encrypt by themselves.
        whenAll(fail(ENOENT), argumentIs(1, IPPROTO_TCP), argumentIs(2, TCP_ULP)),
      ),
    ],
    ['socket', socketRule(needs)],
    // Any other family would be created, and its module loaded, before it is found to have no pairs.
    [
      'socketpair',
      checked(
        needs.notify ? NOTIFY : fail(EAFNOSUPPORT),
        // One end of a datagram pair can be sent from, or connected, to any socket that has a name: it is not only a pair.
        ...(needs.unixSockets
          ? [whenAll(ALLOW, argumentIs(0, AF_UNIX))]
          : [
              whenAll(ALLOW, argumentIs(0, AF_UNIX), maskedIs(1, SOCK_TYPE_MASK, SOCK_STREAM, SOCK_SEQPACKET)),
              whenAll(fail(EPROTONOSUPPORT), argumentIs(0, AF_UNIX)),
            ]),
      ),
    ],
    // The call carries no family, so this is the right to listen on any socket, those of AF_UNIX included.
    ['listen', needs.listen ? ALLOW : refuse],
    ['mmap', needs.executableMemory ? ALLOW : mmapRule(refuse)],
  ]
  for (const name of ['mprotect', 'pkey_mprotect']) {
    const rule = checked(refuse, whenAll(ALLOW, maskedIs(2, PROT_EXEC, 0)))
    rules.push([name, needs.executableMemory ? ALLOW : rule])
  }
  // Process ids of others: limits and pages of pid 1 of the box, or in a flat box of anything with the same user id.
  for (const name of ['prlimit64', 'migrate_pages', 'move_pages']) {
    rules.push([name, checked(refuse, whenAll(ALLOW, argumentIs(0, 0)))])
  }
  if (needs.namespaces) {
    // Code in a segment has no file, so it is refused to JIT compilers too: they have mmap.
    rules.push(['shmat', checked(refuse, whenAll(ALLOW, maskedIs(2, SHM_EXEC, 0)))])
  }
  return rules
}

/**
 * A file may be mapped as code, because which files may is decided by the mount it is on. But not together with the right
 * to write: a private mapping of any allowed library would be anonymous executable memory by another name.
 */
function mmapRule(refuse: Answer): Rule {
  return checked(
    refuse,
    whenAll(ALLOW, maskedIs(2, PROT_EXEC, 0)),
    whenAll(ALLOW, maskedIs(2, PROT_WRITE, 0), maskedIs(3, MAP_ANONYMOUS, 0)),
  )
}

/** By (family, type, protocol), and by allowlist: new families appear, and old ones are where kernels break. */
function socketRule(needs: SeccompNeeds): Rule {
  const silent = fail(EAFNOSUPPORT)
  const network = needs.inet || needs.udp
  const family = argumentIs(0, AF_INET, AF_INET6)
  const stream = maskedIs(1, SOCK_TYPE_MASK, SOCK_STREAM)
  const datagram = maskedIs(1, SOCK_TYPE_MASK, SOCK_DGRAM)
  const cases: RuleCase[] = [
    // The C library asks nscd and syslogd this way in passing, and does without.
    whenAll(needs.unixSockets ? ALLOW : silent, argumentIs(0, AF_UNIX)),
    // NETLINK_ROUTE, which getifaddrs and getaddrinfo ask in passing too.
    whenAll(network ? ALLOW : silent, argumentIs(0, AF_NETLINK), argumentIs(2, NETLINK_ROUTE)),
  ]
  if (needs.inet) {
    cases.push(
      whenAll(ALLOW, family, stream, argumentIs(2, 0, IPPROTO_TCP)),
      // Go tries it for every listener and falls back. Landlock and filters that look for TCP do not see it as such.
      whenAll(fail(EPROTONOSUPPORT), family, stream, argumentIs(2, IPPROTO_MPTCP)),
    )
  }
  if (needs.udp) cases.push(whenAll(ALLOW, family, datagram, argumentIs(2, 0, IPPROTO_UDP)))
  // getaddrinfo makes such sockets, without sending, to sort its answers: every honest client would be reported.
  else if (needs.inet) cases.push(whenAll(silent, family, datagram, argumentIs(2, 0, IPPROTO_UDP)))
  // All that is left is an attempt at the network past the proxy, or at a part of the kernel nobody asked for.
  return checked(needs.notify ? NOTIFY : silent, ...cases)
}

export const CLONE_FLAGS = Object.freeze({
  CLONE_NEWTIME: 0x80,
  CLONE_NEWNS: 0x0002_0000,
  CLONE_NEWCGROUP: 0x0200_0000,
  CLONE_NEWUTS: 0x0400_0000,
  CLONE_NEWIPC: 0x0800_0000,
  CLONE_NEWUSER: 0x1000_0000,
  CLONE_NEWPID: 0x2000_0000,
  CLONE_NEWNET: 0x4000_0000,
})

/** All of the above but CLONE_NEWTIME, whose bit is part of the exit signal here. */
const CLONE_NAMESPACES = 0x7e02_0000

/** CLONE_VM, FS, FILES, SIGHAND, THREAD and SYSVSEM: stop sharing with threads. What is not here makes a namespace. */
const UNSHARE_HARMLESS = 0x0000_0100 | 0x0000_0200 | 0x0000_0400 | 0x0000_0800 | 0x0001_0000 | 0x0004_0000

export const TIOCSTI = 0x5412
export const TIOCLINUX = 0x541c
export const TIOCSETD = 0x5423

/** Typing into the terminal of whoever started us, by the first two; the last loads line disciplines, a row of CVEs. */
const TERMINAL_INJECTION = Object.freeze([TIOCSTI, TIOCLINUX, TIOCSETD])

const F_SETLEASE = 1024

/** Rewrites what /proc says of the process: its program, arguments and environment. */
export const PR_SET_MM = 35

/**
 * READ_IMPLIES_EXEC (0x0400000) would make every readable mapping executable behind the rules for mmap and mprotect, and
 * ADDR_NO_RANDOMIZE undoes address randomisation. Back to plain Linux is harmless.
 */
const PER_LINUX = 0
const PERSONALITY_QUERY = 0xffff_ffff

/**
 * Filters may be stacked: of several answers the kernel takes the most severe (KILL, TRAP, ERRNO, USER_NOTIF, TRACE, LOG,
 * ALLOW), so a process can add refusals and make our USER_NOTIF a silent ERRNO, but cannot get a call allowed. With one
 * exception. Of *equal* answers the newest filter's counts: a newer filter's listener would be asked instead of ours, and
 * could answer SECCOMP_USER_NOTIF_FLAG_CONTINUE, which performs the call. The kernel refuses a second listener (EBUSY)
 * only while the first is open; when ours has died, everything we report would become allowable. So no listener at all;
 * a filter that answers USER_NOTIF without one gets ENOSYS. (seccomp(2), seccomp_unotify(2))
 */
export const SECCOMP_FILTER_FLAG_NEW_LISTENER = 8

/** Connects and sends in one call, past every hook on connect(2). */
export const MSG_FASTOPEN = 0x2000_0000

export const SOL_SOCKET = 1
/** SO_ATTACH_FILTER, SO_ATTACH_BPF, SO_ATTACH_REUSEPORT_CBPF, SO_ATTACH_REUSEPORT_EBPF. */
export const SO_ATTACH: readonly number[] = Object.freeze([26, 50, 51, 52])
const IPPROTO_TCP = 6
const IPPROTO_UDP = 17
const IPPROTO_MPTCP = 262
const TCP_ULP = 31

const AF_UNIX = 1
const AF_INET = 2
const AF_INET6 = 10
const AF_NETLINK = 16
const NETLINK_ROUTE = 0

/** SOCK_CLOEXEC and SOCK_NONBLOCK are above it. */
const SOCK_TYPE_MASK = 0xf
const SOCK_STREAM = 1
const SOCK_DGRAM = 2
const SOCK_SEQPACKET = 5

export const PROT_WRITE = 2
export const PROT_EXEC = 4
export const MAP_ANONYMOUS = 0x20
export const SHM_EXEC = 0x8000
