// Reaching anything by a socket. The message is one line, and the outsider keeps what it got.

#include "attack.h"

#include <arpa/inet.h>
#include <linux/if_alg.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif
#ifndef TCP_FASTOPEN_CONNECT
#define TCP_FASTOPEN_CONNECT 30
#endif

union address {
  struct sockaddr any;
  struct sockaddr_in four;
  struct sockaddr_in6 six;
  struct sockaddr_un local;
};

static socklen_t parse(union address *to, const char *host, const char *port) {
  memset(to, 0, sizeof *to);
  if (strchr(host, ':') != NULL) {
    to->six.sin6_family = AF_INET6;
    to->six.sin6_port = htons(number(port));
    if (inet_pton(AF_INET6, host, &to->six.sin6_addr) != 1) untried("an address");
    return sizeof to->six;
  }
  to->four.sin_family = AF_INET;
  to->four.sin_port = htons(number(port));
  if (inet_pton(AF_INET, host, &to->four.sin_addr) != 1) untried("an address");
  return sizeof to->four;
}

static socklen_t local(union address *to, const char *name) {
  memset(to, 0, sizeof *to);
  to->local.sun_family = AF_UNIX;
  size_t length = strlen(name);
  if (length >= sizeof to->local.sun_path) untried("a path that is too long for a socket");
  memcpy(to->local.sun_path, name, length);
  if (name[0] == '@') to->local.sun_path[0] = 0;
  return offsetof(struct sockaddr_un, sun_path) + length + (name[0] == '@' ? 0 : 1);
}

static void say(int fd, const char *text) {
  size_t length = strlen(text);
  must(send(fd, text, length, 0) == (ssize_t)length, "send");
}

// tcp HOW HOST PORT TEXT
ATTACK(tcp, "tcp") {
  union address to;
  socklen_t length = parse(&to, a[1], a[2]);
  int on = 1, protocol = is(a[0], "mptcp") || is(a[0], "mptcp-fast-open") ? IPPROTO_MPTCP : 0;
  if (is(a[0], "int80")) {
    // socketcall(SYS_SOCKET) and socketcall(SYS_CONNECT), as a 32-bit program makes them.
    uint32_t *words = low(NULL, 0);
    words[0] = to.any.sa_family, words[1] = SOCK_STREAM, words[2] = 0;
    long fd = int80(102, 1, (long)words, 0, 0, 0);
    must(fd >= 0, "socket by int 0x80");
    memcpy(words + 16, &to, length);
    words[0] = fd, words[1] = (uint32_t)(uintptr_t)(words + 16), words[2] = length;
    must(int80(102, 3, (long)words, 0, 0, 0) == 0, "connect by int 0x80");
    say(fd, a[3]);
    succeeded();
  }
  int fd = is(a[0], "uring-socket") ? uring(45, to.any.sa_family, NULL, 0, SOCK_STREAM, 0)
                                    : socket(to.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, protocol);
  must(fd >= 0, "socket");
  if (is(a[0], "fast-open") || is(a[0], "mptcp-fast-open")) {
    must(sendto(fd, a[3], strlen(a[3]), MSG_FASTOPEN, &to.any, length) >= 0, "sendto(MSG_FASTOPEN)");
    succeeded();
  }
  if (is(a[0], "fast-open-message")) {
    struct iovec part = {a[3], strlen(a[3])};
    struct msghdr message = {.msg_name = &to, .msg_namelen = length, .msg_iov = &part, .msg_iovlen = 1};
    must(sendmsg(fd, &message, MSG_FASTOPEN) >= 0, "sendmsg(MSG_FASTOPEN)");
    succeeded();
  }
  if (is(a[0], "fast-open-option"))
    must(setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &on, sizeof on) == 0, "TCP_FASTOPEN_CONNECT");
  if (is(a[0], "unspecific")) {
    // Disconnects, after which a filter that looked once may not look again.
    struct sockaddr nowhere = {.sa_family = AF_UNSPEC};
    connect(fd, &nowhere, sizeof nowhere);
  }
  if (is(a[0], "uring") || is(a[0], "uring-socket"))
    must(uring(16, fd, &to, 0, length, 0) == 0, "connect by io_uring");
  else must(connect(fd, &to.any, length) == 0, "connect");
  say(fd, a[3]);
  succeeded();
}

