/*
 * Runs one command as the current user, unconfined, and writes down what it asks of the kernel.
 *
 *   observer FD program [argument...]
 *
 * It watches and never decides: every notified call is answered "continue". That answer is unfit for deciding anything
 * (seccomp_unotify(2), "Caveats"): the kernel reads paths and addresses again after we have read them, and another thread
 * may have changed them in between. A program that plays this game spoils the record of its own behaviour, nothing else.
 * The result of a call is not seen either, only the attempt and whether the file was there just before it.
 *
 * Exit status: the program's own; its signal, by dying of the same; 127 or 126 for a program that cannot be started; 125
 * with a line on stderr when nothing can be observed. FD says which it was: only a stream with an end record is complete.
 *
 * The stream, version 1, little endian: "APOBSRV1", then records of u32 length (of what follows it) and u8 type:
 *   1 call     u32 thread, u64 a, u64 b, u8 length and name of the call, u8 count, count parts
 *              part: u8 role (1 path as named, 2 path as resolved, 3 socket address, 4 datagram), u8 state, u16 length, bytes
 *              state of a path: 0 unreadable, 1 absent, 2 regular file, 3 directory, 4 anything else
 *   2 end      u32 lost records, u8 how (0 exited, 1 signal, 2 not started), u32 status, signal or errno, u8 processes killed
 *   3 failure  text: why nothing can be observed
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#if defined(__x86_64__)
#define OWN_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OWN_ARCH AUDIT_ARCH_AARCH64
#else
#error "the filter knows x86_64 and aarch64"
#endif

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif
#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, uint64_t)
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_openat2
#define SYS_openat2 437
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif
#ifndef SYS_faccessat2
#define SYS_faccessat2 439
#endif
#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif
#ifndef SYS_memfd_secret
#define SYS_memfd_secret 447
#endif
#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif

#define CANNOT_OBSERVE 125
#define NOT_EXECUTABLE 126
#define NOT_FOUND 127
/* Records waiting for a slow reader. What does not fit is counted, never waited for: the program must not hang on us. */
#define BUFFER_BYTES (4u << 20)
#define END_BYTES 32u
#define GRACE_MS 1000
#define KILL_MS 5000
#define FLUSH_MS 10000

enum form { PLAIN, OPEN, OPEN_HOW, FOLLOW, NO_FOLLOW, BY_AT_FLAGS, MAP, CLONE3, ADDRESS, LISTEN, SEND_TO, SEND_MESSAGE, RECEIVE };

struct call {
  int number;
  const char *name;
  enum form form;
  /* Indices of arguments; -1 for none. `a` and `b` go into the record as they are. */
  signed char directory, path, second_directory, second_path, a, b;
  /* Notified only when this argument has one of these bits, in its low word: the kernel truncates int arguments too. */
  signed char tested;
  uint32_t mask;
};

#define NAMESPACES 0x7e020000u
#define NONE -1, -1, -1, -1
#define ALWAYS -1, 0
#define PATH_CALL(n, form, d, p, a) { SYS_##n, #n, form, d, p, -1, -1, a, -1, ALWAYS }
#define PAIR_CALL(n, d, p, d2, p2, a) { SYS_##n, #n, NO_FOLLOW, d, p, d2, p2, a, -1, ALWAYS }
#define SOCKET_CALL(n, form) { SYS_##n, #n, form, NONE, -1, -1, ALWAYS }
#define PLAIN_CALL(n, a, b) { SYS_##n, #n, PLAIN, NONE, a, b, ALWAYS }

