// Attacks on the rule that nothing is reached but what was granted, and only by the proxy.

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { AttackHost } from '../support/attack-host.ts'
import { type Attack, heard, net, reported, silent } from './attack.ts'

const told = reported('egress')
const quiet = silent('fallback')
const own = silent('own_namespace')
/** A box with a network of its own, in which there is nothing but the proxy. */
const online = { ...heard, grants: { hosts: ['https://granted.example:443'] } } as const

const tcp = (how: string, host: string, channel: string) => (h: AttackHost) => [
  'tcp',
  how,
  host,
  h.port(channel),
  h.token,
]
const udp = (how: string, host: string, channel: string) => (h: AttackHost) => [
  'udp',
  how,
  host,
  h.port(channel),
  h.token,
]
const local = (how: string, name: string) => (h: AttackHost) => ['local', how, join(h.secret, name), h.token]

/** The proxy of the box, or one that leads anywhere. */
const proxies = new WeakMap<AttackHost, number>()
const proxied = {
  ...online,
  arrange: async (h: AttackHost) => {
    proxies.set(h, h.phase === 'confined' ? 3128 : await h.openProxy())
  },
} as const
const proxy = (how: string, host: string) => (h: AttackHost) => [
  'proxy',
  how,
  String(proxies.get(h)),
  host,
  h.port('tcp4'),
  h.token,
]

/** What no tool needs: a part of the kernel that is seldom used, and a row of holes. */
const FAMILIES = [
  'raw',
  'raw6',
  'raw-udp',
  'raw-any',
  'ping',
  'udplite',
  'sctp',
  'sctp-packets',
  'dccp',
  'smc-protocol',
  'mptcp',
  'packet',
  'packet-datagram',
  'packet-obsolete',
  'vsock',
  'vsock-datagram',
  'crypto',
  'key',
  'bluetooth',
  'can',
  'tipc',
  'rds',
  'kcm',
  'xdp',
  'smc',
  'qipcrtr',
  'phonet',
  'llc',
  'x25',
  'pppox',
  'netlink-diag',
  'netlink-xfrm',
  'netlink-audit',
  'netlink-connector',
  'netlink-netfilter',
  'netlink-uevent',
  'netlink-generic',
  'netlink-crypto',
] as const
const PRIVILEGED = new Set([
  'raw',
  'raw6',
  'raw-udp',
  'raw-any',
  'packet',
  'packet-datagram',
  'packet-obsolete',
  'key',
  'can',
  'xdp',
])

