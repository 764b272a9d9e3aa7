#define _GNU_SOURCE
/*
 * Drives bpf.c alone, for the tests. Not part of the launcher.
 *
 *   bpf-load run RECORD CGROUP COMMAND...   loads RECORD ("-": nothing), runs COMMAND as a member of CGROUP, then writes the
 *                                           array maps and ring buffers to descriptor 2 ("map NAME HEX", "event NAME HEX",
 *                                           "lost N"); COMMAND's status
 *   bpf-load programs                       "ID NAME" of every program in the kernel
 *   bpf-load probe                          reads "KIND ADDRESS PORT" lines, tries each, answers "ok" or the errno
 */
#include "../bpf.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/sched.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

static void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(125);
}

/* The file's bytes right before a page that nobody may touch: reading one byte too many ends the driver. */
static uint8_t *read_file(const char *path, size_t *size)
{
	struct stat status;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &status) != 0)
		die(path);
	size_t length = (size_t)status.st_size, page = (size_t)sysconf(_SC_PAGESIZE);
	size_t pages = (length + page - 1) / page * page;
	uint8_t *area = mmap(NULL, pages + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (area == MAP_FAILED || mprotect(area + pages, page, PROT_NONE) != 0)
		die("mmap");
	uint8_t *bytes = area + pages - length;
	if (read(fd, bytes, length) != status.st_size)
		die(path);
	close(fd);
	*size = length;
	return bytes;
}

static void print_bytes(const char *what, const char *name, const uint8_t *bytes, long size)
{
	fprintf(stderr, "%s %s ", what, name);
	for (long index = 0; index < size; index++)
		fprintf(stderr, "%02x", bytes[index]);
	fprintf(stderr, "\n");
}

static int run(char **args)
{
	struct bpf_loaded loaded = { .maps = 0 };
	struct bpf_failure why;
	int cgroup = open(args[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (cgroup < 0)
		die(args[1]);
	if (strcmp(args[0], "-") != 0) {
		size_t size;
		uint8_t *record = read_file(args[0], &size);
		if (bpf_load(record, size, cgroup, &loaded, &why) != 0) {
			fprintf(stderr, "%s %s: errno %d\n%s", why.step, why.name, why.error, why.log);
			return 125;
		}
	}
	struct clone_args clone_args = {
		.flags = CLONE_INTO_CGROUP,
		.exit_signal = SIGCHLD,
		.cgroup = (uint64_t)cgroup,
	};
	long child = syscall(SYS_clone3, &clone_args, sizeof(clone_args));
	if (child < 0)
		die("clone3");
	if (child == 0) {
		execv(args[2], args + 2);
		die(args[2]);
	}
	int status;
	if (waitpid((pid_t)child, &status, 0) < 0)
		die("waitpid");
	for (int map = 0; map < loaded.maps; map++) {
		static uint8_t values[1 << 16];
		long size = bpf_read_map(&loaded, map, values, sizeof(values));
		if (size >= 0)
			print_bytes("map", loaded.map[map].name, values, size);
		struct bpf_events events;
		if (bpf_open_events(&loaded, map, &events) != 0)
			continue;
		while ((size = bpf_next_event(&events, values, sizeof(values))) > 0)
			print_bytes("event", loaded.map[map].name, values, size);
		if (size < 0)
			die("event");
		bpf_close_events(&events);
	}
	uint64_t lost;
	if (loaded.links > 0 && bpf_read_lost(&loaded, &lost) == 0)
		fprintf(stderr, "lost %llu\n", (unsigned long long)lost);
	bpf_close(&loaded);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int programs(void)
{
	union bpf_attr attr;
	uint32_t id = 0;
	for (;;) {
		memset(&attr, 0, sizeof(attr));
		attr.start_id = id;
		if (syscall(SYS_bpf, BPF_PROG_GET_NEXT_ID, &attr, sizeof(attr)) != 0)
			return errno == ENOENT ? 0 : 125;
		id = attr.next_id;
		memset(&attr, 0, sizeof(attr));
		attr.prog_id = id;
		int fd = (int)syscall(SYS_bpf, BPF_PROG_GET_FD_BY_ID, &attr, sizeof(attr));
		if (fd < 0)
			continue;
		struct bpf_prog_info info = { 0 };
		memset(&attr, 0, sizeof(attr));
		attr.info.bpf_fd = (uint32_t)fd;
		attr.info.info_len = sizeof(info);
		attr.info.info = (uint64_t)(uintptr_t)&info;
		if (syscall(SYS_bpf, BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr)) == 0)
			printf("%u %s\n", id, info.name);
		close(fd);
	}
}

/* An address and port in either family; the length of it. */
static socklen_t address_of(const char *text, int port, struct sockaddr_storage *out)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)out;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
	memset(out, 0, sizeof(*out));
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)port);
		return sizeof(*v4);
	}
	if (inet_pton(AF_INET6, text, &v6->sin6_addr) != 1)
		die(text);
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons((uint16_t)port);
	return sizeof(*v6);
}

