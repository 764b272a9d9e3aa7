// Reaching files that were not granted, and changing files that were granted for less. `file OPERATION PATH MORE`.

#include "attack.h"

#include <dirent.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>

// An empty file in its place is a hole and no success: what was written there must come back. A file of /proc comes in
// pieces.
static _Noreturn void judge_content(int fd, const char *expected) {
  static char content[1 << 20];
  size_t length = 0;
  ssize_t got;
  must(fd >= 0, "open");
  while (length < sizeof content && (got = read(fd, content + length, sizeof content - length)) > 0) {
    length += got;
    if (expected == NULL || memmem(content, length, expected, strlen(expected)) != NULL) succeeded();
  }
  must(length > 0, "read");
  errno = 0;
  refused("something else was there");
}

static _Noreturn void judge_change(long result, const char *what) {
  must(result >= 0, what);
  succeeded();
}

static int lists(const char *directory, const char *name) {
  DIR *open_directory = opendir(directory);
  must(open_directory != NULL, "opendir");
  for (struct dirent *entry; (entry = readdir(open_directory)) != NULL;)
    if (is(entry->d_name, name)) return 1;
  errno = 0;
  return 0;
}

// read PATH EXPECTED
ATTACK(read_file, "read") { judge_content(open(a[0], O_RDONLY), a[1]); }

// read-by HOW PATH EXPECTED
ATTACK(read_by, "read-by") {
  char *path = a[1], *expected = a[2];
  if (is(a[0], "openat2")) {
    uint64_t how[3] = {O_RDONLY, 0, 0};
    judge_content(syscall(437, AT_FDCWD, path, how, sizeof how), expected);
  }
  if (is(a[0], "uring")) judge_content(uring(18, AT_FDCWD, path, 0, 0, O_RDONLY), expected);
  if (is(a[0], "int80")) judge_content(int80(5, (long)low(path, strlen(path) + 1), O_RDONLY, 0, 0, 0), expected);
  if (is(a[0], "path-descriptor")) {
    char again[64];
    int fd = open(path, O_PATH);
    must(fd >= 0, "O_PATH");
    snprintf(again, sizeof again, "/proc/self/fd/%d", fd);
    judge_content(open(again, O_RDONLY), expected);
  }
  if (is(a[0], "map")) {
    int fd = open(path, O_RDONLY);
    must(fd >= 0, "open");
    char *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
    must(page != MAP_FAILED, "mmap");
    if (strncmp(page, expected, strlen(expected)) == 0) succeeded();
    refused("something else was there");
  }
  untried("no such way");
}

// read-linked PATH EXPECTED LINK: by a hard link into a directory we were given
ATTACK(read_linked, "read-linked") {
  must(link(a[0], a[2]) == 0, "link");
  judge_content(open(a[2], O_RDONLY), a[1]);
}

ATTACK(read_symlinked, "read-symlinked") {
  must(symlink(a[0], a[2]) == 0, "symlink");
  judge_content(open(a[2], O_RDONLY), a[1]);
}

// handle PATH: that handles are to be had at all
ATTACK(handle, "handle") {
  union {
    struct file_handle handle;
    char space[256];
  } h;
  int mount_id;
  h.handle.handle_bytes = 128;
  must(name_to_handle_at(AT_FDCWD, a[0], &h.handle, &mount_id, 0) == 0, "name_to_handle_at");
  int at = open(a[0], O_RDONLY);
  int fd = open_by_handle_at(at, &h.handle, O_RDONLY);
  must(fd >= 0, "open_by_handle_at");
  succeeded();
}

// see HOW PATH MORE: that something exists is knowledge too
ATTACK(see, "see") {
  char buffer[4096];
  struct stat found;
  struct statx more;
  struct statfs system;
  char *path = a[1];
  if (is(a[0], "stat")) judge_change(stat(path, &found), "stat");
  if (is(a[0], "statx")) judge_change(syscall(SYS_statx, AT_FDCWD, path, 0, 0xfff, &more), "statx");
  if (is(a[0], "access")) judge_change(access(path, F_OK), "access");
  if (is(a[0], "statfs")) judge_change(statfs(path, &system), "statfs");
  if (is(a[0], "readlink")) judge_change(readlink(path, buffer, sizeof buffer), "readlink");
  if (is(a[0], "xattr")) judge_change(listxattr(path, buffer, sizeof buffer), "listxattr");
  if (is(a[0], "path-descriptor")) judge_change(open(path, O_PATH), "O_PATH");
  if (is(a[0], "chdir")) judge_change(chdir(path), "chdir");
  if (is(a[0], "watch")) judge_change(inotify_add_watch(inotify_init(), path, IN_ALL_EVENTS), "inotify_add_watch");
  if (is(a[0], "list")) judge_change(lists(path, a[2]) ? 0 : -1, "readdir");
  if (is(a[0], "create")) {
    // EEXIST says as much as stat does.
    must(open(path, O_CREAT | O_EXCL | O_WRONLY, 0600) < 0, "create");
    must(errno == EEXIST, "asking by creating");
    succeeded();
  }
  untried("no such way");
}