static const struct call CALLS[] = {
    PATH_CALL(openat, OPEN, 0, 1, 2),
    PATH_CALL(openat2, OPEN_HOW, 0, 1, 2),
    PATH_CALL(newfstatat, BY_AT_FLAGS, 0, 1, 3),
    PATH_CALL(statx, BY_AT_FLAGS, 0, 1, 2),
    PATH_CALL(faccessat, FOLLOW, 0, 1, -1),
    PATH_CALL(faccessat2, BY_AT_FLAGS, 0, 1, 3),
    PATH_CALL(readlinkat, NO_FOLLOW, 0, 1, -1),
    PATH_CALL(statfs, FOLLOW, -1, 0, -1),
    PATH_CALL(chdir, FOLLOW, -1, 0, -1),
    PATH_CALL(execve, FOLLOW, -1, 0, -1),
    PATH_CALL(execveat, BY_AT_FLAGS, 0, 1, 4),
    PATH_CALL(unlinkat, NO_FOLLOW, 0, 1, 2),
    PATH_CALL(mkdirat, NO_FOLLOW, 0, 1, -1),
    PATH_CALL(mknodat, NO_FOLLOW, 0, 1, 2),
    PATH_CALL(symlinkat, NO_FOLLOW, 1, 2, -1),
    PATH_CALL(fchmodat, FOLLOW, 0, 1, -1),
    PATH_CALL(fchmodat2, BY_AT_FLAGS, 0, 1, 3),
    PATH_CALL(fchownat, BY_AT_FLAGS, 0, 1, 4),
    PATH_CALL(utimensat, BY_AT_FLAGS, 0, 1, 3),
    PATH_CALL(truncate, FOLLOW, -1, 0, -1),
    PATH_CALL(setxattr, FOLLOW, -1, 0, -1),
    PATH_CALL(lsetxattr, NO_FOLLOW, -1, 0, -1),
    PATH_CALL(removexattr, FOLLOW, -1, 0, -1),
    PATH_CALL(lremovexattr, NO_FOLLOW, -1, 0, -1),
    PATH_CALL(chroot, FOLLOW, -1, 0, -1),
    PAIR_CALL(renameat2, 0, 1, 2, 3, 4),
    PAIR_CALL(linkat, 0, 1, 2, 3, 4),
#ifdef SYS_renameat
    PAIR_CALL(renameat, 0, 1, 2, 3, -1),
#endif
#ifdef SYS_open
    PATH_CALL(open, OPEN, -1, 0, 1),
    PATH_CALL(creat, FOLLOW, -1, 0, -1),
    PATH_CALL(stat, FOLLOW, -1, 0, -1),
    PATH_CALL(lstat, NO_FOLLOW, -1, 0, -1),
    PATH_CALL(access, FOLLOW, -1, 0, -1),
    PATH_CALL(readlink, NO_FOLLOW, -1, 0, -1),
    PATH_CALL(unlink, NO_FOLLOW, -1, 0, -1),
    PATH_CALL(rmdir, NO_FOLLOW, -1, 0, -1),
    PATH_CALL(mkdir, NO_FOLLOW, -1, 0, -1),
    PATH_CALL(mknod, NO_FOLLOW, -1, 0, 1),
    PATH_CALL(symlink, NO_FOLLOW, -1, 1, -1),
    PATH_CALL(chmod, FOLLOW, -1, 0, -1),
    PATH_CALL(chown, FOLLOW, -1, 0, -1),
    PATH_CALL(lchown, NO_FOLLOW, -1, 0, -1),
    PATH_CALL(utime, FOLLOW, -1, 0, -1),
    PATH_CALL(utimes, FOLLOW, -1, 0, -1),
    PATH_CALL(futimesat, FOLLOW, 0, 1, -1),
    PAIR_CALL(rename, -1, 0, -1, 1, -1),
    PAIR_CALL(link, -1, 0, -1, 1, -1),
#endif
    { SYS_mmap, "mmap", MAP, NONE, 2, 3, 2, 4 },
    { SYS_mprotect, "mprotect", PLAIN, NONE, 2, -1, 2, 4 },
    { SYS_pkey_mprotect, "pkey_mprotect", PLAIN, NONE, 2, -1, 2, 4 },
    { SYS_clone, "clone", PLAIN, NONE, 0, -1, 0, NAMESPACES },
    { SYS_unshare, "unshare", PLAIN, NONE, 0, -1, 0, NAMESPACES | 0x80u },
    { SYS_clone3, "clone3", CLONE3, NONE, -1, -1, ALWAYS },
    PLAIN_CALL(socket, 0, 1),
    SOCKET_CALL(connect, ADDRESS),
    SOCKET_CALL(bind, ADDRESS),
    SOCKET_CALL(listen, LISTEN),
    SOCKET_CALL(sendto, SEND_TO),
    SOCKET_CALL(sendmsg, SEND_MESSAGE),
    SOCKET_CALL(sendmmsg, SEND_MESSAGE),
    SOCKET_CALL(recvfrom, RECEIVE),
    SOCKET_CALL(recvmsg, RECEIVE),
    PLAIN_CALL(io_uring_setup, -1, -1),
    PLAIN_CALL(ptrace, 0, -1),
    PLAIN_CALL(process_vm_readv, -1, -1),
    PLAIN_CALL(process_vm_writev, -1, -1),
    PLAIN_CALL(pidfd_getfd, -1, -1),
    PLAIN_CALL(mount, -1, -1),
    PLAIN_CALL(umount2, -1, -1),
    PLAIN_CALL(pivot_root, -1, -1),
    PLAIN_CALL(mount_setattr, -1, -1),
    PLAIN_CALL(setns, -1, -1),
    PLAIN_CALL(bpf, 0, -1),
    PLAIN_CALL(perf_event_open, -1, -1),
    PLAIN_CALL(userfaultfd, -1, -1),
    PLAIN_CALL(keyctl, 0, -1),
    PLAIN_CALL(add_key, -1, -1),
    PLAIN_CALL(request_key, -1, -1),
    PLAIN_CALL(memfd_create, -1, -1),
    PLAIN_CALL(memfd_secret, -1, -1),
    PLAIN_CALL(open_by_handle_at, -1, -1),
    PLAIN_CALL(init_module, -1, -1),
    PLAIN_CALL(finit_module, -1, -1),
};
#define CALL_COUNT (sizeof CALLS / sizeof CALLS[0])

