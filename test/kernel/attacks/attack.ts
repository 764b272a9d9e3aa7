// One attempt to get out of a box, as data. What it does stands in the C files beside this one.

import type { Feature } from '../../../src/enforcer/feature.ts'
import type { AttackHost } from '../support/attack-host.ts'

export type AttackClass = 'binary' | 'files' | 'net' | 'privilege'

/**
 * Why nobody is told of a denial, although it is one.
 * `hidden`: what it wants does not exist in the box. `read_only`, `noexec`: the mount refuses. `landlock`: the rule set
 * refuses. `own_namespace`: it reaches an empty one of its own. `fallback`: answered as by a kernel that does not have it.
 * `killed`: the process is ended by the filter. `limit`: a limit holds. `no_privilege`: the kernel's own check refuses
 * those without capabilities. `proxy`: the proxy tells of names and not of what it never sees.
 */
export type SilentClass =
  | 'hidden'
  | 'read_only'
  | 'noexec'
  | 'landlock'
  | 'own_namespace'
  | 'fallback'
  | 'killed'
  | 'limit'
  | 'no_privilege'
  | 'proxy'

export type AttackVisibility = { readonly reported: Feature } | { readonly silent: SilentClass }

/** What the box is granted besides the usual: reading `input`, writing `work`, running the listed program. */
export interface AttackGrants {
  /** `input/private` may not be read and `work/repo/.git` may not be written. */
  readonly holes?: boolean
  /** `work/.npmrc` may not be written, and does not exist. */
  readonly absentHole?: boolean
  /** The listed tool lies in a directory where the box may write. */
  readonly tool?: boolean
  /** A program with a setuid bit is listed. */
  readonly setuid?: boolean
  /** Absolute paths of further programs. */
  readonly binaries?: readonly string[]
  readonly hosts?: readonly string[]
  readonly limits?: { readonly wallMs?: number; readonly memoryBytes?: number; readonly processes?: number }
}

export interface Attack {
  readonly id: string
  readonly class: AttackClass
  readonly title: string
  /** What stands in its way. A box that reports less than `enforced` for it has said that the attack may get through. */
  readonly feature: Feature
  /** Who can do this without a box. For everybody else it is tried all the same, and not counted. */
  readonly user: 'any' | 'root' | 'unprivileged'
  readonly args: (host: AttackHost) => readonly string[]
  /** Absent: the listed program. */
  readonly program?: string
  readonly env?: (host: AttackHost) => Readonly<Record<string, string>>
  readonly grants?: AttackGrants
  readonly arrange?: (host: AttackHost) => void | Promise<void>
  /** The effect, seen from outside. With `judge: 'host'` it alone decides; otherwise it must agree with the program. */
  readonly succeededOnHost?: (host: AttackHost) => boolean | Promise<boolean>
  readonly judge?: 'program' | 'host'
  /** Shows that the program got as far as to try; the line that every attack begins with unless told. */
  readonly evidence?: RegExp
  /** `profile`: a box for such a profile need not be opened. `command`: the command need not be started. */
  readonly mayBeRefused?: 'profile' | 'command'
  readonly visibility: AttackVisibility
}

type Rest = Partial<Omit<Attack, 'id' | 'class' | 'title' | 'args' | 'visibility'>>

const attack =
  (kind: AttackClass, feature: Feature) =>
  (
    id: string,
    title: string,
    args: (host: AttackHost) => readonly string[],
    visibility: AttackVisibility,
    rest: Rest = {},
  ): Attack =>
    Object.freeze({ user: 'any', feature, ...rest, id, class: kind, title, args, visibility })

export const binary = attack('binary', 'fs_execute')
export const reading = attack('files', 'fs_read')
export const writing = attack('files', 'fs_write')
export const net = attack('net', 'egress')
export const privilege = attack('privilege', 'privilege')

export const silent = (because: SilentClass): AttackVisibility => ({ silent: because })
export const reported = (feature: Feature): AttackVisibility => ({ reported: feature })

/** The payload ran: it left its mark. */
export const ran: Rest = { succeededOnHost: (host) => host.marked() }
/** Something that was not granted for it is different now. */
export const changed: Rest = { succeededOnHost: async (host) => (await host.changes()).length > 0 }
/** The outsider got the message. */
export const heard: Rest = { succeededOnHost: (host) => host.heard() }
/** The outsider was signalled. */
export const signalled: Rest = {
  succeededOnHost: async (host) => !(await host.received()).includes('signals 0'),
}
export const root: Rest = { user: 'root' }