// change HOW PATH MORE
ATTACK(change, "change") {
  char *path = a[1], *more = a[2], again[64];
  struct timespec times[2] = {{1, 0}, {1, 0}};
  int fd;
  if (is(a[0], "write")) {
    must((fd = open(path, O_WRONLY)) >= 0, "open for writing");
    judge_change(write(fd, "owned", 5), "write");
  }
  if (is(a[0], "append")) {
    must((fd = open(path, O_WRONLY | O_APPEND)) >= 0, "open for appending");
    judge_change(write(fd, "owned", 5), "write");
  }
  if (is(a[0], "read-write-map")) {
    must((fd = open(path, O_RDWR)) >= 0, "open for both");
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    must(page != MAP_FAILED, "mmap");
    memcpy(page, "owned", 5);
    succeeded();
  }
  if (is(a[0], "open-truncate")) judge_change(open(path, O_RDONLY | O_TRUNC), "O_RDONLY|O_TRUNC");
  if (is(a[0], "truncate")) judge_change(truncate(path, 1), "truncate");
  if (is(a[0], "reopen")) {
    must((fd = open(path, O_RDONLY)) >= 0, "open");
    snprintf(again, sizeof again, "/proc/self/fd/%d", fd);
    must((fd = open(again, O_WRONLY)) >= 0, "opening again for writing");
    judge_change(write(fd, "owned", 5), "write");
  }
  if (is(a[0], "create")) judge_change(open(path, O_WRONLY | O_CREAT | O_EXCL, 0644), "create");
  if (is(a[0], "mkdir")) judge_change(mkdir(path, 0755), "mkdir");
  if (is(a[0], "unlink")) judge_change(unlink(path), "unlink");
  if (is(a[0], "rmdir")) judge_change(rmdir(path), "rmdir");
  if (is(a[0], "rename")) judge_change(rename(path, more), "rename");
  if (is(a[0], "exchange"))
    judge_change(renameat2(AT_FDCWD, path, AT_FDCWD, more, RENAME_EXCHANGE), "exchange");
  if (is(a[0], "link")) judge_change(link(path, more), "link");
  if (is(a[0], "symlink")) judge_change(symlink(path, more), "symlink");
  if (is(a[0], "fifo")) judge_change(mkfifo(path, 0666), "mkfifo");
  if (is(a[0], "chmod")) judge_change(chmod(path, 0777), "chmod");
  if (is(a[0], "fchmod")) {
    must((fd = open(path, O_RDONLY)) >= 0, "open");
    judge_change(fchmod(fd, 0777), "fchmod");
  }
  if (is(a[0], "chown")) judge_change(chown(path, 12345, 12345), "chown");
  if (is(a[0], "times")) judge_change(utimensat(AT_FDCWD, path, times, 0), "utimensat");
  if (is(a[0], "xattr")) judge_change(setxattr(path, "user.attack", "x", 1, 0), "setxattr");
  if (is(a[0], "attributes")) {
    long flags = 0;
    must((fd = open(path, O_RDONLY)) >= 0, "open");
    must(ioctl(fd, _IOR('f', 1, long), &flags) == 0, "FS_IOC_GETFLAGS");
    // "no dump": set by anyone who owns the file, and means nothing to anyone but dump(8).
    flags ^= 0x40;
    judge_change(ioctl(fd, _IOW('f', 2, long), &flags), "FS_IOC_SETFLAGS");
  }
  if (is(a[0], "nameless")) {
    char from[64];
    must((fd = open(path, O_TMPFILE | O_WRONLY, 0644)) >= 0, "O_TMPFILE");
    snprintf(from, sizeof from, "/proc/self/fd/%d", fd);
    judge_change(linkat(AT_FDCWD, from, AT_FDCWD, more, AT_SYMLINK_FOLLOW), "linkat");
  }
  if (is(a[0], "symlinked-write")) {
    must(symlink(path, more) == 0, "symlink");
    must((fd = open(more, O_WRONLY)) >= 0, "open for writing through a link");
    judge_change(write(fd, "owned", 5), "write");
  }
  if (is(a[0], "linked-write")) {
    must(link(path, more) == 0, "link");
    must((fd = open(more, O_WRONLY)) >= 0, "open for writing through a link");
    judge_change(write(fd, "owned", 5), "write");
  }
  if (is(a[0], "moved-parent")) {
    // path is below the directory `more`, which is moved away and back.
    char aside[4096], inside[8192];
    snprintf(aside, sizeof aside, "%s.aside", more);
    must(rename(more, aside) == 0, "moving the directory");
    snprintf(inside, sizeof inside, "%s%s", aside, path + strlen(more));
    fd = open(inside, O_WRONLY | O_CREAT, 0755);
    int error = errno;
    if (fd >= 0 && write(fd, "owned", 5) != 5) fd = -1;
    rename(aside, more);
    errno = error;
    judge_change(fd, "writing while it is away");
  }
  if (is(a[0], "uring")) {
    fd = uring(18, AT_FDCWD, path, 0, 0, O_WRONLY);
    must(fd >= 0, "openat by io_uring");
    judge_change(write(fd, "owned", 5), "write");
  }
  untried("no such way");
}

