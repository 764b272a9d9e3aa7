// The files of a host that every box has although no profile names them, and the files that are made up for it. Each is
// world-readable and says nothing about the host that a program inside could not find out anyway.

export interface SystemFile {
  readonly path: string
  readonly reason: string
}

/** What programs need to start and to know the time. One that is missing on the host is missing in the box. */
export const SYSTEM_FILES: readonly SystemFile[] = Object.freeze([
  { path: '/etc/ld.so.cache', reason: 'where the loader of glibc finds libraries' },
  { path: '/etc/ld-musl-x86_64.path', reason: 'where the loader of musl finds libraries' },
  { path: '/etc/ld-musl-aarch64.path', reason: 'where the loader of musl finds libraries' },
  { path: '/etc/localtime', reason: 'the local time zone' },
  { path: '/usr/lib/locale/C.utf8', reason: 'the locale that is the same everywhere' },
])

/** Public certificates and the settings for them, for a box that may reach some host. */
export const TLS_FILES: readonly SystemFile[] = Object.freeze([
  { path: '/etc/ssl/certs', reason: 'certificate authorities (Debian, Alpine, SUSE)' },
  { path: '/etc/ssl/cert.pem', reason: 'certificate authorities (Alpine)' },
  { path: '/etc/ssl/openssl.cnf', reason: 'settings of OpenSSL' },
  { path: '/etc/ca-certificates', reason: 'certificate authorities (Arch)' },
  { path: '/usr/share/ca-certificates', reason: 'what the links in /etc/ssl/certs lead to' },
  { path: '/usr/local/share/ca-certificates', reason: 'what the operator has added to them' },
  { path: '/usr/lib/ssl', reason: 'the links of Debian to the two above' },
  { path: '/etc/pki/tls/certs', reason: 'certificate authorities (Fedora)' },
  { path: '/etc/pki/tls/cert.pem', reason: 'certificate authorities (Fedora)' },
  { path: '/etc/pki/ca-trust/extracted', reason: 'what the links in /etc/pki/tls lead to' },
])

/** File systems of the kernel that are mounted all over a host. A bind of a tree would bring them along. */
const KERNEL_TYPES: ReadonlySet<string> = new Set([
  'proc',
  'sysfs',
  'cgroup',
  'cgroup2',
  'devtmpfs',
  'devpts',
  'securityfs',
  'debugfs',
  'tracefs',
  'configfs',
  'bpf',
  'pstore',
  'efivarfs',
  'fusectl',
  'binfmt_misc',
  'mqueue',
  'nsfs',
  'rpc_pipefs',
  'nfsd',
  'selinuxfs',
])

/** Mount points of kernel file systems, from the text of /proc/self/mountinfo (proc(5)). */
export function kernelMounts(mountinfo: string): readonly string[] {
  return mountinfo.split('\n').flatMap((line): readonly string[] => {
    const [before = '', after = ''] = line.split(' - ')
    const path = before.split(' ')[4]
    const type = after.split(' ')[0] ?? ''
    if (path === undefined || !KERNEL_TYPES.has(type)) return []
    return [path.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))]
  })
}

export interface SyntheticOptions {
  readonly uid: number
  readonly gid: number
  readonly hostname: string
  /** Whether names are resolved, by a responder on TCP port 53 of the loopback address. */
  readonly names: boolean
}

/** Small files that programs look for, with nothing of the host in them. */
export function syntheticFiles({ uid, gid, hostname, names }: SyntheticOptions): ReadonlyMap<string, string> {
  const user = uid === 0 ? 'root' : 'box'
  const group = gid === 0 ? 'root' : 'box'
  const nobody = uid === 65534 ? '' : 'nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n'
  const nogroup = gid === 65534 ? '' : 'nogroup:x:65534:\n'
  return new Map([
    ['/etc/passwd', `${user}:x:${uid}:${gid}:${user}:/tmp:/bin/sh\n${nobody}`],
    ['/etc/group', `${group}:x:${gid}:\n${nogroup}`],
    ['/etc/hostname', `${hostname}\n`],
    ['/etc/hosts', `127.0.0.1 localhost ${hostname}\n::1 localhost\n`],
    [
      '/etc/nsswitch.conf',
      `passwd: files\ngroup: files\nshadow: files\nhosts: files${names ? ' dns' : ''}\nservices: files\nprotocols: files\n`,
    ],
    // use-vc: the responder speaks TCP, so that resolving a name needs no right to UDP (resolv.conf(5)).
    ...(names ? ([['/etc/resolv.conf', 'nameserver 127.0.0.1\noptions use-vc timeout:2 attempts:1\n']] as const) : []),
  ])
}
