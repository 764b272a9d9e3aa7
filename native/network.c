/*
 * The network of the box: nothing but loopback, and on it sockets that only this side listens on. A socket belongs to the
 * network it was made in, not to the process that holds it, so Node serves them from outside.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "box.h"

#define BACKLOG 128

/* Only what needs no escaping in JSON; the names are ours. */
static int is_plain(struct bytes name)
{
	for (size_t index = 0; index < name.size; index++) {
		uint8_t byte = name.at[index];
		if (!((byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || byte == ':'))
			return 0;
	}
	return name.size > 0 && name.size < 32;
}

static void bring_up_loopback(void)
{
	struct ifreq request = { 0 };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	strcpy(request.ifr_name, "lo");
	if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &request) != 0)
		fail("loopback", NO_SUBJECT);
	request.ifr_flags |= IFF_UP;
	if (ioctl(fd, SIOCSIFFLAGS, &request) != 0)
		fail("loopback", NO_SUBJECT);
	close(fd);
}

static void open_listener(struct bytes body)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	struct bytes name = { body.at + 8, body.size < 8 ? 0 : body.size - 8 };
	char text[96];
	if (body.size < 8 || !is_plain(name)) {
		errno = EINVAL;
		fail("listener", name);
	}
	memcpy(&address.sin_addr, body.at, 4);
	address.sin_port = htons(wire_u16_at(body.at + 4));
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, BACKLOG) != 0)
		fail("listener", name);
	snprintf(text, sizeof text, "\"listener\":\"%.*s\"", (int)name.size, (const char *)name.at);
	if (hand_to_node(fd, text) != 0)
		fail("listener", name);
	close(fd);
}

void open_network(const struct box *box)
{
	struct bytes rest = box->setup;
	struct record record;
	if (box->flags & BOX_LOOPBACK_UP)
		bring_up_loopback();
	while (wire_next(&rest, &record) == 1)
		if (record.tag == TAG_LISTENER)
			open_listener(record.body);
}
