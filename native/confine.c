/*
 * What the first process of the box gives up, and with it everything it starts: limits, capabilities, the way back to
 * privileges, files by Landlock, system calls by seccomp. In this order, because each step forbids what an earlier one needs.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "box.h"

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif

struct landlock_attribute {
	uint64_t fs, net, scoped;
};

struct landlock_path {
	uint64_t access;
	int32_t fd;
} __attribute__((packed));

struct landlock_port {
	uint64_t access, port;
};

void set_limits(const struct box *box)
{
	struct bytes rest = box->setup;
	struct record record;
	while (wire_next(&rest, &record) == 1) {
		if (record.tag != TAG_RLIMIT)
			continue;
		if (record.body.size != 16) {
			errno = EINVAL;
			fail("limit", NO_SUBJECT);
		}
		uint64_t value = wire_u64_at(record.body.at + 8);
		int resource = (int)wire_u32_at(record.body.at);
		struct rlimit limit;
		if (getrlimit(resource, &limit) != 0)
			fail("limit", NO_SUBJECT);
		/* A limit that is lower already stays, and could not be raised. */
		if (value != UINT64_MAX && (limit.rlim_max == RLIM_INFINITY || value < limit.rlim_max))
			limit.rlim_max = value;
		limit.rlim_cur = limit.rlim_max;
		if (setrlimit(resource, &limit) != 0)
			fail("limit", NO_SUBJECT);
	}
}

static void drop_capabilities(const struct box *box)
{
	/* A file that is run by uid 0 must not bring anything back. Needs CAP_SETPCAP, so that only those who have something to
	 * lose can do it; for the others the bounding set is beyond reach and no_new_privs keeps it closed. */
	const unsigned long bits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED
				   | SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
	if (prctl(PR_SET_SECUREBITS, bits) != 0 && errno != EPERM)
		fail("secure bits", NO_SUBJECT);
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0)
		fail("ambient capabilities", NO_SUBJECT);
	/* Until the kernel knows no more of them (EINVAL). */
	for (unsigned long capability = 0; prctl(PR_CAPBSET_DROP, capability) == 0 || errno != EINVAL; capability++)
		if (capability == 64)
			break;
	if (prctl(PR_CAPBSET_READ, 0UL) == 1 && (geteuid() == 0 || (box->flags & BOX_USER_NAMESPACE)))
		fail("bounding set", NO_SUBJECT);
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { { 0, 0, 0 }, { 0, 0, 0 } };
	if (syscall(SYS_capset, &header, none) != 0)
		fail("capabilities", NO_SUBJECT);
	struct __user_cap_data_struct left[2];
	if (syscall(SYS_capget, &header, left) != 0 || left[0].effective || left[0].permitted || left[0].inheritable
	    || left[1].effective || left[1].permitted || left[1].inheritable)
		fail("capabilities", NO_SUBJECT);
}

uint32_t landlock_abi(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, 1 /* ask for the version */);
	return abi < 0 ? 0 : (uint32_t)abi;
}

static void take_landlock(const struct box *box)
{
	if (box->landlock.size == 0)
		return;
	if (box->landlock.size != 32) {
		errno = EINVAL;
		fail("landlock", NO_SUBJECT);
	}
	const uint8_t *at = box->landlock.at;
	struct landlock_attribute attribute = { wire_u64_at(at + 8), wire_u64_at(at + 16), wire_u64_at(at + 24) };
	int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attribute, (size_t)wire_u32_at(at), 0);
	if (ruleset < 0)
		fail("landlock", NO_SUBJECT);
	struct bytes rest = box->setup;
	struct record record;
	while (wire_next(&rest, &record) == 1) {
		if (record.tag == TAG_LANDLOCK_PATH && record.body.size > 8) {
			struct bytes text = { record.body.at + 8, record.body.size - 8 };
			char *path = path_of(text, "landlock path");
			struct landlock_path rule = { wire_u64_at(record.body.at), open(path, O_PATH | O_CLOEXEC) };
			if (rule.fd < 0 || syscall(SYS_landlock_add_rule, ruleset, 1, &rule, 0) != 0)
				fail("landlock path", text);
			close(rule.fd);
			free(path);
		} else if (record.tag == TAG_LANDLOCK_PORT && record.body.size == 16) {
			struct landlock_port rule = { wire_u64_at(record.body.at), wire_u64_at(record.body.at + 8) };
			if (syscall(SYS_landlock_add_rule, ruleset, 2, &rule, 0) != 0)
				fail("landlock port", NO_SUBJECT);
		} else if (record.tag == TAG_LANDLOCK_PATH || record.tag == TAG_LANDLOCK_PORT) {
			errno = EINVAL;
			fail("landlock rule", NO_SUBJECT);
		}
	}
	if (syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
		fail("landlock", NO_SUBJECT);
	close(ruleset);
}

static struct sock_fprog program_of(struct bytes text)
{
	if (text.size == 0 || text.size % sizeof(struct sock_filter) != 0
	    || text.size / sizeof(struct sock_filter) > BPF_MAXINSNS) {
		errno = EINVAL;
		fail("seccomp", NO_SUBJECT);
	}
	struct sock_filter *filter = malloc(text.size);
	if (filter == NULL)
		fail("memory", NO_SUBJECT);
	memcpy(filter, text.at, text.size);
	return (struct sock_fprog){ (unsigned short)(text.size / sizeof(struct sock_filter)), filter };
}

void take_seccomp(struct bytes text)
{
	struct sock_fprog program = program_of(text);
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) != 0)
		fail("seccomp", NO_SUBJECT);
	free(program.filter);
}

int confine_self(const struct box *box)
{
	set_limits(box);
	drop_capabilities(box);
	/* The environment and memory of this process are none of the box's business; also keeps it from being traced. */
	if (prctl(PR_SET_DUMPABLE, 0) != 0)
		fail("not dumpable", NO_SUBJECT);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		fail("no_new_privs", NO_SUBJECT);
	take_landlock(box);
	if (!(box->flags & BOX_NOTIFY)) {
		take_seccomp(box->seccomp);
		return -1;
	}
	struct sock_fprog program = program_of(box->seccomp);
	int fd = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
	if (fd < 0)
		fail("seccomp", NO_SUBJECT);
	free(program.filter);
	/* Answers come from this processor when it can be; saves a third of the way. Older kernels do without. */
	(void)ioctl(fd, _IOW('!', 4, uint64_t), 1UL);
	return fd;
}
