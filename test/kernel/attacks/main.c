// All attacks in one program: `attacks NAME ARGUMENTS`. It says what it is about to do before it does it, so that a program
// that never started is not taken for one that was refused.

#include "attack.h"

#include <stddef.h>
#include <sys/mount.h>

extern const struct attack __start_attacks[], __stop_attacks[];

#if defined(__x86_64__)
const unsigned char CODE[] = {0xb8, 0x2a, 0, 0, 0, 0xc3};
#elif defined(__aarch64__)
const unsigned char CODE[] = {0x40, 0x05, 0x80, 0x52, 0xc0, 0x03, 0x5f, 0xd6};
#else
#error "machine code for this processor"
#endif
const size_t CODE_LENGTH = sizeof CODE;

static _Noreturn void finish(int code, const char *text) {
  ssize_t ignored = write(1, text, strlen(text));
  (void)ignored;
  _exit(code);
}

void succeeded(void) { finish(ATTACK_OK, "succeeded\n"); }

void refused(const char *what) {
  char text[256];
  snprintf(text, sizeof text, "refused errno=%d at %s\n", errno, what);
  finish(ATTACK_REFUSED, text);
}

void untried(const char *why) {
  char text[256];
  snprintf(text, sizeof text, "untried: %s errno=%d\n", why, errno);
  finish(ATTACK_UNTRIED, text);
}

void reachable(long result, const char *what) {
  if (result >= 0) succeeded();
  if (errno == ENOSYS || errno == EPERM || errno == EACCES || errno == EAFNOSUPPORT) refused(what);
  succeeded();
}

void mark(const char *path) {
  int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  must(fd >= 0, "leaving a mark");
  close(fd);
}

int exists(const char *path) {
  struct stat found;
  return lstat(path, &found) == 0;
}

long number(const char *text) { return (long)strtoull(text, NULL, 0); }

void copy_file(const char *from, const char *to, mode_t mode) {
  char buffer[65536];
  int in = open(from, O_RDONLY | O_CLOEXEC);
  must(in >= 0, "reading what is to be copied");
  int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
  must(out >= 0, "writing the copy");
  for (ssize_t got; (got = read(in, buffer, sizeof buffer)) > 0;) must(write(out, buffer, got) == got, "copying");
  must(fchmod(out, mode) == 0, "making the copy executable");
  close(in);
  close(out);
}

void judge_child(pid_t child, const char *path) {
  int status = 0;
  must(child > 0, "fork");
  must(waitpid(child, &status, 0) == child, "waitpid");
  if (path != NULL && exists(path)) succeeded();
  if (path == NULL && WIFEXITED(status) && WEXITSTATUS(status) == ATTACK_OK) succeeded();
  errno = WIFSIGNALED(status) ? 0 : errno;
  refused("what the child did");
}

static void write_text(const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  must(fd >= 0 && write(fd, text, strlen(text)) > 0, path);
  close(fd);
}

void own_mounts(void) {
  char map[64];
  uid_t uid = getuid();
  gid_t gid = getgid();
  if (unshare(CLONE_NEWNS) != 0) {
    must(unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0, "unshare(NEWUSER|NEWNS)");
    write_text("/proc/self/setgroups", "deny");
    snprintf(map, sizeof map, "0 %u 1", uid);
    write_text("/proc/self/uid_map", map);
    snprintf(map, sizeof map, "0 %u 1", gid);
    write_text("/proc/self/gid_map", map);
  }
  must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0, "mount private");
}

static void faulted(int signal) {
  errno = 0;
  refused(signal == SIGSEGV ? "SIGSEGV" : "SIGBUS");
}

void call_code(void *code, const char *marker) {
  int (*function)(void);
  signal(SIGSEGV, faulted);
  signal(SIGBUS, faulted);
  __builtin___clear_cache((char *)code, (char *)code + CODE_LENGTH);
  memcpy(&function, &code, sizeof function);
  if (function() != 42) refused("the code");
  mark(marker);
  succeeded();
}

