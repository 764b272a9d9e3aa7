// System calls that no tool needs and that reach the whole machine. Every one is called so that it does nothing when it
// gets through: with arguments that the kernel refuses after it has accepted the caller. "Reachable" is the success.

#include "attack.h"

#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/perf_event.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <pty.h>
#include <sys/fanotify.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timex.h>
#include <termios.h>

#ifdef __x86_64__
#define X86(number) number
#else
#define X86(number) -1
#endif

// call NAME
ATTACK(call, "call") {
  char name[256] = "";
  struct timespec never = {0, 2000000000};
  struct timeval never_either = {0, 2000000000};
  union bpf_attr map = {.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1};
  struct perf_event_attr event = {.type = PERF_TYPE_SOFTWARE, .size = sizeof event};
  event.exclude_kernel = 1;
  gethostname(name, sizeof name - 1);
#define CALL(label, expression)                                                                                        \
  if (is(a[0], label)) reachable(expression, label)
  CALL("unshare-user", unshare(CLONE_NEWUSER));
  CALL("unshare-mount", unshare(CLONE_NEWNS));
  CALL("unshare-pid", unshare(CLONE_NEWPID));
  CALL("unshare-net", unshare(CLONE_NEWNET));
  CALL("unshare-ipc", unshare(CLONE_NEWIPC));
  CALL("unshare-uts", unshare(CLONE_NEWUTS));
  CALL("unshare-cgroup", unshare(CLONE_NEWCGROUP));
  CALL("unshare-time", unshare(0x80));
  // The kernel takes all 64 bits of the flags, and a filter may not.
  CALL("unshare-high-bits", syscall(SYS_unshare, (unsigned long)CLONE_NEWUSER | 1ul << 32));
  CALL("setns", setns(-1, 0));
  CALL("mount", mount("none", "/nonexistent-attack", "tmpfs", 0, NULL));
  CALL("umount", umount2("/nonexistent-attack", 0));
  CALL("pivot_root", syscall(SYS_pivot_root, "/nonexistent-attack", "/nonexistent-attack"));
  CALL("chroot", chroot("/nonexistent-attack"));
  CALL("fsopen", syscall(430, "tmpfs", 0));
  CALL("fsconfig", syscall(431, -1, 6, NULL, NULL, 0));
  CALL("fsmount", syscall(432, -1, 0, 0));
  CALL("fspick", syscall(433, AT_FDCWD, "/", 0));
  CALL("open_tree", syscall(428, AT_FDCWD, "/", 1));
  CALL("move_mount", syscall(429, -1, "", -1, "", 4));
  CALL("mount_setattr", syscall(442, -1, "", 0x1000, (uint64_t[4]){1, 0, 0, 0}, 32));
  CALL("open_tree_attr", syscall(467, AT_FDCWD, "/", 1, NULL, 0));
  CALL("kexec_load", syscall(SYS_kexec_load, 0, 0, NULL, 0xffff0000ul));
  CALL("kexec_file_load", syscall(320, -1, -1, 0, NULL, 0xfffful));
  CALL("init_module", syscall(SYS_init_module, NULL, 0, ""));
  CALL("finit_module", syscall(SYS_finit_module, -1, "", 0));
  CALL("delete_module", syscall(SYS_delete_module, "nonexistent_attack", 0));
  CALL("bpf", syscall(SYS_bpf, BPF_MAP_CREATE, &map, sizeof map));
  CALL("perf_event_open", syscall(SYS_perf_event_open, &event, 0, -1, -1, 0));
  CALL("userfaultfd", syscall(SYS_userfaultfd, 1));
  CALL("add_key", syscall(SYS_add_key, "user", "attack", "x", 1, -2));
  CALL("request_key", syscall(SYS_request_key, "user", "attack-nonexistent", NULL, 0));
  CALL("keyctl", syscall(SYS_keyctl, 0, -2, 1));
  CALL("keyctl-join", syscall(SYS_keyctl, 1, NULL));
  CALL("io_uring_setup", syscall(425, 1, (char[256]){0}));
  CALL("io_uring_register", syscall(427, -1, 0, NULL, 0));
  CALL("memfd_create", syscall(SYS_memfd_create, "m", 0));
  CALL("memfd_secret", syscall(447, 0));
  CALL("personality", syscall(SYS_personality, ADDR_NO_RANDOMIZE));
  CALL("process_madvise", syscall(440, -1, NULL, 0, 0, 0));
  CALL("process_mrelease", syscall(448, -1, 0));
  CALL("quotactl", syscall(SYS_quotactl, 0x80000100, NULL, 0, NULL));
  CALL("quotactl_fd", syscall(443, -1, 0, 0, NULL));
  CALL("acct", syscall(SYS_acct, "/nonexistent-attack/acct"));
  CALL("swapon", syscall(SYS_swapon, "/nonexistent-attack", 0));
  CALL("swapoff", syscall(SYS_swapoff, "/nonexistent-attack"));
  CALL("reboot", syscall(SYS_reboot, 0, 0, 0, NULL));
  CALL("syslog", syscall(SYS_syslog, 10, NULL, 0));
  CALL("syslog-read", syscall(SYS_syslog, 3, name, 16));
  CALL("clock_settime", syscall(SYS_clock_settime, 0, &never));
  CALL("settimeofday", syscall(SYS_settimeofday, &never_either, NULL));
  CALL("adjtimex", adjtimex(&(struct timex){.modes = ADJ_TICK, .tick = 1}));
  CALL("clock_adjtime", syscall(SYS_clock_adjtime, 0, &(struct timex){.modes = ADJ_TICK, .tick = 1}));
  CALL("sethostname", sethostname(name, strlen(name)));
  CALL("setdomainname", syscall(SYS_setdomainname, NULL, -1));
  CALL("fanotify_init", syscall(SYS_fanotify_init, FAN_CLASS_NOTIF | 0x200, 0));
  CALL("lookup_dcookie", syscall(X86(212), 0ul, name, 16));
  CALL("modify_ldt", syscall(X86(154), 0, name, 16));
  CALL("iopl", syscall(X86(172), 3));
  CALL("ioperm", syscall(X86(173), 0x80, 1, 1));
  CALL("vmsplice-gift", syscall(SYS_vmsplice, -1, NULL, 0, 8));
  CALL("nice", setpriority(PRIO_PROCESS, 0, -5));
  CALL("real-time", sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){1}));
  CALL("io-real-time", syscall(SYS_ioprio_set, 1, 0, 1 << 13));
  CALL("limit-raise", setrlimit(RLIMIT_CORE, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY}));
  CALL("mlock", mlockall(MCL_CURRENT));
  CALL("set-mm", prctl(PR_SET_MM, PR_SET_MM_BRK, 0, 0, 0));
  CALL("setgroups", syscall(SYS_setgroups, 0, NULL));
  // An id that does not exist in a user namespace is refused by EINVAL, which here is no argument error.
  CALL("setuid", setresuid(54321, 54321, 54321) == 0 ? 0 : (errno = EPERM, -1));
  CALL("setgid", setresgid(54321, 54321, 54321) == 0 ? 0 : (errno = EPERM, -1));
  CALL("io_destroy-number", syscall(SYS_migrate_pages, getpid(), 0, NULL, NULL));
  // As a process made for another table of system calls makes them.
  CALL("x32-getpid", syscall(0x40000000 + SYS_getpid));
  CALL("x32-ptrace", syscall(0x40000000 + 521, 0, 0, 0, 0));
  CALL("x32-unshare", syscall(0x40000000 + SYS_unshare, CLONE_NEWUSER));
  CALL("x32-execve", syscall(0x40000000 + 520, "/nonexistent-attack", NULL, NULL));
  CALL("int80-getpid", int80(20, 0, 0, 0, 0, 0));
  CALL("int80-unshare", int80(310, CLONE_NEWUSER, 0, 0, 0, 0));
  CALL("int80-ptrace", int80(26, 0, 0, 0, 0, 0));
  CALL("int80-memfd", int80(356, (long)low("m", 2), 0, 0, 0, 0));
  CALL("negative-number", syscall(-5l));
  errno = 0;
  untried("no such call");
}

