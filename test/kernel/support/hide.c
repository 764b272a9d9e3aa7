/*
 * Runs a program on a kernel that lacks something: hide NUMBER:ERRNO[:ARGUMENT:MASK:VALUE] ... -- program argument...
 * Each of the system calls fails with that error; when a condition is given, only if the argument under the mask is the value.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RULES_MAX 64

static struct sock_filter filter[2 + RULES_MAX * 6];
static unsigned short size;

static void add(unsigned short code, unsigned char yes, unsigned char no, unsigned value)
{
	filter[size++] = (struct sock_filter){ code, yes, no, value };
}

static void hide(const char *text)
{
	unsigned number, error, argument, mask, value;
	int fields = sscanf(text, "%u:%u:%u:%u:%u", &number, &error, &argument, &mask, &value);
	if (fields != 2 && fields != 5) {
		fprintf(stderr, "hide: not a rule: %s\n", text);
		exit(125);
	}
	add(BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, nr));
	add(BPF_JMP | BPF_JEQ | BPF_K, 0, fields == 5 ? 4 : 1, number);
	if (fields == 5) {
		add(BPF_LD | BPF_W | BPF_ABS, 0, 0, (unsigned)offsetof(struct seccomp_data, args) + argument * 8);
		add(BPF_ALU | BPF_AND | BPF_K, 0, 0, mask);
		add(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, value);
	}
	add(BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | (error & SECCOMP_RET_DATA));
}

int main(int count, char **words)
{
	int at = 1;
	for (; at < count && strcmp(words[at], "--") != 0 && at <= RULES_MAX; at++)
		hide(words[at]);
	add(BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW);
	struct sock_fprog program = { size, filter };
	if (at + 1 >= count || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
	    || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
		perror("hide");
		return 125;
	}
	execv(words[at + 1], words + at + 1);
	perror(words[at + 1]);
	return 125;
}
