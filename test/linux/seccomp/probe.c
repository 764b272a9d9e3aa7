// Takes a seccomp program and makes system calls under it, each in a process of its own, and says what became of them.
// Also shows what stacked filters with listeners can and cannot do. Prints one line per call: "ok", "errno N", "signal N";
// with a listener also "told NR".
//
//   probe calls PROGRAM     lines "NR A0 A1 A2 A3 A4 A5" on stdin; PROGRAM "-" installs nothing
//   probe listen PROGRAM    the same, with a listener that answers EPERM
//   probe exec PROGRAM COMMAND...
//   probe stack PROGRAM     prints "name: outcome" lines
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SECCOMP_USER_NOTIF_FLAG_CONTINUE
#define SECCOMP_USER_NOTIF_FLAG_CONTINUE 1
#endif

static struct sock_filter instructions[4096];
static struct sock_fprog program = {0, instructions};

static void fail(const char *what) {
  perror(what);
  exit(125);
}

static void load(const char *path) {
  if (strcmp(path, "-") == 0) return;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) fail(path);
  ssize_t length = read(fd, instructions, sizeof instructions);
  if (length <= 0 || length % 8) fail("program");
  program.len = length / 8;
  close(fd);
}

static int install(struct sock_fprog *what, unsigned flags) {
  return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, what);
}

static void confine(unsigned flags) {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) fail("no_new_privs");
  if (program.len && install(&program, flags) < 0) fail("seccomp");
}

static void call(unsigned long long *v, char *out, size_t size) {
  errno = 0;
  long result;
#ifdef __x86_64__
  if (v[0] == 999999) {
    // The 32-bit entry: v[1] is the number there.
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(v[1]), "b"(0), "c"(0), "d"(0) : "memory");
    snprintf(out, size, "ok\n");
    return;
  }
#endif
  result = syscall(v[0], v[1], v[2], v[3], v[4], v[5], v[6]);
  if (result == -1) snprintf(out, size, "errno %d\n", errno);
  else snprintf(out, size, "ok\n");
}

static int receive_fd(int socket) {
  char byte, control[CMSG_SPACE(sizeof(int))];
  struct iovec data = {&byte, 1};
  struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  if (recvmsg(socket, &message, 0) != 1) return -1;
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  int fd = -1;
  if (header) memcpy(&fd, CMSG_DATA(header), sizeof fd);
  return fd;
}

static void send_fd(int socket, int fd) {
  char byte = 0, control[CMSG_SPACE(sizeof(int))];
  struct iovec data = {&byte, 1};
  struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  memset(control, 0, sizeof control);
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(header), &fd, sizeof fd);
  if (sendmsg(socket, &message, 0) != 1) fail("sendmsg");
}

static void answer_one(int listener, int error, unsigned flags, int *nr) {
  struct seccomp_notif request;
  struct seccomp_notif_resp response;
  memset(&request, 0, sizeof request);
  memset(&response, 0, sizeof response);
  if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &request)) return;
  *nr = request.data.nr;
  response.id = request.id;
  response.error = error;
  response.flags = flags;
  ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

static void calls(int with_listener) {
  char line[512];
  while (fgets(line, sizeof line, stdin)) {
    unsigned long long v[7] = {0};
    char *at = line;
    for (int i = 0; i < 7; i++) v[i] = strtoull(at, &at, 10);
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) fail("socketpair");
    fflush(stdout);
    pid_t child = fork();
    if (child < 0) fail("fork");
    if (child == 0) {
      char out[64];
      alarm(20);
      setsid();
      if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) fail("no_new_privs");
      int listener = program.len ? install(&program, with_listener ? SECCOMP_FILTER_FLAG_NEW_LISTENER : 0) : 0;
      if (listener < 0) fail("seccomp");
      if (with_listener) {
        send_fd(pair[1], listener);
        close(listener);
      }
      call(v, out, sizeof out);
      if (write(pair[1], out, strlen(out)) < 0) _exit(124);
      _exit(0);
    }
    close(pair[1]);
    if (with_listener) {
      int listener = receive_fd(pair[0]);
      if (listener < 0) fail("listener");
      struct pollfd ready = {listener, POLLIN, 0};
      // Ends with POLLHUP when the last process under the filter is gone.
      while (poll(&ready, 1, 20000) > 0 && (ready.revents & POLLIN)) {
        int nr = -1;
        answer_one(listener, -EPERM, 0, &nr);
        printf("told %d ", nr);
      }
      close(listener);
    }
    int status;
    waitpid(child, &status, 0);
    if (WIFSIGNALED(status)) printf("signal %d\n", WTERMSIG(status));
    else if (WEXITSTATUS(status)) printf("exit %d\n", WEXITSTATUS(status));
    else {
      char out[64];
      ssize_t length = read(pair[0], out, sizeof out);
      if (length > 0) fwrite(out, 1, length, stdout);
    }
    fflush(stdout);
    close(pair[0]);
  }
}

