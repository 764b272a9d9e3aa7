// Frames between this library and the launcher, byte for byte as native/wire.h has them. Trusts the launcher as far as it
// trusts itself, and still reads nothing past a length: what does not parse ends the box.

import type { BoxSetup, MountItem } from './box.ts'

export const WIRE_VERSION = 1
const MAX_FRAME = 16 * 1024 * 1024

const FRAME = { setup: 1, spawn: 2, signal: 3 } as const

const TAG = {
  hostname: 2,
  mount: 3,
  workdir: 4,
  listener: 5,
  rlimit: 6,
  landlock: 7,
  landlockPath: 8,
  landlockPort: 9,
  seccomp: 10,
  seccompCommand: 11,
  bpf: 14,
  wallMs: 15,
  id: 32,
  file: 33,
  arg: 34,
  env: 35,
  cwd: 36,
  stdio: 37,
  session: 38,
  signal: 39,
  pid: 40,
  status: 41,
  step: 42,
  errno: 43,
  subject: 44,
  call: 45,
  sourceDigest: 47,
  counter: 48,
  landlockAbi: 49,
  event: 50,
} as const

const BOX_FLAG = { namespaces: 1, userNamespace: 2, ownNetwork: 4, loopbackUp: 8, notify: 16, programs: 32 } as const
const MOUNT_KIND = {
  bind: 1,
  tmpfs: 2,
  directory: 3,
  symlink: 4,
  file: 5,
  mask: 6,
  dev: 7,
  proc: 8,
} as const
const MOUNT_FLAG = { write: 1, execute: 2, recursive: 4, readonly: 8 } as const
const STDIO = { null: 0, own: 1, channel: 2 } as const

export type StdioMode = keyof typeof STDIO

export interface SpawnRequest {
  readonly id: number
  readonly file: string
  /** The program's own name first. */
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly cwd: string
  readonly stdio: readonly [StdioMode, StdioMode, StdioMode]
  /** Whether the command stays in the session of the launcher, and so on its terminal. */
  readonly keepSession: boolean
}

/** What the launcher says. Numbers of processes are those of the box. */
export type LauncherFrame =
  | { readonly type: 'ready'; readonly sourceDigest: string; readonly landlockAbi: number }
  | { readonly type: 'failed'; readonly step: string; readonly errno: number; readonly subject: string }
  | { readonly type: 'started'; readonly id: number; readonly pid: number }
  | { readonly type: 'refused'; readonly id: number; readonly step: string; readonly errno: number }
  /** `status` as wait(2) gives it. */
  | { readonly type: 'exited'; readonly id: number; readonly status: number }
  | {
      readonly type: 'denied'
      readonly pid: number
      readonly arch: number
      readonly number: number
      readonly args: readonly bigint[]
    }
  | { readonly type: 'expired' }
  | { readonly type: 'counters'; readonly map: number; readonly from: number; readonly values: readonly bigint[] }
  /** What a security module program refused, as src/linux/lsm/events.ts reads it. */
  | { readonly type: 'event'; readonly record: Uint8Array }

/** Arguments of the launcher: what it needs to make namespaces while the rest is still on its way. */
export function launcherArguments(setup: BoxSetup): readonly string[] {
  const flags =
    (setup.kind === 'namespaces' ? BOX_FLAG.namespaces : 0) |
    (setup.userNamespace ? BOX_FLAG.userNamespace : 0) |
    (setup.network === 'host' ? 0 : BOX_FLAG.ownNetwork) |
    (setup.network === 'loopback' ? BOX_FLAG.loopbackUp : 0) |
    (setup.notify ? BOX_FLAG.notify : 0) |
    (setup.bpf === undefined ? 0 : BOX_FLAG.programs)
  return [String(flags), setup.cgroups.v2 ?? '-', ...setup.cgroups.v1]
}

