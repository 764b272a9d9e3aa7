// What a box answers to calls that give a file its mode: no devices, and nothing that runs as its owner. Looks only at
// modes that are integers of the call itself, which no other thread can change after they were looked at.
//
// A file with S_ISUID or S_ISGID that a box leaves in a tree of the host lends its owner's identity to whoever runs it
// there, where nothing of ours holds: no_new_privs and nosuid mounts only keep the box itself from running it. mkdir(2)
// ignores such bits, chown(2) and write(2) take them away, so what is left are the calls below.

import { ALLOW, type Answer, type ArgumentTest, checked, fail, maskedIs, type Rule, whenAll } from './rules.ts'

export interface ModeArguments {
  readonly mode: ArgumentTest['argument']
  /** The mode counts only when these say that a file is created; otherwise it is whatever the register held. */
  readonly flags?: ArgumentTest['argument']
  /** The mode says besides what is made: mknod. */
  readonly typed?: true
}

export const MODE_ARGUMENTS: ReadonlyMap<string, ModeArguments> = new Map<string, ModeArguments>([
  ['chmod', { mode: 1 }],
  ['fchmod', { mode: 1 }],
  ['fchmodat', { mode: 2 }],
  ['fchmodat2', { mode: 2 }],
  ['creat', { mode: 1 }],
  ['mknod', { mode: 1, typed: true }],
  ['mknodat', { mode: 2, typed: true }],
  ['open', { flags: 1, mode: 2 }],
  ['openat', { flags: 2, mode: 3 }],
])

const ENOSYS = 38

/**
 * open(2) is looked at too, for which the kernel then runs the program each time: some fifty nanoseconds, and without it the
 * rest would be for show. S_ISGID only where the box has uid 0 on the host: on directories of ordinary users it is ordinary
 * (git init --shared), and a group has to be one's own for it to be set.
 */
export function fileModeRules(rootOutside: boolean, refuse: Answer): readonly [string, Rule][] {
  const setId = rootOutside ? S_ISUID | S_ISGID : S_ISUID
  const rules: [string, Rule][] = []
  for (const [name, { mode, flags, typed }] of MODE_ARGUMENTS) {
    rules.push([
      name,
      checked(
        refuse,
        ...(typed === undefined ? [] : [whenAll(refuse, maskedIs(mode, S_IFMT, ...DEVICES))]),
        ...(flags === undefined ? [] : [whenAll(ALLOW, maskedIs(flags, O_CREAT | O_TMPFILE, 0))]),
        whenAll(ALLOW, maskedIs(mode, setId, 0)),
      ),
    ])
  }
  // Its flags and mode are behind a pointer. Callers run on kernels without it (before 5.6) too, and fall back to openat.
  rules.push(['openat2', fail(ENOSYS)])
  return rules
}

export const S_ISUID = 0o4000
export const S_ISGID = 0o2000

export const S_IFMT = 0xf000
export const S_IFCHR = 0x2000
export const S_IFBLK = 0x6000
/** Those that need no capability are whiteouts, which only overlay file systems make. */
const DEVICES = Object.freeze([S_IFCHR, S_IFBLK])

export const O_CREAT = 0o100
/** __O_TMPFILE of the kernel. The O_TMPFILE of programs has the bit of O_DIRECTORY too, which creates nothing by itself. */
export const O_TMPFILE = 0o2000_0000
