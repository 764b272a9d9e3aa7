/*
 * The first process of the box at work: starts commands, collects what ended, and turns refused system calls into reports. It is
 * confined like everything it starts, and when it ends, for whatever reason, everything in the box does.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "box.h"

#ifndef SYS_close_range
#define SYS_close_range 436
#endif

#define COMMANDS_MAX 1024
/* From fork to exec, in milliseconds: more than the slowest host needs, for a box without an end of its own. */
#define EXEC_MS 5000

struct command {
	uint32_t id;
	pid_t pid;
};

static struct command commands[COMMANDS_MAX];
static size_t command_count;
static int null_fd;

struct request {
	uint32_t id;
	char *file;
	char *cwd;
	char **args;
	char **env;
	uint8_t stdio[3];
	int keep_session;
};

static void refuse(uint32_t id, const char *step, int error)
{
	struct message message;
	wire_begin(&message, FRAME_REFUSED);
	wire_u32(&message, TAG_ID, id);
	wire_text(&message, TAG_STEP, step);
	wire_u32(&message, TAG_ERRNO, (uint32_t)error);
	if (wire_send(CONTROL_FD, &message, 1) != 0)
		_exit(1);
}

static uint32_t u32_of(struct bytes body)
{
	if (body.size != 4)
		_exit(1);
	return wire_u32_at(body.at);
}

static char *text_of(struct bytes body)
{
	char *text = malloc(body.size + 1);
	if (text == NULL)
		_exit(1);
	memcpy(text, body.at, body.size);
	text[body.size] = '\0';
	return text;
}

/* Everything a request holds lives until the command was started; the frame is checked as a whole before anything is done. */
static struct request parse_request(struct bytes rest)
{
	struct request request = { 0 };
	struct bytes again = rest;
	struct record record;
	size_t args = 0, env = 0;
	int more;
	while ((more = wire_next(&again, &record)) == 1) {
		args += record.tag == TAG_ARG;
		env += record.tag == TAG_ENV;
	}
	request.args = calloc(args + 1, sizeof *request.args);
	request.env = calloc(env + 1, sizeof *request.env);
	if (more != 0 || request.args == NULL || request.env == NULL)
		_exit(1);
	args = env = 0;
	while (wire_next(&rest, &record) == 1) {
		switch (record.tag) {
		case TAG_ID:
			request.id = u32_of(record.body);
			break;
		case TAG_FILE:
			request.file = text_of(record.body);
			break;
		case TAG_CWD:
			request.cwd = text_of(record.body);
			break;
		case TAG_ARG:
			request.args[args++] = text_of(record.body);
			break;
		case TAG_ENV:
			request.env[env++] = text_of(record.body);
			break;
		case TAG_STDIO:
			if (record.body.size != 3)
				_exit(1);
			memcpy(request.stdio, record.body.at, 3);
			break;
		case TAG_SESSION:
			request.keep_session = u32_of(record.body) == 1;
			break;
		default:
			_exit(1);
		}
	}
	if (request.file == NULL || request.cwd == NULL || args == 0)
		_exit(1);
	return request;
}

static void free_request(struct request *request)
{
	for (char **each = request->args; *each != NULL; each++)
		free(*each);
	for (char **each = request->env; *each != NULL; each++)
		free(*each);
	free(request->args);
	free(request->env);
	free(request->file);
	free(request->cwd);
}

/* The step at which a command failed before it was one; also its own process's last words. */
struct failure {
	char step[24];
	int error;
};

__attribute__((noreturn)) static void give_up(int report, const char *step)
{
	struct failure failure = { .error = errno };
	strncpy(failure.step, step, sizeof failure.step - 1);
	(void)!write(report, &failure, sizeof failure);
	_exit(126);
}

__attribute__((noreturn)) static void become(const struct box *box, const struct request *request, const int *stdio, int report)
{
	sigset_t none;
	sigemptyset(&none);
	/* A number of its own above the three, which are about to be replaced. */
	int last = fcntl(report, F_DUPFD_CLOEXEC, 10);
	if (last < 0)
		give_up(report, "descriptors");
	if (!request->keep_session && setsid() < 0)
		give_up(last, "session");
	for (int fd = 0; fd < 3; fd++)
		if (stdio[fd] != fd && dup2(stdio[fd], fd) < 0)
			give_up(last, "descriptors");
	if (chdir(request->cwd) != 0)
		give_up(last, "directory");
	/* Ignored signals stay ignored over an exec. */
	signal(SIGINT, SIG_DFL);
	signal(SIGQUIT, SIG_DFL);
	signal(SIGPIPE, SIG_DFL);
	if (sigprocmask(SIG_SETMASK, &none, NULL) != 0)
		give_up(last, "signals");
	/* Closed by the exec and not before it, so that a failing exec can still be told. */
	if (syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC) != 0)
		give_up(last, "descriptors");
	/* Last, because it may forbid any of the above. It may forbid the report as well: then the end with 126 is all there is. */
	if (box->seccomp_command.size > 0)
		take_seccomp(box->seccomp_command);
	execve(request->file, request->args, request->env);
	give_up(last, "exec");
}