// A filter that gives one answer to getppid and allows everything else.
static int install_for_getppid(unsigned answer, unsigned flags) {
  struct sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, answer),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog what = {4, code};
  return install(&what, flags);
}

static void say(const char *name, long result) {
  if (result < 0) printf("%s: errno %d\n", name, errno);
  else printf("%s: ok\n", name);
  fflush(stdout);
}

// Runs `scene` in a child that has given up privileges; it may do what it likes to itself.
static void play(void (*scene)(void)) {
  fflush(stdout);
  pid_t child = fork();
  if (child < 0) fail("fork");
  if (child == 0) {
    alarm(20);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) fail("no_new_privs");
    scene();
    fflush(stdout);
    _exit(0);
  }
  int status;
  waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) printf("killed: signal %d\n", WTERMSIG(status));
}

static void second_listener_while_first_is_open(void) {
  if (install_for_getppid(SECCOMP_RET_USER_NOTIF, SECCOMP_FILTER_FLAG_NEW_LISTENER) < 0) fail("first");
  say("second listener while the first is open",
      install_for_getppid(SECCOMP_RET_USER_NOTIF, SECCOMP_FILTER_FLAG_NEW_LISTENER));
}

static void second_listener_after_first(void) {
  int first = install_for_getppid(SECCOMP_RET_USER_NOTIF, SECCOMP_FILTER_FLAG_NEW_LISTENER);
  if (first < 0) fail("first");
  close(first);
  say("without a listener", syscall(SYS_getppid));
  int second = install_for_getppid(SECCOMP_RET_USER_NOTIF, SECCOMP_FILTER_FLAG_NEW_LISTENER);
  say("second listener after the first", second);
  if (second < 0) return;
  fflush(stdout);
  pid_t caller = fork();
  if (caller == 0) {
    say("answered CONTINUE by the second", syscall(SYS_getppid));
    _exit(0);
  }
  int nr = 0;
  answer_one(second, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE, &nr);
  waitpid(caller, NULL, 0);
}

static void errno_under_newer_allow(void) {
  if (install_for_getppid(SECCOMP_RET_ERRNO | EPERM, 0) < 0) fail("first");
  if (install_for_getppid(SECCOMP_RET_ALLOW, 0) < 0) fail("second");
  say("ERRNO under a newer ALLOW", syscall(SYS_getppid));
}

static void errno_under_newer_trace(void) {
  if (install_for_getppid(SECCOMP_RET_ERRNO | EPERM, 0) < 0) fail("first");
  if (install_for_getppid(SECCOMP_RET_TRACE, 0) < 0) fail("second");
  say("ERRNO under a newer TRACE", syscall(SYS_getppid));
}

static void errno_under_newer_listener(void) {
  if (install_for_getppid(SECCOMP_RET_ERRNO | EPERM, 0) < 0) fail("first");
  int second = install_for_getppid(SECCOMP_RET_USER_NOTIF, SECCOMP_FILTER_FLAG_NEW_LISTENER);
  if (second < 0) fail("second");
  // Nobody answers: were the listener asked, the alarm would end this.
  say("ERRNO under a newer listener", syscall(SYS_getppid));
}

static void notified_under_newer_without_listener(void) {
  int first = install_for_getppid(SECCOMP_RET_USER_NOTIF, SECCOMP_FILTER_FLAG_NEW_LISTENER);
  if (first < 0) fail("first");
  if (install_for_getppid(SECCOMP_RET_USER_NOTIF, 0) < 0) fail("second");
  say("USER_NOTIF under a newer one without a listener", syscall(SYS_getppid));
}