struct uring_parameters {
  uint32_t sq_entries, cq_entries, flags, sq_cpu, sq_idle, features, wq_fd, reserved[3];
  struct {
    uint32_t head, tail, mask, entries, flags, dropped, array, reserved;
    uint64_t address;
  } sq;
  struct {
    uint32_t head, tail, mask, entries, overflow, cqes, flags, reserved;
    uint64_t address;
  } cq;
};

struct uring_entry {
  uint8_t opcode, flags;
  uint16_t priority;
  int32_t fd;
  uint64_t offset, address;
  uint32_t length, operation_flags;
  uint64_t user_data, padding[3];
};

long uring(int opcode, int fd, const void *address, unsigned length, unsigned long offset, unsigned flags) {
  struct uring_parameters p = {0};
  int ring = syscall(425, 1, &p);
  must(ring >= 0, "io_uring_setup");
  size_t sq_size = p.sq.array + p.sq_entries * 4, cq_size = p.cq.cqes + p.cq_entries * 16;
  char *sq = mmap(NULL, sq_size, PROT_READ | PROT_WRITE, MAP_SHARED, ring, 0);
  char *cq = mmap(NULL, cq_size, PROT_READ | PROT_WRITE, MAP_SHARED, ring, 0x8000000);
  struct uring_entry *entries =
      mmap(NULL, p.sq_entries * sizeof *entries, PROT_READ | PROT_WRITE, MAP_SHARED, ring, 0x10000000);
  must(sq != MAP_FAILED && cq != MAP_FAILED && entries != MAP_FAILED, "mapping the rings");
  memset(entries, 0, sizeof *entries);
  entries[0].opcode = opcode;
  entries[0].fd = fd;
  entries[0].address = (uint64_t)(uintptr_t)address;
  entries[0].length = length;
  entries[0].offset = offset;
  entries[0].operation_flags = flags;
  ((uint32_t *)(sq + p.sq.array))[0] = 0;
  __atomic_store_n((uint32_t *)(sq + p.sq.tail), 1, __ATOMIC_RELEASE);
  must(syscall(426, ring, 1, 1, 1, NULL, 0) == 1, "io_uring_enter");
  int32_t result = *(int32_t *)(cq + p.cq.cqes + 8);
  if (result < 0) errno = -result;
  return result;
}

long int80(long nr, long a, long b, long c, long d, long e) {
#if defined(__x86_64__)
  long result;
  __asm__ volatile("int $0x80"
                   : "=a"(result)
                   : "a"(nr), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e)
                   : "memory", "r8", "r9", "r10", "r11");
  result = (int)result;
  if (result < 0) {
    errno = -result;
    return -1;
  }
  return result;
#else
  (void)nr, (void)a, (void)b, (void)c, (void)d, (void)e;
  untried("only x86-64 has a second system call table");
#endif
}

void *low(const void *bytes, size_t length) {
#if defined(__x86_64__)
  char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
  must(page != MAP_FAILED, "memory below 4 GiB");
  if (bytes != NULL) memcpy(page, bytes, length);
  return page;
#else
  (void)bytes, (void)length;
  untried("only x86-64 has a second system call table");
#endif
}

int main(int count, char **arguments) {
  signal(SIGPIPE, SIG_IGN);
  if (count < 2) return ATTACK_UNTRIED;
  for (const struct attack *attack = __start_attacks; attack < __stop_attacks; attack++) {
    if (!is(attack->name, arguments[1])) continue;
    char text[128];
    snprintf(text, sizeof text, "trying %s\n", attack->name);
    ssize_t ignored = write(1, text, strlen(text));
    (void)ignored;
    attack->run(arguments + 2);
    return ATTACK_UNTRIED;
  }
  errno = 0;
  untried("no such attack");
}