/** `bpf` is the encoded object of `setup.bpf`. */
export function encodeSetup(setup: BoxSetup, bpf?: Uint8Array): Buffer {
  const { landlock, commandSeccomp, wallMs } = setup
  return frame(FRAME.setup, [
    record(TAG.hostname, text(setup.hostname)),
    ...setup.mounts.map((item) => record(TAG.mount, mountBody(item))),
    record(TAG.workdir, text(setup.workdir)),
    ...setup.listeners.map(({ name, address, port }) =>
      record(TAG.listener, Buffer.concat([Buffer.from(address.split('.').map(Number)), u16(port), u16(0), text(name)])),
    ),
    ...setup.rlimits.map(({ resource, limit }) =>
      record(TAG.rlimit, Buffer.concat([u32(resource), u32(0), u64(limit ?? 0xffffffffffffffffn)])),
    ),
    ...(landlock === undefined
      ? []
      : [
          record(
            TAG.landlock,
            Buffer.concat([
              u32(landlock.attributeSize),
              u32(0),
              u64(landlock.handledFs),
              u64(landlock.handledNet),
              u64(landlock.scoped),
            ]),
          ),
          ...landlock.paths.map(({ path, access }) =>
            record(TAG.landlockPath, Buffer.concat([u64(access), text(path)])),
          ),
          ...landlock.ports.map(({ port, access }) =>
            record(TAG.landlockPort, Buffer.concat([u64(access), u64(BigInt(port))])),
          ),
        ]),
    record(TAG.seccomp, Buffer.from(setup.seccomp)),
    ...(commandSeccomp === undefined ? [] : [record(TAG.seccompCommand, Buffer.from(commandSeccomp))]),
    ...(bpf === undefined ? [] : [record(TAG.bpf, Buffer.from(bpf))]),
    ...(wallMs === undefined ? [] : [record(TAG.wallMs, u64(BigInt(wallMs)))]),
  ])
}

export function encodeSpawn(request: SpawnRequest): Buffer {
  return frame(FRAME.spawn, [
    record(TAG.id, u32(request.id)),
    record(TAG.file, text(request.file)),
    ...request.args.map((arg) => record(TAG.arg, text(arg))),
    ...Object.entries(request.env).map(([name, value]) => record(TAG.env, text(`${name}=${value}`))),
    record(TAG.cwd, text(request.cwd)),
    record(TAG.stdio, Buffer.from(request.stdio.map((mode) => STDIO[mode]))),
    record(TAG.session, u32(request.keepSession ? 1 : 0)),
  ])
}

export function encodeSignal(id: number, signal: number): Buffer {
  return frame(FRAME.signal, [record(TAG.id, u32(id)), record(TAG.signal, u32(signal))])
}

function mountBody(item: MountItem): Buffer {
  const head = (kind: number, flags: number, mode: number, bytes: number, target: string, rest: string): Buffer => {
    const name = text(target)
    return Buffer.concat([
      Buffer.from([kind, flags]),
      u16(mode),
      u32(name.length),
      u64(BigInt(bytes)),
      name,
      text(rest, item.type === 'file'),
    ])
  }
  switch (item.type) {
    case 'bind': {
      const flags =
        (item.access === 'write' ? MOUNT_FLAG.write : 0) |
        (item.access === 'execute' ? MOUNT_FLAG.execute : 0) |
        (item.recursive ? MOUNT_FLAG.recursive : 0)
      return head(MOUNT_KIND.bind, flags, 0, 0, item.target, item.source)
    }
    case 'tmpfs':
      return head(MOUNT_KIND.tmpfs, item.readonly ? MOUNT_FLAG.readonly : 0, item.mode, item.bytes, item.target, '')
    case 'directory':
      return head(MOUNT_KIND.directory, 0, 0, 0, item.target, '')
    case 'symlink':
      return head(MOUNT_KIND.symlink, 0, 0, 0, item.target, item.to)
    case 'file':
      return head(MOUNT_KIND.file, 0, 0, 0, item.target, item.content)
    case 'mask':
      return head(MOUNT_KIND.mask, 0, 0, 0, item.target, '')
    case 'dev':
    case 'proc':
      return head(MOUNT_KIND[item.type], 0, 0, 0, '', '')
  }
}

// A C string ends at a NUL: the launcher would act on another name than the one that was judged.
function text(value: string, content = false): Buffer {
  if (!content && value.includes('\0')) throw new TypeError('a text for the launcher holds a NUL')
  return Buffer.from(value, 'utf8')
}

