// Running a program that is not listed: by its name, by a descriptor, by a script, by the loader, by a library that comes
// along. The payload leaves a mark as its last argument says.

#include "attack.h"

#include <dlfcn.h>
#include <link.h>
#include <iconv.h>
#include <pthread.h>
#include <sys/auxv.h>

// exec FILE MARK
ATTACK(exec, "exec") {
  execve(a[0], (char *[]){a[0], a[1], NULL}, environ);
  refused("execve");
}

// exec-copy FROM TO MARK
ATTACK(exec_copy, "exec-copy") {
  copy_file(a[0], a[1], 0755);
  execve(a[1], (char *[]){a[1], a[2], NULL}, environ);
  refused("execve of a dropped file");
}

// exec-link FILE LINK MARK: under a second name, in a place where we may write
ATTACK(exec_link, "exec-link") {
  must(link(a[0], a[1]) == 0, "link");
  execve(a[1], (char *[]){a[1], a[2], NULL}, environ);
  refused("execve of a hard link");
}

ATTACK(exec_symlink, "exec-symlink") {
  must(symlink(a[0], a[1]) == 0, "symlink");
  execve(a[1], (char *[]){a[1], a[2], NULL}, environ);
  refused("execve of a symbolic link");
}

// exec-script SCRIPT INTERPRETER OPTION MARK
ATTACK(exec_script, "exec-script") {
  char line[4096];
  int fd = open(a[0], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
  must(fd >= 0, "creating a script");
  int length = snprintf(line, sizeof line, "#!%s %s\n", a[1], a[2]);
  must(write(fd, line, length) == length, "writing a script");
  close(fd);
  execve(a[0], (char *[]){a[0], a[3], NULL}, environ);
  refused("execve of a script");
}

// What a script's interpreter line names: script-body SCRIPT MARK
ATTACK(script_body, "script-body") {
  mark(a[1]);
  succeeded();
}

// exec-descriptor HOW FILE MARK
ATTACK(exec_descriptor, "exec-descriptor") {
  char *arguments[] = {a[1], a[2], NULL};
  char path[64];
  if (is(a[0], "relative")) {
    char directory[4096];
    snprintf(directory, sizeof directory, "%s", a[1]);
    char *slash = strrchr(directory, '/');
    *slash = 0;
    int at = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    must(at >= 0, "opening the directory");
    syscall(SYS_execveat, at, slash + 1, arguments, environ, 0);
    refused("execveat");
  }
  int fd = open(a[1], is(a[0], "path") ? O_PATH : O_RDONLY);
  must(fd >= 0, "opening the file");
  if (is(a[0], "proc")) {
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    execve(path, arguments, environ);
    refused("execve of /proc/self/fd");
  }
  syscall(SYS_execveat, fd, "", arguments, environ, AT_EMPTY_PATH);
  refused("execveat of a descriptor");
}

static void fill(int to, const char *from) {
  char buffer[65536];
  int in = open(from, O_RDONLY | O_CLOEXEC);
  must(in >= 0, "reading the payload");
  for (ssize_t got; (got = read(in, buffer, sizeof buffer)) > 0;) must(write(to, buffer, got) == got, "copying");
  close(in);
}

// exec-memory HOW FILE MARK
ATTACK(exec_memory, "exec-memory") {
  int fd = syscall(SYS_memfd_create, "m", 0);
  must(fd >= 0, "memfd_create");
  fill(fd, a[1]);
  char *arguments[] = {a[1], a[2], NULL};
  if (is(a[0], "execveat")) syscall(SYS_execveat, fd, "", arguments, environ, AT_EMPTY_PATH);
  char path[64];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  execve(path, arguments, environ);
  refused("execve of a memfd");
}

// exec-nameless DIRECTORY FILE MARK
ATTACK(exec_nameless, "exec-nameless") {
  char path[64];
  int fd = open(a[0], O_TMPFILE | O_RDWR, 0755);
  must(fd >= 0, "O_TMPFILE");
  fill(fd, a[1]);
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  int again = open(path, O_RDONLY);
  must(again >= 0, "opening it again");
  close(fd);
  snprintf(path, sizeof path, "/proc/self/fd/%d", again);
  execve(path, (char *[]){a[1], a[2], NULL}, environ);
  refused("execve of a nameless file");
}

// exec-loader FILE MARK: the loader is mapped anyway, so let it load something else
ATTACK(exec_loader, "exec-loader") {
  const ElfW(Phdr) *headers = (const ElfW(Phdr) *)getauxval(AT_PHDR);
  uintptr_t base = 0;
  const char *loader = NULL;
  for (unsigned long i = 0; i < getauxval(AT_PHNUM); i++) {
    if (headers[i].p_type == PT_PHDR) base = (uintptr_t)headers - headers[i].p_vaddr;
    if (headers[i].p_type == PT_INTERP) loader = (const char *)(base + headers[i].p_vaddr);
  }
  if (loader == NULL) untried("this program has no loader");
  execve(loader, (char *[]){(char *)loader, a[0], a[1], NULL}, environ);
  refused("execve of the loader");
}

// exec-with SELF NAME VALUE MARK CASE: a listed program under an environment of our making
ATTACK(exec_with, "exec-with") {
  setenv("ATTACK_MARK", a[3], 1);
  setenv(a[1], a[2], 1);
  execve(a[0], (char *[]){a[0], a[4], NULL}, environ);
  refused("execve of the listed program");
}

// Nothing but a listed program that goes its ordinary way.
ATTACK(survive, "survive") {
  errno = 0;
  refused("nothing else ran");
}

ATTACK(survive_iconv, "survive-iconv") {
  iconv_open("EVIL//", "UTF-8");
  refused("iconv_open");
}

// load FILE MARK
ATTACK(load, "load") {
  setenv("ATTACK_MARK", a[1], 1);
  dlopen(a[0], RTLD_NOW);
  errno = 0;
  refused(dlerror());
}

// load-copy FROM TO MARK
ATTACK(load_copy, "load-copy") {
  copy_file(a[0], a[1], 0755);
  setenv("ATTACK_MARK", a[2], 1);
  dlopen(a[1], RTLD_NOW);
  errno = 0;
  refused(dlerror());
}

struct flip {
  char *link, *one, *other, *spare;
};

static void *flip(void *data) {
  struct flip *f = data;
  for (unsigned i = 0;; i++) {
    unlink(f->spare);
    if (symlink(i % 2 ? f->one : f->other, f->spare) != 0 || rename(f->spare, f->link) != 0) return NULL;
  }
}

// exec-race LISTED PAYLOAD LINK MARK: judged as one file, run as another
ATTACK(exec_race, "exec-race") {
  pthread_t thread;
  char spare[4096];
  snprintf(spare, sizeof spare, "%s.spare", a[2]);
  struct flip names = {a[2], a[0], a[1], spare};
  must(symlink(a[0], a[2]) == 0, "symlink");
  must(pthread_create(&thread, NULL, flip, &names) == 0, "a thread");
  for (int i = 0; i < 400 && !exists(a[3]); i++) {
    pid_t child = fork();
    if (child == 0) {
      int quiet = open("/dev/null", O_WRONLY);
      if (quiet >= 0) dup2(quiet, 1);
      execve(a[2], (char *[]){a[2], "survive", a[3], NULL}, environ);
      _exit(1);
    }
    must(child > 0, "fork");
    waitpid(child, NULL, 0);
  }
  if (exists(a[3])) succeeded();
  errno = 0;
  refused("400 races");
}

// exec-thread FILE MARK: from a thread, whose filter may be another one
static void *exec_in_thread(void *data) {
  char **a = data;
  execve(a[0], (char *[]){a[0], a[1], NULL}, environ);
  return NULL;
}

ATTACK(exec_thread, "exec-thread") {
  pthread_t thread;
  must(pthread_create(&thread, NULL, exec_in_thread, a) == 0, "a thread");
  pthread_join(thread, NULL);
  refused("execve in a thread");
}

// exec-grandchild FILE MARK
ATTACK(exec_grandchild, "exec-grandchild") {
  pid_t child = fork();
  if (child == 0) {
    setsid();
    pid_t grandchild = fork();
    if (grandchild == 0) {
      execve(a[0], (char *[]){a[0], a[1], NULL}, environ);
      _exit(1);
    }
    waitpid(grandchild, NULL, 0);
    _exit(1);
  }
  judge_child(child, a[1]);
}