export const NET_ATTACKS: readonly Attack[] = [
  net('tcp4', 'connects to a service on the loopback of the host', tcp('plain', '127.0.0.1', 'tcp4'), told, heard),
  net('tcp6', 'the same, by IPv6', tcp('plain', '::1', 'tcp6'), told, heard),
  net(
    'tcp-mapped',
    'the same, by an IPv4 address mapped into IPv6',
    tcp('plain', '::ffff:127.0.0.1', 'tcp4'),
    told,
    heard,
  ),
  net('tcp-zero', 'the same, by the address that means this machine', tcp('plain', '0.0.0.0', 'tcp4'), told, heard),
  net('tcp-fast-open', 'sends with the connection', tcp('fast-open', '127.0.0.1', 'tcp4'), told, heard),
  net('tcp-fast-open-message', 'the same, by sendmsg', tcp('fast-open-message', '127.0.0.1', 'tcp4'), told, heard),
  net('tcp-fast-open-option', 'the same, by an option', tcp('fast-open-option', '127.0.0.1', 'tcp4'), told, heard),
  net('tcp-unspecific', 'connects to nothing first', tcp('unspecific', '127.0.0.1', 'tcp4'), told, heard),
  net('tcp-multipath', 'connects by MPTCP', tcp('mptcp', '127.0.0.1', 'mptcp'), told, heard),
  net(
    'tcp-multipath-fast-open',
    'sends with an MPTCP connection',
    tcp('mptcp-fast-open', '127.0.0.1', 'mptcp'),
    told,
    heard,
  ),
  net('tcp-uring', 'connects by io_uring', tcp('uring', '127.0.0.1', 'tcp4'), told, heard),
  net('tcp-uring-socket', 'makes the socket by io_uring, too', tcp('uring-socket', '127.0.0.1', 'tcp4'), quiet, heard),
  net('tcp-int80', 'connects by int 0x80', tcp('int80', '127.0.0.1', 'tcp4'), silent('killed'), heard),
  net(
    'tcp-family-bits',
    'a family with bits that the kernel drops',
    (h) => ['family-bits', '127.0.0.1', h.port('tcp4'), h.token],
    told,
    heard,
  ),
  net('udp4', 'sends a datagram', udp('to', '127.0.0.1', 'udp4'), told, heard),
  net('udp6', 'the same, by IPv6', udp('to', '::1', 'udp6'), told, heard),
  net('udp-mapped', 'the same, by a mapped address', udp('to', '::ffff:127.0.0.1', 'udp4'), told, heard),
  net('udp-connected', 'connects a datagram socket', udp('connected', '127.0.0.1', 'udp4'), told, heard),
  net('udp-message', 'sends by sendmsg', udp('message', '127.0.0.1', 'udp4'), told, heard),
  net('udp-messages', 'sends by sendmmsg', udp('messages', '127.0.0.1', 'udp4'), told, heard),
  net('udp-unspecific', 'sends to an address without a family', udp('unspecific', '127.0.0.1', 'udp4'), told, heard),
  net('udp-uring', 'sends by io_uring', udp('uring', '127.0.0.1', 'udp4'), told, heard),
  net('dns', 'asks a resolver for a name that is the secret', udp('dns', '127.0.0.1', 'udp4'), told, heard),
  net('route-outside', 'has a route to the world', () => ['route', '192.0.2.53'], told),
  net('route-metadata', 'has a route to the metadata service', () => ['route', '169.254.169.254'], told),
  net('route-private', 'has a route to a private network', () => ['route', '10.0.0.1'], told),
  net('unix-stream', 'connects to a socket by its path', local('stream', 'stream'), quiet, heard),
  net('unix-datagram', 'sends to a socket by its path', local('datagram', 'datagram'), quiet, heard),
  net('unix-packets', 'the same, with packets', local('packets', 'packets'), quiet, heard),
  net(
    'unix-granted',
    'connects to a socket in a directory that was granted',
    (h) => ['local', 'stream', join(h.work, 'socket'), h.token],
    quiet,
    heard,
  ),
  net(
    'unix-pair',
    'sends to a socket by its path from one of a pair',
    local('pair', 'datagram'),
    silent('hidden'),
    heard,
  ),
  net(
    'unix-pair-reconnect',
    'connects one of a pair elsewhere',
    local('pair-reconnect', 'datagram'),
    silent('hidden'),
    heard,
  ),
  net(
    'unix-pair-granted',
    'sends to a socket in a directory that was granted from one of a pair',
    (h) => ['local', 'pair', join(h.work, 'datagrams'), h.token],
    silent('landlock'),
    heard,
  ),
  net(
    'unix-pair-granted-reconnect',
    'connects one of a pair to it',
    (h) => ['local', 'pair-reconnect', join(h.work, 'datagrams'), h.token],
    silent('landlock'),
    heard,
  ),
  net(
    'unix-pair-serve',
    'gives one of a pair a name in its own directory',
    (h) => ['local', 'pair-bind', join(h.work, 's'), h.token],
    silent('landlock'),
    {
      succeededOnHost: (h) => existsSync(join(h.work, 's')),
    },
  ),
  net('unix-uring', 'makes a local socket by io_uring', local('uring-socket', 'stream'), quiet, heard),
  net(
    'abstract-stream',
    'connects to a socket by its abstract name',
    (h) => ['local', 'stream', `@${h.name}`, h.token],
    quiet,
    heard,
  ),
  net(
    'abstract-datagram',
    'sends to a socket by its abstract name',
    (h) => ['local', 'datagram', `@${h.name}-datagram`, h.token],
    quiet,
    heard,
  ),
  net(
    'abstract-pair',
    'the same, from one of a pair',
    (h) => ['local', 'pair', `@${h.name}-datagram`, h.token],
    own,
    heard,
  ),
  net(
    'abstract-pair-reconnect',
    'connects one of a pair to an abstract name',
    (h) => ['local', 'pair-reconnect', `@${h.name}-datagram`, h.token],
    own,
    heard,
  ),
  net('abstract-serve', 'listens on an abstract name', (h) => ['local', 'listen', `@${h.name}-x`, h.token], quiet),
  net(
    'unix-serve',
    'listens on a path in its own directory',
    (h) => ['local', 'listen', join(h.work, 's'), h.token],
    quiet,
  ),
  net(
    'fetch',
    'is handed an open file by somebody outside',
    (h) => ['fetch', join(h.secret, 'rights'), h.token],
    quiet,
  ),
  net('serve-tcp', 'listens', () => ['serve', 'tcp', '127.0.0.1'], told),
  net('serve-tcp6', 'listens, by IPv6', () => ['serve', 'tcp', '::1'], told),
  net('serve-any', 'listens on every address', () => ['serve', 'tcp', '0.0.0.0'], told),
  net('serve-unbound', "listens on a port of the kernel's choice", () => ['serve', 'unbound', '127.0.0.1'], told),
  net('serve-udp', 'receives datagrams', () => ['serve', 'udp', '127.0.0.1'], told),
  net('serve-multipath', 'listens by MPTCP', () => ['serve', 'mptcp', '127.0.0.1'], told),
  net('interfaces', 'lists the interfaces of the machine', () => ['interfaces'], quiet),
  net('unknown-families', 'tries every family there is', () => ['unknown-families'], told),
  net('kernel-crypto', 'hashes in the kernel', () => ['hash'], told),
  ...FAMILIES.map((name) =>
    net(
      `family-${name}`,
      `makes a socket: ${name}`,
      () => ['family', name],
      told,
      PRIVILEGED.has(name) ? { user: 'root' } : {},
    ),
  ),
  net(
    'online-tcp4',
    'granted one host, connects to the loopback of the host',
    tcp('plain', '127.0.0.1', 'tcp4'),
    own,
    online,
  ),
  net('online-tcp6', 'the same, by IPv6', tcp('plain', '::1', 'tcp6'), own, online),
  net('online-tcp-mapped', 'the same, by a mapped address', tcp('plain', '::ffff:127.0.0.1', 'tcp4'), own, online),
  net('online-fast-open', 'the same, sending with the connection', tcp('fast-open', '127.0.0.1', 'tcp4'), told, online),
  net('online-fast-open-option', 'the same, by an option', tcp('fast-open-option', '127.0.0.1', 'tcp4'), own, online),
  net('online-multipath', 'the same, by MPTCP', tcp('mptcp', '127.0.0.1', 'mptcp'), quiet, online),
  net('online-udp', 'granted one host, sends a datagram', udp('to', '127.0.0.1', 'udp4'), quiet, online),
  net('online-dns', 'granted one host, asks a resolver', udp('dns', '127.0.0.1', 'udp4'), quiet, online),
  net('online-route', 'granted one host, has a route to the world', () => ['route', '192.0.2.53'], quiet, {
    grants: online.grants,
  }),
  net('online-unix', 'granted one host, connects to a local socket', local('stream', 'stream'), quiet, online),
  net(
    'online-abstract',
    'granted one host, connects to an abstract name',
    (h) => ['local', 'stream', `@${h.name}`, h.token],
    quiet,
    online,
  ),
  net('online-serve', 'granted one host, listens', () => ['serve', 'tcp', '127.0.0.1'], silent('landlock'), {
    grants: online.grants,
  }),
  net('online-serve-unbound', 'granted one host, listens anywhere', () => ['serve', 'unbound', '127.0.0.1'], told, {
    grants: online.grants,
  }),
  net('online-interfaces', 'granted one host, lists the interfaces', () => ['interfaces'], own, {
    grants: online.grants,
  }),
  net('online-packet', 'granted one host, makes a packet socket', () => ['family', 'packet'], told, {
    user: 'root',
    grants: online.grants,
  }),
  net('proxy-connect', 'asks the proxy for the loopback of the host', proxy('connect', '127.0.0.1'), told, proxied),
  net('proxy-connect-name', 'the same, by name', proxy('connect', 'localhost'), told, proxied),
  net('proxy-get', 'the same, by plain HTTP', proxy('get', '127.0.0.1'), told, proxied),
  net('proxy-socks-address', 'the same, by SOCKS5 and address', proxy('socks-address', '127.0.0.1'), told, proxied),
  net('proxy-socks-name', 'the same, by SOCKS5 and name', proxy('socks-name', 'localhost'), told, proxied),
]
