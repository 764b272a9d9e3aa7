// Files and programs: what is granted works, and every known way around a grant has no effect on the host. The attacks
// follow the classes that real sandboxes fell to: links, `..`, /proc, dropped programs.

import { readFileSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'

import { resists } from './attack.ts'
import { ensure, NotApplicableError, rejectsWith, shown } from './case.ts'
import type { CaseDefinition } from './definition.ts'
import type { Grants, Ground } from './ground.ts'

const READ = 'read -r line < "$1"; echo "$line"'
const WRITE = 'echo changed > "$1"'

interface Plan {
  readonly script: string
  readonly args: readonly string[]
  readonly grants?: Grants
  readonly prepare?: () => void
}

/** `plan` gets the path of a file outside of everything that is granted. */
function readAttack(what: string, plan: (ground: Ground, secret: string) => Plan): CaseDefinition {
  return {
    name: `fs_read: ${what} is not read`,
    feature: 'fs_read',
    body: async (ground) => {
      const secret = ground.file('outside', 'secret', `${ground.token}\n`)
      const { script, args, grants = {}, prepare } = plan(ground, secret)
      const box = await ground.open(ground.profile({ read: [`${ground.folder('readable')}/**`], ...grants }))
      await resists(ground, box, {
        what: `reading ${what}`,
        command: ground.script(script, args),
        succeeded: (ended) => ended?.stdout.includes(ground.token) ?? false,
        ...(prepare === undefined ? {} : { prepare }),
      })
    },
  }
}

function writeAttack(what: string, plan: (ground: Ground, target: string) => Plan): CaseDefinition {
  return {
    name: `fs_write: ${what} is not written`,
    feature: 'fs_write',
    body: async (ground) => {
      const target = ground.file('outside', 'target', 'original')
      const { script, args, grants = {}, prepare } = plan(ground, target)
      const writable = `${ground.folder('writable')}/**`
      const box = await ground.open(ground.profile({ read: [writable], write: [writable], ...grants }))
      await resists(ground, box, {
        what: `writing ${what}`,
        prepare: () => {
          ground.file('outside', 'target', 'original')
          prepare?.()
        },
        command: ground.script(script, args),
        succeeded: () => ground.content(target) !== 'original',
      })
    },
  }
}

function executeAttack(what: string, plan: (ground: Ground, program: string) => Plan): CaseDefinition {
  return {
    name: `fs_execute: ${what} is not run`,
    feature: 'fs_execute',
    body: async (ground) => {
      const program = ground.file('outside', 'program', `#!${ground.fixture.sh}\necho ${ground.token}\n`, 0o777)
      const { script, args, grants = {}, prepare } = plan(ground, program)
      const box = await ground.open(ground.profile({ read: [`${ground.folder('readable')}/**`], ...grants }))
      await resists(ground, box, {
        what: `running ${what}`,
        command: ground.script(script, args),
        succeeded: (ended) => ended?.stdout.includes(ground.token) ?? false,
        ...(prepare === undefined ? {} : { prepare }),
      })
    },
  }
}

/** A link in `folder` made by the host before anything is opened. */
function hostLink(ground: Ground, folder: string, to: string): string {
  const link = join(ground.folder(folder), 'link')
  symlinkSync(to, link)
  return link
}

function linker(ground: Ground): string {
  const { ln } = ground.fixture
  if (ln === undefined) throw new NotApplicableError('the fixture names no program for symbolic links')
  return ln
}

const writable = (ground: Ground): string => `${ground.folder('writable')}/**`

export const FILES: readonly CaseDefinition[] = [
  {
    name: 'fs_read: a granted file is read, also through a link inside of what is granted',
    feature: 'fs_read',
    body: async (ground) => {
      const file = ground.file('readable', 'file', `${ground.token}\n`)
      const link = hostLink(ground, 'readable', file)
      const box = await ground.open(ground.profile({ read: [`${ground.folder('readable')}/**`] }))
      for (const path of [file, link]) {
        const ended = await ground.run(box, ground.script(READ, [path]))
        ensure(ended.stdout === `${ground.token}\n`, `${path} is granted and cannot be read: ${shown(ended)}`)
      }
    },
  },
  readAttack('a file that is not granted', (_ground, secret) => ({ script: READ, args: [secret] })),
  readAttack('a file that a grandchild asks for', (_ground, secret) => ({ script: `( ( ${READ} ) )`, args: [secret] })),
  readAttack('a file behind a link in a granted tree', (ground, secret) => ({
    script: READ,
    args: [hostLink(ground, 'readable', secret)],
  })),
  readAttack('a file behind a link made inside', (ground, secret) => ({
    script: '"$3" -sf "$1" "$2"; read -r line < "$2"; echo "$line"',
    args: [secret, join(ground.folder('writable'), 'link'), linker(ground)],
    grants: {
      read: [writable(ground)],
      write: [writable(ground)],
      binaries: [ground.fixture.sh, ground.fixture.ln],
    },
  })),
  readAttack('a file above a granted tree, by ..,', (ground) => ({
    script: READ,
    args: [`${ground.folder('readable')}/../outside/secret`],
  })),
  readAttack('a file above the working directory', (ground) => ({
    script: 'cd "$1" && read -r line < ../outside/secret; echo "$line"',
    args: [ground.folder('readable')],
  })),
  readAttack('a file by /proc/self/root', (_ground, secret) => ({ script: READ, args: [`/proc/self/root${secret}`] })),
  readAttack('a file by the /proc entry of the gateway', (_ground, secret) => ({
    script: READ,
    args: [`/proc/${process.pid}/root${secret}`],
  })),
  {
    name: 'fs_write: a granted file is written, and the host sees it',
    feature: 'fs_write',
    body: async (ground) => {
      const file = ground.file('writable', 'file', 'original')
      const made = join(ground.folder('writable'), 'made')
      const box = await ground.open(ground.profile({ read: [writable(ground)], write: [writable(ground)] }))
      for (const path of [file, made]) {
        const ended = await ground.run(box, ground.script('echo "$2" > "$1"', [path, ground.token]))
        ensure(ground.content(path) === `${ground.token}\n`, `${path} is granted and was not written: ${shown(ended)}`)
      }
    },
  },
  writeAttack('a file that is not granted', (_ground, target) => ({ script: WRITE, args: [target] })),
  writeAttack('the end of a file that is not granted', (_ground, target) => ({
    script: 'echo more >> "$1"',
    args: [target],
  })),
  writeAttack('a file that is not granted, by emptying it,', (_ground, target) => ({
    script: ': > "$1"',
    args: [target],
  })),
  writeAttack('a file that may be read', (ground, target) => ({
    script: WRITE,
    args: [target],
    grants: { read: [`${ground.folder('outside')}/**`, writable(ground)], write: [writable(ground)] },
  })),
  writeAttack('a file that may be read and run', (ground, target) => ({
    script: WRITE,
    args: [target],
    grants: {
      read: [`${ground.folder('outside')}/**`, writable(ground)],
      execute: [`${ground.folder('outside')}/**`],
    },
  })),
  writeAttack('a file behind a link in a granted tree', (ground, target) => ({
    script: WRITE,
    args: [hostLink(ground, 'writable', target)],
  })),
  writeAttack('a file behind a link made inside', (ground, target) => ({
    script: '"$3" -sf "$1" "$2"; echo changed > "$2"',
    args: [target, join(ground.folder('writable'), 'link'), linker(ground)],
    grants: {
      read: [writable(ground)],
      write: [writable(ground)],
      binaries: [ground.fixture.sh, ground.fixture.ln],
    },
  })),
  writeAttack('a file above a granted tree, by ..,', (ground) => ({
    script: WRITE,
    args: [`${ground.folder('writable')}/../outside/target`],
  })),
  {
    name: 'fs_write: a new file is not made outside of what is granted',
    feature: 'fs_write',
    body: async (ground) => {
      const target = join(ground.folder('outside'), 'new')
      const box = await ground.open(ground.profile({ read: [writable(ground)], write: [writable(ground)] }))
      await resists(ground, box, {
        what: 'making a file that is not granted',
        prepare: () => ground.remove(target),
        command: ground.script(WRITE, [target]),
        succeeded: () => ground.content(target) !== undefined,
      })
    },
  },
  {
    name: 'fs_execute: a granted program runs, and so does one in a granted tree',
    feature: 'fs_execute',
    body: async (ground) => {
      const script = ground.file('programs', 'script', `#!${ground.fixture.sh}\necho ${ground.token}\n`, 0o777)
      const tree = `${ground.folder('programs')}/**`
      const box = await ground.open(ground.profile({ read: [tree], execute: [tree] }))
      await ground.mustWork(box)
      const ended = await ground.run(box, { file: script, args: [] })
      ensure(ended.stdout === `${ground.token}\n`, `${script} is granted and does not run: ${shown(ended)}`)
    },
  },
  {
    name: 'fs_execute: spawning a program that is not granted is ERR_SPAWN_FAILED',
    feature: 'fs_execute',
    body: async (ground) => {
      const program = ground.file('readable', 'program', `#!${ground.fixture.sh}\necho ran\n`, 0o777)
      const box = await ground.open(
        ground.profile({ read: [`${ground.folder('readable')}/**`], binaries: [ground.fixture.sh] }),
      )
      await ground.mustWork(box)
      for (const file of [program, ground.fixture.true])
        await rejectsWith('ERR_SPAWN_FAILED', `spawn of ${file}`, ground.spawn(box, { file, args: [] }))
    },
  },
  executeAttack('a program that is not granted', (_ground, program) => ({ script: '"$1"', args: [program] })),
  executeAttack('a system program that is not granted', (ground) => ({
    script: '"$1" && echo "$2"',
    args: [ground.fixture.true, ground.token],
    grants: { binaries: [ground.fixture.sh] },
  })),
  executeAttack('a program that may only be read', (ground) => ({
    script: '"$1"',
    args: [ground.file('readable', 'program', `#!${ground.fixture.sh}\necho ${ground.token}\n`, 0o777)],
  })),
  executeAttack('a script dropped in a writable tree', (ground) => {
    // Made by the host with its mode, so that no chmod is needed inside.
    const dropped = ground.file('writable', 'dropped', '', 0o777)
    return {
      script: 'printf "#!%s\\necho %s\\n" "$2" "$3" > "$1"; "$1"',
      args: [dropped, ground.fixture.sh, ground.token],
      grants: { read: [writable(ground)], write: [writable(ground)] },
      prepare: () => ground.file('writable', 'dropped', '', 0o777),
    }
  }),
  executeAttack('a copy of a granted program in a writable tree', (ground) => {
    const dropped = ground.file('writable', 'dropped', '', 0o777)
    return {
      script: '"$2" < "$3" > "$1"; "$1" -c "echo $4"',
      args: [dropped, ground.fixture.cat, ground.fixture.sh, ground.token],
      grants: { read: [writable(ground)], write: [writable(ground)] },
      prepare: () => ground.file('writable', 'dropped', '', 0o777),
    }
  }),
  executeAttack('a copy of a granted program, by the loader,', (ground) => {
    const { loader, sh } = ground.fixture
    if (loader === undefined) throw new NotApplicableError('the fixture names no loader')
    return {
      script: '"$1" "$2" -c "echo $3"',
      args: [loader, ground.file('readable', 'copy', readFileSync(sh), 0o777), ground.token],
    }
  }),
  executeAttack('a program behind a link in a granted tree of programs', (ground, program) => ({
    script: '"$1"',
    args: [hostLink(ground, 'programs', program)],
    grants: {
      read: [`${ground.folder('programs')}/**`],
      execute: [`${ground.folder('programs')}/**`],
    },
  })),
]
