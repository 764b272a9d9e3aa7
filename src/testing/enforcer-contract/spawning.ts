// Starting programs: what is given arrives byte for byte, what is not given is not there, and what cannot be started is
// told apart from what was started and failed. Holds for every enforcer, whatever it confines.

import { join } from 'node:path'

import type { Command } from '../../enforcer/command.ts'
import { ensure, rejectsWith, shown } from './case.ts'
import type { CaseDefinition } from './definition.ts'
import { collect, type Ground } from './ground.ts'

/** One for each way in which arguments are known to be mangled: by a shell, a space, an encoding, an option parser. */
const ARGUMENTS: readonly string[] = [
  '',
  ' ',
  'two words',
  'a\nnew line\n',
  '\ttab\r',
  '-n',
  '--',
  '--help',
  '\'single\' "double"',
  '$(echo no) `echo no` $HOME',
  '; echo no',
  'back\\slash\\n',
  '*',
  '%s',
  'ünï ⟨日本語⟩ \u{1f600}',
  'e\u0301 is not \u00e9',
  'x'.repeat(100_000),
  '',
]

const CODES: readonly number[] = [0, 1, 3, 126, 127, 255]

/** Each is refused before anything is started. */
const INVALID: readonly (readonly [string, (file: string) => unknown])[] = [
  ['a name to be looked up', () => ({ file: 'sh', args: [] })],
  ['a relative file', () => ({ file: './sh', args: [] })],
  ['no file', () => ({ file: '', args: [] })],
  ['a file that is no text', () => ({ file: 1, args: [] })],
  ['a file with ..', (file) => ({ file: `/bin/..${file}`, args: [] })],
  ['a file with .', (file) => ({ file: `/.${file}`, args: [] })],
  ['a file with a doubled slash', (file) => ({ file: `/${file}`, args: [] })],
  ['a file with a NUL', (file) => ({ file: `${file}\0`, args: [] })],
  ['args that are no list', (file) => ({ file, args: 'one' })],
  ['an argument that is no text', (file) => ({ file, args: [1] })],
  ['an argument with a NUL', (file) => ({ file, args: ['one\0two'] })],
  ['a variable without a name', (file) => ({ file, args: [], env: { '': 'x' } })],
  ['a variable whose name has =', (file) => ({ file, args: [], env: { 'A=B': 'x' } })],
  ['a variable with a NUL', (file) => ({ file, args: [], env: { LISTED: 'a\0b' } })],
  ['a variable that is no text', (file) => ({ file, args: [], env: { LISTED: 1 } })],
  ['a relative cwd', (file) => ({ file, args: [], cwd: 'here' })],
  ['a cwd with ..', (file) => ({ file, args: [], cwd: '/tmp/..' })],
  ['stdin that is text', (file) => ({ file, args: [], stdin: 'text' })],
]

/** All 256 bytes, in an order that a text decoder would not survive. */
function bytes(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 167 + (index >> 8)) & 0xff)
}

async function echoed(ground: Ground, send: (command: Command) => Promise<Uint8Array>): Promise<void> {
  const sent = bytes(1024 * 1024)
  const came = await send({ file: ground.fixture.cat, args: [], stdin: sent })
  ensure(came.length === sent.length, `sent ${sent.length} bytes, ${came.length} came back`)
  const changed = came.findIndex((byte, index) => byte !== sent[index])
  ensure(changed === -1, `byte ${changed} was sent as ${sent[changed]} and came back as ${came[changed]}`)
}

