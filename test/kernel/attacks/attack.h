// What every attack shares: how it says whether it got through. An attack never says so because a call returned; it says
// so when it has what it came for (the byte of a file, the code that ran, the call that reached the kernel's own checks).

#ifndef ATTACK_H
#define ATTACK_H

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// Exit codes; `outcomeOf` in ../support/attack-runner.ts reads them.
#define ATTACK_OK 0
#define ATTACK_REFUSED 10
#define ATTACK_UNTRIED 20

struct attack {
  const char *name;
  void (*run)(char **arguments);
};

// Registers an attack under `label`; its arguments end with NULL and are never fewer than the table gives.
#define ATTACK(function, label)                                                                                        \
  static void function(char **a);                                                                                      \
  static const struct attack function##_entry                                                                          \
      __attribute__((used, section("attacks"), aligned(8))) = {label, function};                                       \
  static void function(__attribute__((unused)) char **a)

_Noreturn void succeeded(void);
// Prints errno and what was being tried.
_Noreturn void refused(const char *what);
_Noreturn void untried(const char *why);

#define must(condition, what)                                                                                          \
  do {                                                                                                                 \
    if (!(condition)) refused(what);                                                                                   \
  } while (0)

// The kernel's own check of the arguments was reached: nobody refused the call for being this call.
_Noreturn void reachable(long result, const char *what);

static inline int is(const char *a, const char *b) { return strcmp(a, b) == 0; }

// Leaves a file that the harness looks for.
void mark(const char *path);
void copy_file(const char *from, const char *to, mode_t mode);
// Waits for `child` and ends as it did; a marker at `path` decides when there is one.
_Noreturn void judge_child(pid_t child, const char *path);
// A mount namespace of our own in which nothing reaches the host, by a user namespace if need be.
void own_mounts(void);
long number(const char *text);
int exists(const char *path);
// Six bytes of machine code that return 42.
extern const unsigned char CODE[];
extern const size_t CODE_LENGTH;
// Whether `code` can be called and returns 42; a fault is a refusal.
_Noreturn void call_code(void *code, const char *marker);
// One operation on an io_uring of its own; the result of the operation.
long uring(int opcode, int fd, const void *address, unsigned length, unsigned long offset, unsigned flags);
// A system call by `int $0x80`; pointers must lie below 4 GiB, where `low` copies them.
long int80(long nr, long a, long b, long c, long d, long e);
void *low(const void *bytes, size_t length);

#endif