// udp HOW HOST PORT TEXT
ATTACK(udp, "udp") {
  union address to;
  socklen_t length = parse(&to, a[1], a[2]);
  int fd = socket(to.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  must(fd >= 0, "socket");
  struct iovec part = {a[3], strlen(a[3])};
  struct msghdr message = {.msg_name = &to, .msg_namelen = length, .msg_iov = &part, .msg_iovlen = 1};
  ssize_t sent = -1;
  if (is(a[0], "connected")) {
    must(connect(fd, &to.any, length) == 0, "connect");
    sent = send(fd, a[3], part.iov_len, 0);
  } else if (is(a[0], "message")) {
    sent = sendmsg(fd, &message, 0);
  } else if (is(a[0], "messages")) {
    struct mmsghdr many = {.msg_hdr = message};
    sent = sendmmsg(fd, &many, 1, 0);
  } else if (is(a[0], "unspecific")) {
    // The kernel takes AF_UNSPEC for AF_INET when it sends.
    to.any.sa_family = AF_UNSPEC;
    sent = sendto(fd, a[3], part.iov_len, 0, &to.any, length);
  } else if (is(a[0], "uring")) {
    must(connect(fd, &to.any, length) == 0, "connect");
    sent = uring(26, fd, a[3], part.iov_len, 0, 0);
  } else if (is(a[0], "dns")) {
    // A question whose name is the message.
    unsigned char question[512] = {0x12, 0x34, 1, 0, 0, 1};
    size_t at = 12;
    question[at++] = part.iov_len;
    memcpy(question + at, a[3], part.iov_len);
    at += part.iov_len;
    memcpy(question + at, "\7example\0\0\1\0\1", 13);
    sent = sendto(fd, question, at + 13, 0, &to.any, length);
  } else {
    sent = sendto(fd, a[3], part.iov_len, 0, &to.any, length);
  }
  must(sent >= 0, "sending");
  succeeded();
}

// route HOST: a UDP socket is connected, which sends nothing and says that something could be sent
ATTACK(route, "route") {
  union address to;
  socklen_t length = parse(&to, a[0], "53");
  int fd = socket(to.any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  must(fd >= 0, "socket");
  must(connect(fd, &to.any, length) == 0, "a route");
  succeeded();
}

// local HOW NAME TEXT: @ for an abstract name
ATTACK(local_socket, "local") {
  union address to;
  socklen_t length = local(&to, a[1]);
  int type = is(a[0], "datagram") ? SOCK_DGRAM : is(a[0], "packets") ? SOCK_SEQPACKET : SOCK_STREAM;
  if (is(a[0], "pair")) {
    // A datagram socket that was made with a peer can still be sent elsewhere from.
    int pair[2];
    must(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0, "socketpair");
    must(sendto(pair[0], a[2], strlen(a[2]), 0, &to.any, length) >= 0, "sendto from a pair");
    succeeded();
  }
  if (is(a[0], "pair-bind")) {
    // To have a name is to be reached.
    int pair[2];
    must(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0, "socketpair");
    must(bind(pair[0], &to.any, length) == 0, "bind of a pair");
    succeeded();
  }
  if (is(a[0], "pair-reconnect")) {
    int pair[2];
    must(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0, "socketpair");
    must(connect(pair[0], &to.any, length) == 0, "connect of a pair");
    say(pair[0], a[2]);
    succeeded();
  }
  int fd = is(a[0], "uring-socket") ? uring(45, AF_UNIX, NULL, 0, type, 0) : socket(AF_UNIX, type, 0);
  must(fd >= 0, "socket");
  if (is(a[0], "listen")) {
    must(bind(fd, &to.any, length) == 0, "bind");
    must(listen(fd, 1) == 0, "listen");
    succeeded();
  }
  if (type == SOCK_DGRAM) {
    must(sendto(fd, a[2], strlen(a[2]), 0, &to.any, length) >= 0, "sendto");
    succeeded();
  }
  must(connect(fd, &to.any, length) == 0, "connect");
  say(fd, a[2]);
  succeeded();
}

// fetch NAME EXPECTED: somebody outside hands over an open file
ATTACK(fetch, "fetch") {
  union address to;
  socklen_t length = local(&to, a[0]);
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  must(fd >= 0, "socket");
  must(connect(fd, &to.any, length) == 0, "connect");
  char byte, space[CMSG_SPACE(sizeof(int))], content[256];
  struct iovec part = {&byte, 1};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
  must(recvmsg(fd, &message, 0) == 1, "recvmsg");
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  must(header != NULL, "a descriptor");
  int got;
  memcpy(&got, CMSG_DATA(header), sizeof got);
  ssize_t count = pread(got, content, sizeof content, 0);
  must(count > 0 && memmem(content, count, a[1], strlen(a[1])) != NULL, "reading it");
  succeeded();
}

// serve HOW HOST: to be reached is a way out too
ATTACK(serve, "serve") {
  union address at;
  socklen_t length = parse(&at, a[1], "0");
  int fd = socket(at.any.sa_family, is(a[0], "udp") ? SOCK_DGRAM : SOCK_STREAM, is(a[0], "mptcp") ? IPPROTO_MPTCP : 0);
  must(fd >= 0, "socket");
  // listen() alone takes any free port.
  if (!is(a[0], "unbound")) must(bind(fd, &at.any, length) == 0, "bind");
  if (!is(a[0], "udp")) must(listen(fd, 1) == 0, "listen");
  succeeded();
}

// family NAME: socket() alone, for what has no business in a tool
ATTACK(family, "family") {
  static const struct {
    const char *name;
    int domain, type, protocol;
  } known[] = {
      {"raw", AF_INET, SOCK_RAW, IPPROTO_ICMP},
      {"raw6", AF_INET6, SOCK_RAW, IPPROTO_ICMPV6},
      {"raw-udp", AF_INET, SOCK_RAW, IPPROTO_UDP},
      {"raw-any", AF_INET, SOCK_RAW, IPPROTO_RAW},
      {"ping", AF_INET, SOCK_DGRAM, IPPROTO_ICMP},
      {"udplite", AF_INET, SOCK_DGRAM, 136},
      {"sctp", AF_INET, SOCK_STREAM, IPPROTO_SCTP},
      {"sctp-packets", AF_INET, SOCK_SEQPACKET, IPPROTO_SCTP},
      {"dccp", AF_INET, 6, 33},
      {"smc-protocol", AF_INET, SOCK_STREAM, 256},
      {"mptcp", AF_INET, SOCK_STREAM, IPPROTO_MPTCP},
      {"packet", AF_PACKET, SOCK_RAW, 0x0300},
      {"packet-datagram", AF_PACKET, SOCK_DGRAM, 0x0300},
      {"packet-obsolete", AF_INET, 10, 0x0300},
      {"vsock", AF_VSOCK, SOCK_STREAM, 0},
      {"vsock-datagram", AF_VSOCK, SOCK_DGRAM, 0},
      {"crypto", AF_ALG, SOCK_SEQPACKET, 0},
      {"key", AF_KEY, SOCK_RAW, 2},
      {"bluetooth", AF_BLUETOOTH, SOCK_RAW, 1},
      {"can", AF_CAN, SOCK_RAW, 1},
      {"tipc", AF_TIPC, SOCK_RDM, 0},
      {"rds", AF_RDS, SOCK_SEQPACKET, 0},
      {"kcm", AF_KCM, SOCK_SEQPACKET, 0},
      {"xdp", AF_XDP, SOCK_RAW, 0},
      {"smc", AF_SMC, SOCK_STREAM, 0},
      {"qipcrtr", AF_QIPCRTR, SOCK_DGRAM, 0},
      {"phonet", AF_PHONET, SOCK_DGRAM, 0},
      {"nfc", AF_NFC, SOCK_SEQPACKET, 0},
      {"llc", AF_LLC, SOCK_DGRAM, 0},
      {"x25", AF_X25, SOCK_SEQPACKET, 0},
      {"appletalk", AF_APPLETALK, SOCK_DGRAM, 0},
      {"netrom", AF_NETROM, SOCK_SEQPACKET, 0},
      {"pppox", AF_PPPOX, SOCK_STREAM, 0},
      {"unix-stream", AF_UNIX, SOCK_STREAM, 0},
      {"high-type", AF_UNIX, SOCK_STREAM, 1},
      {"netlink-diag", AF_NETLINK, SOCK_RAW, 4},
      {"netlink-selinux", AF_NETLINK, SOCK_RAW, 7},
      {"netlink-xfrm", AF_NETLINK, SOCK_RAW, 6},
      {"netlink-audit", AF_NETLINK, SOCK_RAW, 9},
      {"netlink-connector", AF_NETLINK, SOCK_RAW, 11},
      {"netlink-netfilter", AF_NETLINK, SOCK_RAW, 12},
      {"netlink-uevent", AF_NETLINK, SOCK_RAW, 15},
      {"netlink-generic", AF_NETLINK, SOCK_RAW, 16},
      {"netlink-crypto", AF_NETLINK, SOCK_RAW, 21},
  };
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
    if (!is(known[i].name, a[0])) continue;
    must(socket(known[i].domain, known[i].type, known[i].protocol) >= 0, "socket");
    succeeded();
  }
  untried("no such family");
}

// family-bits HOST PORT TEXT: a domain whose high half a 64-bit comparison sees and the kernel does not
ATTACK(family_bits, "family-bits") {
  union address to;
  socklen_t length = parse(&to, a[0], a[1]);
  long fd = syscall(SYS_socket, 1ul << 32 | to.any.sa_family, 1ul << 33 | SOCK_STREAM, 1ul << 34);
  must(fd >= 0, "socket");
  must(connect(fd, &to.any, length) == 0, "connect");
  say(fd, a[2]);
  succeeded();
}

// unknown-families: every number above those that have a name
ATTACK(unknown_families, "unknown-families") {
  for (int domain = 1; domain < 256; domain++) {
    if (domain == AF_UNIX || domain == AF_INET || domain == AF_INET6 || domain == AF_NETLINK) continue;
    for (int type = 1; type <= 5; type++)
      if (socket(domain, type, 0) >= 0) succeeded();
  }
  refused("any odd family");
}

// hash: a kernel interface behind a socket family, used in earnest
ATTACK(hash, "hash") {
  struct sockaddr_alg to = {.salg_family = AF_ALG, .salg_type = "hash", .salg_name = "sha256"};
  int fd = socket(AF_ALG, SOCK_SEQPACKET, 0);
  must(fd >= 0, "socket");
  must(bind(fd, (struct sockaddr *)&to, sizeof to) == 0, "bind");
  succeeded();
}

// interfaces NAME: the kernel's list of network interfaces has more than loopback
ATTACK(interfaces, "interfaces") {
  struct {
    struct nlmsghdr header;
    char body[16];
  } request = {.header = {.nlmsg_len = 32, .nlmsg_type = 18, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP}};
  char answer[32768];
  int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE), found = 0;
  must(fd >= 0, "socket");
  must(send(fd, &request, sizeof request, 0) > 0, "asking");
  for (;;) {
    ssize_t got = recv(fd, answer, sizeof answer, 0);
    must(got > 0, "the answer");
    struct nlmsghdr *header = (struct nlmsghdr *)answer;
    for (size_t left = got; NLMSG_OK(header, left); header = NLMSG_NEXT(header, left)) {
      if (header->nlmsg_type == NLMSG_DONE || header->nlmsg_type == NLMSG_ERROR) {
        errno = 0;
        if (found > 1) succeeded();
        refused("another interface than loopback");
      }
      found++;
    }
  }
}

