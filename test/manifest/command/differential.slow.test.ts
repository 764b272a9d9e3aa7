// The reader against real shells: what bash and dash run of a text that was let through, with which words and into which
// files, is what was read from it. Commands are made from a grammar, and from a soup of what shells give a meaning.

import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'

import type { Resource } from '../../../src/core/resource.ts'
import { readCommand } from '../../../src/manifest/command/read-command.ts'
import { fuzzRuns } from '../../support/fuzz.ts'
import { StubShell } from './stub-shell.ts'

const PROGRAMS = ['a', 'bb', 'p-1', 'x.y', '2', 'in', 'E'] as const
const LAUNCHERS = ['env', 'nice', 'nohup', 'timeout']
const shell = new StubShell(PROGRAMS, LAUNCHERS)
afterAll(() => shell.close())

const options = { search: [shell.bin], base: shell.work }

/** Runs `text` when it is let through; false when it is not. */
function agrees(text: string, shells: readonly ('bash' | 'sh')[]): boolean {
  const reading = readCommand(text, options)
  if (!reading.ok) return false
  const named = new Set(reading.resources.map(line))
  for (const name of shells) {
    const { ran, files } = shell.run(name, text)
    for (const [program = '', ...args] of ran) {
      const path = program.startsWith('/') ? program : `${shell.work}/${program}`
      expect(named, `${name} ran ${path}`).toContain(`run ${path}`)
      const bare = path.slice(path.lastIndexOf('/') + 1)
      const whole = [bare, ...args]
      // A launcher passes the end of its words on.
      const said = reading.commands.some((words) => endsWith(words, whole))
      expect(said, `${name} ran ${JSON.stringify(whole)} of ${JSON.stringify(reading.commands)}`).toBe(true)
    }
    for (const file of files) {
      // nohup of coreutils writes there when its output is a terminal; here it is not.
      expect(named, `${name} wrote ${file}`).toContain(`write ${shell.work}/${file}`)
    }
  }
  return true
}

function endsWith(words: readonly string[], end: readonly string[]): boolean {
  const from = words.length - end.length
  return from >= 0 && end.every((word, index) => words[from + index] === word)
}

function line(resource: Resource): string {
  if (resource.kind === 'binary') return `run ${resource.path}`
  return resource.kind === 'path' ? `${resource.access} ${resource.path}` : resource.kind
}

const pick = <T>(...values: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...values)

