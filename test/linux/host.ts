// A Linux host made of a table, so that plans are the same on every operating system.

import { isAbsolute } from 'node:path'
import { sourceOf } from '../../src/linux/elf.ts'
import type { DirectoryEntry, FileStat, FileType, HostFiles } from '../../src/linux/host-files.ts'

export type Node =
  | string
  | Uint8Array
  | { readonly link: string; readonly uid?: number }
  | {
      readonly type?: FileType
      readonly content?: string | Uint8Array
      readonly mode?: number
      readonly uid?: number
      readonly links?: number
      readonly dev?: number
      readonly ino?: number
    }

/** Keys are absolute paths without a link in them; one that ends in a slash is a directory. Parents are root's, mode 0755. */
export function host(table: Readonly<Record<string, Node>>): HostFiles {
  const stats = new Map<string, FileStat>()
  const links = new Map<string, string>()
  const contents = new Map<string, Uint8Array>()
  let ino = 1
  const put = (path: string, stat: Partial<FileStat>): void => {
    stats.set(path, { type: 'directory', mode: 0o755, uid: 0, links: 1, dev: 1, ino: ino++, ...stat })
  }
  put('/', {})
  for (const [key, node] of Object.entries(table)) {
    const path = key.endsWith('/') ? key.slice(0, -1) : key
    const parts = path.slice(1).split('/')
    for (let depth = 1; depth < parts.length; depth++) {
      const parent = `/${parts.slice(0, depth).join('/')}`
      if (!stats.has(parent)) put(parent, {})
    }
    const directory = key.endsWith('/')
    if (typeof node === 'string' || node instanceof Uint8Array) {
      put(path, directory ? {} : { type: 'file', mode: node instanceof Uint8Array ? 0o755 : 0o644 })
      contents.set(path, bytesOf(node))
    } else if ('link' in node) {
      put(path, { type: 'symlink', mode: 0o777, uid: node.uid ?? 0 })
      links.set(path, node.link)
    } else {
      const { content, ...stat } = node
      put(path, { type: directory ? 'directory' : 'file', ...stat })
      if (content !== undefined) contents.set(path, bytesOf(content))
    }
  }
  /** Follows every link but one at the end. */
  const walk = (path: string, depth = 0): string | undefined => {
    if (!isAbsolute(path) || depth > 40) return undefined
    let at = ''
    for (const part of path.split('/').filter((segment) => segment !== '')) {
      const to = links.get(at)
      if (to !== undefined) {
        const target = to.startsWith('/') ? to : `${at.slice(0, at.lastIndexOf('/'))}/${to}`
        const followed = walk(target, depth + 1)
        if (followed === undefined) return undefined
        at = followed === '/' ? '' : followed
        if (links.has(at)) return walk(`${at}/${part}`, depth + 1)
      }
      at = part === '..' ? at.slice(0, Math.max(0, at.lastIndexOf('/'))) : `${at}/${part}`
    }
    return at === '' ? '/' : at
  }
  const found = (path: string): string => walk(path) ?? ''
  return {
    lstat: (path) => stats.get(found(path)),
    readlink: (path) => links.get(found(path)),
    readdir(path): readonly DirectoryEntry[] | undefined {
      const directory = found(path)
      if (stats.get(directory)?.type !== 'directory') return undefined
      const prefix = directory === '/' ? '/' : `${directory}/`
      return [...stats]
        .filter(([name]) => name !== '/' && name.startsWith(prefix) && !name.slice(prefix.length).includes('/'))
        .map(([name, { type }]) => ({ name: name.slice(prefix.length), type }))
        .sort((a, b) => (a.name < b.name ? -1 : 1))
    },
    read(path, use) {
      const file = found(path)
      if (stats.get(file)?.type !== 'file') return undefined
      return use(sourceOf(contents.get(file) ?? new Uint8Array(0)))
    },
  }
}

function bytesOf(content: string | Uint8Array): Uint8Array {
  return typeof content === 'string' ? new TextEncoder().encode(content) : content
}

export interface ElfParts {
  readonly machine?: number
  readonly type?: number
  readonly interpreter?: string
  readonly needed?: readonly string[]
  readonly soname?: string
  readonly rpath?: string
  readonly runpath?: string
  readonly flags1?: bigint
}

