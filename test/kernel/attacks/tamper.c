// Getting something else run under a listed name: by changing the file, its name, or the tree its name is looked up in.

#include "attack.h"

#include <sys/mount.h>

static void overwrite(const char *from, const char *to, int flags) {
  char buffer[65536];
  int in = open(from, O_RDONLY | O_CLOEXEC);
  must(in >= 0, "reading the payload");
  int out = open(to, O_WRONLY | O_CLOEXEC | flags, 0755);
  must(out >= 0, "writing the listed file");
  for (ssize_t got; (got = read(in, buffer, sizeof buffer)) > 0;) must(write(out, buffer, got) == got, "writing");
  close(in);
  close(out);
}

static _Noreturn void run_listed(char *file, char *marker) {
  pid_t child = fork();
  if (child == 0) {
    execve(file, (char *[]){file, "survive", marker, NULL}, environ);
    _exit(1);
  }
  judge_child(child, marker);
}

// tamper HOW LISTED PAYLOAD MARK: the listed file lies in a directory where we may write
ATTACK(tamper, "tamper") {
  char *listed = a[1], *payload = a[2];
  char side[4200], tree[4096], moved[4200];
  snprintf(side, sizeof side, "%.4000s.side", listed);
  snprintf(tree, sizeof tree, "%s", listed);
  *strrchr(tree, '/') = 0;
  snprintf(moved, sizeof moved, "%.4000s.moved", tree);
  if (is(a[0], "overwrite")) overwrite(payload, listed, O_TRUNC);
  else if (is(a[0], "in-place")) overwrite(payload, listed, 0);
  else if (is(a[0], "replace")) {
    must(unlink(listed) == 0, "unlink of the listed file");
    copy_file(payload, listed, 0755);
  } else if (is(a[0], "rename")) {
    copy_file(payload, side, 0755);
    must(rename(side, listed) == 0, "rename over the listed file");
  } else if (is(a[0], "exchange")) {
    copy_file(payload, side, 0755);
    must(renameat2(AT_FDCWD, side, AT_FDCWD, listed, RENAME_EXCHANGE) == 0, "exchanging the listed file");
  } else if (is(a[0], "symlink")) {
    must(unlink(listed) == 0, "unlink of the listed file");
    must(symlink(payload, listed) == 0, "symlink");
  } else if (is(a[0], "parent")) {
    must(rename(tree, moved) == 0, "rename of the directory");
    must(mkdir(tree, 0755) == 0, "another directory");
    copy_file(payload, listed, 0755);
  } else if (is(a[0], "mode")) {
    // Not code, but a listed file that the next box cannot start.
    must(chmod(listed, 0) == 0, "chmod of the listed file");
    struct stat found;
    must(stat(listed, &found) == 0 && (found.st_mode & 0777) == 0, "chmod of the listed file");
    mark(a[3]);
    succeeded();
  } else {
    untried("no such way");
  }
  run_listed(listed, a[3]);
}

static _Noreturn void run_payload(char *file, char *marker) {
  execve(file, (char *[]){file, marker, NULL}, environ);
  refused("execve");
}

// remount HOW WORK LISTED PAYLOAD MARK
ATTACK(remount, "remount") {
  char *work = a[1], *listed = a[2], *payload = a[3], *marker = a[4];
  char place[4096], file[4400];
  snprintf(place, sizeof place, "%s/mounted", work);
  snprintf(file, sizeof file, "%.4000s/payload", place);
  own_mounts();
  must(mkdir(place, 0755) == 0 || errno == EEXIST, "mkdir");
  if (is(a[0], "bind")) {
    must(mount(payload, listed, NULL, MS_BIND, NULL) == 0, "binding over the listed file");
    run_listed(listed, marker);
  }
  if (is(a[0], "memory")) {
    must(mount("m", place, "tmpfs", 0, NULL) == 0, "a file system of our own");
    copy_file(payload, file, 0755);
    run_payload(file, marker);
  }
  if (is(a[0], "flags")) {
    copy_file(payload, file, 0755);
    must(mount(work, work, NULL, MS_BIND, NULL) == 0, "bind");
    must(mount(NULL, work, NULL, MS_REMOUNT | MS_BIND, NULL) == 0, "remount without noexec");
    run_payload(file, marker);
  }
  if (is(a[0], "overlay")) {
    char options[16384], lower[4200];
    must(mount("m", place, "tmpfs", 0, NULL) == 0, "a file system of our own");
    snprintf(lower, sizeof lower, "%.4000s/low", place);
    must(mkdir(lower, 0755) == 0, "mkdir");
    snprintf(file, sizeof file, "%s/payload", lower);
    copy_file(payload, file, 0755);
    char upper[4200], scratch[4200], merged[4200];
    snprintf(upper, sizeof upper, "%.4000s/up", place);
    snprintf(scratch, sizeof scratch, "%.4000s/scratch", place);
    snprintf(merged, sizeof merged, "%.4000s/merged", place);
    must(mkdir(upper, 0755) == 0 && mkdir(scratch, 0755) == 0 && mkdir(merged, 0755) == 0, "mkdir");
    snprintf(options, sizeof options, "lowerdir=%s,upperdir=%s,workdir=%s", lower, upper, scratch);
    must(mount("o", merged, "overlay", 0, options) == 0, "an overlay");
    snprintf(file, sizeof file, "%s/payload", merged);
    run_payload(file, marker);
  }
  if (is(a[0], "new-calls")) {
    int context = syscall(430, "tmpfs", 0);
    must(context >= 0, "fsopen");
    must(syscall(431, context, 6, NULL, NULL, 0) == 0, "fsconfig");
    int detached = syscall(432, context, 0, 0);
    must(detached >= 0, "fsmount");
    must(syscall(429, detached, "", AT_FDCWD, place, 4) == 0, "move_mount");
    copy_file(payload, file, 0755);
    run_payload(file, marker);
  }
  if (is(a[0], "move")) {
    int tree = syscall(428, AT_FDCWD, payload, 1);
    must(tree >= 0, "open_tree");
    must(syscall(429, tree, "", AT_FDCWD, listed, 4) == 0, "move_mount");
    run_listed(listed, marker);
  }
  untried("no such way");
}

// jail WORK PAYLOAD: a root of our own, in which the payload has any name we like; the mark is WORK/jail/ran
ATTACK(jail, "jail") {
  char root[4000], file[4096];
  snprintf(root, sizeof root, "%s/jail", a[0]);
  snprintf(file, sizeof file, "%s/payload", root);
  must(mkdir(root, 0755) == 0, "mkdir");
  copy_file(a[1], file, 0755);
  if (getuid() != 0) own_mounts();
  must(chroot(root) == 0, "chroot");
  must(chdir("/") == 0, "chdir");
  run_payload("/payload", "/ran");
}
