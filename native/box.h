/* One box as the launcher was told to make it, and the steps that make it. Every step ends the launcher when it fails. */
#ifndef AGENTPORT_BOX_H
#define AGENTPORT_BOX_H

#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#include "wire.h"

/* The descriptors the launcher is started with, besides 0, 1 and 2. */
enum {
	CONTROL_FD = 3, /* a stream socket: frames in both directions */
	NODE_FD = 4,    /* Node's own channel, over which sockets are handed to it */
};

struct box {
	uint32_t flags;
	struct bytes hostname;
	struct bytes workdir;
	struct bytes seccomp;
	struct bytes seccomp_command;
	struct bytes landlock;
	struct bytes bpf;
	uint64_t wall_ms;
	/* The whole frame, for the lists: mounts, listeners, limits, Landlock rules. */
	struct bytes setup;
};

/* Reports the step that failed, with errno, and ends the process. */
__attribute__((noreturn)) void fail(const char *step, struct bytes subject);
#define NO_SUBJECT ((struct bytes){ 0, 0 })

static inline struct bytes text_bytes(const char *text)
{
	return (struct bytes){ (const uint8_t *)text, strlen(text) };
}

/* A path as a C string, or the end of the launcher: one that holds a NUL is not the path that was planned. */
char *path_of(struct bytes text, const char *step);

/* tree.c: the mount tree of `box`, and the root directory changed to it. */
void build_tree(const struct box *box);

/* network.c: loopback brought up, listeners made and handed to Node. */
void open_network(const struct box *box);

/* confine.c: limits, capabilities, Landlock, seccomp. Returns the descriptor of the reports, or -1 when there are none. */
int confine_self(const struct box *box);
void set_limits(const struct box *box);
void take_seccomp(struct bytes program);
uint32_t landlock_abi(void);

/* serve.c: commands and reports until the control socket ends. */
__attribute__((noreturn)) void serve(const struct box *box, int notify_fd);

/* node.c: hands the socket `fd` to Node, saying `text` (the inside of a JSON object). 0, or -1 with errno. */
int hand_to_node(int fd, const char *text);
/* Reads and forgets what Node answers; nothing in it matters. */
void drain_node(void);

#endif
