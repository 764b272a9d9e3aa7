// What a profile denies inside of what it grants. An enforcer that cannot make such a hole refuses the profile and says
// which rule it is about; what it must never do is to open without the hole.

import { join } from 'node:path'

import type { Confinement } from '../../enforcer/enforcer.ts'
import { resists } from './attack.ts'
import { ensure, rejectsWith } from './case.ts'
import type { CaseDefinition } from './definition.ts'
import { type Grants, type Ground, HOLE } from './ground.ts'

/** The confinement, or `undefined` when the profile was refused as it should be. */
async function openOrRefuse(ground: Ground, grants: Grants): Promise<Confinement | undefined> {
  const opened = ground.tryOpen(ground.profile(grants))
  try {
    return await opened
  } catch {
    const error = await rejectsWith('ERR_ENFORCEMENT_UNAVAILABLE', 'open with a hole it cannot make', opened)
    ensure(error.message.includes(HOLE), `the refusal does not name the rule ${HOLE}: ${error.message}`)
    return undefined
  }
}

const deep = (ground: Ground): { readonly tree: string; readonly inner: string } => {
  const tree = ground.folder('granted')
  return { tree, inner: ground.folder(join('granted', 'inner')) }
}

function reading(kind: string, pattern: (tree: string) => string): CaseDefinition {
  return {
    name: `fs_read: a hole given as ${kind} is made or refused`,
    feature: 'fs_read',
    body: async (ground) => {
      const { tree } = deep(ground)
      const secret = ground.file('granted/inner', 'secret', `${ground.token}\n`)
      const box = await openOrRefuse(ground, { read: [`${tree}/**`], denyRead: [pattern(tree)] })
      if (box === undefined) return
      await resists(ground, box, {
        what: `reading ${pattern(tree)}`,
        command: ground.script('read -r line < "$1"; echo "$line"', [secret]),
        succeeded: (ended) => ended?.stdout.includes(ground.token) ?? false,
      })
    },
  }
}

function writing(kind: string, pattern: (tree: string) => string): CaseDefinition {
  return {
    name: `fs_write: a hole given as ${kind} is made or refused`,
    feature: 'fs_write',
    body: async (ground) => {
      const { tree } = deep(ground)
      const target = ground.file('granted/inner', 'secret', 'original')
      const box = await openOrRefuse(ground, {
        read: [`${tree}/**`],
        write: [`${tree}/**`],
        denyWrite: [pattern(tree)],
      })
      if (box === undefined) return
      await resists(ground, box, {
        what: `writing ${pattern(tree)}`,
        prepare: () => ground.file('granted/inner', 'secret', 'original'),
        command: ground.script('echo changed > "$1"', [target]),
        succeeded: () => ground.content(target) !== 'original',
      })
    },
  }
}

export const HOLES: readonly CaseDefinition[] = [
  reading('a tree', (tree) => `${tree}/inner/**`),
  reading('a file', (tree) => `${tree}/inner/secret`),
  reading('a pattern', (tree) => `${tree}/**/secret`),
  {
    name: 'fs_read: a pattern also hides what is made after opening, or is refused',
    feature: 'fs_read',
    body: async (ground) => {
      const { tree } = deep(ground)
      const pattern = `${tree}/**/secret`
      const box = await openOrRefuse(ground, { read: [`${tree}/**`], denyRead: [pattern] })
      if (box === undefined) return
      const secret = ground.file('granted/inner', 'secret', `${ground.token}\n`)
      await resists(ground, box, {
        what: `reading ${pattern}, made after opening,`,
        command: ground.script('read -r line < "$1"; echo "$line"', [secret]),
        succeeded: (ended) => ended?.stdout.includes(ground.token) ?? false,
      })
    },
  },
  writing('a tree', (tree) => `${tree}/inner/**`),
  writing('a file', (tree) => `${tree}/inner/secret`),
  writing('a pattern', (tree) => `${tree}/**/secret`),
  {
    name: 'fs_write: a hole where nothing is yet leaves nothing behind on the host',
    feature: 'fs_write',
    body: async (ground) => {
      const { tree } = deep(ground)
      const target = join(tree, 'inner', 'later')
      const box = await openOrRefuse(ground, { read: [`${tree}/**`], write: [`${tree}/**`], denyWrite: [target] })
      if (box === undefined) return
      ensure(ground.content(target) === undefined, `opening made ${target}`)
      await ground.mustWork(box)
      await ground.run(box, ground.script('echo made > "$1"', [target]))
      ensure(ground.content(target) === undefined, `a confined program made ${target}, which is denied`)
    },
  },
  {
    name: 'fs_execute: a hole in a tree of programs is made or refused',
    feature: 'fs_execute',
    body: async (ground) => {
      const { tree } = deep(ground)
      const program = ground.file('granted/inner', 'secret', `#!${ground.fixture.sh}\necho ${ground.token}\n`, 0o777)
      const box = await openOrRefuse(ground, {
        read: [`${tree}/**`],
        execute: [`${tree}/**`],
        denyExecute: [`${tree}/inner/**`],
      })
      if (box === undefined) return
      await resists(ground, box, {
        what: `running ${program}`,
        command: ground.script('"$1"', [program]),
        succeeded: (ended) => ended?.stdout.includes(ground.token) ?? false,
      })
    },
  },
]