static void under_program(void) {
  confine(0);
  say("box: plain filter", install_for_getppid(SECCOMP_RET_ALLOW, 0));
  say("box: listener", install_for_getppid(SECCOMP_RET_USER_NOTIF, SECCOMP_FILTER_FLAG_NEW_LISTENER));
  // The upper half of the flags is not looked at by the kernel.
  struct sock_filter code[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
  struct sock_fprog what = {1, code};
  say("box: listener with garbage", syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0xff00000008UL, &what));
  say("box: filter by prctl", prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &what, 0, 0));
}

static const char *file = "left";

static long by_open(int mode) { return syscall(SYS_openat, AT_FDCWD, file, O_CREAT | O_WRONLY, mode); }
static long by_tmpfile(int mode) { return syscall(SYS_openat, AT_FDCWD, ".", O_TMPFILE | O_WRONLY, mode); }
static long by_openat2(int mode) {
  struct {
    unsigned long long flags, mode, resolve;
  } how = {O_CREAT | O_WRONLY, mode, 0};
  return syscall(437, AT_FDCWD, file, &how, sizeof how);
}
static long by_mknodat(int mode) { return syscall(SYS_mknodat, AT_FDCWD, file, S_IFREG | mode, 0); }
static long by_mkdirat(int mode) { return syscall(SYS_mkdirat, AT_FDCWD, file, mode); }

static int made(void) { return open(file, O_CREAT | O_WRONLY, 0600); }
static long by_fchmod(int mode) { return syscall(SYS_fchmod, made(), mode); }
static long by_fchmodat(int mode) { return close(made()) | syscall(SYS_fchmodat, AT_FDCWD, file, mode); }
static long by_fchmodat2(int mode) { return close(made()) | syscall(452, AT_FDCWD, file, mode, 0); }
// The mode counts for nothing when nothing is created.
static long by_opening(int mode) { return close(made()) | syscall(SYS_openat, AT_FDCWD, file, O_RDONLY, mode); }
#ifdef __x86_64__
static long by_old_open(int mode) { return syscall(SYS_open, file, O_CREAT | O_WRONLY, mode); }
static long by_creat(int mode) { return syscall(SYS_creat, file, mode); }
static long by_mknod(int mode) { return syscall(SYS_mknod, file, S_IFREG | mode, 0); }
static long by_chmod(int mode) { return close(made()) | syscall(SYS_chmod, file, mode); }
#endif

static const struct {
  const char *name;
  long (*leave)(int mode);
} ways[] = {
    {"open", by_open},       {"O_TMPFILE", by_tmpfile}, {"openat2", by_openat2},     {"mknodat", by_mknodat},
    {"mkdirat", by_mkdirat}, {"fchmod", by_fchmod},     {"fchmodat", by_fchmodat},   {"fchmodat2", by_fchmodat2},
    {"opening", by_opening},
#ifdef __x86_64__
    {"old open", by_old_open}, {"creat", by_creat}, {"mknod", by_mknod}, {"chmod", by_chmod},
#endif
};

// Each way to leave a file of that mode in this directory, and the mode of what is left then.
static void leave(int mode) {
  umask(0);
  confine(0);
  for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
    errno = 0;
    long result = ways[i].leave(mode);
    int error = errno;
    struct stat left;
    // A file without a name has its number only.
    int nameless = strcmp(ways[i].name, "O_TMPFILE") == 0;
    if (result < 0) printf("%s: errno %d\n", ways[i].name, error);
    else if (nameless ? fstat(result, &left) : stat(file, &left)) fail(ways[i].name);
    else printf("%s: %o\n", ways[i].name, left.st_mode & 07777);
    if (unlink(file)) rmdir(file);
  }
}

int main(int argc, char **argv) {
  if (argc < 3) return 125;
  load(argv[2]);
  if (strcmp(argv[1], "calls") == 0) calls(0);
  else if (strcmp(argv[1], "listen") == 0) calls(1);
  else if (strcmp(argv[1], "stack") == 0) {
    play(second_listener_while_first_is_open);
    play(second_listener_after_first);
    play(errno_under_newer_allow);
    play(errno_under_newer_trace);
    play(errno_under_newer_listener);
    play(notified_under_newer_without_listener);
    play(under_program);
  } else if (strcmp(argv[1], "leave") == 0 && argc > 4) {
    if (chdir(argv[4])) fail(argv[4]);
    leave(strtol(argv[3], NULL, 8));
  } else if (strcmp(argv[1], "exec") == 0 && argc > 3) {
    confine(0);
    execvp(argv[3], argv + 3);
    return 126;
  } else return 125;
  return 0;
}