/* ---- The stream ---------------------------------------------------------------------------------------------------- */

struct message {
  unsigned char bytes[5 * PATH_MAX];
  size_t length;
};

static unsigned char waiting[BUFFER_BYTES];
static size_t waiting_start, waiting_end;
static uint32_t lost;
static int out = -1;

static void put(struct message *m, const void *data, size_t length) {
  if (length > sizeof m->bytes - m->length) length = sizeof m->bytes - m->length;
  memcpy(m->bytes + m->length, data, length);
  m->length += length;
}
static void put_number(struct message *m, uint64_t value, int size) {
  unsigned char bytes[8];
  for (int i = 0; i < size; i++) bytes[i] = (unsigned char)(value >> (8 * i));
  put(m, bytes, (size_t)size);
}
static void put_part(struct message *m, int role, int state, const void *data, size_t length) {
  if (length > PATH_MAX) length = PATH_MAX;
  put_number(m, (uint64_t)role, 1);
  put_number(m, (uint64_t)state, 1);
  put_number(m, length, 2);
  put(m, data, length);
}

static void flush_some(void) {
  while (waiting_start < waiting_end) {
    ssize_t n = write(out, waiting + waiting_start, waiting_end - waiting_start);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) { /* The reader is gone. The program goes on; its record does not. */
      out = -1;
      return;
    }
    waiting_start += (size_t)n;
  }
}

static void commit(struct message *m, size_t reserve) {
  unsigned char size[4] = {(unsigned char)m->length, (unsigned char)(m->length >> 8), (unsigned char)(m->length >> 16), 0};
  if (out >= 0 && waiting_start > 0 && waiting_end + m->length + 4 + reserve > BUFFER_BYTES) {
    memmove(waiting, waiting + waiting_start, waiting_end - waiting_start);
    waiting_end -= waiting_start;
    waiting_start = 0;
  }
  if (out < 0 || waiting_end + m->length + 4 + reserve > BUFFER_BYTES) {
    if (lost < UINT32_MAX) lost++;
    return;
  }
  memcpy(waiting + waiting_end, size, 4);
  memcpy(waiting + waiting_end + 4, m->bytes, m->length);
  waiting_end += m->length + 4;
}

static int64_t now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void flush_all(void) {
  int64_t until = now_ms() + FLUSH_MS;
  for (flush_some(); out >= 0 && waiting_start < waiting_end && now_ms() < until; flush_some()) {
    struct pollfd p = {.fd = out, .events = POLLOUT};
    poll(&p, 1, 100);
  }
}

static _Noreturn void fail(const char *what, int error) {
  char text[256];
  int n = snprintf(text, sizeof text, "%s%s%s", what, error ? ": " : "", error ? strerror(error) : "");
  struct message m = {.length = 0};
  fprintf(stderr, "observer: %s\n", text);
  put_number(&m, 3, 1);
  put(&m, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1);
  if (out >= 0) {
    commit(&m, 0);
    flush_all();
  }
  _exit(CANNOT_OBSERVE);
}

static void put_end(int how, uint32_t status, int killed) {
  struct message m = {.length = 0};
  put_number(&m, 2, 1);
  put_number(&m, lost, 4);
  put_number(&m, (uint64_t)how, 1);
  put_number(&m, status, 4);
  put_number(&m, (uint64_t)killed, 1);
  commit(&m, 0);
  flush_all();
}

