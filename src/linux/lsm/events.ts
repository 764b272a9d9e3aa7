// What the programs say when they refuse, as it lies in the ring buffer. The bytes are the kernel's own; a record of another
// size is none.

/** What a denial is about, in the order of the numbers in a record. */
export const LSM_HOOKS = Object.freeze(['exec', 'map', 'protect'] as const)

/** `unlisted`: the file is not on the list. `not-executable`, `not-mappable`: on it, for the other use. `anonymous`: no file. */
export const LSM_REASONS = Object.freeze(['unlisted', 'not-executable', 'not-mappable', 'anonymous'] as const)

export interface LsmDenial {
  readonly hook: (typeof LSM_HOOKS)[number]
  readonly reason: (typeof LSM_REASONS)[number]
  /** As the host counts, not as the box does. */
  readonly pid: number
  readonly errno: number
  /** Numbers of the file; both zero when there is none. */
  readonly dev: number
  readonly ino: bigint
  /** Name of the task, which the task itself chooses: a hint for people. */
  readonly comm: string
}

export const EVENT_BYTES = 48
/** Where each field lies. */
export const EVENT = Object.freeze({ hook: 0, reason: 4, pid: 8, errno: 12, ino: 16, dev: 24, comm: 32 })
export const COMM_BYTES = 16

/** `undefined` for bytes that are not a record. */
export function readLsmEvent(bytes: Uint8Array): LsmDenial | undefined {
  if (bytes.byteLength !== EVENT_BYTES) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const hook = LSM_HOOKS[view.getUint32(EVENT.hook, true)]
  const reason = LSM_REASONS[view.getUint32(EVENT.reason, true)]
  if (hook === undefined || reason === undefined) return undefined
  const comm = bytes.subarray(EVENT.comm, EVENT.comm + COMM_BYTES)
  const end = comm.indexOf(0)
  return Object.freeze({
    hook,
    reason,
    pid: view.getUint32(EVENT.pid, true),
    errno: view.getUint32(EVENT.errno, true),
    ino: view.getBigUint64(EVENT.ino, true),
    dev: view.getUint32(EVENT.dev, true),
    comm: new TextDecoder().decode(end < 0 ? comm : comm.subarray(0, end)),
  })
}