function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16LE(value)
  return bytes
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

function u64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(value)
  return bytes
}

function record(tag: number, body: Buffer): Buffer {
  return Buffer.concat([u16(tag), u16(0), u32(body.length), body])
}

function frame(type: number, records: readonly Buffer[]): Buffer {
  const body = Buffer.concat(records)
  if (body.length + 4 > MAX_FRAME) throw new TypeError('a frame for the launcher is too long')
  return Buffer.concat([u32(body.length + 4), u16(WIRE_VERSION), u16(type), body])
}

/** Takes bytes as they come and gives whole frames. Throws `RangeError` for what is not one; the stream is then over. */
export class FrameReader {
  #pending = Buffer.alloc(0)

  push(chunk: Uint8Array): readonly LauncherFrame[] {
    const frames: LauncherFrame[] = []
    this.#pending = this.#pending.length === 0 ? Buffer.from(chunk) : Buffer.concat([this.#pending, chunk])
    while (this.#pending.length >= 8) {
      const length = this.#pending.readUInt32LE(0)
      if (length < 4 || length > MAX_FRAME || this.#pending.readUInt16LE(4) !== WIRE_VERSION) throw malformed()
      if (this.#pending.length < length + 4) break
      const type = this.#pending.readUInt16LE(6)
      const body = this.#pending.subarray(8, length + 4)
      this.#pending = this.#pending.subarray(length + 4)
      frames.push(decode(type, recordsOf(body)))
    }
    return frames
  }
}

function recordsOf(body: Buffer): ReadonlyMap<number, Buffer> {
  const records = new Map<number, Buffer>()
  let at = 0
  while (at < body.length) {
    if (body.length - at < 8 || body.readUInt16LE(at + 2) !== 0) throw malformed()
    const tag = body.readUInt16LE(at)
    const length = body.readUInt32LE(at + 4)
    at += 8
    if (length > body.length - at || records.has(tag)) throw malformed()
    records.set(tag, body.subarray(at, at + length))
    at += length
  }
  return records
}

function decode(type: number, records: ReadonlyMap<number, Buffer>): LauncherFrame {
  const bytes = (tag: number, length?: number): Buffer => {
    const found = records.get(tag)
    if (found === undefined || (length !== undefined && found.length !== length)) throw malformed()
    return found
  }
  const number = (tag: number): number => bytes(tag, 4).readUInt32LE(0)
  const string = (tag: number): string => bytes(tag).toString('utf8')
  switch (type) {
    case 16:
      return { type: 'ready', sourceDigest: string(TAG.sourceDigest), landlockAbi: number(TAG.landlockAbi) }
    case 17:
      return { type: 'failed', step: string(TAG.step), errno: number(TAG.errno), subject: string(TAG.subject) }
    case 18:
      return { type: 'started', id: number(TAG.id), pid: number(TAG.pid) }
    case 19:
      return { type: 'refused', id: number(TAG.id), step: string(TAG.step), errno: number(TAG.errno) }
    case 20:
      return { type: 'exited', id: number(TAG.id), status: number(TAG.status) }
    case 21: {
      const call = bytes(TAG.call, 64)
      return {
        type: 'denied',
        pid: call.readUInt32LE(0),
        arch: call.readUInt32LE(4),
        number: call.readUInt32LE(8),
        args: [0, 1, 2, 3, 4, 5].map((index) => call.readBigUInt64LE(16 + 8 * index)),
      }
    }
    case 23:
      return { type: 'expired' }
    case 24: {
      const counter = bytes(TAG.counter)
      if (counter.length % 8 !== 0 || counter.length < 8) throw malformed()
      const values = Array.from({ length: counter.length / 8 - 1 }, (_, index) =>
        counter.readBigUInt64LE(8 + 8 * index),
      )
      return { type: 'counters', map: counter.readUInt32LE(0), from: counter.readUInt32LE(4), values }
    }
    case 25:
      return { type: 'event', record: bytes(TAG.event) }
    default:
      throw malformed()
  }
}

function malformed(): RangeError {
  return new RangeError('the launcher does not keep to the format')
}
