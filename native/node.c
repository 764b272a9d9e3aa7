/*
 * Node's own channel (`stdio: 'ipc'`), used for the one thing a plain socket cannot do for Node: to hand over descriptors. One
 * JSON line and one descriptor a message; the format is Node's, and a test holds it for each major version.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "box.h"

int hand_to_node(int fd, const char *text)
{
	char line[192];
	int size = snprintf(line, sizeof line, "{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Native\",\"msg\":{%s}}\n", text);
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { { 0 } };
	struct iovec whole = { line, (size_t)size };
	struct msghdr message = {
		.msg_iov = &whole,
		.msg_iovlen = 1,
		.msg_control = control.space,
		.msg_controllen = sizeof control.space,
	};
	struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
	rights->cmsg_level = SOL_SOCKET;
	rights->cmsg_type = SCM_RIGHTS;
	rights->cmsg_len = CMSG_LEN(sizeof fd);
	memcpy(CMSG_DATA(rights), &fd, sizeof fd);
	if (size < 0 || (size_t)size >= sizeof line) {
		errno = EINVAL;
		return -1;
	}
	for (;;) {
		ssize_t sent = sendmsg(NODE_FD, &message, MSG_NOSIGNAL);
		if (sent == size)
			return 0;
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent >= 0)
			errno = EIO;
		return -1;
	}
}

void drain_node(void)
{
	char forgotten[4096];
	while (recv(NODE_FD, forgotten, sizeof forgotten, MSG_DONTWAIT) > 0)
		;
}
