// What outlives a call or leaves it by a side door: objects of the host's IPC, keyrings, control groups, daemons, floods.

#include "attack.h"

#include <pthread.h>
#include <sys/ipc.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/shm.h>

// segment ID EXPECTED
ATTACK(segment, "segment") {
  char *memory = shmat(number(a[0]), NULL, SHM_RDONLY);
  must(memory != (void *)-1, "shmat");
  errno = 0;
  if (strcmp(memory, a[1]) == 0) succeeded();
  refused("something else was there");
}

// segment-list: what there is to attach to
ATTACK(segment_list, "segment-list") {
  char content[65536] = {0};
  int fd = open("/proc/sysvipc/shm", O_RDONLY);
  must(fd >= 0, "opening the list");
  must(read(fd, content, sizeof content - 1) > 0, "reading the list");
  errno = 0;
  char wanted[32];
  snprintf(wanted, sizeof wanted, " %s ", a[0]);
  if (strstr(content, wanted) != NULL) succeeded();
  refused("the list");
}

// queue ID EXPECTED
ATTACK(queue, "queue") {
  struct {
    long type;
    char text[256];
  } message = {0};
  must(msgrcv(number(a[0]), &message, sizeof message.text, 0, IPC_NOWAIT) > 0, "msgrcv");
  errno = 0;
  if (is(message.text, a[1])) succeeded();
  refused("something else was there");
}

// semaphore ID
ATTACK(semaphore, "semaphore") {
  struct sembuf up = {0, 1, IPC_NOWAIT};
  must(semop(number(a[0]), &up, 1) == 0, "semop");
  succeeded();
}

// posix-queue NAME EXPECTED
ATTACK(posix_queue, "posix-queue") {
  char text[8192] = {0};
  int fd = syscall(SYS_mq_open, a[0], O_RDONLY | O_NONBLOCK, 0, NULL);
  must(fd >= 0, "mq_open");
  must(syscall(SYS_mq_timedreceive, fd, text, sizeof text, NULL, NULL) > 0, "mq_receive");
  errno = 0;
  if (is(text, a[1])) succeeded();
  refused("something else was there");
}

// keyring NAME EXPECTED: keys of the user, whoever of its processes put them there
ATTACK(keyring, "keyring") {
  char text[256] = {0};
  long key = syscall(SYS_keyctl, 10, -4, "user", a[0], 0);
  must(key >= 0, "KEYCTL_SEARCH");
  must(syscall(SYS_keyctl, 11, key, text, sizeof text - 1) > 0, "KEYCTL_READ");
  errno = 0;
  if (is(text, a[1])) succeeded();
  refused("something else was there");
}

// keyring-leave NAME: a place to leave something for the next box
ATTACK(keyring_leave, "keyring-leave") {
  long key = syscall(SYS_add_key, "user", a[0], "x", 1, -4);
  must(key >= 0, "add_key");
  syscall(SYS_keyctl, 9, key, -4);
  succeeded();
}

// cgroup HOW PATH
ATTACK(cgroup, "cgroup") {
  if (is(a[0], "leave")) {
    int fd = open(a[1], O_WRONLY);
    must(fd >= 0, "opening cgroup.procs");
    must(write(fd, "0", 1) == 1, "leaving the control group");
    succeeded();
  }
  if (is(a[0], "mount")) {
    own_mounts();
    must(mount("none", a[1], "cgroup2", 0, NULL) == 0, "mounting cgroup2");
    succeeded();
  }
  must(mkdir(a[1], 0755) == 0, "a control group of our own");
  rmdir(a[1]);
  succeeded();
}

// daemon FILE: lives on for two seconds and says so every 20 ms; judged from outside
ATTACK(daemon_attack, "daemon") {
  pid_t child = fork();
  must(child >= 0, "fork");
  if (child == 0) {
    setsid();
    if (fork() != 0) _exit(0);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    close(0);
    close(1);
    close(2);
    for (int i = 0; i < 100; i++) {
      int fd = open(a[0], O_WRONLY | O_CREAT | O_APPEND, 0644);
      ssize_t ignored = write(fd, ".", 1);
      (void)ignored;
      close(fd);
      usleep(20000);
    }
    _exit(0);
  }
  waitpid(child, NULL, 0);
  usleep(100000);
  succeeded();
}

static volatile int waiting = 1;

static void *idle(void *data) {
  while (waiting) usleep(10000);
  return data;
}

// flood KIND COUNT NEEDED
ATTACK(flood, "flood") {
  static pid_t children[4096];
  static pthread_t threads[4096];
  int count = number(a[1]), needed = number(a[2]), made = 0;
  pthread_attr_t small;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, 65536);
  for (int i = 0; i < count; i++) {
    if (is(a[0], "threads")) {
      if (pthread_create(&threads[i], &small, idle, NULL) != 0) break;
    } else {
      children[i] = fork();
      if (children[i] == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        pause();
        _exit(0);
      }
      if (children[i] < 0) break;
    }
    made++;
  }
  int error = errno;
  waiting = 0;
  for (int i = 0; i < made && !is(a[0], "threads"); i++) {
    kill(children[i], SIGKILL);
    waitpid(children[i], NULL, 0);
  }
  errno = error;
  if (made > needed) succeeded();
  refused("a flood");
}

// hog BYTES: memory that is really there
ATTACK(hog, "hog") {
  size_t bytes = number(a[0]);
  char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  must(memory != MAP_FAILED, "mmap");
  for (size_t at = 0; at < bytes; at += 4096) memory[at] = 1;
  succeeded();
}

// hog-children BYTES COUNT: the same, a part in each child
ATTACK(hog_children, "hog-children") {
  size_t bytes = number(a[0]);
  int count = number(a[1]), alive = 0, ends[2];
  pid_t children[64];
  must(pipe(ends) == 0, "pipe");
  for (int i = 0; i < count; i++) {
    children[i] = fork();
    if (children[i] == 0) {
      char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (memory == MAP_FAILED) _exit(1);
      for (size_t at = 0; at < bytes; at += 4096) memory[at] = 1;
      ssize_t ignored = write(ends[1], "x", 1);
      (void)ignored;
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      pause();
    }
    must(children[i] > 0, "fork");
  }
  close(ends[1]);
  // Each child says that it is full or is ended before it can.
  for (int tries = 0; tries < count; tries++) {
    char byte;
    int dead = 0;
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    for (int i = 0; i < 400 && read(ends[0], &byte, 1) != 1; i++) {
      for (int j = 0; j < count; j++) dead |= waitpid(children[j], NULL, WNOHANG) == children[j];
      if (dead) break;
      usleep(10000);
    }
    if (dead) break;
    alive++;
  }
  for (int i = 0; i < count; i++) kill(children[i], SIGKILL);
  errno = 0;
  if (alive == count) succeeded();
  refused("more memory than the limit");
}

// outstay MILLISECONDS MARK
ATTACK(outstay, "outstay") {
  usleep(number(a[0]) * 1000);
  mark(a[1]);
  succeeded();
}
