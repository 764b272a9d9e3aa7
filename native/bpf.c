/*
 * The loader of extended BPF: plain bpf(2), no library. It runs before the box exists and with full rights, so it believes
 * no length of the record and gives up at the first thing it does not know. What a program may do is the verifier's affair.
 */
#include "bpf.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { RECORD_VERSION = 1, INSTRUCTION_SIZE = 8, MAX_TRACEPOINT = 63 };
/* Above any key or value of ours; it keeps the size of an entry, the sum of two, far from overflow. */
enum { MAX_PART = 4096 };
enum { ATTACH_CGROUP = 1, ATTACH_RAW_TRACEPOINT = 2, ATTACH_LSM = 3 };
/* First slot of an instruction that loads 64 bits; the loader may write a descriptor into nothing else. */
enum { LOAD_64 = 0x18, SOURCE_MAP_FD = BPF_PSEUDO_MAP_FD << 4 };

/* Instructions are in the byte order of the processor, and a record is little endian whatever wrote it. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "little endian processors only");

/* A program between loading and attaching. */
struct program {
	int fd;
	uint32_t attach_type;
	uint8_t attach;
	char name[BPF_NAME_SIZE];
	char tracepoint[MAX_TRACEPOINT + 1];
};

struct reader {
	const uint8_t *at;
	size_t left;
};

static long bpf(int command, union bpf_attr *attr)
{
	/* A kernel that knows a shorter attribute takes a longer one whose tail is zero. */
	return syscall(SYS_bpf, command, attr, sizeof(*attr));
}

static uint64_t pointer(const void *address)
{
	return (uint64_t)(uintptr_t)address;
}

/* The next bytes of the record, or NULL when it has not that many. */
static const uint8_t *take(struct reader *in, size_t size)
{
	const uint8_t *start = in->at;
	if (size > in->left)
		return NULL;
	in->at += size;
	in->left -= size;
	return start;
}

static int take_u8(struct reader *in, uint8_t *value)
{
	const uint8_t *bytes = take(in, 1);
	if (bytes == NULL)
		return -1;
	*value = bytes[0];
	return 0;
}

static int take_u32(struct reader *in, uint32_t *value)
{
	const uint8_t *bytes = take(in, 4);
	if (bytes == NULL)
		return -1;
	*value = bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
	return 0;
}

/* A text into an array of `size` bytes that it must fit with its NUL. */
static int take_text(struct reader *in, char *text, size_t size)
{
	uint8_t length;
	const uint8_t *bytes;
	if (take_u8(in, &length) != 0 || length >= size || (bytes = take(in, length)) == NULL)
		return -1;
	if (memchr(bytes, 0, length) != NULL)
		return -1;
	memcpy(text, bytes, length);
	memset(text + length, 0, size - length);
	return 0;
}

static int refuse(struct bpf_failure *why, const char *step, const char *name, int error)
{
	why->step = step;
	why->error = error;
	memcpy(why->name, name, BPF_NAME_SIZE);
	why->log[0] = '\0';
	return -1;
}

static int not_a_record(struct bpf_failure *why, const char *name)
{
	return refuse(why, "record", name, EBADMSG);
}

static int make_map(struct reader *in, struct bpf_loaded *out, struct bpf_failure *why)
{
	struct bpf_loaded_map *map = &out->map[out->maps];
	union bpf_attr attr;
	uint32_t flags, entries;

	memset(map, 0, sizeof(*map));
	if (take_text(in, map->name, sizeof(map->name)) != 0 || take_u32(in, &map->type) != 0 ||
	    take_u32(in, &map->key_size) != 0 || take_u32(in, &map->value_size) != 0 ||
	    take_u32(in, &map->max_entries) != 0 || take_u32(in, &flags) != 0 || take_u32(in, &entries) != 0)
		return not_a_record(why, map->name);
	/* An entry of no bytes would let the count of entries alone decide how long the loop below runs. A ring buffer has none. */
	if (map->type == BPF_MAP_TYPE_RINGBUF ? map->key_size != 0 || map->value_size != 0 || entries != 0
	                                      : map->key_size == 0 || map->key_size > MAX_PART || map->value_size == 0 ||
	                                            map->value_size > MAX_PART)
		return not_a_record(why, map->name);

	memset(&attr, 0, sizeof(attr));
	attr.map_type = map->type;
	attr.key_size = map->key_size;
	attr.value_size = map->value_size;
	attr.max_entries = map->max_entries;
	attr.map_flags = flags;
	memcpy(attr.map_name, map->name, sizeof(map->name));
	map->fd = (int)bpf(BPF_MAP_CREATE, &attr); /* close-on-exec, as every descriptor bpf(2) gives */
	if (map->fd < 0)
		return refuse(why, "map", map->name, errno);
	out->maps++;

	for (; entries > 0; entries--) {
		const uint8_t *key = take(in, map->key_size);
		const uint8_t *value = take(in, map->value_size);
		if (key == NULL || value == NULL)
			return not_a_record(why, map->name);
		memset(&attr, 0, sizeof(attr));
		attr.map_fd = (uint32_t)map->fd;
		attr.key = pointer(key);
		attr.value = pointer(value);
		attr.flags = BPF_ANY;
		if (bpf(BPF_MAP_UPDATE_ELEM, &attr) != 0)
			return refuse(why, "entry", map->name, errno);
	}
	return 0;
}