/* ---- Looking at the program ---------------------------------------------------------------------------------------- */

static ssize_t read_memory(int memory, uint64_t address, void *to, size_t size) {
  ssize_t n;
  do n = pread(memory, to, size, (off_t)address);
  while (n < 0 && errno == EINTR);
  return n;
}

/* Length of the text at `address`, or -1. */
static ssize_t read_text(int memory, uint64_t address, char *to, size_t size) {
  ssize_t n = address ? read_memory(memory, address, to, size) : -1;
  return n > 0 && memchr(to, 0, (size_t)n) ? (ssize_t)strlen(to) : -1;
}

static int read_link(char *to, size_t size, const char *format, unsigned thread, int number) {
  char link[64];
  snprintf(link, sizeof link, format, thread, number);
  ssize_t n = readlink(link, to, size - 1);
  if (n <= 0 || to[0] != '/') return -1;
  to[n] = 0;
  return 0;
}

/* `path` as the thread means it, from our own root. */
static int absolute_path(unsigned thread, int directory, const char *path, char *to) {
  char base[PATH_MAX];
  int failed = path[0] == '/'            ? read_link(base, sizeof base, "/proc/%u/root", thread, 0)
               : directory == AT_FDCWD ? read_link(base, sizeof base, "/proc/%u/cwd", thread, 0)
                                         : read_link(base, sizeof base, "/proc/%u/fd/%d", thread, directory);
  if (failed) return -1;
  if (!strcmp(base, "/")) base[0] = 0;
  int n = snprintf(to, PATH_MAX, "%s%s%s", base, path[0] == '/' ? "" : "/", path);
  return n > 0 && n < PATH_MAX ? 0 : -1;
}

static int starts(const char *text, const char *prefix) { return !strncmp(text, prefix, strlen(prefix)); }

/* Links that lead to whoever asks, as they are for the thread: for us they would lead to ourselves. */
static void as_thread(unsigned thread, const char *path, char *to) {
  static const char *const OWN[][2] = {
      {"/proc/self/", ""}, {"/proc/thread-self/", ""}, {"/dev/fd/", "fd/"}, {"/dev/stdin", "fd/0"}, {"/dev/stdout", "fd/1"}, {"/dev/stderr", "fd/2"},
  };
  for (size_t i = 0; i < sizeof OWN / sizeof OWN[0]; i++) {
    if (!starts(path, OWN[i][0])) continue;
    int n = snprintf(to, PATH_MAX, "/proc/%u/%s%s", thread, OWN[i][1], path + strlen(OWN[i][0]));
    if (n > 0 && n < PATH_MAX) return;
  }
  memcpy(to, path, strlen(path) + 1);
}

static void put_path(struct message *m, unsigned thread, const char *path, int follow) {
  char real[PATH_MAX], own[PATH_MAX];
  struct stat status;
  int state = 4;
  as_thread(thread, path, own);
  if ((follow ? stat(own, &status) : lstat(own, &status)) != 0) state = errno == ENOENT || errno == ENOTDIR ? 1 : 4;
  else state = S_ISREG(status.st_mode) ? 2 : S_ISDIR(status.st_mode) ? 3 : 4;
  if (!follow || !realpath(own, real)) {
    /* What is not there, or is meant itself and not its target: the directory is what can be resolved. */
    size_t length = strlen(own);
    while (length > 1 && own[length - 1] == '/') own[--length] = 0;
    char *slash = strrchr(own, '/');
    const char *name = slash + 1;
    *slash = 0;
    int resolved = strcmp(name, ".") && strcmp(name, "..") && *name && realpath(*own ? own : "/", real);
    length = resolved ? strlen(real) : 0;
    if (length == 1) length = 0;
    /* A realpath that failed has left the part that it could resolve. */
    if (!resolved || length + 1 + strlen(name) >= PATH_MAX) real[0] = 0;
    else snprintf(real + length, PATH_MAX - length, "/%s", name);
  }
  put_part(m, 1, state, path, strlen(path));
  /* Below /proc the number of a process says less than the name that was used. */
  if (real[0] && !starts(real, "/proc/") && strcmp(real, path)) put_part(m, 2, state, real, strlen(real));
}

