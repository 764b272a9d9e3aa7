/*
 * The mount tree of the box. Sources are copied out of the host's tree before the new root exists, each already carrying its
 * flags, so that no file is ever reachable through a mount that is not yet restricted.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "box.h"

#ifndef SYS_openat2
#define SYS_openat2 437
#endif
#ifndef SYS_open_tree
#define SYS_open_tree 428
#define SYS_move_mount 429
#endif
#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif

/* The headers of many hosts are older than these; values of linux/mount.h. */
#define TREE_CLONE 1
#define TREE_CLOEXEC O_CLOEXEC
#define TREE_RECURSIVE 0x8000
#define ATTR_RDONLY 0x1
#define ATTR_NOSUID 0x2
#define ATTR_NODEV 0x4
#define ATTR_NOEXEC 0x8
#define MOVE_FROM_FD 0x4
#define MOVE_TO_FD 0x40

struct attributes {
	uint64_t set, clear, propagation, userns_fd;
};

/* Where the new root is put together; the directory of the host is hidden by it only inside the box. */
#define STAGE "/tmp"

static const char *const DEVICES[] = { "null", "zero", "full", "random", "urandom", "tty" };
#define DEVICE_COUNT (sizeof DEVICES / sizeof *DEVICES)

/* File systems made here: only in these may a mount point be created. In anything of the host it would stay behind. */
#define OWN_MAX 64
static dev_t own[OWN_MAX];
static size_t own_count;

struct item {
	uint8_t kind;
	uint8_t flags;
	uint16_t mode;
	uint64_t bytes;
	struct bytes target;
	struct bytes rest;
	int source;
	mode_t source_type;
};

static void restrict_tree(int fd, uint64_t set, int recursive, struct bytes subject)
{
	struct attributes attributes = { .set = set };
	unsigned flags = AT_EMPTY_PATH | (recursive ? TREE_RECURSIVE : 0);
	if (syscall(SYS_mount_setattr, fd, "", flags, &attributes, sizeof attributes) != 0)
		fail("mount_setattr", subject);
}

/* A detached copy of a path of the host. A symbolic link anywhere in it is refused: it was resolved when the box was planned,
 * and one that appeared since would lead elsewhere. */
static int copy_tree(const char *path, uint64_t set, int recursive, mode_t *type)
{
	struct open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS };
	int fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how);
	struct stat status;
	if (fd < 0 || fstat(fd, &status) != 0)
		fail("open", text_bytes(path));
	*type = status.st_mode & S_IFMT;
	unsigned flags = TREE_CLONE | TREE_CLOEXEC | AT_EMPTY_PATH | (recursive ? TREE_RECURSIVE : 0);
	int tree = (int)syscall(SYS_open_tree, fd, "", flags);
	if (tree < 0)
		fail("open_tree", text_bytes(path));
	close(fd);
	restrict_tree(tree, set, recursive, text_bytes(path));
	return tree;
}

static uint64_t attributes_of(uint8_t flags)
{
	uint64_t set = ATTR_NOSUID | ATTR_NODEV;
	if (!(flags & MOUNT_WRITE) || (flags & MOUNT_EXECUTE))
		set |= ATTR_RDONLY;
	if (!(flags & MOUNT_EXECUTE))
		set |= ATTR_NOEXEC;
	return set;
}

static void remember_own(const char *path)
{
	struct stat status;
	if (own_count == OWN_MAX) {
		errno = E2BIG;
		fail("tmpfs", text_bytes(path));
	}
	if (stat(path, &status) != 0)
		fail("stat", text_bytes(path));
	own[own_count++] = status.st_dev;
}

static int is_own(dev_t device)
{
	for (size_t index = 0; index < own_count; index++)
		if (own[index] == device)
			return 1;
	return 0;
}