/* Asks again with a log, for the reason alone: even a program that now loads has failed. */
static void explain(union bpf_attr *attr, struct bpf_failure *why)
{
	static char log[1 << 16];
	size_t length, start;
	long fd;

	log[0] = '\0';
	attr->log_level = 1;
	attr->log_size = sizeof(log);
	attr->log_buf = pointer(log);
	fd = bpf(BPF_PROG_LOAD, attr);
	if (fd >= 0)
		close((int)fd);
	log[sizeof(log) - 1] = '\0';
	length = strlen(log);
	start = length < sizeof(why->log) ? 0 : length - (sizeof(why->log) - 1);
	memcpy(why->log, log + start, length - start + 1);
}

/* Writes the descriptors of the maps into the copy of the instructions. */
static int relocate(struct reader *in, const struct bpf_loaded *out, uint8_t *code, uint32_t count)
{
	uint32_t relocations, instruction;
	uint8_t map;

	if (take_u32(in, &relocations) != 0)
		return -1;
	for (; relocations > 0; relocations--) {
		uint8_t *slot;
		uint32_t fd;
		if (take_u32(in, &instruction) != 0 || take_u8(in, &map) != 0)
			return -1;
		if (instruction >= count || map >= out->maps)
			return -1;
		slot = code + (size_t)instruction * INSTRUCTION_SIZE;
		if (slot[0] != LOAD_64)
			return -1;
		slot[1] = (uint8_t)((slot[1] & 0x0f) | SOURCE_MAP_FD);
		fd = (uint32_t)out->map[map].fd;
		memcpy(slot + 4, &fd, sizeof(fd));
	}
	return 0;
}

static int load_program(struct reader *in, const struct bpf_loaded *out, struct program *program, struct bpf_failure *why)
{
	union bpf_attr attr;
	uint32_t type, btf_id, count;
	const uint8_t *bytes;
	uint8_t *code;
	int result;

	memset(program, 0, sizeof(*program));
	program->fd = -1;
	if (take_text(in, program->name, sizeof(program->name)) != 0 || take_u32(in, &type) != 0 ||
	    take_u32(in, &program->attach_type) != 0 || take_u32(in, &btf_id) != 0 || take_u8(in, &program->attach) != 0 ||
	    take_text(in, program->tracepoint, sizeof(program->tracepoint)) != 0 || take_u32(in, &count) != 0)
		return not_a_record(why, program->name);
	if (program->attach < ATTACH_CGROUP || program->attach > ATTACH_LSM || count == 0 || count > BPF_MAX_INSTRUCTIONS)
		return not_a_record(why, program->name);
	bytes = take(in, (size_t)count * INSTRUCTION_SIZE);
	if (bytes == NULL)
		return not_a_record(why, program->name);
	code = malloc((size_t)count * INSTRUCTION_SIZE);
	if (code == NULL)
		return refuse(why, "program", program->name, ENOMEM);
	memcpy(code, bytes, (size_t)count * INSTRUCTION_SIZE);

	result = -1;
	if (relocate(in, out, code, count) != 0) {
		not_a_record(why, program->name);
	} else {
		memset(&attr, 0, sizeof(attr));
		attr.prog_type = type;
		attr.expected_attach_type = program->attach_type;
		attr.attach_btf_id = btf_id;
		attr.insn_cnt = count;
		attr.insns = pointer(code);
		/* The kernel keeps some helpers for programs under the GPL; this word is how a program says so. */
		attr.license = pointer("GPL");
		memcpy(attr.prog_name, program->name, sizeof(program->name));
		program->fd = (int)bpf(BPF_PROG_LOAD, &attr);
		if (program->fd >= 0) {
			result = 0;
		} else {
			refuse(why, "program", program->name, errno);
			explain(&attr, why);
		}
	}
	free(code);
	return result;
}

