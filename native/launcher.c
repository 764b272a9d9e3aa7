/*
 * The launcher: makes one box and starts commands in it. It decides nothing; src/linux/plan.ts does, and every step here either
 * succeeds or there is no box.
 *
 *   outer process   control groups, BPF, then waits for the box to end
 *   first process   new namespaces: tree.c, network.c, confine.c, then serve.c
 *   commands        children of the first process, confined by inheritance
 *
 * The outer process dies with Node, the first process with the outer one, and with the first process the kernel ends every
 * process of its namespace. Without namespaces the outer process ends what is left itself.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bpf.h"
#include "box.h"

#ifndef CLONE_INTO_CGROUP
#define CLONE_INTO_CGROUP 0x200000000ULL
#endif

static int setup_received;

void fail(const char *step, struct bytes subject)
{
	int error = errno;
	struct message message;
	/* A setup that is left unread resets the connection, and Node's writing of it fails before it has read what we say. */
	struct frame unread;
	if (!setup_received)
		(void)wire_receive(CONTROL_FD, &unread);
	wire_begin(&message, FRAME_FAILED);
	wire_text(&message, TAG_STEP, step);
	wire_u32(&message, TAG_ERRNO, (uint32_t)error);
	wire_bytes(&message, TAG_SUBJECT, subject.at, subject.size > 512 ? 512 : subject.size);
	(void)wire_send(CONTROL_FD, &message, 1);
	_exit(125);
}

char *path_of(struct bytes text, const char *step)
{
	if (text.size == 0 || text.size > 4095 || memchr(text.at, 0, text.size) != NULL) {
		errno = EINVAL;
		fail(step, text);
	}
	char *path = malloc(text.size + 1);
	if (path == NULL)
		fail("memory", NO_SUBJECT);
	memcpy(path, text.at, text.size);
	path[text.size] = '\0';
	return path;
}

static struct box parse_setup(uint32_t flags, struct bytes setup)
{
	struct box box = { .flags = flags, .setup = setup };
	struct bytes rest = setup;
	struct record record;
	int more;
	while ((more = wire_next(&rest, &record)) == 1) {
		struct bytes body = record.body;
		if (record.tag == TAG_WALL_MS && body.size == 8)
			box.wall_ms = wire_u64_at(body.at);
		else if (record.tag == TAG_HOSTNAME)
			box.hostname = body;
		else if (record.tag == TAG_WORKDIR)
			box.workdir = body;
		else if (record.tag == TAG_SECCOMP)
			box.seccomp = body;
		else if (record.tag == TAG_SECCOMP_COMMAND)
			box.seccomp_command = body;
		else if (record.tag == TAG_LANDLOCK)
			box.landlock = body;
		else if (record.tag == TAG_BPF)
			box.bpf = body;
		else if (record.tag != TAG_MOUNT && record.tag != TAG_LISTENER && record.tag != TAG_RLIMIT
			 && record.tag != TAG_LANDLOCK_PATH && record.tag != TAG_LANDLOCK_PORT)
			break;
	}
	if (more != 0 || box.seccomp.size == 0) {
		errno = EINVAL;
		fail("setup", NO_SUBJECT);
	}
	return box;
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		fail("write", text_bytes(path));
	close(fd);
}

static void join_cgroup_v1(const char *directory)
{
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* `tasks` moves one thread, of which there is one, and takes no lock that all of the host waits for: cgroup.procs costs
	 * seven milliseconds on an idle host. */
	int tasks = fd < 0 ? -1 : openat(fd, "tasks", O_WRONLY | O_CLOEXEC);
	if (tasks < 0 || write(tasks, "0", 1) != 1)
		fail("control group", text_bytes(directory));
	close(tasks);
	close(fd);
}

/* One id in, the same id out: files keep their owner, and no other id exists inside. */
static void map_ids(uid_t uid, gid_t gid)
{
	char map[64];
	write_file("/proc/self/setgroups", "deny");
	snprintf(map, sizeof map, "%u %u 1", (unsigned)uid, (unsigned)uid);
	write_file("/proc/self/uid_map", map);
	snprintf(map, sizeof map, "%u %u 1", (unsigned)gid, (unsigned)gid);
	write_file("/proc/self/gid_map", map);
}

/* Lets this user namespace have a quarter of what the host lets a user have. Not every kernel has each of the limits. */
static void share_of(const char *host, const char *own)
{
	char text[32] = "";
	int from = open(host, O_RDONLY | O_CLOEXEC), to = open(own, O_WRONLY | O_CLOEXEC);
	ssize_t size = from < 0 ? -1 : read(from, text, sizeof text - 1);
	long limit = size > 0 ? strtol(text, NULL, 10) : 0;
	if (limit >= 8 && to >= 0) {
		int length = snprintf(text, sizeof text, "%ld", limit / 4);
		(void)!write(to, text, (size_t)length);
	}
	close(from);
	close(to);
}

static volatile sig_atomic_t first_pid;

/* Asked to end the box: the first process is killed and then waited for, so that our own end proves that nothing is left. */
static void end_box(int number)
{
	(void)number;
	if (first_pid > 0)
		kill(first_pid, SIGKILL);
	else
		_exit(1);
}