// plant HOW PATH: something in a directory we were given that works on whoever comes across it
ATTACK(plant, "plant") {
  int fd;
  if (is(a[0], "setuid-chmod")) {
    copy_file(a[2], a[1], 0755);
    judge_change(chmod(a[1], 04755), "chmod");
  }
  if (is(a[0], "setuid-fchmod")) {
    must((fd = open(a[1], O_WRONLY | O_CREAT, 0755)) >= 0, "create");
    judge_change(fchmod(fd, 04755), "fchmod");
  }
  if (is(a[0], "setuid-create")) {
    umask(0);
    judge_change(open(a[1], O_WRONLY | O_CREAT, 04755), "creating with a setuid bit");
  }
  if (is(a[0], "setuid-mknod")) {
    umask(0);
    judge_change(mknod(a[1], S_IFREG | 04755, 0), "mknod with a setuid bit");
  }
  if (is(a[0], "setuid-openat2")) {
    uint64_t how[3] = {O_WRONLY | O_CREAT, 04755, 0};
    umask(0);
    judge_change(syscall(437, AT_FDCWD, a[1], how, sizeof how), "openat2 with a setuid bit");
  }
  if (is(a[0], "capability")) {
    must((fd = open(a[1], O_WRONLY | O_CREAT, 0755)) >= 0, "create");
    // Version 2, effective, CAP_NET_BIND_SERVICE.
    uint32_t data[5] = {0x02000001, 1 << 10, 0, 0, 0};
    judge_change(setxattr(a[1], "security.capability", data, sizeof data, 0), "a file capability");
  }
  if (is(a[0], "fifo")) judge_change(mkfifo(a[1], 0666), "mkfifo");
  if (is(a[0], "socket")) judge_change(mknod(a[1], S_IFSOCK | 0666, 0), "a socket file");
  if (is(a[0], "device")) judge_change(mknod(a[1], S_IFCHR | 0666, makedev(1, 3)), "a device file");
  untried("no such way");
}

// device MAJOR MINOR PATH: the disk by a node of our own
ATTACK(device, "device") {
  must(mknod(a[2], S_IFBLK | 0600, makedev(number(a[0]), number(a[1]))) == 0, "mknod");
  judge_content(open(a[2], O_RDONLY), NULL);
}

// opens PATH FLAGS: opened, and nothing done with it
ATTACK(opens, "open") {
  int flags = is(a[1], "write") ? O_WRONLY : O_RDONLY;
  must(open(a[0], flags | O_NONBLOCK) >= 0, "open");
  succeeded();
}

// core WORK SECRET: a dump of what a process had in memory
ATTACK(core, "core") {
  char *memory = strdup(a[1]);
  struct rlimit limit;
  getrlimit(RLIMIT_CORE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_CORE, &limit);
  must(chdir(a[0]) == 0, "chdir");
  pid_t child = fork();
  if (child == 0) {
    *(volatile char *)memory = *memory;
    abort();
  }
  must(child > 0, "fork");
  int status;
  must(waitpid(child, &status, 0) == child, "waitpid");
  if (lists(".", "core")) succeeded();
  char name[32];
  snprintf(name, sizeof name, "core.%d", child);
  if (lists(".", name)) succeeded();
  if (WIFSIGNALED(status) && WCOREDUMP(status)) succeeded();
  refused("a core dump");
}

// descriptors: whatever is open that we did not open
ATTACK(descriptors, "descriptors") {
  for (int fd = 3; fd < 4096; fd++)
    if (fcntl(fd, F_GETFD) >= 0) succeeded();
  refused("an inherited descriptor");
}

// environment NAME VALUE
ATTACK(environment, "environment") {
  const char *value = getenv(a[0]);
  errno = 0;
  if (value != NULL && is(value, a[1])) succeeded();
  refused("getenv");
}

// permitted WORK INPUT EXPECTED SELF: no attack; what a process inside must still be able to do
ATTACK(permitted, "permitted") {
  char path[4096], content[256];
  int fd = open(a[1], O_RDONLY);
  must(fd >= 0 && read(fd, content, sizeof content) >= (ssize_t)strlen(a[2]), "reading what is readable");
  must(strncmp(content, a[2], strlen(a[2])) == 0, "reading what is readable");
  snprintf(path, sizeof path, "%s/mine", a[0]);
  must((fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0644)) >= 0, "creating where it is writable");
  must(write(fd, "mine", 4) == 4 && fsync(fd) == 0, "writing where it is writable");
  snprintf(content, sizeof content, "%s/ours", a[0]);
  must(rename(path, content) == 0 && chmod(content, 0600) == 0 && unlink(content) == 0, "renaming and removing");
  int pair[2];
  must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0, "socketpair");
  pid_t child = fork();
  if (child == 0) {
    execve(a[3], (char *[]){a[3], "survive", NULL}, environ);
    _exit(1);
  }
  int status = 0;
  must(waitpid(child, &status, 0) == child, "waitpid");
  must(WIFEXITED(status) && WEXITSTATUS(status) == ATTACK_REFUSED, "running the listed program");
  succeeded();
}