/* A copy of the program's socket: its type and peer are not in the arguments of the call. */
static int take_socket(unsigned thread, int number) {
  int process = (int)syscall(SYS_pidfd_open, thread, 0);
  if (process < 0) { /* Not the leader of its process. */
    char name[64], line[256];
    unsigned leader = 0;
    snprintf(name, sizeof name, "/proc/%u/status", thread);
    FILE *file = fopen(name, "re");
    while (file && !leader && fgets(line, sizeof line, file)) sscanf(line, "Tgid: %u", &leader);
    if (file) fclose(file);
    process = leader ? (int)syscall(SYS_pidfd_open, leader, 0) : -1;
  }
  if (process < 0) return -1;
  int fd = (int)syscall(SYS_pidfd_getfd, process, number, 0);
  close(process);
  return fd;
}

static int socket_option(int fd, int option) {
  int value = 0;
  socklen_t size = sizeof value;
  return fd >= 0 && getsockopt(fd, SOL_SOCKET, option, &value, &size) == 0 ? value : 0;
}

static int port_of(const struct sockaddr_storage *address) {
  if (address->ss_family == AF_INET) return ntohs(((const struct sockaddr_in *)address)->sin_port);
  if (address->ss_family == AF_INET6) return ntohs(((const struct sockaddr_in6 *)address)->sin6_port);
  return 0;
}

/* The parts of a call on a socket; 0 when it says nothing new. */
static int socket_parts(struct message *m, const struct call *call, const struct seccomp_notif *n, int memory, int fd) {
  struct sockaddr_storage address;
  unsigned char datagram[1500];
  memset(&address, 0, sizeof address);
  uint64_t from = n->data.args[1], size = n->data.args[2];
  int datagrams = socket_option(fd, SO_TYPE) == SOCK_DGRAM;
  socklen_t length = sizeof address;
  if (call->form == RECEIVE) {
    int domain = socket_option(fd, SO_DOMAIN);
    if (!datagrams || (domain != AF_INET && domain != AF_INET6)) return 0;
    ssize_t got = recvfrom(fd, datagram, sizeof datagram, MSG_PEEK | MSG_DONTWAIT, (struct sockaddr *)&address, &length);
    /* Only the answers of name servers: they tell which name an address was taken for. */
    if (got < 12 || port_of(&address) != 53) return 0;
    put_number(m, 1, 1);
    put_part(m, 4, 0, datagram, (size_t)got);
    return 1;
  }
  if (call->form == SEND_TO) from = n->data.args[4], size = n->data.args[5];
  if (call->form == SEND_MESSAGE) {
    /* msghdr begins with msg_name and msg_namelen; of sendmmsg the first one is looked at. */
    struct { uint64_t name; uint32_t length; } head = {0, 0};
    if (read_memory(memory, n->data.args[1], &head, sizeof head) < 12) head.name = 0;
    from = head.name;
    size = head.length;
  }
  if (call->form == LISTEN || (call->form >= SEND_TO && (!from || !size))) {
    int found = call->form == LISTEN ? getsockname(fd, (struct sockaddr *)&address, &length)
                                     : datagrams ? getpeername(fd, (struct sockaddr *)&address, &length) : -1;
    if (found != 0) length = 0;
    if (found != 0 && call->form != LISTEN) return 0;
  } else {
    ssize_t got = read_memory(memory, from, &address, size < sizeof address ? size : sizeof address);
    length = got > 0 ? (socklen_t)got : 0;
  }
  put_number(m, 1, 1);
  put_part(m, 3, length ? 2 : 0, &address, length);
  return 1;
}

static int path_argument(struct message *m, const struct seccomp_notif *n, int memory, int directory, int path, int follow) {
  int runs = n->data.nr == SYS_execveat;
  char text[PATH_MAX], whole[PATH_MAX];
  ssize_t length = read_text(memory, n->data.args[path], text, sizeof text);
  int at = directory < 0 ? AT_FDCWD : (int)n->data.args[directory];
  /* An empty or no path means the descriptor itself (AT_EMPTY_PATH): it was seen when it was opened, but not as a program. */
  if (length == 0 && runs && read_link(whole, sizeof whole, "/proc/%u/fd/%d", n->pid, at) == 0) {
    put_path(m, n->pid, whole, 1);
    return 1;
  }
  if (length == 0 || n->data.args[path] == 0) return 0;
  if (length < 0 || absolute_path(n->pid, at, text, whole) != 0) put_part(m, 1, 0, text, length > 0 ? (size_t)length : 0);
  else put_path(m, n->pid, whole, follow);
  return 1;
}