export const SPAWNING: readonly CaseDefinition[] = [
  {
    name: 'spawn: arguments arrive byte for byte',
    body: async (ground) => {
      const box = await ground.open(ground.profile())
      const ended = await ground.run(box, ground.script('for a in "$@"; do printf "%s\\0" "$a"; done', ARGUMENTS))
      const came = ended.stdout.split('\0').slice(0, -1)
      ensure(came.length === ARGUMENTS.length, `${ARGUMENTS.length} arguments were given, ${came.length} arrived`)
      for (const [index, argument] of ARGUMENTS.entries())
        ensure(came[index] === argument, `argument ${shown(argument)} arrived as ${shown(came[index])}`)
    },
  },
  {
    name: 'spawn: output and errors are two streams',
    body: async (ground) => {
      const box = await ground.open(ground.profile())
      const ended = await ground.run(box, ground.script('echo out; echo err >&2'))
      ensure(ended.stdout === 'out\n' && ended.stderr === 'err\n', `they came as ${shown(ended)}`)
    },
  },
  {
    name: "spawn: a program's own exit code is told, also 126 and 127",
    body: async (ground) => {
      const box = await ground.open(ground.profile())
      for (const code of CODES) {
        const { status } = await ground.run(box, ground.script(`exit ${code}`))
        ensure(status.code === code && status.signal === undefined, `exit ${code} is told as ${shown(status)}`)
      }
    },
  },
  {
    name: 'spawn: a signal is told by its name',
    body: async (ground) => {
      const box = await ground.open(ground.profile())
      for (const name of ['TERM', 'KILL', 'USR1']) {
        const { status } = await ground.run(box, ground.script(`kill -${name} $$; exit 9`))
        ensure(
          status.signal === `SIG${name}` && status.code === undefined,
          `an end by SIG${name} is told as ${shown(status)}`,
        )
      }
    },
  },
  {
    name: 'spawn: without stdin there is nothing to read',
    body: async (ground) => {
      const box = await ground.open(ground.profile())
      const child = await ground.spawn(box, { file: ground.fixture.cat, args: [] })
      ensure(child.stdin === undefined, 'there is a stdin nobody asked for')
      const ended = await ground.patiently('cat with nothing to read', collect(child))
      ensure(ended.stdout === '' && ended.status.code === 0, `cat read something: ${shown(ended)}`)
    },
  },
  {
    name: 'spawn: bytes given as stdin arrive, and then the end',
    body: async (ground) => {
      const box = await ground.open(ground.profile())
      await echoed(ground, async (command) => {
        const child = await ground.spawn(box, command)
        ensure(child.stdin === undefined, 'there is a stdin although its bytes were given')
        return new Uint8Array(await ground.patiently('cat', new Response(child.stdout).arrayBuffer()))
      })
    },
  },
  {
    name: 'spawn: a stdin pipe carries bytes, and its end',
    body: async (ground) => {
      const box = await ground.open(ground.profile())
      await echoed(ground, async ({ file, args, stdin }) => {
        const child = await ground.spawn(box, { file, args, stdin: 'pipe' })
        ensure(child.stdin !== undefined, 'there is no stdin although a pipe was asked for')
        const output = new Response(child.stdout).arrayBuffer()
        const writer = child.stdin.getWriter()
        await ground.patiently('the stdin pipe', Promise.all([writer.write(stdin as Uint8Array), writer.close()]))
        return new Uint8Array(await ground.patiently('cat', output))
      })
    },
  },
  {
    name: 'spawn: a program that does not read its stdin is no error',
    body: async (ground) => {
      const box = await ground.open(ground.profile())
      const { status } = await ground.run(box, { file: ground.fixture.true, args: [], stdin: bytes(1024 * 1024) })
      ensure(status.code === 0, `it ended with ${shown(status)}`)
    },
  },
  {
    name: 'spawn: a program starts in its cwd',
    body: async (ground) => {
      const cwd = ground.folder('readable')
      const box = await ground.open(ground.profile({ read: [`${cwd}/**`] }))
      const ended = await ground.run(box, ground.script('pwd -P', [], { cwd }))
      ensure(ended.stdout === `${cwd}\n`, `it started elsewhere: ${shown(ended)}`)
    },
  },
  {
    name: 'spawn: only the variables of the command are there',
    body: async (ground) => {
      const name = `AGENTPORT_CONTRACT_${ground.token.slice(-8).toUpperCase()}`
      const value = 'a value\nwith = and ünïcode'
      process.env[name] = ground.token
      ground.later(() => {
        delete process.env[name]
      })
      const print = ground.script('export -p; printf "%s" "<$LISTED>"', [], { env: { LISTED: value } })
      // Granted by its name as well: a name says what may be passed on, and nobody passed it on.
      const box = await ground.open(ground.profile({ env: ['LISTED', name] }))
      const { stdout } = await ground.run(box, print)
      ensure(stdout.includes(`<${value}>`), `LISTED did not arrive as it was given: ${shown(stdout)}`)
      ensure(!stdout.includes(ground.token), `${name} of this process was inherited`)
      const empty = await ground.run(box, ground.script('export -p'))
      ensure(!empty.stdout.includes(ground.token), `${name} of this process was inherited by a command without env`)
    },
  },
  {
    name: 'env: a variable that the profile does not list is not passed on',
    feature: 'env',
    body: async (ground) => {
      const box = await ground.open(ground.profile({ env: ['LISTED'] }))
      const listed = await ground.run(box, ground.script('echo "$LISTED"', [], { env: { LISTED: 'listed' } }))
      ensure(listed.stdout === 'listed\n', `a listed variable did not arrive: ${shown(listed)}`)
      const env = { LISTED: 'listed', LD_AUDIT: ground.token, UNLISTED: ground.token }
      const ended = await ground.run(box, ground.script('export -p', [], { env })).catch((error: unknown) => {
        // To refuse such a command is to pass nothing on.
        if ((error as { readonly code?: unknown }).code === 'ERR_COMMAND_INVALID') return undefined
        throw error
      })
      ensure(ended?.stdout.includes(ground.token) !== true, `an unlisted variable arrived: ${shown(ended)}`)
    },
  },
  {
    name: 'spawn: nothing but stdin, stdout and stderr is open',
    body: async (ground) => {
      const box = await ground.open(ground.profile())
      const ended = await ground.run(
        box,
        ground.script('for n in 3 4 5 6 7 8 9; do (eval ": <&$n") 2>/dev/null && echo "$n"; done; exit 0'),
      )
      ensure(ended.stdout === '', `these are open as well: ${shown(ended.stdout)}`)
    },
  },
  {
    name: 'spawn: a command that is none is ERR_COMMAND_INVALID',
    body: async (ground) => {
      const box = await ground.open(ground.profile({ env: ['LISTED'] }))
      for (const [what, command] of INVALID) {
        await rejectsWith(
          'ERR_COMMAND_INVALID',
          `spawn with ${what}`,
          ground.spawn(box, command(ground.fixture.true) as Command),
        )
      }
    },
  },
  {
    name: 'spawn: a program that is not there is ERR_SPAWN_FAILED',
    body: async (ground) => {
      const folder = ground.folder('programs')
      const cwd = join(folder, 'nowhere')
      const box = await ground.open(ground.profile({ read: [`${folder}/**`], execute: [`${folder}/**`] }))
      const missing = { file: join(folder, 'missing'), args: [] }
      await rejectsWith('ERR_SPAWN_FAILED', 'spawn of a missing program', ground.spawn(box, missing))
      await rejectsWith('ERR_SPAWN_FAILED', 'spawn of a directory', ground.spawn(box, { file: folder, args: [] }))
      const elsewhere = { file: ground.fixture.true, args: [], cwd }
      await rejectsWith('ERR_SPAWN_FAILED', 'spawn in a missing cwd', ground.spawn(box, elsewhere))
      await ground.mustWork(box)
    },
  },
  {
    name: 'spawn: a command is read once, before spawn returns',
    body: async (ground) => {
      const box = await ground.open(ground.profile({ env: ['LISTED'] }))
      const args = ['-c', 'echo "$1 $LISTED"; read -r line; echo "$line"', 'sh', 'before']
      const env = { LISTED: 'before' }
      const stdin = new TextEncoder().encode('before\n')
      const starting = box.spawn({ file: ground.fixture.sh, args, env, stdin })
      args[3] = 'after'
      env.LISTED = 'after'
      stdin.set(new TextEncoder().encode('after!'))
      const ended = await ground.patiently('spawn', starting.then(collect))
      ensure(ended.stdout === 'before before\nbefore\n', `changes made after the call arrived: ${shown(ended.stdout)}`)
    },
  },
  {
    name: 'spawn: programs run at the same time, each with its own output',
    body: async (ground) => {
      const box = await ground.open(ground.profile())
      const words = Array.from({ length: 8 }, (_, index) => `word ${index}`)
      const ended = await Promise.all(
        words.map((word) => ground.run(box, ground.script('"$2" 0.2; echo "$1"', [word, ground.fixture.sleep]))),
      )
      for (const [index, word] of words.entries())
        ensure(ended[index]?.stdout === `${word}\n`, `${word} came as ${shown(ended[index])}`)
    },
  },
]
