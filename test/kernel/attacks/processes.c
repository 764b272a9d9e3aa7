// Reaching processes outside: their memory, descriptors, environment, signals and standing with the scheduler.
// `process HOW PID MORE`; the outsider is of the same user, so nothing but the box is in the way.

#include "attack.h"

#include <dirent.h>
#include <linux/perf_event.h>
#include <poll.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/uio.h>

static _Noreturn void judge(long result, const char *what) {
  must(result >= 0, what);
  succeeded();
}

static _Noreturn void find_in(const char *path, const char *expected) {
  char content[1 << 16];
  int fd = open(path, O_RDONLY);
  must(fd >= 0, path);
  ssize_t got = read(fd, content, sizeof content);
  must(got > 0, "read");
  errno = 0;
  if (expected == NULL || memmem(content, got, expected, strlen(expected)) != NULL) succeeded();
  refused("something else was there");
}

// process HOW PID MORE
ATTACK(process, "process") {
  pid_t pid = number(a[1]);
  char *more = a[2], path[4096], content[256] = {0};
  if (is(a[0], "attach") || is(a[0], "seize")) {
    must(ptrace(is(a[0], "seize") ? 0x4206 : PTRACE_ATTACH, pid, NULL, NULL) == 0, "ptrace");
    if (is(a[0], "attach")) waitpid(pid, NULL, __WALL);
    ptrace(PTRACE_DETACH, pid, NULL, NULL);
    succeeded();
  }
  struct iovec own = {content, 16}, other = {(void *)number(more ? more : "0"), 16};
  if (is(a[0], "read-memory")) {
    must(process_vm_readv(pid, &own, 1, &other, 1, 0) == 16, "process_vm_readv");
    errno = 0;
    if (strncmp(content, a[3], 16) == 0) succeeded();
    refused("something else was there");
  }
  if (is(a[0], "write-memory")) {
    memcpy(content, "owned-by-attack!", 16);
    judge(process_vm_writev(pid, &own, 1, &other, 1, 0) == 16 ? 0 : -1, "process_vm_writev");
  }
  if (is(a[0], "memory-file")) {
    snprintf(path, sizeof path, "/proc/%d/mem", pid);
    int fd = open(path, O_RDONLY);
    must(fd >= 0, "opening its memory");
    must(pread(fd, content, 16, number(more)) == 16 && strncmp(content, a[3], 16) == 0, "reading its memory");
    succeeded();
  }
  if (is(a[0], "memory-file-write")) {
    snprintf(path, sizeof path, "/proc/%d/mem", pid);
    int fd = open(path, O_RDWR);
    must(fd >= 0, "opening its memory");
    judge(pwrite(fd, "owned-by-attack!", 16, number(more)) == 16 ? 0 : -1, "writing its memory");
  }
  if (is(a[0], "take-descriptor")) {
    int handle = syscall(434, pid, 0);
    must(handle >= 0, "pidfd_open");
    int fd = syscall(438, handle, (int)number(more), 0);
    must(fd >= 0, "pidfd_getfd");
    must(pread(fd, content, sizeof content - 1, 0) > 0 && strstr(content, a[3]) != NULL, "reading it");
    succeeded();
  }
  if (is(a[0], "handle")) judge(syscall(434, pid, 0), "pidfd_open");
  if (is(a[0], "handle-signal")) {
    int handle = syscall(434, pid, 0);
    must(handle >= 0, "pidfd_open");
    judge(syscall(424, handle, SIGUSR1, NULL, 0), "pidfd_send_signal");
  }
  if (is(a[0], "signal")) judge(kill(pid, SIGUSR1), "kill");
  if (is(a[0], "signal-thread")) judge(syscall(SYS_tgkill, pid, pid, SIGUSR1), "tgkill");
  if (is(a[0], "signal-queue")) judge(sigqueue(pid, SIGUSR1, (union sigval){0}), "sigqueue");
  if (is(a[0], "signal-group")) judge(kill(-pid, SIGUSR1), "kill of a group");
  if (is(a[0], "signal-int80")) judge(int80(37, pid, SIGUSR1, 0, 0, 0), "kill by int 0x80");
  if (is(a[0], "signal-owner")) {
    // A signal that the kernel sends for us.
    int ends[2];
    must(pipe(ends) == 0, "pipe");
    must(fcntl(ends[0], F_SETOWN, pid) == 0, "F_SETOWN");
    must(fcntl(ends[0], F_SETSIG, SIGUSR1) == 0, "F_SETSIG");
    must(fcntl(ends[0], F_SETFL, O_ASYNC) == 0, "O_ASYNC");
    judge(write(ends[1], "x", 1), "write");
  }
  if (is(a[0], "exists")) judge(kill(pid, 0), "kill(0)");
  if (is(a[0], "limit-get")) {
    struct rlimit limit;
    judge(prlimit(pid, RLIMIT_NOFILE, NULL, &limit), "prlimit");
  }
  if (is(a[0], "limit-set")) {
    struct rlimit limit = {64, 64};
    judge(prlimit(pid, RLIMIT_NOFILE, &limit, NULL), "prlimit");
  }
  if (is(a[0], "priority")) judge(setpriority(PRIO_PROCESS, pid, 7), "setpriority");
  if (is(a[0], "scheduler")) {
    struct sched_param parameter = {0};
    judge(sched_setscheduler(pid, SCHED_IDLE, &parameter), "sched_setscheduler");
  }
  if (is(a[0], "affinity")) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(0, &set);
    judge(sched_setaffinity(pid, sizeof set, &set), "sched_setaffinity");
  }
  if (is(a[0], "io-priority")) judge(syscall(SYS_ioprio_set, 1, pid, 3 << 13), "ioprio_set");
  if (is(a[0], "compare")) judge(syscall(SYS_kcmp, getpid(), pid, 0, 1, 1), "kcmp");
  if (is(a[0], "session")) judge(getsid(pid), "getsid");
  if (is(a[0], "robust-list")) {
    void *head;
    size_t length;
    judge(syscall(SYS_get_robust_list, pid, &head, &length), "get_robust_list");
  }
  if (is(a[0], "move-pages")) {
    void *page = (void *)(number(more) & ~4095l);
    int status = 0;
    judge(syscall(SYS_move_pages, pid, 1ul, &page, NULL, &status, 0), "move_pages");
  }
  if (is(a[0], "advise")) {
    int handle = syscall(434, pid, 0);
    must(handle >= 0, "pidfd_open");
    struct iovec range = {(void *)(number(more) & ~4095l), 4096};
    judge(syscall(440, handle, &range, 1ul, 20, 0), "process_madvise");
  }
  if (is(a[0], "count")) {
    struct perf_event_attr attribute = {.type = PERF_TYPE_SOFTWARE, .size = sizeof attribute};
    attribute.config = PERF_COUNT_SW_TASK_CLOCK;
    attribute.exclude_kernel = 1;
    judge(syscall(SYS_perf_event_open, &attribute, pid, -1, -1, 0), "perf_event_open");
  }
  if (is(a[0], "environ") || is(a[0], "cmdline") || is(a[0], "maps") || is(a[0], "status") || is(a[0], "mountinfo")) {
    snprintf(path, sizeof path, "/proc/%d/%s", pid, a[0]);
    find_in(path, more);
  }
  if (is(a[0], "descriptor")) {
    snprintf(path, sizeof path, "/proc/%d/fd/%s", pid, more);
    find_in(path, a[3]);
  }
  if (is(a[0], "descriptor-name")) {
    snprintf(path, sizeof path, "/proc/%d/fd/%s", pid, more);
    judge(readlink(path, content, sizeof content), "readlink");
  }
  if (is(a[0], "below")) {
    // PID PLACE PATH EXPECTED: /proc/PID/root/... and /proc/PID/cwd/...
    snprintf(path, sizeof path, "/proc/%s/%s/%s", a[1], more, a[3]);
    find_in(path, a[4]);
  }
  if (is(a[0], "oom")) {
    snprintf(path, sizeof path, "/proc/%d/oom_score_adj", pid);
    int fd = open(path, O_WRONLY);
    must(fd >= 0, path);
    judge(write(fd, "500", 3), "write");
  }
  if (is(a[0], "list")) {
    DIR *all = opendir("/proc");
    must(all != NULL, "opendir");
    for (struct dirent *entry; (entry = readdir(all)) != NULL;)
      if (is(entry->d_name, a[1])) succeeded();
    refused("readdir of /proc");
  }
  untried("no such way");
}