const BASE = 0x400000n

/** The smallest ELF file that says what `parts` say. */
export function elf(parts: ElfParts = {}): Uint8Array {
  const strings: number[] = [0]
  const string = (text: string): bigint => {
    const offset = strings.length
    strings.push(...new TextEncoder().encode(text), 0)
    return BigInt(offset)
  }
  const dynamic: [bigint, bigint][] = (parts.needed ?? []).map((name) => [1n, string(name)])
  if (parts.soname !== undefined) dynamic.push([14n, string(parts.soname)])
  if (parts.rpath !== undefined) dynamic.push([15n, string(parts.rpath)])
  if (parts.runpath !== undefined) dynamic.push([29n, string(parts.runpath)])
  if (parts.flags1 !== undefined) dynamic.push([0x6ffffffbn, parts.flags1])
  const interp = parts.interpreter === undefined ? [] : [...new TextEncoder().encode(parts.interpreter), 0]
  const headers = 64 + 3 * 56
  const interpAt = headers
  const stringsAt = interpAt + interp.length
  const dynamicAt = Math.ceil((stringsAt + strings.length) / 8) * 8
  dynamic.push([5n, BASE + BigInt(stringsAt)], [10n, BigInt(strings.length)], [0n, 0n])
  const size = dynamicAt + dynamic.length * 16
  const bytes = new Uint8Array(size)
  const view = new DataView(bytes.buffer)
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1])
  view.setUint16(16, parts.type ?? 3, true)
  view.setUint16(18, parts.machine ?? 62, true)
  view.setBigUint64(32, 64n, true)
  view.setUint16(54, 56, true)
  view.setUint16(56, 3, true)
  const header = (index: number, type: number, offset: number, length: number): void => {
    const at = 64 + index * 56
    view.setUint32(at, type, true)
    view.setBigUint64(at + 8, BigInt(offset), true)
    view.setBigUint64(at + 16, BASE + BigInt(offset), true)
    view.setBigUint64(at + 32, BigInt(length), true)
  }
  header(0, 1, 0, size)
  header(1, 2, dynamicAt, dynamic.length * 16)
  header(2, interp.length === 0 ? 0 : 3, interpAt, interp.length)
  bytes.set(interp, interpAt)
  bytes.set(strings, stringsAt)
  for (const [index, [tag, value]] of dynamic.entries()) {
    view.setBigUint64(dynamicAt + index * 16, tag, true)
    view.setBigUint64(dynamicAt + index * 16 + 8, value, true)
  }
  return bytes
}

/** An /etc/ld.so.cache in the new format, on its own or behind an empty old one. */
export function libraryCache(
  entries: readonly { readonly name: string; readonly path: string; readonly flags?: number }[],
  { old = false }: { readonly old?: boolean } = {},
): Uint8Array {
  const encoder = new TextEncoder()
  const start = old ? 16 : 0
  const stringsAt = 48 + entries.length * 24
  const strings: number[] = []
  const string = (text: string): number => {
    const offset = stringsAt + strings.length
    strings.push(...encoder.encode(text), 0)
    return offset
  }
  const rows = entries.map(({ name, path, flags = 0x303 }) => [flags, string(name), string(path)] as const)
  const bytes = new Uint8Array(start + stringsAt + strings.length)
  if (old) bytes.set(encoder.encode('ld.so-1.7.0'))
  bytes.set(encoder.encode('glibc-ld.so.cache1.1'), start)
  const view = new DataView(bytes.buffer, start)
  view.setUint32(20, entries.length, true)
  view.setUint32(24, strings.length, true)
  view.setUint8(28, 2)
  for (const [index, row] of rows.entries()) {
    for (const [field, value] of row.entries()) view.setUint32(48 + index * 24 + field * 4, value, true)
  }
  bytes.set(strings, start + stringsAt)
  return bytes
}

export const LD = '/lib64/ld-linux-x86-64.so.2'
const GNU = '/usr/lib/x86_64-linux-gnu'