/* Opens `target` below the current directory, which is the new root, without following anything out of it. */
static int open_below(const char *target, uint64_t flags)
{
	struct open_how how = {
		.flags = flags | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	const char *relative = target[1] == '\0' ? "." : target + 1;
	return (int)syscall(SYS_openat2, AT_FDCWD, relative, &how, sizeof how);
}

/* The parent of `target` as a descriptor, its missing directories made. `*name` is what comes after the last slash. */
static int open_parent(char *target, const char **name)
{
	char *slash = strrchr(target, '/');
	*name = slash + 1;
	if (slash == target)
		return open_below("/", O_PATH | O_DIRECTORY);
	*slash = '\0';
	int fd = open_below(target, O_PATH | O_DIRECTORY);
	if (fd < 0 && errno == ENOENT) {
		const char *last;
		char *copy = strdup(target);
		if (copy == NULL)
			fail("memory", NO_SUBJECT);
		int parent = open_parent(copy, &last);
		struct stat status;
		if (fstat(parent, &status) != 0 || !is_own(status.st_dev)) {
			errno = ENOENT;
			fail("mount point", text_bytes(target));
		}
		if (mkdirat(parent, last, 0755) != 0)
			fail("mkdir", text_bytes(target));
		close(parent);
		free(copy);
		fd = open_below(target, O_PATH | O_DIRECTORY);
	}
	if (fd < 0)
		fail("mount point", text_bytes(target));
	*slash = '/';
	return fd;
}

/* `target` as a descriptor, made unless it is there: a directory for a directory, else an empty file. */
static int open_mount_point(char *target, mode_t type)
{
	int fd = open_below(target, O_PATH | O_NOFOLLOW);
	if (fd >= 0)
		return fd;
	if (errno != ENOENT)
		fail("mount point", text_bytes(target));
	const char *name;
	int parent = open_parent(target, &name);
	struct stat status;
	if (fstat(parent, &status) != 0 || !is_own(status.st_dev)) {
		errno = ENOENT;
		fail("mount point", text_bytes(target));
	}
	if (type == S_IFDIR ? mkdirat(parent, name, 0755) != 0 : mknodat(parent, name, S_IFREG | 0444, 0) != 0)
		fail("mount point", text_bytes(target));
	fd = openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		fail("mount point", text_bytes(target));
	close(parent);
	return fd;
}

static void put_tree(int tree, char *target, mode_t type)
{
	int at = open_mount_point(target, type);
	if (syscall(SYS_move_mount, tree, "", at, "", MOVE_FROM_FD | MOVE_TO_FD) != 0)
		fail("move_mount", text_bytes(target));
	close(at);
	close(tree);
}

static void put_tmpfs(char *target, uint64_t bytes, unsigned mode, int readonly)
{
	char options[96];
	close(open_mount_point(target, S_IFDIR));
	snprintf(options, sizeof options, "mode=%o,size=%llu,nr_inodes=65536", mode, (unsigned long long)bytes);
	/* Relative to the new root, which is the current directory; the path holds no link, see open_below. */
	const char *relative = target + 1;
	unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
	if (mount("tmpfs", relative, "tmpfs", flags, options) != 0)
		fail("tmpfs", text_bytes(target));
	if (readonly && mount(NULL, relative, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | flags, NULL) != 0)
		fail("tmpfs read-only", text_bytes(target));
	remember_own(relative);
}

static void put_link(const char *to, const char *path)
{
	char *target = strdup(path);
	const char *name;
	if (target == NULL)
		fail("memory", NO_SUBJECT);
	int parent = open_parent(target, &name);
	if (symlinkat(to, parent, name) != 0)
		fail("symlink", text_bytes(path));
	close(parent);
	free(target);
}

static void put_file(char *target, struct bytes content, mode_t mode)
{
	const char *name;
	int parent = open_parent(target, &name);
	int fd = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
	if (fd < 0)
		fail("file", text_bytes(target));
	for (size_t done = 0; done < content.size;) {
		ssize_t wrote = write(fd, content.at + done, content.size - done);
		if (wrote <= 0)
			fail("file", text_bytes(target));
		done += (size_t)wrote;
	}
	close(fd);
	close(parent);
}

static void put_devices(const int *devices)
{
	char path[32];
	put_tmpfs((char[]){ "/dev" }, 64 << 10, 0755, 0);
	for (size_t index = 0; index < DEVICE_COUNT; index++) {
		snprintf(path, sizeof path, "/dev/%s", DEVICES[index]);
		put_tree(devices[index], path, S_IFREG);
	}
	put_link("/proc/self/fd", "/dev/fd");
	put_link("/proc/self/fd/0", "/dev/stdin");
	put_link("/proc/self/fd/1", "/dev/stdout");
	put_link("/proc/self/fd/2", "/dev/stderr");
	put_link("pts/ptmx", "/dev/ptmx");
	put_tmpfs((char[]){ "/dev/shm" }, 64 << 20, 01777, 0);
	if (mkdir("dev/pts", 0755) != 0
	    || mount("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620") != 0)
		fail("devpts", NO_SUBJECT);
}

/* What is of the whole kernel and not of the box: keys by their descriptions, its memory page by page, its log. Older kernels
 * and other configurations have fewer of them, and most are for root alone. */
static const char *const OF_THE_KERNEL[] = {
	"/proc/keys", "/proc/key-users", "/proc/kcore", "/proc/kmsg", "/proc/kpageflags", "/proc/kpagecount", "/proc/kpagecgroup",
	"/proc/slabinfo", "/proc/vmallocinfo", "/proc/timer_list", "/proc/sched_debug", "/proc/iomem", "/proc/ioports",
};

static void put_mask(char *target)
{
	mode_t type;
	uint64_t set = ATTR_NOSUID | ATTR_NODEV | ATTR_NOEXEC | ATTR_RDONLY;
	put_tree(copy_tree(STAGE "/.mask", set, 0, &type), target, S_IFREG);
}

static void put_proc(void)
{
	/* Read-only: a write to /proc/self/mem patches code that is mapped read-only, and uid 0 owns /proc/sys. */
	if ((mkdir("proc", 0555) != 0 && errno != EEXIST)
	    || mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, NULL) != 0)
		fail("proc", NO_SUBJECT);
	for (size_t index = 0; index < sizeof OF_THE_KERNEL / sizeof *OF_THE_KERNEL; index++) {
		char path[32];
		snprintf(path, sizeof path, "%s", OF_THE_KERNEL[index]);
		if (access(path + 1, R_OK) == 0)
			put_mask(path);
	}
}