static int64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Waits until the new process has become the command or has said why not; 0 when it is not let to. Another process of the box
 * may stop it before it is anything, and must not stop us with it, or keep us from ending the box in time. */
static int wait_for_exec(pid_t pid, int report, int64_t deadline)
{
	int64_t until = now_ms() + EXEC_MS;
	if (deadline >= 0 && deadline < until)
		until = deadline;
	struct pollfd told = { report, POLLIN, 0 };
	while (poll(&told, 1, 10) != 1) {
		if (now_ms() >= until)
			return 0;
		kill(pid, SIGCONT);
	}
	return 1;
}

static void start_command(const struct box *box, struct bytes body, int64_t deadline)
{
	struct request request = parse_request(body);
	/* Ours, the command's. */
	int channel[3][2] = { { -1, -1 }, { -1, -1 }, { -1, -1 } };
	int stdio[3];
	int report[2] = { -1, -1 };
	const char *step = NULL;
	if (command_count == COMMANDS_MAX) {
		errno = EAGAIN;
		step = "too many commands";
	} else if (pipe2(report, O_CLOEXEC) != 0) {
		step = "pipe";
	}
	for (int fd = 0; fd < 3 && step == NULL; fd++) {
		stdio[fd] = request.stdio[fd] == STDIO_OWN ? fd : null_fd;
		if (request.stdio[fd] != STDIO_CHANNEL)
			continue;
		/* Node's end must not block: libuv takes it as it comes, and a command that does not read would stop all of Node. */
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel[fd]) != 0
		    || fcntl(channel[fd][0], F_SETFL, O_NONBLOCK) != 0)
			step = "socketpair";
		stdio[fd] = channel[fd][1];
	}
	pid_t pid = step == NULL ? fork() : -1;
	if (pid == 0)
		become(box, &request, stdio, report[1]);
	if (step == NULL && pid < 0)
		step = "fork";
	int error = errno;
	if (report[1] >= 0)
		close(report[1]);
	struct failure failure;
	if (pid > 0 && !wait_for_exec(pid, report[0], deadline)) {
		kill(pid, SIGKILL);
		step = "exec";
		error = ETIMEDOUT;
	} else if (pid > 0 && read(report[0], &failure, sizeof failure) == sizeof failure) {
		/* The process is collected with the others; it was never a command. */
		step = failure.step;
		error = failure.error;
	}
	for (int fd = 0; fd < 3 && step == NULL; fd++) {
		char text[48];
		snprintf(text, sizeof text, "\"command\":%u,\"fd\":%d", request.id, fd);
		/* ETOOMANYREFS: another box of the same user holds all the descriptors that may be on their way. */
		if (channel[fd][0] >= 0 && hand_to_node(channel[fd][0], text) != 0) {
			error = errno;
			kill(pid, SIGKILL);
			step = "channel";
		}
	}
	if (step == NULL) {
		commands[command_count++] = (struct command){ request.id, pid };
		struct message message;
		wire_begin(&message, FRAME_STARTED);
		wire_u32(&message, TAG_ID, request.id);
		wire_u32(&message, TAG_PID, (uint32_t)pid);
		if (wire_send(CONTROL_FD, &message, 1) != 0)
			_exit(1);
	} else {
		refuse(request.id, step, error);
	}
	if (report[0] >= 0)
		close(report[0]);
	for (int fd = 0; fd < 3; fd++)
		for (int end = 0; end < 2; end++)
			if (channel[fd][end] >= 0)
				close(channel[fd][end]);
	free_request(&request);
}

static void send_signal(struct bytes rest)
{
	struct record record;
	uint32_t id = 0, number = 0;
	while (wire_next(&rest, &record) == 1) {
		if (record.tag == TAG_ID)
			id = u32_of(record.body);
		else if (record.tag == TAG_SIGNAL)
			number = u32_of(record.body);
	}
	for (size_t index = 0; index < command_count; index++)
		if (commands[index].id == id && number > 0)
			kill(commands[index].pid, (int)number);
}