static void enter_box(struct bpf_loaded *bpf)
{
	/* Cleared by the clone. The parent may have gone before this was asked for: then its control socket has, too. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
		fail("parent death signal", NO_SUBJECT);
	signal(SIGTERM, SIG_DFL);
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	bpf_close(bpf);
}

__attribute__((noreturn)) static void make_box(const struct box *box, uid_t uid, gid_t gid)
{
	if (box->flags & BOX_USER_NAMESPACE) {
		map_ids(uid, gid);
		/* Counted by user on the host, of which the gateway is one: a box may use up its own share. */
		share_of("/proc/sys/fs/inotify/max_user_instances", "/proc/sys/user/max_inotify_instances");
		share_of("/proc/sys/fs/inotify/max_user_watches", "/proc/sys/user/max_inotify_watches");
	}
	if (box->flags & BOX_NAMESPACES) {
		if (sethostname((const char *)box->hostname.at, box->hostname.size) != 0)
			fail("host name", NO_SUBJECT);
		build_tree(box);
	}
	open_network(box);
	if (box->workdir.size > 0) {
		char *workdir = path_of(box->workdir, "working directory");
		if (chdir(workdir) != 0)
			fail("working directory", box->workdir);
		free(workdir);
	}
	serve(box, confine_self(box));
}

/* Without a process namespace the descendants are ours by adoption: each one that loses its parent becomes our child. */
static void end_descendants(void)
{
	struct timespec pause = { 0, 1000000 };
	for (int round = 0; round < 2000; round++) {
		char path[64], text[4096];
		snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
		if (fd >= 0)
			close(fd);
		if (size > 0) {
			text[size] = '\0';
			for (char *at = text, *end; *at != '\0'; at = end) {
				long pid = strtol(at, &end, 10);
				if (end == at)
					break;
				if (pid > 1)
					kill((pid_t)pid, SIGKILL);
			}
		}
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		if (waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD)
			return;
		nanosleep(&pause, NULL);
	}
}

/* What the programs counted, in pieces that fit a message. Counts are the last word of a box and never an answer to it. */
static void report_counters(const struct bpf_loaded *bpf)
{
	enum { VALUES = 100 };
	uint64_t lost;
	if (bpf->links > 0 && bpf_read_lost(bpf, &lost) == 0) {
		struct message message;
		uint8_t body[16] = { 0xff, 0xff, 0xff, 0xff };
		memcpy(body + 8, &lost, sizeof lost);
		wire_begin(&message, FRAME_COUNTERS);
		wire_bytes(&message, TAG_COUNTER, body, sizeof body);
		(void)wire_send(CONTROL_FD, &message, 1);
	}
	for (int map = 0; map < bpf->maps; map++) {
		size_t entries = bpf->map[map].max_entries;
		uint64_t *values = bpf->map[map].value_size == 8 ? calloc(entries, 8) : NULL;
		if (values != NULL && bpf_read_map(bpf, map, (uint8_t *)values, entries * 8) == (long)(entries * 8)) {
			for (size_t from = 0; from < entries; from += VALUES) {
				size_t count = entries - from < VALUES ? entries - from : VALUES;
				uint32_t head[2] = { (uint32_t)map, (uint32_t)from };
				uint8_t body[sizeof head + VALUES * 8];
				struct message message;
				memcpy(body, head, sizeof head);
				memcpy(body + sizeof head, values + from, count * 8);
				wire_begin(&message, FRAME_COUNTERS);
				wire_bytes(&message, TAG_COUNTER, body, sizeof head + count * 8);
				(void)wire_send(CONTROL_FD, &message, 1);
			}
		}
		free(values);
	}
}

/* What security module programs refuse, as it happens, until the box ends. Waits for a reader that is slow: what then does not fit
 * into the ring is counted by the programs. The ring is opened here and not before the clone: the box must not hold it. */
static void watch_events(const struct bpf_loaded *bpf, pid_t first)
{
	struct bpf_events events;
	if (bpf_open_events(bpf, bpf_find_map(bpf, "lsm_events"), &events) != 0)
		return;
	/* Nobody else waits for it, so that the number is still its own. */
	int box = (int)syscall(SYS_pidfd_open, first, 0);
	struct pollfd ready[2] = { { events.fd, POLLIN, 0 }, { box, POLLIN, 0 } };
	while (box >= 0 && ready[1].revents == 0) {
		uint8_t record[256];
		struct message message;
		long size;
		if (poll(ready, 2, -1) < 0 && errno != EINTR)
			break;
		while ((size = bpf_next_event(&events, record, sizeof record)) > 0) {
			wire_begin(&message, FRAME_EVENT);
			wire_bytes(&message, TAG_EVENT, record, (size_t)size);
			if (wire_send(CONTROL_FD, &message, 1) != 0)
				break;
		}
		if (size != 0)
			ready[0].fd = -1;
	}
	bpf_close_events(&events);
	if (box >= 0)
		close(box);
}