static size_t count_mounts(struct bytes rest)
{
	struct record record;
	size_t count = 0;
	while (wire_next(&rest, &record) == 1)
		count += record.tag == TAG_MOUNT;
	return count;
}

static struct item parse_item(struct bytes body)
{
	struct item item = { .source = -1 };
	if (body.size < sizeof(struct mount_record)) {
		errno = EINVAL;
		fail("mount record", NO_SUBJECT);
	}
	uint32_t target = wire_u32_at(body.at + 4);
	item.kind = body.at[0];
	item.flags = body.at[1];
	item.mode = wire_u16_at(body.at + 2);
	item.bytes = wire_u64_at(body.at + 8);
	body.at += sizeof(struct mount_record);
	body.size -= sizeof(struct mount_record);
	if (target > body.size || (target == 0) != (item.kind == MOUNT_DEV || item.kind == MOUNT_PROC)
	    || (target > 0 && (body.at[0] != '/' || target == 1))) {
		errno = EINVAL;
		fail("mount record", NO_SUBJECT);
	}
	item.target = (struct bytes){ body.at, target };
	item.rest = (struct bytes){ body.at + target, body.size - target };
	return item;
}

static void put_item(struct item *item, const int *devices)
{
	char *target = item->target.size == 0 ? NULL : path_of(item->target, "mount target");
	switch (item->kind) {
	case MOUNT_BIND:
		put_tree(item->source, target, item->source_type);
		break;
	case MOUNT_TMPFS:
		put_tmpfs(target, item->bytes, item->mode, item->flags & MOUNT_READONLY);
		break;
	case MOUNT_DIRECTORY:
		close(open_mount_point(target, S_IFDIR));
		break;
	case MOUNT_SYMLINK: {
		char *to = path_of(item->rest, "symlink");
		put_link(to, target);
		free(to);
		break;
	}
	case MOUNT_FILE:
		put_file(target, item->rest, 0444);
		break;
	case MOUNT_MASK:
		put_mask(target);
		break;
	case MOUNT_DEV:
		put_devices(devices);
		break;
	case MOUNT_PROC:
		put_proc();
		break;
	default:
		errno = EINVAL;
		fail("mount kind", item->target);
	}
	free(target);
}

void build_tree(const struct box *box)
{
	/* Every source is a descriptor until it is put in its place. */
	struct rlimit files;
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
		fail("private mounts", NO_SUBJECT);

	size_t count = count_mounts(box->setup);
	struct item *items = calloc(count == 0 ? 1 : count, sizeof *items);
	if (items == NULL)
		fail("memory", NO_SUBJECT);
	int devices[DEVICE_COUNT];
	struct bytes rest = box->setup;
	struct record record;
	for (size_t index = 0; index < count && wire_next(&rest, &record) == 1;) {
		if (record.tag != TAG_MOUNT)
			continue;
		struct item *item = &items[index++];
		*item = parse_item(record.body);
		if (item->kind == MOUNT_BIND) {
			char *source = path_of(item->rest, "bind source");
			item->source = copy_tree(source, attributes_of(item->flags), item->flags & MOUNT_RECURSIVE, &item->source_type);
			if (item->source_type != S_IFDIR && item->source_type != S_IFREG) {
				errno = EINVAL;
				fail("bind of a special file", item->rest);
			}
			free(source);
		} else if (item->kind == MOUNT_DEV) {
			for (size_t device = 0; device < DEVICE_COUNT; device++) {
				char path[32];
				mode_t type;
				snprintf(path, sizeof path, "/dev/%s", DEVICES[device]);
				devices[device] = copy_tree(path, ATTR_NOSUID | ATTR_NOEXEC, 0, &type);
			}
		}
	}

	if (mount("tmpfs", STAGE, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0755,size=16m") != 0 || chdir(STAGE) != 0)
		fail("new root", NO_SUBJECT);
	remember_own(".");
	put_file((char[]){ "/.mask" }, NO_SUBJECT, 0);
	for (size_t index = 0; index < count; index++)
		put_item(&items[index], devices);
	free(items);
	if (unlink(".mask") != 0)
		fail("new root", NO_SUBJECT);

	/* The old root ends up on top of the new one at the same place, from where it is taken away; pivot_root(2), NOTES. */
	if (syscall(SYS_pivot_root, ".", ".") != 0)
		fail("pivot_root", NO_SUBJECT);
	if (umount2(".", MNT_DETACH) != 0 || chdir("/") != 0)
		fail("old root", NO_SUBJECT);
	struct attributes attributes = { .set = ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV | ATTR_NOEXEC };
	if (syscall(SYS_mount_setattr, AT_FDCWD, "/", 0, &attributes, sizeof attributes) != 0)
		fail("read-only root", NO_SUBJECT);
}