/* The record of one notified call; 0 when there is nothing to write down. */
static int describe(struct message *m, const struct call *call, const struct seccomp_notif *n) {
  const char *name = call ? call->name : "foreign";
  char file[64];
  snprintf(file, sizeof file, "/proc/%u/mem", n->pid);
  int memory = call && call->form != PLAIN && call->form != MAP ? open(file, O_RDONLY | O_CLOEXEC) : -1;
  int fd = call && call->form >= ADDRESS ? take_socket(n->pid, (int)n->data.args[0]) : -1;
  uint64_t a = call && call->a >= 0 ? n->data.args[(int)call->a] : 0, b = call && call->b >= 0 ? n->data.args[(int)call->b] : 0;
  int keep = 1, follow = 1;
  if (call && (call->form == OPEN_HOW || call->form == CLONE3)) {
    uint64_t flags = 0;
    if (read_memory(memory, n->data.args[call->form == CLONE3 ? 0 : 2], &flags, sizeof flags) != sizeof flags) b = 1;
    a = flags;
    if (call->form == CLONE3) keep = b || (flags & (NAMESPACES | 0x80u));
  }
  if (call && call->form >= ADDRESS) a = (uint64_t)socket_option(fd, SO_TYPE), b = (uint64_t)socket_option(fd, SO_DOMAIN);
  if (call && (call->form == NO_FOLLOW || (call->form == BY_AT_FLAGS && (a & AT_SYMLINK_NOFOLLOW)))) follow = 0;
  if (call && (call->form == OPEN || call->form == OPEN_HOW) && (a & O_NOFOLLOW)) follow = 0;

  put_number(m, 1, 1);
  put_number(m, n->pid, 4);
  put_number(m, a, 8);
  put_number(m, b, 8);
  put_number(m, strlen(name), 1);
  put(m, name, strlen(name));
  size_t count_at = m->length;
  if (call && call->path >= 0) {
    put_number(m, call->second_path >= 0 ? 2 : 1, 1);
    keep = path_argument(m, n, memory, call->directory, call->path, follow);
    if (keep && call->second_path >= 0) {
      size_t before = m->length;
      if (!path_argument(m, n, memory, call->second_directory, call->second_path, 0)) m->length = before;
    }
  } else if (call && call->form == MAP && !(b & 0x20)) {
    char path[PATH_MAX];
    put_number(m, 1, 1);
    if (read_link(path, sizeof path, "/proc/%u/fd/%d", n->pid, (int)n->data.args[4])) put_part(m, 1, 0, "", 0);
    else put_path(m, n->pid, path, 1);
  } else if (call && call->form >= ADDRESS) {
    keep = socket_parts(m, call, n, memory, fd);
  } else {
    put_number(m, 0, 1);
  }
  /* The parts are counted here, where they are known: a path brings its resolved form along or not. */
  unsigned parts = 0;
  for (size_t at = count_at + 1; at + 4 <= m->length; parts++) at += 4u + m->bytes[at + 2] + ((size_t)m->bytes[at + 3] << 8);
  if (keep) m->bytes[count_at] = (unsigned char)parts;
  if (memory >= 0) close(memory);
  if (fd >= 0) close(fd);
  return keep;
}

/* ---- The filter and its notifications ------------------------------------------------------------------------------- */

#define LOAD(offset) ((struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset))
#define JUMP(test, k, yes, no) ((struct sock_filter)BPF_JUMP(BPF_JMP | (test) | BPF_K, k, yes, no))
#define ANSWER(value) ((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, value))