/* Waits for the description of the box. Without one there is nobody to tell. */
static struct box receive_setup(uint32_t flags)
{
	struct frame frame;
	if (wire_receive(CONTROL_FD, &frame) != 1 || frame.type != FRAME_SETUP)
		_exit(125);
	setup_received = 1;
	return parse_setup(flags, frame.body);
}

static void load_programs(struct bytes record, int cgroup, struct bpf_loaded *bpf)
{
	struct bpf_failure why = { .step = "record" };
	if (bpf_load(record.at, record.size, cgroup, bpf, &why) == 0)
		return;
	char subject[512];
	snprintf(subject, sizeof subject, "%s %s %.400s", why.step, why.name, why.log);
	errno = why.error;
	fail("bpf", text_bytes(subject));
}

/* Filters of containers answer ENOSYS for clone3, whose flags they cannot see. The older call does all of it but for the control
 * group, which the child then waits for. */
static pid_t clone_first(struct clone_args *args, int cgroup)
{
	pid_t first = (pid_t)syscall(SYS_clone3, args, sizeof *args);
	int gate[2];
	char text[16];
	if (first >= 0 || errno != ENOSYS || pipe2(gate, O_CLOEXEC) != 0)
		return first;
	first = (pid_t)syscall(SYS_clone, (args->flags & ~CLONE_INTO_CGROUP) | SIGCHLD, 0, 0, 0, 0);
	if (first == 0) {
		close(gate[1]);
		if (read(gate[0], text, 1) != 1)
			_exit(125);
		close(gate[0]);
		return 0;
	}
	close(gate[0]);
	if (first > 0 && cgroup >= 0) {
		int size = snprintf(text, sizeof text, "%d", (int)first);
		int procs = openat(cgroup, "cgroup.procs", O_WRONLY | O_CLOEXEC);
		if (procs < 0 || write(procs, text, (size_t)size) != size)
			fail("control group", NO_SUBJECT);
		close(procs);
	}
	if (first > 0 && write(gate[1], "", 1) != 1)
		fail("clone", NO_SUBJECT);
	close(gate[1]);
	return first;
}

/* launcher FLAGS CGROUP2|- CGROUP1…: what is needed before there are namespaces, so that they are made while the description
 * of the box is still on its way. */
int main(int argc, char **argv)
{
	if (argc < 3 || prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
		return 125;
	uint32_t flags = (uint32_t)strtoul(argv[1], NULL, 10);
	for (int fd = CONTROL_FD; fd <= NODE_FD; fd++)
		if (fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 && fd == CONTROL_FD)
			return 125;
	umask(022);
	uid_t uid = geteuid();
	gid_t gid = getegid();
	/* In a user namespace of somebody's nobody may (user_namespaces(7)); then they stay, as they do for other users. */
	if (uid == 0 && setgroups(0, NULL) != 0 && errno != EPERM)
		fail("groups", NO_SUBJECT);
	/* The signals of a terminal are for the command; this process ends when the box does. */
	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);

	for (int index = 3; index < argc; index++)
		join_cgroup_v1(argv[index]);
	int cgroup = -1;
	if (strcmp(argv[2], "-") != 0 && (cgroup = open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		fail("control group", text_bytes(argv[2]));
	struct bpf_loaded bpf = { 0 };
	struct box box = { 0 };
	if (flags & BOX_PROGRAMS) {
		/* They hold the box from its first instruction on, so they come before it. */
		box = receive_setup(flags);
		load_programs(box.bpf, cgroup, &bpf);
	}

	struct clone_args args = { .exit_signal = SIGCHLD };
	if (flags & BOX_NAMESPACES)
		args.flags |= CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
	if (flags & BOX_USER_NAMESPACE)
		args.flags |= CLONE_NEWUSER;
	if (flags & BOX_OWN_NETWORK)
		args.flags |= CLONE_NEWNET;
	if (cgroup >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)cgroup;
	}
	/* /proc/1/cmdline of the box is this memory, and would say where things are on the host. */
	for (int index = 0; index < argc; index++)
		memset(argv[index], 0, strlen(argv[index]));
	if (!(flags & BOX_NAMESPACES) && prctl(PR_SET_CHILD_SUBREAPER, 1) != 0)
		fail("subreaper", NO_SUBJECT);
	sigset_t term;
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, NULL);
	signal(SIGTERM, end_box);
	pid_t first = clone_first(&args, cgroup);
	if (first < 0)
		fail("clone", NO_SUBJECT);
	if (first == 0) {
		enter_box(&bpf);
		if (!(flags & BOX_PROGRAMS))
			box = receive_setup(flags);
		make_box(&box, uid, gid);
	}
	first_pid = first;
	sigprocmask(SIG_UNBLOCK, &term, NULL);

	/* What only the box may hold, so that the other ends see it close when the box does. */
	for (int fd = 0; fd <= 2; fd++)
		close(fd);
	close(NODE_FD);
	watch_events(&bpf, first);
	int status;
	while (waitpid(first, &status, 0) < 0 && errno == EINTR)
		;
	if (!(flags & BOX_NAMESPACES))
		end_descendants();
	report_counters(&bpf);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