// clone KIND
ATTACK(clone_call, "clone") {
  struct {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
  } arguments = {.exit_signal = SIGCHLD};
  long child;
  if (is(a[0], "clone3-plain")) child = syscall(435, &arguments, sizeof arguments);
  else if (is(a[0], "clone3-user")) {
    arguments.flags = CLONE_NEWUSER;
    child = syscall(435, &arguments, sizeof arguments);
  } else if (is(a[0], "user")) child = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL);
  else if (is(a[0], "user-pid")) child = syscall(SYS_clone, CLONE_NEWUSER | CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0);
  else if (is(a[0], "mount")) child = syscall(SYS_clone, CLONE_NEWNS | SIGCHLD, NULL, NULL, NULL, NULL);
  else if (is(a[0], "net")) child = syscall(SYS_clone, CLONE_NEWUSER | CLONE_NEWNET | SIGCHLD, 0, 0, 0, 0);
  else untried("no such clone");
  if (child == 0) _exit(0);
  must(child > 0, "clone");
  waitpid(child, NULL, 0);
  succeeded();
}

// terminal HOW: what is typed into the terminal of whoever started us
ATTACK(terminal, "terminal") {
  int master, slave;
  unsigned long command = strstr(a[0], "linux") ? TIOCLINUX : TIOCSTI;
  if (strstr(a[0], "discipline")) command = TIOCSETD;
  if (strstr(a[0], "high")) command |= 1ul << 32;
  if (openpty(&master, &slave, NULL, NULL, NULL) != 0) {
    // Without a terminal of its own, an attack can still find the call refused or not.
    slave = open("/dev/null", O_RDWR);
    if (slave < 0) refused("anything to ask");
    errno = 0;
    reachable(syscall(SYS_ioctl, slave, command, "x"), "ioctl");
  }
  setsid();
  ioctl(slave, TIOCSCTTY, 0);
  reachable(syscall(SYS_ioctl, slave, command, "x"), "ioctl");
}

