/*
 * Extended BPF of one box: maps and programs read from a record, loaded and attached with bpf(2). src/linux/bpf/wire.ts
 * writes the record. All numbers are little endian and unaligned. Version 1:
 *
 *   u8 version = 1, u8 maps, u8 programs
 *   each map:      text name, u32 type, u32 key size, u32 value size, u32 max entries, u32 flags,
 *                  u32 entries, each: key, value
 *   each program:  text name, u32 type, u32 expected attach type, u32 attach BTF id,
 *                  u8 attach (1 cgroup, 2 raw tracepoint, 3 LSM), text tracepoint (empty unless 2),
 *                  u32 instructions, each: 8 bytes,
 *                  u32 relocations, each: u32 instruction, u8 map
 *   text:          u8 length, bytes without NUL
 *
 * A ring buffer has keys and values of no bytes, no entries, and its size in bytes for max entries.
 *
 * Nothing follows the last program.
 */
#ifndef AGENTPORT_BPF_H
#define AGENTPORT_BPF_H

#include <stddef.h>
#include <stdint.h>

enum { BPF_MAX_MAPS = 8, BPF_MAX_PROGRAMS = 64, BPF_MAX_INSTRUCTIONS = 4096, BPF_NAME_SIZE = 16 };

/* What stays open, every descriptor close-on-exec. Programs on the control group are not here: the group holds them. */
struct bpf_loaded {
	int maps;
	struct bpf_loaded_map {
		int fd;
		char name[BPF_NAME_SIZE];
		uint32_t type, key_size, value_size, max_entries;
	} map[BPF_MAX_MAPS];
	/* Raw tracepoint and LSM programs. They are off as soon as `link` has no holder. */
	int links;
	struct bpf_loaded_link {
		int link, program;
		char name[BPF_NAME_SIZE];
	} link[BPF_MAX_PROGRAMS];
};

struct bpf_failure {
	const char *step;         /* "record", "map", "entry", "program", "attach" */
	char name[BPF_NAME_SIZE]; /* of the map or program */
	int error;                /* errno; EBADMSG for a record that is not one */
	char log[1024];           /* the end of what the verifier wrote; empty when it was not asked */
};

/*
 * Loads all, then attaches all. `cgroup_fd` is a directory of cgroup v2, or -1 when no program needs one. 0, or -1 with
 * `why` filled in and nothing left open; programs that were attached to the group by then stay on it and deny.
 */
int bpf_load(const uint8_t *record, size_t size, int cgroup_fd, struct bpf_loaded *out, struct bpf_failure *why);

/* Index of the map of that name, or -1. */
int bpf_find_map(const struct bpf_loaded *loaded, const char *name);

/*
 * Copies all values of an array map, one after the other, as the machine writes them. The number of bytes, or -1 with
 * errno: EINVAL for another type of map, ENOSPC when `size` is too small.
 */
long bpf_read_map(const struct bpf_loaded *loaded, int map, uint8_t *values, size_t size);

/*
 * Records of a ring buffer, oldest first, for one reader. `fd` is readable for poll(2) when there are some; it belongs to
 * `loaded`. Opened by whoever reads and not before a fork: the other side would share the place that says what was read.
 */
struct bpf_events {
	int fd;
	size_t size, page;
	unsigned long *consumed;
	const unsigned long *produced;
	const uint8_t *data;
};

/* 0, or -1 with errno: EINVAL for another type of map. */
int bpf_open_events(const struct bpf_loaded *loaded, int map, struct bpf_events *out);

/* Bytes of the next record, 0 when there is none yet, or -1 with errno: ENOSPC when `size` is too small. */
long bpf_next_event(struct bpf_events *events, uint8_t *out, size_t size);

void bpf_close_events(struct bpf_events *events);

/* Events that the kernel did not hand to the traced programs, all together. 0, or -1 with errno. */
int bpf_read_lost(const struct bpf_loaded *loaded, uint64_t *lost);

/* Closes everything: what the first process of a box does, which must hold nothing to change its own rules with. */
void bpf_close(struct bpf_loaded *loaded);

#endif