/** A small Debian: merged /usr, one user, a project with a repository in it. */
export const DEBIAN: Readonly<Record<string, Node>> = {
  '/bin': { link: 'usr/bin' },
  '/lib': { link: 'usr/lib' },
  '/lib64': { link: 'usr/lib64' },
  '/tmp/': { mode: 0o1777 },
  '/proc/self/status': 'kernel',
  '/sys/kernel/mm': 'kernel',
  '/dev/sda': { type: 'block_device' },
  '/etc/passwd': 'root:x:0:0:root:/root:/bin/bash\n',
  '/etc/shadow': { content: 'root:secret', mode: 0o600 },
  '/etc/ssl/certs/ca.pem': 'certificate',
  '/etc/localtime': { link: '/usr/share/zoneinfo/UTC' },
  '/usr/share/zoneinfo/UTC': 'TZif',
  '/etc/ld.so.cache': {
    content: libraryCache([
      { name: 'libc.so.6', path: '/lib/x86_64-linux-gnu/libc.so.6' },
      { name: 'liba.so.1', path: '/lib/x86_64-linux-gnu/liba.so.1' },
    ]),
  },
  '/usr/lib64/ld-linux-x86-64.so.2': { link: '/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2' },
  [`${GNU}/ld-linux-x86-64.so.2`]: elf({ soname: 'ld-linux-x86-64.so.2' }),
  [`${GNU}/libc.so.6`]: elf({ soname: 'libc.so.6', needed: ['ld-linux-x86-64.so.2'] }),
  [`${GNU}/liba.so.1`]: { link: 'liba.so.1.2' },
  [`${GNU}/liba.so.1.2`]: elf({ soname: 'liba.so.1', needed: ['libc.so.6'] }),
  [`${GNU}/libssl.so.3`]: elf({ soname: 'libssl.so.3', needed: ['libc.so.6'] }),
  '/usr/bin/tool': elf({ interpreter: LD, needed: ['liba.so.1', 'libc.so.6'] }),
  '/usr/bin/python3': { link: 'python3.11' },
  '/usr/bin/python3.11': elf({ interpreter: LD, needed: ['libc.so.6'] }),
  '/usr/bin/sh': { link: 'dash' },
  '/usr/bin/dash': elf({ interpreter: LD, needed: ['libc.so.6'] }),
  '/usr/bin/script': { content: '#!/bin/sh -e\nexit 0\n', mode: 0o755 },
  '/usr/bin/old': { content: new Uint8Array([0x7f, 0x45, 0x4c, 0x46, 1, 1, 1]), mode: 0o755 },
  '/usr/bin/arm': elf({ machine: 183 }),
  '/usr/bin/text': 'hello',
  '/opt/app/bin/app': elf({ interpreter: LD, needed: ['libapp.so'], runpath: '$ORIGIN/../lib' }),
  '/opt/app/lib/libapp.so': elf({ soname: 'libapp.so', needed: ['libc.so.6'] }),
  '/opt/app/lib/notes.txt': 'text',
  '/home/bob/': { uid: 1001 },
  '/home/bob/.ssh/id': { content: 'key', uid: 1001, mode: 0o600 },
  '/home/bob/project/': { uid: 1001 },
  '/home/bob/project/.git/': { uid: 1001 },
  '/home/bob/project/.git/config': { content: '[core]', uid: 1001 },
  '/home/bob/project/.git/hooks/': { uid: 1001 },
  '/home/bob/project/.git/hooks/pre-commit': { content: '#!/bin/sh\n', uid: 1001, mode: 0o755 },
  '/home/bob/project/src/a.ts': { content: 'a', uid: 1001 },
  '/home/bob/project/src/deep/b.ts': { content: 'b', uid: 1001 },
  '/home/bob/project/.env': { content: 'TOKEN=1', uid: 1001 },
  '/home/bob/project/link': { link: '/etc', uid: 1001 },
  '/home/bob/project/bin/own': {
    content: elf({ interpreter: LD, needed: ['libc.so.6'] }),
    uid: 1001,
    mode: 0o755,
  },
  '/home/bob/shortcut': { link: 'project', uid: 1001 },
  '/srv/data/one': '1',
  '/srv/data/sub/two': '2',
  '/srv/data/sub/deep/three': '3',
  '/srv/out/': { uid: 1001 },
  '/srv/root-link': { link: '/home/bob/.ssh' },
  '/srv/fifo': { type: 'fifo' },
  '/srv/socket': { type: 'socket' },
}