// host-terminal NAME: a terminal that belongs to somebody outside
ATTACK(host_terminal, "host-terminal") {
  int fd = open(a[0], O_WRONLY | O_NOCTTY);
  must(fd >= 0, "opening the terminal");
  must(write(fd, a[1], strlen(a[1])) > 0, "writing to it");
  succeeded();
}

// capabilities SET
ATTACK(capabilities, "capabilities") {
  struct {
    uint32_t version;
    int pid;
  } header = {0x20080522, 0};
  uint32_t data[6] = {0};
  must(syscall(SYS_capget, &header, data) == 0, "capget");
  errno = 0;
  if (is(a[0], "effective") && (data[0] | data[3])) succeeded();
  if (is(a[0], "permitted") && (data[1] | data[4])) succeeded();
  if (is(a[0], "inheritable") && (data[2] | data[5])) succeeded();
  for (int i = 0; i < 64; i++) {
    if (is(a[0], "bounding") && prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1) succeeded();
    if (is(a[0], "ambient") && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, i, 0, 0) == 1) succeeded();
    if (is(a[0], "ambient-raise")) {
      data[2] = 1u << 10;
      syscall(SYS_capset, &header, data);
      if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 10, 0, 0) == 0) succeeded();
    }
  }
  refused("a capability");
}

// privileges: may a later execve give us any
ATTACK(privileges, "new-privileges") {
  errno = 0;
  if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0) succeeded();
  refused("no_new_privs is set");
}

// gain FILE: a file with a setuid bit, which reports what it became
ATTACK(gain, "gain") {
  execve(a[0], (char *[]){a[0], "gained", NULL}, environ);
  refused("execve");
}

ATTACK(gained, "gained") {
  errno = 0;
  if (geteuid() != getuid()) succeeded();
  refused("the setuid bit");
}

// super-user: uid 0 owns kernel knobs even without a capability
ATTACK(knob, "knob") {
  int fd = open(a[0], O_WRONLY | O_CLOEXEC);
  must(fd >= 0, "opening for writing");
  succeeded();
}

static int filter_for(int nr, uint32_t action, unsigned flags) {
  struct sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)nr, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, action),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {4, code};
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
}

static void *let_through(void *data) {
  int listener = *(int *)data;
  for (;;) {
    struct seccomp_notif request = {0};
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &request) != 0) return NULL;
    struct seccomp_notif_resp answer = {.id = request.id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};
    ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
  }
}

// nested HOW: a filter of our own, the newest, says that a refused call may go on
ATTACK(nested, "nested-filter") {
  // Harmless, refused by every box, and open to a process with threads, which the listener needs.
  int call_number = SYS_personality;
  if (is(a[0], "listener")) {
    pthread_t thread;
    static int listener;
    listener = filter_for(call_number, SECCOMP_RET_USER_NOTIF, SECCOMP_FILTER_FLAG_NEW_LISTENER);
    must(listener >= 0, "a listener of our own");
    must(pthread_create(&thread, NULL, let_through, &listener) == 0, "a thread");
  } else {
    uint32_t action = is(a[0], "allow") ? SECCOMP_RET_ALLOW : SECCOMP_RET_LOG;
    must(filter_for(call_number, action, 0) == 0, "a filter of our own");
  }
  must(personality(ADDR_NO_RANDOMIZE) != -1, "personality");
  succeeded();
}

static void *create_namespace(void *data) {
  // CLONE_NEWUSER is refused to threads, CLONE_NEWNS is not; either says whether the filter was there.
  *(int *)data = unshare(CLONE_NEWNS) == 0 || (errno != EPERM && errno != ENOSYS) ? 1 : 0;
  return NULL;
}

// thread: one that a filter may not have been put on
ATTACK(thread, "thread-namespace") {
  pthread_t made;
  int got = 0;
  must(pthread_create(&made, NULL, create_namespace, &got) == 0, "a thread");
  pthread_join(made, NULL);
  if (got) succeeded();
  errno = EPERM;
  refused("unshare in a thread");
}

// socket-filter: the kernel's BPF machine, by a socket that everybody may have
ATTACK(socket_filter, "socket-filter") {
  struct sock_filter code[] = {BPF_STMT(BPF_RET | BPF_K, 0xffff)};
  struct sock_fprog program = {1, code};
  int pair[2];
  must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0, "socketpair");
  must(setsockopt(pair[0], SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0, "SO_ATTACH_FILTER");
  succeeded();
}