static socklen_t unix_address(const char *text, struct sockaddr_un *out)
{
	memset(out, 0, sizeof(*out));
	out->sun_family = AF_UNIX;
	if (strlen(text) >= sizeof(out->sun_path))
		exit(2);
	strcpy(out->sun_path, text);
	return sizeof(*out);
}

/* errno of the attempt, 0 when it got through. */
static int probe(const char *kind, const char *text, int port)
{
	struct sockaddr_storage address;
	struct sockaddr_un path;
	socklen_t length = 0;
	int type = SOCK_STREAM, protocol = 0, family = AF_UNIX, fd;
	long result = 0;

	if (strncmp(kind, "unix", 4) != 0) {
		length = address_of(text, port, &address);
		family = address.ss_family;
	}
	if (strncmp(kind, "udp", 3) == 0 || strcmp(kind, "unix-dgram") == 0)
		type = SOCK_DGRAM;
	if (strcmp(kind, "mptcp") == 0)
		protocol = IPPROTO_MPTCP;
	if (strcmp(kind, "udplite") == 0)
		protocol = IPPROTO_UDPLITE;
	if (strcmp(kind, "sctp") == 0)
		protocol = IPPROTO_SCTP;
	if (strcmp(kind, "ping") == 0) {
		type = SOCK_DGRAM;
		protocol = family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6;
	}
	if (strcmp(kind, "raw") == 0) {
		type = SOCK_RAW;
		protocol = IPPROTO_UDP;
	}
	if (strcmp(kind, "udp4in6") == 0)
		family = AF_INET6;

	fd = socket(family, type | SOCK_CLOEXEC, protocol);
	if (fd < 0)
		return errno;
	if (strcmp(kind, "tcp") == 0 || strcmp(kind, "mptcp") == 0 || strcmp(kind, "udp-connect") == 0) {
		result = connect(fd, (struct sockaddr *)&address, length);
	} else if (strcmp(kind, "fastopen") == 0) {
		result = sendto(fd, "x", 1, MSG_FASTOPEN, (struct sockaddr *)&address, length);
	} else if (strcmp(kind, "udp") == 0 || strcmp(kind, "udp4in6") == 0) {
		result = sendto(fd, "x", 1, 0, (struct sockaddr *)&address, length);
	} else if (strcmp(kind, "udp-unspec") == 0) {
		address.ss_family = AF_UNSPEC;
		result = sendto(fd, "x", 1, 0, (struct sockaddr *)&address, length);
	} else if (strcmp(kind, "udp-mmsg") == 0) {
		struct iovec part = { .iov_base = "x", .iov_len = 1 };
		struct mmsghdr message = { .msg_hdr = { .msg_name = &address, .msg_namelen = length, .msg_iov = &part, .msg_iovlen = 1 } };
		result = sendmmsg(fd, &message, 1, 0);
	} else if (strcmp(kind, "bind") == 0) {
		result = bind(fd, (struct sockaddr *)&address, length);
	} else if (strcmp(kind, "unspec") == 0) {
		/* What a second connect does after the first one was judged. */
		struct sockaddr none = { .sa_family = AF_UNSPEC };
		result = connect(fd, &none, sizeof(none));
		if (result == 0)
			result = connect(fd, (struct sockaddr *)&address, length);
	} else if (strcmp(kind, "unix-stream") == 0) {
		length = unix_address(text, &path);
		result = connect(fd, (struct sockaddr *)&path, length);
	} else if (strcmp(kind, "unix-dgram") == 0) {
		length = unix_address(text, &path);
		result = sendto(fd, "x", 1, 0, (struct sockaddr *)&path, length);
	}
	int error = result < 0 ? errno : 0;
	close(fd);
	return error;
}

static int probes(void)
{
	char line[256], kind[32], text[200];
	int port;
	setvbuf(stdout, NULL, _IOLBF, 0);
	while (fgets(line, sizeof(line), stdin) != NULL) {
		if (sscanf(line, "%31s %199s %d", kind, text, &port) != 3)
			return 2;
		int error = probe(kind, text, port);
		printf("%s\n", error == 0 ? "ok" : strerrorname_np(error));
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc >= 5 && strcmp(argv[1], "run") == 0)
		return run(argv + 2);
	if (argc == 2 && strcmp(argv[1], "programs") == 0)
		return programs();
	if (argc == 2 && strcmp(argv[1], "probe") == 0)
		return probes();
	fprintf(stderr, "usage: bpf-load run RECORD CGROUP COMMAND... | programs | probe\n");
	return 2;
}
