#define _GNU_SOURCE
/*
 * Ways to run code, for the tests of the security module programs. Reads "NAME PATH [ARGUMENT]" lines, tries each in a child
 * of its own and answers "ok" or the errno.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SHM_EXEC
#define SHM_EXEC 0100000
#endif

enum { PAGE = 4096 };

static int open_or_exit(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		_exit(errno);
	return fd;
}

static int copy_to_memory(const char *path)
{
	static char buffer[1 << 16];
	ssize_t size;
	int from = open_or_exit(path), to = memfd_create("attempt", MFD_CLOEXEC);
	if (to < 0)
		_exit(errno);
	while ((size = read(from, buffer, sizeof buffer)) > 0)
		if (write(to, buffer, (size_t)size) != size)
			_exit(errno);
	return to;
}

static int status_of(void *address)
{
	return address == MAP_FAILED ? errno : 0;
}

static int protect(void *address, int prot)
{
	if (address == MAP_FAILED)
		return errno;
	return mprotect(address, PAGE, prot) == 0 ? 0 : errno;
}

/* In a child: errno of the attempt, 0 when it got through. */
static int attempt(const char *name, char *path, char *argument)
{
	char *args[] = { path, argument, NULL };
	const int code = PROT_READ | PROT_EXEC;
	if (strcmp(name, "exec") == 0) {
		execv(path, args);
		return errno;
	}
	if (strcmp(name, "memfd-exec") == 0) {
		fexecve(copy_to_memory(path), args, environ);
		return errno;
	}
	if (strcmp(name, "memfd-map") == 0)
		return status_of(mmap(NULL, PAGE, code, MAP_PRIVATE, copy_to_memory(path), 0));
	if (strcmp(name, "dlopen") == 0) {
		if (dlopen(path, RTLD_NOW) != NULL)
			return 0;
		/* The loader's words for an mmap that failed; it keeps the errno to itself. */
		return strstr(dlerror(), "failed to map segment") != NULL ? EPERM : ELIBBAD;
	}
	if (strcmp(name, "map") == 0)
		return status_of(mmap(NULL, PAGE, code, MAP_PRIVATE, open_or_exit(path), 0));
	if (strcmp(name, "map-often") == 0) {
		int fd = open_or_exit(path), error = 0;
		for (int times = atoi(argument); times > 0; times--)
			if (status_of(mmap(NULL, PAGE, code, MAP_PRIVATE, fd, 0)) == 0)
				return 0;
			else
				error = errno;
		return error;
	}
	if (strcmp(name, "map-shared") == 0)
		return status_of(mmap(NULL, PAGE, code, MAP_SHARED, open_or_exit(path), 0));
	if (strcmp(name, "map-implied") == 0) {
		if (personality(READ_IMPLIES_EXEC) < 0)
			return errno;
		return status_of(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, open_or_exit(path), 0));
	}
	if (strcmp(name, "map-writable") == 0)
		return status_of(mmap(NULL, PAGE, code | PROT_WRITE, MAP_PRIVATE, open_or_exit(path), 0));
	if (strcmp(name, "protect") == 0)
		return protect(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, open_or_exit(path), 0), code);
	if (strcmp(name, "protect-writable") == 0)
		return protect(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, open_or_exit(path), 0), code | PROT_WRITE);
	if (strcmp(name, "protect-written") == 0) {
		char *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, open_or_exit(path), 0);
		if (page == MAP_FAILED)
			return errno;
		page[0] = (char)0xc3;
		return protect(page, code);
	}
	if (strcmp(name, "anonymous") == 0)
		return status_of(mmap(NULL, PAGE, code, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	if (strcmp(name, "anonymous-shared") == 0)
		return status_of(mmap(NULL, PAGE, code, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	if (strcmp(name, "anonymous-protect") == 0)
		return protect(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), code);
	if (strncmp(name, "shm", 3) == 0) {
		int id = shmget(IPC_PRIVATE, PAGE, 0700 | IPC_CREAT);
		int flags = SHM_EXEC | (strcmp(name, "shm-read") == 0 ? SHM_RDONLY : 0);
		void *at = id < 0 ? (void *)-1 : shmat(id, NULL, flags);
		int error = at == (void *)-1 ? errno : 0;
		shmctl(id, IPC_RMID, NULL);
		return error;
	}
	return ENOSYS;
}

int main(void)
{
	char line[1024], name[64], path[400], argument[400];
	setvbuf(stdout, NULL, _IOLBF, 0);
	while (fgets(line, sizeof line, stdin) != NULL) {
		int status, fields = sscanf(line, "%63s %399s %399s", name, path, argument);
		if (fields < 2)
			return 2;
		pid_t pid = fork();
		if (pid == 0) {
			int null = open("/dev/null", O_RDWR);
			dup2(null, 0);
			dup2(null, 1);
			dup2(null, 2);
			_exit(attempt(name, path, fields > 2 ? argument : NULL));
		}
		if (pid < 0 || waitpid(pid, &status, 0) != pid)
			return 2;
		if (!WIFEXITED(status))
			printf("signal %d\n", WTERMSIG(status));
		else if (WEXITSTATUS(status) == 0)
			printf("ok\n");
		else
			printf("%s\n", strerrorname_np(WEXITSTATUS(status)));
	}
	return 0;
}