/*
 * On the group by BPF_PROG_ATTACH and never by a link: a link ends with its holder, and a box whose launcher was killed
 * would be open; this stays until the directory is removed. ALLOW_MULTI keeps what others attached above it.
 */
static int attach_to_cgroup(const struct program *program, int cgroup_fd)
{
	union bpf_attr attr;
	memset(&attr, 0, sizeof(attr));
	attr.target_fd = (uint32_t)cgroup_fd;
	attr.attach_bpf_fd = (uint32_t)program->fd;
	attr.attach_type = program->attach_type;
	attr.attach_flags = BPF_F_ALLOW_MULTI;
	return (int)bpf(BPF_PROG_ATTACH, &attr);
}

/*
 * These have no other way than a link. For an observer that is right. An LSM program ends with the process that holds
 * the link, so that process must take the box down with it.
 */
static int attach_by_link(struct program *program, struct bpf_loaded *out)
{
	struct bpf_loaded_link *link = &out->link[out->links];
	union bpf_attr attr;
	memset(&attr, 0, sizeof(attr));
	/* An LSM program was bound to its hook when it was loaded and is opened without a name. */
	attr.raw_tracepoint.name = program->attach == ATTACH_LSM ? 0 : pointer(program->tracepoint);
	attr.raw_tracepoint.prog_fd = (uint32_t)program->fd;
	link->link = (int)bpf(BPF_RAW_TRACEPOINT_OPEN, &attr);
	if (link->link < 0)
		return -1;
	link->program = program->fd;
	memcpy(link->name, program->name, sizeof(link->name));
	program->fd = -1;
	out->links++;
	return 0;
}

int bpf_load(const uint8_t *record, size_t size, int cgroup_fd, struct bpf_loaded *out, struct bpf_failure *why)
{
	static const char nameless[BPF_NAME_SIZE];
	struct program programs[BPF_MAX_PROGRAMS];
	struct reader in = { record, size };
	uint8_t version, maps, count;
	int loaded = 0, result = -1;

	memset(out, 0, sizeof(*out));
	if (take_u8(&in, &version) != 0 || version != RECORD_VERSION || take_u8(&in, &maps) != 0 ||
	    take_u8(&in, &count) != 0 || maps > BPF_MAX_MAPS || count > BPF_MAX_PROGRAMS)
		return not_a_record(why, nameless);

	while (out->maps < maps)
		if (make_map(&in, out, why) != 0)
			goto done;
	for (; loaded < count; loaded++)
		if (load_program(&in, out, &programs[loaded], why) != 0)
			goto done;
	if (in.left != 0) {
		not_a_record(why, nameless);
		goto done;
	}
	/* Only now: a record that is wrong at its end has put nothing on the group. */
	for (int index = 0; index < loaded; index++) {
		struct program *program = &programs[index];
		int attached = program->attach == ATTACH_CGROUP ? attach_to_cgroup(program, cgroup_fd) : attach_by_link(program, out);
		if (attached != 0) {
			refuse(why, "attach", program->name, errno);
			goto done;
		}
	}
	result = 0;
done:
	for (int index = 0; index < loaded; index++)
		if (programs[index].fd >= 0)
			close(programs[index].fd);
	if (result != 0)
		bpf_close(out);
	return result;
}

int bpf_find_map(const struct bpf_loaded *loaded, const char *name)
{
	for (int index = 0; index < loaded->maps; index++)
		if (strcmp(loaded->map[index].name, name) == 0)
			return index;
	return -1;
}