const plain = fc.stringMatching(/^[A-Za-z0-9_.:%+,@-][A-Za-z0-9_.:%+,@=^#\]-]{0,6}$/)
const single = fc.string({ maxLength: 8 }).map((text) => `'${text.replace(/'/g, '')}'`)
const double = fc
  .string({ maxLength: 8, unit: pick(...'ab $`"\\!\n\t\'*?{}()<>|&;#~é\u4e16') })
  .map((text) => `"${text.replace(/[!]/g, '.').replace(/[$`"\\]/g, '\\$&')}"`)
const escaped = pick(...' !"#$&\'()*;<>?[\\]^`{|}~=2n').map((character) => `\\${character}`)
const word = fc.oneof(
  plain,
  single,
  double,
  escaped,
  fc.tuple(fc.oneof(plain, escaped), fc.oneof(single, double, escaped), plain).map((parts) => parts.join('')),
)
const blank = pick(' ', '  ', '\t')
const redirection = fc
  .tuple(pick('', '1', '2'), pick('>', '>>', '>|', '<>'), pick('', ' '), pick('f', 'g', "'h i'"))
  .map((parts) => parts.join(''))
const other = fc.oneof(redirection, redirection, pick('2>&1', '1>&2', '</dev/null', '>&2', '<<<w', '<<<"a b"'))
const simple = fc
  .tuple(
    pick('', '', '', '>f ', '2>&1 '),
    pick(
      ...PROGRAMS,
      "'a'",
      'env a',
      'nice -n 1 bb',
      'nohup x.y',
      'timeout 5 env a',
      'true',
      'false',
      'echo x',
      '[ a = a ]',
    ),
    fc.array(fc.oneof({ arbitrary: word, weight: 4 }, { arbitrary: other, weight: 1 }), { maxLength: 4 }),
    blank,
  )
  .map(([before, name, rest, between]) => before + [name, ...rest].join(between))

const heredoc = fc
  .tuple(pick("'E'", '"E"', 'E'), fc.array(pick('x', ' E', 'E ', "it's", '"', '# (', '', ')'), { maxLength: 3 }))
  .map(([mark, lines]) => `a <<${mark}\n${[...lines, 'E'].join('\n')}\ntrue`)

const { command } = fc.letrec<{ command: string; item: string }>((tie) => ({
  item: fc.oneof(
    { maxDepth: 3 },
    simple,
    simple,
    heredoc,
    tie('command').map((text) => `( ${text} )`),
    tie('command').map((text) => `(${text})`),
    tie('command').map((text) => `{ ${text}\n}`),
    tie('command').map((text) => `! ${text}`),
    fc.tuple(tie('command'), tie('command')).map(([a, b]) => `if ${a}\nthen ${b}\nelse ${a}\nfi`),
    tie('command').map((text) => `while false\ndo ${text}\ndone >f`),
    tie('command').map((text) => `until true; do ${text}\ndone`),
  ),
  command: fc
    .array(
      fc.tuple(tie('item'), pick(';', ' ; ', '\n', ' && ', '||', '|', ' |\n', ' & ', ' # it\'s "\n', '\n# $(x)\n\n')),
      {
        minLength: 1,
        maxLength: 3,
      },
    )
    .map((items) => items.flat().slice(0, -1).join('')),
}))

describe('what is let through is run as it was read', () => {
  test('commands of a grammar, in bash and dash', () => {
    let accepted = 0
    fc.assert(
      fc.property(command, (text) => {
        if (agrees(text, ['bash', 'sh'])) accepted++
      }),
      { numRuns: fuzzRuns(150) },
    )
    // A good part of them, or the property says little.
    expect(accepted).toBeGreaterThan(fuzzRuns(150) / 3)
  }, 240_000)

  // biome-ignore format: pieces of one kind in one place.
  const soup = fc.array(pick(
    'a', 'bb', 'E', '2', '1', 'in', ' ', ' ', ' ', '\t', '\n', "'", '"', '\\', ';', '&', '|', '>', '<', '(', ')', '#', '~',
    '=', '{', '}', '!', '$', '*', '[', ']', '<<E\n', "<<'E'\n", '\nE\n', 'E\n', '2>', '>&1', '&>', '-', '%', '^', ',', '..', 'if ',
    '\nthen ', '\nfi', "''", '""', '\\\\', "\\'", '\\"', '\\\n', ' a', ';a', '>f', '<<<', '\\ ', '\u00e9', '@', '+', ':',
  ), { minLength: 1, maxLength: 14 }).map((pieces) => pieces.join(''))

  test('what is let through of a soup of shell syntax, in bash and dash', () => {
    let accepted = 0
    fc.assert(
      fc.property(soup, (text) => {
        if (agrees(text, ['bash', 'sh'])) accepted++
      }),
      { numRuns: fuzzRuns(3_000) },
    )
    expect(accepted).toBeGreaterThan(fuzzRuns(3_000) / 200)
  }, 240_000)
})

describe('the harness sees what it has to', () => {
  test('programs with their words, and files', () => {
    expect(shell.run('bash', "a 'b c' \\$x > f; ../bin/bb")).toMatchObject({
      ran: [[`${shell.bin}/a`, 'b c', '$x'], ['../bin/bb']],
      files: ['f'],
    })
  })

  test('a reading that leaves something out would be caught', () => {
    const { ran } = shell.run('sh', 'a; bb')
    expect(ran.map(([name]) => name)).toEqual([`${shell.bin}/a`, `${shell.bin}/bb`])
  })
})