static void collect(void)
{
	int status;
	pid_t pid;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (size_t index = 0; index < command_count; index++) {
			if (commands[index].pid != pid)
				continue;
			struct message message;
			wire_begin(&message, FRAME_EXITED);
			wire_u32(&message, TAG_ID, commands[index].id);
			wire_u32(&message, TAG_STATUS, (uint32_t)status);
			commands[index] = commands[--command_count];
			if (wire_send(CONTROL_FD, &message, 1) != 0)
				_exit(1);
			break;
		}
	}
}

/*
 * A refused call, until it is told. There is one at a time, and its process waits for the answer: whoever makes attempts
 * faster than they are read only waits longer, and no attempt is hidden behind others.
 */
static struct message report_message;
static uint64_t report_id;
static int report_waits;

/* The answer is always EPERM and never depends on what a pointer points to, so there is nothing to race for. */
static void tell_report(int fd)
{
	struct seccomp_notif_resp answer = { .id = report_id, .error = -EPERM };
	report_waits = wire_send(CONTROL_FD, &report_message, 0) != 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
	if (!report_waits)
		(void)ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, &answer);
}

static void take_report(int fd)
{
	struct seccomp_notif call;
	memset(&call, 0, sizeof call);
	if (ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, &call) != 0)
		return;
	uint8_t bytes[64] = { 0 };
	uint32_t words[3] = { call.pid, call.data.arch, (uint32_t)call.data.nr };
	memcpy(bytes, words, sizeof words);
	memcpy(bytes + 16, call.data.args, 48);
	report_id = call.id;
	wire_begin(&report_message, FRAME_DENIED);
	wire_bytes(&report_message, TAG_CALL, bytes, sizeof bytes);
	tell_report(fd);
}

void serve(const struct box *box, int notify_fd)
{
	sigset_t children;
	sigemptyset(&children);
	sigaddset(&children, SIGCHLD);
	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	int child_fd = -1;
	if (null_fd < 0 || sigprocmask(SIG_BLOCK, &children, NULL) != 0
	    || (child_fd = signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK)) < 0)
		fail("serve", NO_SUBJECT);

	struct message ready;
	wire_begin(&ready, FRAME_READY);
	wire_text(&ready, TAG_SOURCE_DIGEST, SOURCE_DIGEST);
	wire_u32(&ready, TAG_LANDLOCK_ABI, landlock_abi());
	if (wire_send(CONTROL_FD, &ready, 1) != 0)
		_exit(1);

	int64_t deadline = -1;
	struct pollfd polled[4] = {
		{ CONTROL_FD, POLLIN, 0 },
		{ child_fd, POLLIN, 0 },
		{ notify_fd, POLLIN, 0 },
		{ NODE_FD, POLLIN, 0 },
	};
	for (;;) {
		int64_t wait = deadline < 0 ? -1 : deadline - now_ms();
		if (deadline >= 0 && wait <= 0) {
			struct message message;
			wire_begin(&message, FRAME_EXPIRED);
			(void)wire_send(CONTROL_FD, &message, 0);
			_exit(0);
		}
		polled[0].events = (short)(POLLIN | (report_waits ? POLLOUT : 0));
		polled[2].fd = report_waits ? -1 : notify_fd;
		polled[2].revents = 0;
		if (poll(polled, 4, wait > 3600000 ? 3600000 : (int)wait) < 0 && errno != EINTR)
			_exit(1);
		if (report_waits && (polled[0].revents & POLLOUT))
			tell_report(notify_fd);
		else if (polled[2].revents & POLLIN)
			take_report(notify_fd);
		if (polled[1].revents & POLLIN) {
			struct signalfd_siginfo forgotten;
			while (read(child_fd, &forgotten, sizeof forgotten) > 0)
				;
			collect();
		}
		if (polled[3].revents & POLLIN)
			drain_node();
		if (polled[3].revents & (POLLHUP | POLLERR | POLLNVAL))
			polled[3].fd = -1;
		if (polled[0].revents & POLLIN) {
			struct frame frame;
			if (wire_receive(CONTROL_FD, &frame) != 1)
				_exit(0);
			if (deadline < 0 && box->wall_ms > 0)
				deadline = now_ms() + (int64_t)box->wall_ms;
			if (frame.type == FRAME_SPAWN)
				start_command(box, frame.body, deadline);
			else if (frame.type == FRAME_SIGNAL)
				send_signal(frame.body);
			else
				_exit(1);
			free(frame.memory);
		} else if (polled[0].revents & (POLLHUP | POLLERR | POLLNVAL)) {
			_exit(0);
		}
	}
}