long bpf_read_map(const struct bpf_loaded *loaded, int map, uint8_t *values, size_t size)
{
	const struct bpf_loaded_map *from;
	union bpf_attr attr;
	uint64_t needed;

	if (map < 0 || map >= loaded->maps) {
		errno = EINVAL;
		return -1;
	}
	from = &loaded->map[map];
	/* The kernel writes as many bytes as the map says, and only here is that surely value_size. */
	if (from->type != BPF_MAP_TYPE_ARRAY || from->key_size != sizeof(uint32_t)) {
		errno = EINVAL;
		return -1;
	}
	needed = (uint64_t)from->max_entries * from->value_size;
	if (needed > size) {
		errno = ENOSPC;
		return -1;
	}
	for (uint32_t key = 0; key < from->max_entries; key++) {
		memset(&attr, 0, sizeof(attr));
		attr.map_fd = (uint32_t)from->fd;
		attr.key = pointer(&key);
		attr.value = pointer(values + (size_t)key * from->value_size);
		if (bpf(BPF_MAP_LOOKUP_ELEM, &attr) != 0)
			return -1;
	}
	return (long)needed;
}

/* Documentation/bpf/ringbuf.rst: one page that the reader writes, one that the kernel writes, then the data, mapped twice. */
int bpf_open_events(const struct bpf_loaded *loaded, int map, struct bpf_events *out)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	const struct bpf_loaded_map *from;
	uint8_t *produced;

	memset(out, 0, sizeof(*out));
	out->fd = -1;
	if (map < 0 || map >= loaded->maps || loaded->map[map].type != BPF_MAP_TYPE_RINGBUF) {
		errno = EINVAL;
		return -1;
	}
	from = &loaded->map[map];
	out->size = from->max_entries;
	out->page = page;
	out->consumed = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, from->fd, 0);
	if (out->consumed == MAP_FAILED)
		return -1;
	produced = mmap(NULL, page + 2 * out->size, PROT_READ, MAP_SHARED, from->fd, (off_t)page);
	if (produced == MAP_FAILED) {
		int error = errno;
		munmap(out->consumed, page);
		errno = error;
		return -1;
	}
	out->produced = (const unsigned long *)produced;
	out->data = produced + page;
	out->fd = from->fd;
	return 0;
}

long bpf_next_event(struct bpf_events *events, uint8_t *out, size_t size)
{
	for (;;) {
		unsigned long at = *events->consumed;
		unsigned long end = __atomic_load_n(events->produced, __ATOMIC_ACQUIRE);
		const uint8_t *record = events->data + (at & (events->size - 1));
		uint32_t head, length;
		if (at == end)
			return 0;
		head = __atomic_load_n((const uint32_t *)record, __ATOMIC_ACQUIRE);
		/* Reserved and not yet written; those after it wait. */
		if (head & BPF_RINGBUF_BUSY_BIT)
			return 0;
		length = head & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);
		if (length > events->size - BPF_RINGBUF_HDR_SZ) {
			errno = EBADMSG;
			return -1;
		}
		if (!(head & BPF_RINGBUF_DISCARD_BIT) && length > size) {
			errno = ENOSPC;
			return -1;
		}
		if (!(head & BPF_RINGBUF_DISCARD_BIT))
			memcpy(out, record + BPF_RINGBUF_HDR_SZ, length);
		/* Only now may the kernel write here again. */
		__atomic_store_n(events->consumed, at + ((length + BPF_RINGBUF_HDR_SZ + 7) & ~7ul), __ATOMIC_RELEASE);
		if (!(head & BPF_RINGBUF_DISCARD_BIT))
			return (long)length;
	}
}

void bpf_close_events(struct bpf_events *events)
{
	if (events->fd < 0)
		return;
	munmap(events->consumed, events->page);
	munmap((void *)events->produced, events->page + 2 * events->size);
	events->fd = -1;
}

int bpf_read_lost(const struct bpf_loaded *loaded, uint64_t *lost)
{
	*lost = 0;
	for (int index = 0; index < loaded->links; index++) {
		struct bpf_prog_info info;
		union bpf_attr attr;
		memset(&info, 0, sizeof(info));
		memset(&attr, 0, sizeof(attr));
		attr.info.bpf_fd = (uint32_t)loaded->link[index].program;
		attr.info.info_len = sizeof(info);
		attr.info.info = pointer(&info);
		if (bpf(BPF_OBJ_GET_INFO_BY_FD, &attr) != 0)
			return -1;
		*lost += info.recursion_misses;
	}
	return 0;
}

void bpf_close(struct bpf_loaded *loaded)
{
	for (int index = 0; index < loaded->links; index++) {
		close(loaded->link[index].link);
		close(loaded->link[index].program);
	}
	for (int index = 0; index < loaded->maps; index++)
		close(loaded->map[index].fd);
	loaded->links = 0;
	loaded->maps = 0;
}
