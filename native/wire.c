/* Frames and records, see wire.h. Reads nothing past a length it has not checked. */
#define _GNU_SOURCE
#include "wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

uint16_t wire_u16_at(const uint8_t *at)
{
	return (uint16_t)(at[0] | at[1] << 8);
}

uint32_t wire_u32_at(const uint8_t *at)
{
	return (uint32_t)wire_u16_at(at) | (uint32_t)wire_u16_at(at + 2) << 16;
}

uint64_t wire_u64_at(const uint8_t *at)
{
	return (uint64_t)wire_u32_at(at) | (uint64_t)wire_u32_at(at + 4) << 32;
}

/* 1: all of it. 0: the stream ended before the first byte. -1: it failed or ended in between. */
static int read_all(int fd, uint8_t *at, size_t size)
{
	size_t done = 0;
	while (done < size) {
		ssize_t got = read(fd, at + done, size - done);
		if (got > 0)
			done += (size_t)got;
		else if (got == 0)
			return done == 0 ? 0 : -1;
		else if (errno != EINTR)
			return -1;
	}
	return 1;
}

int wire_receive(int fd, struct frame *frame)
{
	uint8_t head[8];
	int result = read_all(fd, head, sizeof head);
	if (result <= 0)
		return result;
	uint32_t length = wire_u32_at(head);
	if (length < 4 || length > WIRE_MAX_FRAME || wire_u16_at(head + 4) != WIRE_VERSION)
		return -1;
	size_t size = length - 4;
	frame->type = wire_u16_at(head + 6);
	frame->memory = malloc(size == 0 ? 1 : size);
	if (frame->memory == NULL)
		return -1;
	if (size > 0 && read_all(fd, frame->memory, size) != 1) {
		free(frame->memory);
		return -1;
	}
	frame->body = (struct bytes){ frame->memory, size };
	return 1;
}

int wire_next(struct bytes *rest, struct record *record)
{
	if (rest->size == 0)
		return 0;
	if (rest->size < 8 || wire_u16_at(rest->at + 2) != 0)
		return -1;
	uint32_t length = wire_u32_at(rest->at + 4);
	if (length > rest->size - 8)
		return -1;
	record->tag = wire_u16_at(rest->at);
	record->body = (struct bytes){ rest->at + 8, length };
	rest->at += 8 + (size_t)length;
	rest->size -= 8 + (size_t)length;
	return 1;
}

static void put(uint8_t *at, uint64_t value, int bytes)
{
	for (int index = 0; index < bytes; index++)
		at[index] = (uint8_t)(value >> (8 * index));
}

void wire_begin(struct message *message, uint16_t type)
{
	put(message->at + 4, WIRE_VERSION, 2);
	put(message->at + 6, type, 2);
	message->size = 8;
}

void wire_bytes(struct message *message, uint16_t tag, const void *bytes, size_t size)
{
	size_t room = sizeof message->at - message->size;
	if (room < 8)
		return;
	if (size > room - 8)
		size = room - 8;
	uint8_t *at = message->at + message->size;
	put(at, tag, 2);
	put(at + 2, 0, 2);
	put(at + 4, size, 4);
	memcpy(at + 8, bytes, size);
	message->size += 8 + size;
}

void wire_u32(struct message *message, uint16_t tag, uint32_t value)
{
	uint8_t bytes[4];
	put(bytes, value, 4);
	wire_bytes(message, tag, bytes, sizeof bytes);
}

void wire_text(struct message *message, uint16_t tag, const char *text)
{
	size_t size = strlen(text);
	wire_bytes(message, tag, text, size > 512 ? 512 : size);
}

int wire_send(int fd, struct message *message, int wait)
{
	put(message->at, message->size - 4, 4);
	struct iovec whole = { message->at, message->size };
	for (;;) {
		struct msghdr header = { .msg_iov = &whole, .msg_iovlen = 1 };
		ssize_t sent = sendmsg(fd, &header, MSG_NOSIGNAL | (wait ? 0 : MSG_DONTWAIT));
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return -1;
		if ((size_t)sent == whole.iov_len)
			return 0;
		/* A small message is taken whole or not at all unless a signal comes between; the rest must follow it. */
		whole.iov_base = (uint8_t *)whole.iov_base + sent;
		whole.iov_len -= (size_t)sent;
		wait = 1;
	}
}
