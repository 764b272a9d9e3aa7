/*
 * How the launcher and the library talk: frames on one stream socket, each a list of records. All numbers are little endian.
 *
 *   frame   u32 length of what follows · u16 version · u16 type · records
 *   record  u16 tag · u16 zero · u32 length · bytes
 *
 * The other side is src/linux/launcher.ts. A change of anything here is a new WIRE_VERSION.
 */
#ifndef AGENTPORT_WIRE_H
#define AGENTPORT_WIRE_H

#include <stddef.h>
#include <stdint.h>

#define WIRE_VERSION 1
#define WIRE_MAX_FRAME (16u << 20)

enum frame_type {
	/* to the launcher */
	FRAME_SETUP = 1,
	FRAME_SPAWN = 2,
	FRAME_SIGNAL = 3,
	/* from the launcher */
	FRAME_READY = 16,    /* the box stands: SOURCE_DIGEST, LANDLOCK_ABI */
	FRAME_FAILED = 17,   /* there is no box: STEP, ERRNO, SUBJECT */
	FRAME_STARTED = 18,  /* ID, PID */
	FRAME_REFUSED = 19,  /* a command was not started: ID, STEP, ERRNO */
	FRAME_EXITED = 20,   /* ID, STATUS as wait(2) gives it */
	FRAME_DENIED = 21,   /* CALL: u32 pid, u32 architecture, u32 number, u32 zero, u64 × 6 arguments */
	FRAME_EXPIRED = 23,  /* the time of the box is over */
	FRAME_COUNTERS = 24, /* COUNTER: u32 map, u32 index of the first, then u64 values; map ~0: what programs missed */
	FRAME_EVENT = 25,    /* EVENT: one record of the ring buffer lsm_events */
};

enum record_tag {
	/* FRAME_SETUP */
	TAG_HOSTNAME = 2,
	TAG_MOUNT = 3,            /* struct mount_record, target, then source, content or link text */
	TAG_WORKDIR = 4,
	TAG_LISTENER = 5,         /* u32 address in network order, u16 port, u16 zero, name */
	TAG_RLIMIT = 6,           /* u32 resource, u32 zero, u64 limit (all ones: none) */
	TAG_LANDLOCK = 7,         /* u32 size of the attribute, u32 zero, u64 fs, u64 net, u64 scoped */
	TAG_LANDLOCK_PATH = 8,    /* u64 access, path */
	TAG_LANDLOCK_PORT = 9,    /* u64 access, u64 port */
	TAG_SECCOMP = 10,         /* the program */
	TAG_SECCOMP_COMMAND = 11, /* the program that commands take on top */
	TAG_BPF = 14,             /* see bpf.h */
	TAG_WALL_MS = 15,         /* u64 */
	/* FRAME_SPAWN, FRAME_SIGNAL and what comes back */
	TAG_ID = 32,     /* u32 */
	TAG_FILE = 33,
	TAG_ARG = 34,    /* in order, the program's own name first */
	TAG_ENV = 35,    /* NAME=value */
	TAG_CWD = 36,
	TAG_STDIO = 37,  /* 3 × u8 of STDIO_… */
	TAG_SESSION = 38, /* u32: 1 keeps the session, so that the terminal of the caller stays usable */
	TAG_SIGNAL = 39, /* u32 */
	TAG_PID = 40,    /* u32, as the box counts */
	TAG_STATUS = 41, /* u32 */
	TAG_STEP = 42,   /* text */
	TAG_ERRNO = 43,  /* u32 */
	TAG_SUBJECT = 44, /* text */
	TAG_CALL = 45,
	TAG_SOURCE_DIGEST = 47, /* text */
	TAG_COUNTER = 48,
	TAG_LANDLOCK_ABI = 49, /* u32, 0 when there is none */
	TAG_EVENT = 50,
};

/* In decimal the first argument of the launcher. */
enum box_flag {
	BOX_NAMESPACES = 1 << 0,
	BOX_USER_NAMESPACE = 1 << 1,
	BOX_OWN_NETWORK = 1 << 2,
	BOX_LOOPBACK_UP = 1 << 3,
	BOX_NOTIFY = 1 << 4,
	BOX_PROGRAMS = 1 << 5, /* there is a TAG_BPF */
};

enum mount_kind {
	MOUNT_BIND = 1,
	MOUNT_TMPFS = 2,
	MOUNT_DIRECTORY = 3,
	MOUNT_SYMLINK = 4,
	MOUNT_FILE = 5,
	MOUNT_MASK = 6,
	MOUNT_DEV = 7,
	MOUNT_PROC = 8,
};

enum mount_flag {
	MOUNT_WRITE = 1 << 0,
	MOUNT_EXECUTE = 1 << 1,
	MOUNT_RECURSIVE = 1 << 2,
	MOUNT_READONLY = 1 << 3,
};

struct mount_record {
	uint8_t kind;
	uint8_t flags;
	uint16_t mode;
	uint32_t target_length;
	uint64_t bytes;
};

enum stdio_mode {
	STDIO_NULL = 0,
	STDIO_OWN = 1,     /* the launcher's own */
	STDIO_CHANNEL = 2, /* a new socket, whose other end is sent back */
};

struct bytes {
	const uint8_t *at;
	size_t size;
};

struct record {
	uint16_t tag;
	struct bytes body;
};

/* A whole frame, or the end of the stream. The first byte of `body` is the first record. */
struct frame {
	uint16_t type;
	uint8_t *memory;
	struct bytes body;
};

/* 1: a frame. 0: the other side is gone. -1: it does not keep to the format. */
int wire_receive(int fd, struct frame *frame);
/* 1: the next record, taken off `rest`. 0: none left. -1: not a record. */
int wire_next(struct bytes *rest, struct record *record);

/* Small frames on their way out. Everything that is sent fits; what does not is cut off at the end of its text. */
struct message {
	size_t size;
	uint8_t at[1024];
};

void wire_begin(struct message *message, uint16_t type);
void wire_bytes(struct message *message, uint16_t tag, const void *bytes, size_t size);
void wire_u32(struct message *message, uint16_t tag, uint32_t value);
void wire_text(struct message *message, uint16_t tag, const char *text);
/* 0, or -1 with errno; EAGAIN only when `wait` is 0. */
int wire_send(int fd, struct message *message, int wait);

uint16_t wire_u16_at(const uint8_t *at);
uint32_t wire_u32_at(const uint8_t *at);
uint64_t wire_u64_at(const uint8_t *at);

#endif