// proxy HOW PORT HOST PORT TEXT: asks the only way out to lead somewhere it must not
ATTACK(proxy, "proxy") {
  union address to;
  char line[1024], answer[1024] = {0};
  socklen_t length = parse(&to, "127.0.0.1", a[1]);
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  must(fd >= 0, "socket");
  must(connect(fd, &to.any, length) == 0, "reaching the proxy");
  struct timeval patience = {3, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  if (is(a[0], "socks-name") || is(a[0], "socks-address")) {
    must(send(fd, "\5\1\0", 3, 0) == 3 && recv(fd, answer, 2, MSG_WAITALL) == 2, "greeting");
    size_t at = 4;
    memcpy(line, "\5\1\0\3", 4);
    if (is(a[0], "socks-address")) {
      line[3] = 1;
      if (inet_pton(AF_INET, a[2], line + at) != 1) untried("an address");
      at += 4;
    } else {
      line[at++] = strlen(a[2]);
      memcpy(line + at, a[2], strlen(a[2]));
      at += strlen(a[2]);
    }
    line[at++] = number(a[3]) >> 8;
    line[at++] = number(a[3]);
    must(send(fd, line, at, 0) == (ssize_t)at, "asking");
    must(recv(fd, answer, 10, MSG_WAITALL) == 10 && answer[1] == 0, "SOCKS5");
  } else if (is(a[0], "connect")) {
    snprintf(line, sizeof line, "CONNECT %s:%s HTTP/1.1\r\nHost: %s:%s\r\n\r\n", a[2], a[3], a[2], a[3]);
    say(fd, line);
    must(recv(fd, answer, sizeof answer - 1, 0) > 12 && strncmp(answer + 9, "200", 3) == 0, "CONNECT");
  } else {
    snprintf(line, sizeof line, "GET http://%s:%s/%s HTTP/1.1\r\nHost: %s:%s\r\nConnection: close\r\n\r\n", a[2], a[3],
             a[4], a[2], a[3]);
    say(fd, line);
    must(recv(fd, answer, sizeof answer - 1, 0) > 12, "GET");
    // The outsider answers nothing: only it can say whether it was asked.
    must(strncmp(answer + 9, "200", 3) == 0, "GET");
    succeeded();
  }
  say(fd, a[4]);
  shutdown(fd, SHUT_WR);
  recv(fd, answer, sizeof answer, 0);
  succeeded();
}