static int install_filter(void) {
  struct sock_filter f[16 + 6 * CALL_COUNT];
  unsigned short n = 0;
  /* Calls of another architecture are not understood, but they are not missed either. */
  f[n++] = LOAD(offsetof(struct seccomp_data, arch));
  f[n++] = JUMP(BPF_JEQ, OWN_ARCH, 1, 0);
  f[n++] = ANSWER(SECCOMP_RET_USER_NOTIF);
  f[n++] = LOAD(offsetof(struct seccomp_data, nr));
  f[n++] = JUMP(BPF_JGE, 0x40000000, 0, 1);
  f[n++] = ANSWER(SECCOMP_RET_USER_NOTIF);
  for (size_t i = 0; i < CALL_COUNT; i++) {
    const struct call *call = &CALLS[i];
    f[n++] = JUMP(BPF_JEQ, (uint32_t)call->number, 0, call->tested < 0 ? 1 : 4);
    if (call->tested >= 0) {
      f[n++] = LOAD((uint32_t)(offsetof(struct seccomp_data, args) + 8u * (unsigned)call->tested));
      f[n++] = JUMP(BPF_JSET, call->mask, 1, 0);
      f[n++] = ANSWER(SECCOMP_RET_ALLOW);
    }
    f[n++] = ANSWER(SECCOMP_RET_USER_NOTIF);
  }
  f[n++] = ANSWER(SECCOMP_RET_ALLOW);
  struct sock_fprog program = {.len = n, .filter = f};
  /* WAIT_KILLABLE_RECV: a signal must not restart a call that has been written down, or it would be counted twice. */
  long fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                    SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &program);
  if (fd < 0 && errno == EINVAL)
    fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
  return fd < 0 ? -errno : (int)fd;
}

/* 0, or the errno that means that nothing can be observed here. */
static int observe_one(int listener, struct seccomp_notif *n, size_t size) {
  static struct message m;
  memset(n, 0, size);
  if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, n) != 0) return errno == EINTR || errno == ENOENT || errno == EAGAIN ? 0 : errno;
  const struct call *call = NULL;
  for (size_t i = 0; !call && i < CALL_COUNT && n->data.arch == OWN_ARCH; i++)
    if (CALLS[i].number == n->data.nr) call = &CALLS[i];
  m.length = 0;
  int keep = describe(&m, call, n);
  /* A thread that has gone may have left its number to another, whose memory we would have read. */
  if (ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &n->id) != 0) keep = 0;
  if (keep) commit(&m, END_BYTES);
  struct seccomp_notif_resp answer = {.id = n->id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};
  if (ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer) != 0 && errno == EINVAL) return EINVAL;
  return 0;
}

/* ---- The command ---------------------------------------------------------------------------------------------------- */

/* Shares the table of descriptors with its parent until exec: writing the number of the listener hands it over. Exec then
 * takes a copy of the table without what is close-on-exec, and the parent keeps the original. */
static _Noreturn void become_program(char **command, const sigset_t *mask, int hand_over) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  int answer = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ? -errno : install_filter();
  if (write(hand_over, &answer, sizeof answer) != sizeof answer || answer < 0) _exit(CANNOT_OBSERVE);
  sigprocmask(SIG_SETMASK, mask, NULL);
  execvp(command[0], command);
  answer = errno;
  if (write(hand_over, &answer, sizeof answer) != sizeof answer) _exit(CANNOT_OBSERVE);
  _exit(answer == ENOENT ? NOT_FOUND : NOT_EXECUTABLE);
}

/* The observation ends with the command. What it left behind would find half of its calls unknown to the kernel. */
static int kill_rest(void) {
  char name[64];
  int killed = 0, pid;
  snprintf(name, sizeof name, "/proc/self/task/%d/children", (int)getpid());
  FILE *file = fopen(name, "re");
  while (file && fscanf(file, "%d", &pid) == 1) killed |= kill(pid, SIGKILL) == 0;
  if (file) fclose(file);
  return killed;
}

static _Noreturn void die_like(int status) {
  if (!WIFSIGNALED(status)) _exit(WEXITSTATUS(status));
  struct rlimit no_core = {0, 0};
  sigset_t set;
  setrlimit(RLIMIT_CORE, &no_core);
  signal(WTERMSIG(status), SIG_DFL);
  sigemptyset(&set);
  sigaddset(&set, WTERMSIG(status));
  raise(WTERMSIG(status));
  sigprocmask(SIG_UNBLOCK, &set, NULL);
  _exit(128 + WTERMSIG(status));
}

