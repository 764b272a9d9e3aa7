// Making instructions out of data without running a file: mappings that are executable, that become executable, or that
// are executable and become writable.

#include "attack.h"

#include <sys/ipc.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/shm.h>
#include <sys/user.h>

#define PAGE 4096ul

static char *memory(int protection, int flags) {
  char *page = mmap(NULL, PAGE, protection, flags, -1, 0);
  must(page != MAP_FAILED, "mmap");
  return page;
}

__attribute__((noinline, aligned(4096), section(".text.target"))) static int target(void) {
  volatile int value = 41;
  return value;
}

static char *start_of(void *address) { return (char *)((uintptr_t)address & ~(PAGE - 1)); }

static char *target_address(void) {
  int (*function)(void) = target;
  char *address;
  memcpy(&address, &function, sizeof address);
  return address;
}

static unsigned char data_page[2 * PAGE] __attribute__((aligned(4096)));

// map-file HOW FILE MARK
ATTACK(map_file, "map-file") {
  int write_through = is(a[0], "shared");
  int fd = open(a[1], write_through ? O_RDWR : O_RDONLY);
  must(fd >= 0, "opening the file");
  if (is(a[0], "execute")) {
    char *page = mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
    must(page != MAP_FAILED, "mmap of a file, executable");
    call_code(page, a[2]);
  }
  if (is(a[0], "personality")) {
    must(personality(READ_IMPLIES_EXEC) != -1, "personality");
    char *page = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
    must(page != MAP_FAILED, "mmap of a file");
    call_code(page, a[2]);
  }
  int protection = is(a[0], "protect") ? PROT_READ : PROT_READ | PROT_WRITE;
  char *page = mmap(NULL, PAGE, protection, write_through ? MAP_SHARED : MAP_PRIVATE, fd, 0);
  must(page != MAP_FAILED, "mmap of a file");
  if (protection & PROT_WRITE) memcpy(page, CODE, CODE_LENGTH);
  must(mprotect(page, PAGE, PROT_READ | PROT_EXEC) == 0, "mprotect of a file");
  call_code(page, a[2]);
}

// map-zero MARK: memory like any other, but a file to whoever looks at the flags
ATTACK(map_zero, "map-zero") {
  int fd = open("/dev/zero", O_RDWR);
  must(fd >= 0, "opening /dev/zero");
  char *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE, fd, 0);
  must(page != MAP_FAILED, "mmap of /dev/zero");
  memcpy(page, CODE, CODE_LENGTH);
  call_code(page, a[0]);
}