// join HOW PID KIND: into a namespace of the outsider
ATTACK(join, "join") {
  pid_t pid = number(a[1]);
  char path[64];
  if (is(a[0], "handle")) {
    int handle = syscall(434, pid, 0);
    must(handle >= 0, "pidfd_open");
    judge(setns(handle, CLONE_NEWUTS | CLONE_NEWIPC), "setns by a pidfd");
  }
  snprintf(path, sizeof path, "/proc/%d/ns/%s", pid, a[2]);
  int fd = open(path, O_RDONLY);
  must(fd >= 0, "opening the namespace");
  judge(setns(fd, 0), "setns");
}

// parent-environ NAME: whoever started us has more in its environment than it gave us
ATTACK(parent, "parent-environ") {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/environ", getppid());
  find_in(path, a[0]);
}

// tied HOW: an init that can be read holds what the gateway told it
ATTACK(init, "init") {
  if (is(a[0], "environ")) find_in("/proc/1/environ", NULL);
  if (is(a[0], "memory")) judge(open("/proc/1/mem", O_RDONLY), "opening the memory of pid 1");
  if (is(a[0], "descriptors")) judge(readlink("/proc/1/fd/0", (char[256]){0}, 255), "readlink");
  if (is(a[0], "maps")) find_in("/proc/1/maps", NULL);
  if (is(a[0], "handle")) {
    int handle = syscall(434, 1, 0);
    must(handle >= 0, "pidfd_open");
    judge(syscall(438, handle, 0, 0), "pidfd_getfd");
  }
  untried("no such way");
}