static int watch(int listener, int signals, pid_t child, int *killed) {
  struct seccomp_notif_sizes sizes;
  if (syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) != 0) fail("seccomp notifications", errno);
  size_t size = sizes.seccomp_notif > sizeof(struct seccomp_notif) ? sizes.seccomp_notif : sizeof(struct seccomp_notif);
  struct seccomp_notif *n = malloc(size);
  if (!n) fail("memory", errno);
  int status = 0, ended = 0;
  int64_t ended_at = 0;
  for (;;) {
    struct pollfd p[3] = {{listener, POLLIN, 0}, {signals, POLLIN, 0}, {waiting_start < waiting_end ? out : -1, POLLOUT, 0}};
    if (poll(p, 3, ended ? 20 : -1) < 0 && errno != EINTR) fail("poll", errno);
    if (p[0].revents & POLLIN) {
      int error = observe_one(listener, n, size);
      if (error) {
        kill(child, SIGKILL);
        fail("this kernel cannot let an observed call continue", error);
      }
    } else if (p[0].revents) {
      listener = -1;
    }
    flush_some();
    struct signalfd_siginfo info;
    while (read(signals, &info, sizeof info) == (ssize_t)sizeof info) {
      /* What a terminal sends, it has sent to the program too. */
      if (info.ssi_signo != SIGCHLD && info.ssi_signo != SIGPIPE && info.ssi_code <= 0 && !ended) kill(child, (int)info.ssi_signo);
    }
    int one = 0;
    for (pid_t pid; (pid = waitpid(-1, &one, WNOHANG)) != 0;) {
      if (pid < 0) {
        free(n);
        return status;
      }
      if (pid != child) continue;
      status = one;
      ended = 1;
      ended_at = now_ms();
    }
    if (ended && now_ms() - ended_at > GRACE_MS) *killed |= kill_rest();
    if (ended && now_ms() - ended_at > GRACE_MS + KILL_MS) {
      *killed = 1;
      free(n);
      return status;
    }
  }
}

int main(int argc, char **argv) {
  char *end = NULL;
  long number = argc > 2 ? strtol(argv[1], &end, 10) : -1;
  if (argc < 3 || !end || *end || number < 3 || number > 1023) {
    fprintf(stderr, "usage: observer FD program [argument...]\n");
    return CANNOT_OBSERVE;
  }
  int flags = fcntl((int)number, F_GETFL);
  if (flags < 0) fail("the descriptor to write to", errno);
  out = (int)number;
  fcntl(out, F_SETFL, flags | O_NONBLOCK);
  fcntl(out, F_SETFD, FD_CLOEXEC);
  memcpy(waiting, "APOBSRV1", 8);
  waiting_end = 8;

  sigset_t caught, mask;
  sigemptyset(&caught);
  static const int FORWARDED[] = {SIGCHLD, SIGPIPE, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGCONT, SIGALRM, SIGWINCH};
  for (size_t i = 0; i < sizeof FORWARDED / sizeof FORWARDED[0]; i++) sigaddset(&caught, FORWARDED[i]);
  sigprocmask(SIG_BLOCK, &caught, &mask);
  int signals = signalfd(-1, &caught, SFD_CLOEXEC | SFD_NONBLOCK);
  int hand_over[2];
  if (signals < 0 || pipe2(hand_over, O_CLOEXEC) != 0) fail("descriptors", errno);
  prctl(PR_SET_CHILD_SUBREAPER, 1);

  pid_t child = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
  if (child < 0) fail("fork", errno);
  if (child == 0) become_program(argv + 2, &mask, hand_over[1]);
  /* The program is of the same user: it shall not write our records for us. It can still end us, and then there is no end. */
  prctl(PR_SET_DUMPABLE, 0);
  /* Both ends are in the one table, so that a child that dies early leaves no end of file: hence the time limit. */
  struct pollfd ready = {.fd = hand_over[0], .events = POLLIN};
  int listener = 0;
  if (poll(&ready, 1, FLUSH_MS) != 1 || read(hand_over[0], &listener, sizeof listener) != sizeof listener) {
    kill(child, SIGKILL);
    fail("the program's process ended before it was observed", 0);
  }
  if (listener < 0) {
    waitpid(child, NULL, 0);
    fail(-listener == EBUSY ? "another supervisor observes this process already" : "seccomp", -listener);
  }
  ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, 1UL);

  int killed = 0, error = 0;
  int status = watch(listener, signals, child, &killed);
  fcntl(hand_over[0], F_SETFL, O_NONBLOCK);
  if (read(hand_over[0], &error, sizeof error) == sizeof error) {
    fprintf(stderr, "observer: %s: %s\n", argv[2], strerror(error));
    put_end(2, (uint32_t)error, killed);
    return WEXITSTATUS(status);
  }
  if (WIFSIGNALED(status)) put_end(1, (uint32_t)WTERMSIG(status), killed);
  else put_end(0, (uint32_t)WEXITSTATUS(status), killed);
  die_like(status);
}