// map-memory HOW MARK
ATTACK(map_memory, "map-memory") {
  char *page;
  if (is(a[0], "at-once")) {
    page = memory(PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS);
    memcpy(page, CODE, CODE_LENGTH);
    call_code(page, a[1]);
  }
  if (is(a[0], "shared")) {
    page = memory(PROT_READ | PROT_WRITE | PROT_EXEC, MAP_SHARED | MAP_ANONYMOUS);
    memcpy(page, CODE, CODE_LENGTH);
    call_code(page, a[1]);
  }
  if (is(a[0], "personality")) {
    must(personality(READ_IMPLIES_EXEC) != -1, "personality");
    page = memory(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
    memcpy(page, CODE, CODE_LENGTH);
    call_code(page, a[1]);
  }
  if (is(a[0], "stack") || is(a[0], "stack-grows")) {
    char frame[2 * PAGE];
    page = start_of(frame + PAGE);
    memcpy(page, CODE, CODE_LENGTH);
    int grows = is(a[0], "stack") ? 0 : PROT_GROWSDOWN;
    must(mprotect(page, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC | grows) == 0, "mprotect of the stack");
    call_code(page, a[1]);
  }
  if (is(a[0], "heap")) {
    page = sbrk(2 * PAGE);
    must(page != (void *)-1, "sbrk");
    page = start_of(page + PAGE - 1);
  } else if (is(a[0], "data")) {
    page = (char *)data_page;
  } else {
    page = memory(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS);
  }
  memcpy(page, CODE, CODE_LENGTH);
  if (is(a[0], "key")) {
    must(syscall(SYS_pkey_mprotect, page, PAGE, PROT_READ | PROT_EXEC, -1) == 0, "pkey_mprotect");
  } else if (is(a[0], "int80")) {
    char *lower = low(CODE, CODE_LENGTH);
    must(int80(125, (long)lower, PAGE, PROT_READ | PROT_EXEC, 0, 0) == 0, "mprotect by int 0x80");
    call_code(lower, a[1]);
  } else {
    must(mprotect(page, PAGE, PROT_READ | PROT_EXEC) == 0, "mprotect");
  }
  call_code(page, a[1]);
}

// map-memfd MARK
ATTACK(map_memfd, "map-memfd") {
  int fd = syscall(SYS_memfd_create, "m", 0);
  must(fd >= 0, "memfd_create");
  must(write(fd, CODE, CODE_LENGTH) == (ssize_t)CODE_LENGTH, "write");
  char *page = mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
  must(page != MAP_FAILED, "mmap of a memfd");
  call_code(page, a[0]);
}

// map-segment HOW MARK
ATTACK(map_segment, "map-segment") {
  int id = shmget(IPC_PRIVATE, PAGE, IPC_CREAT | 0700);
  must(id >= 0, "shmget");
  char *page = shmat(id, NULL, 0);
  must(page != (void *)-1, "shmat");
  memcpy(page, CODE, CODE_LENGTH);
  long code = -1;
  if (is(a[0], "execute")) code = (long)shmat(id, NULL, SHM_EXEC | SHM_RDONLY);
  else if (is(a[0], "high-bits")) code = syscall(SYS_shmat, id, NULL, 1ul << 40 | SHM_EXEC | SHM_RDONLY);
  else if (mprotect(page, PAGE, PROT_READ | PROT_EXEC) == 0) code = (long)page;
  int error = errno;
  shmctl(id, IPC_RMID, NULL);
  errno = error;
  must(code != -1, "an executable segment");
  call_code((void *)code, a[1]);
}

// map-scratch DIRECTORY MARK: a file of our own in a place that is there for everybody
ATTACK(map_scratch, "map-scratch") {
  char path[4096];
  snprintf(path, sizeof path, "%s/attack-%d", a[0], getpid());
  int fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0700);
  must(fd >= 0, "a file of our own");
  int error = unlink(path);
  must(error == 0 && write(fd, CODE, CODE_LENGTH) == (ssize_t)CODE_LENGTH, "write");
  char *page = mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
  must(page != MAP_FAILED, "mmap of a scratch file");
  call_code(page, a[1]);
}

// patch HOW MARK: instructions of this very program, which is listed, become others
ATTACK(patch, "patch") {
  char *code = target_address();
  if (is(a[0], "protect")) {
    must(mprotect(start_of(code), PAGE, PROT_READ | PROT_WRITE) == 0, "mprotect of code, writable");
    memcpy(code, CODE, CODE_LENGTH);
    must(mprotect(start_of(code), PAGE, PROT_READ | PROT_EXEC) == 0, "mprotect of code, executable again");
  } else {
    char path[64];
    snprintf(path, sizeof path, "/proc/%s/mem", is(a[0], "thread") ? "thread-self" : "self");
    int fd = open(path, O_RDWR);
    must(fd >= 0, "opening one's own memory");
    must(pwrite(fd, CODE, CODE_LENGTH, (off_t)(uintptr_t)code) == (ssize_t)CODE_LENGTH, "writing one's own code");
  }
  call_code(code, a[1]);
}

// patch-child MARK
ATTACK(patch_child, "patch-child") {
  pid_t child = fork();
  if (child == 0) {
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) _exit(1);
    raise(SIGSTOP);
    if (target() != 42) _exit(1);
    mark(a[0]);
    _exit(0);
  }
  must(child > 0, "fork");
  int status;
  must(waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status), "tracing one's own child");
  long word = 0;
  memcpy(&word, CODE, CODE_LENGTH < sizeof word ? CODE_LENGTH : sizeof word);
  long done = ptrace(PTRACE_POKETEXT, child, target_address(), word);
  ptrace(PTRACE_DETACH, child, NULL, NULL);
  must(done == 0, "PTRACE_POKETEXT");
  judge_child(child, a[0]);
}
