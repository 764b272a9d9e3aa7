/*
 * Tries, from inside a box, what a box must refuse. Prints one line for each: the name and `refused`, `allowed` or the errno of a
 * refusal. Reads nothing and changes nothing outside; used to find out what this host really enforces.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void say(const char *name, int refused)
{
	printf("%s %s %d\n", name, refused ? "refused" : "allowed", errno);
}

/* A copy of this program at `path`: its first instruction would be the end of the policy of programs. */
static int copy_self(const char *self, const char *path)
{
	char buffer[65536];
	ssize_t size;
	int from = open(self, O_RDONLY), to = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0755);
	if (from < 0 || to < 0)
		return -1;
	while ((size = read(from, buffer, sizeof buffer)) > 0)
		if (write(to, buffer, (size_t)size) != size)
			return -1;
	close(from);
	close(to);
	return 0;
}

static int runs(const char *path)
{
	int status;
	pid_t pid = fork();
	if (pid == 0) {
		char *args[] = { (char *)path, "nothing", NULL };
		execv(path, args);
		_exit(errno);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return 0;
	errno = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
	return errno == 0;
}

static int maps_code(const char *path)
{
	int fd = open(path, O_RDONLY);
	void *at = fd < 0 ? MAP_FAILED : mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	close(fd);
	return at != MAP_FAILED;
}

/* `port` is served on the loopback of the host, which is not the loopback of a box. */
static int connects(const char *port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	address.sin_port = htons((uint16_t)atoi(port));
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0)
		return 0;
	int out = connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
	int error = errno;
	close(fd);
	errno = error;
	return out;
}

int main(int argc, char **argv)
{
	char dropped[512];
	struct stat status;
	if (argc == 2 && strcmp(argv[1], "nothing") == 0)
		return 0;
	if (argc != 4)
		return 2;
	/* A directory that may be written, a file of the host that was not granted, a port of the host. */
	snprintf(dropped, sizeof dropped, "%s/agentport-selftest", argv[1]);
	setvbuf(stdout, NULL, _IONBF, 0);

	errno = 0;
	say("read", open(argv[2], O_RDONLY) < 0);
	errno = 0;
	say("stat", stat(argv[2], &status) != 0);
	errno = 0;
	say("write", open(argv[2], O_WRONLY) < 0);
	errno = copy_self(argv[0], dropped) == 0 ? 0 : errno;
	say("write-granted", errno != 0);
	say("exec", !runs(dropped));
	errno = 0;
	say("map", !maps_code(dropped));
	unlink(dropped);
	errno = 0;
	say("memfd", syscall(SYS_memfd_create, "x", 0) < 0);
	errno = 0;
	say("anonymous-code", mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
	errno = 0;
	say("connect", !connects(argv[3]));
	errno = 0;
	say("packet-socket", socket(AF_PACKET, SOCK_RAW, 0) < 0);
	errno = 0;
	say("ptrace", ptrace(PTRACE_TRACEME, 0, 0, 0) != 0);
	errno = 0;
	/* Of a kind that does not exist: where mounting is allowed the answer is another one, and nothing is mounted. */
	say("mount", mount("none", "/", "agentport-none", 0, NULL) != 0 && errno == EPERM);
	errno = 0;
	say("user-namespace", unshare(CLONE_NEWUSER) != 0);
	errno = 0;
	say("io-uring", syscall(SYS_io_uring_setup, 1, NULL) < 0 && errno != EFAULT);
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct have[2] = { { 0, 0, 0 }, { 0, 0, 0 } };
	errno = 0;
	int read = syscall(SYS_capget, &header, have) == 0;
	say("capabilities", read && (have[0].permitted | have[1].permitted | have[0].effective | have[1].effective) == 0);
	errno = 0;
	say("new-privileges", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	/* The box's own first process is 1; anything else that can be seen is a process of the host. */
	errno = 0;
	say("processes", getpid() < 100 && getppid() == 1);
	return 0;
}
