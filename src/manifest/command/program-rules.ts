// Which rule a program is read by. It goes by the last segment of the path, in lower case, without versions and variants,
// because a copy called python3.11 or vim.tiny does what python and vim do. A program that no rule knows is a plain
// program: that it may run is what policy grants, and what it does with its arguments is then its own affair.

import { checkFindArguments, checkRsyncArguments, checkTarArguments } from './file-tool-arguments.ts'
import { checkGitArguments } from './git-arguments.ts'
import { envOperand, niceOperand, nohupOperand, timeoutOperand } from './launchers.ts'
import type { ArgumentCheck, Interpreter, ProgramRule, RefusedOptions } from './program-rule.ts'
import { REFUSED_PROGRAMS } from './refused-programs.ts'
import { checkAwkArguments, checkSedArguments } from './text-program-arguments.ts'

const options = (refused: RefusedOptions): ProgramRule => ({ kind: 'options', options: refused })
const checked = (check: ArgumentCheck): ProgramRule => ({ kind: 'checked', check })
const interpreter = (known: Interpreter): ProgramRule => ({ kind: 'interpreter', interpreter: known })

const SHELL = interpreter({ options: ['-e', '-u', '-eu', '-ue', '--norc', '--noprofile', '--posix'], needsSlash: true })
const PYTHON = interpreter({ options: ['-u', '-B', '-E', '-I', '-s', '-S', '-O', '-OO', '-q', '-P'] })
const NODE = interpreter({ options: [], endings: ['.js', '.cjs', '.mjs'] })
const COMPILER = options({
  words: [
    ...['-wrapper', '-B', '--prefix', '-fplugin', '-fpass-plugin', '-iplugindir', '-specs', '--specs', '--config'],
    ...['-fuse-ld', '--ld-path', '-Wl,', '-Xlinker', '-Xclang', '-mllvm', '-ccc', '--gcc-', '--driver-mode', '@'],
  ],
})

const RULES: ReadonlyMap<string, ProgramRule> = new Map<string, ProgramRule>([
  ['env', { kind: 'launcher', operand: envOperand }],
  ['nohup', { kind: 'launcher', operand: nohupOperand }],
  ['nice', { kind: 'launcher', operand: niceOperand }],
  ['timeout', { kind: 'launcher', operand: timeoutOperand }],

  ...['sh', 'bash', 'dash', 'ash', 'ksh', 'mksh'].map((name): [string, ProgramRule] => [name, SHELL]),
  ...['python', 'pypy'].map((name): [string, ProgramRule] => [name, PYTHON]),
  ...['node', 'nodejs'].map((name): [string, ProgramRule] => [name, NODE]),
  ['perl', interpreter({ options: ['-w', '-T', '-t'] })],
  ['ruby', interpreter({ options: ['-w'] })],
  ['php', interpreter({ options: [] })],
  ['lua', interpreter({ options: [] })],
  ['luajit', interpreter({ options: [] })],
  ['rscript', interpreter({ options: ['--vanilla'] })],

  ['git', checked(checkGitArguments)],
  ['find', checked(checkFindArguments)],
  ['bfs', checked(checkFindArguments)],
  ['tar', checked(checkTarArguments)],
  ['bsdtar', checked(checkTarArguments)],
  ['rsync', checked(checkRsyncArguments)],
  ['sed', checked(checkSedArguments)],
  ...['awk', 'gawk', 'mawk', 'nawk', 'original-awk', 'goawk', 'frawk', 'bioawk'].map((name): [string, ProgramRule] => [
    name,
    checked(checkAwkArguments),
  ]),

  ['sort', options({ long: ['compress-program'] })],
  ['split', options({ long: ['filter'] })],
  ['install', options({ long: ['strip-program', 'strip'], short: 's' })],
  ['sdiff', options({ long: ['diff-program', 'output'], short: 'o' })],
  ['diff3', options({ long: ['diff-program'] })],
  ['patch', options({ long: ['ed', 'get'], short: 'eg' })],
  ['zip', options({ long: ['unzip-command', 'test'], short: 'T' })],
  ['tcpdump', options({ long: ['postrotate-command'], short: 'z' })],
  ['tshark', options({ short: 'X' })],
  ['rg', options({ long: ['pre', 'hostname-bin', 'search-zip'], short: 'z' })],
  ['ag', options({ long: ['pager'] })],
  ['ack', options({ long: ['pager', 'ackrc', 'output'] })],
  ['fd', options({ long: ['exec', 'exec-batch', 'list-details'], short: 'xXl' })],
  ['fdfind', options({ long: ['exec', 'exec-batch', 'list-details'], short: 'xXl' })],
  ['bat', options({ long: ['pager', 'paging'] })],
  ['batcat', options({ long: ['pager', 'paging'] })],
  ...['nm', 'ar', 'ranlib', 'strip', 'objdump', 'objcopy', 'readelf'].map((name): [string, ProgramRule] => [
    name,
    options({ long: ['plugin'] }),
  ]),
  ['dmesg', options({ long: ['human'], short: 'H' })],
  ['wget', options({ long: ['use-askpass', 'execute', 'config'], short: 'e' })],
  ['curl', options({ long: ['engine', 'config'], short: 'K' })],
  ['aria2c', options({ words: ['--on', '--conf'] })],
  ['openssl', options({ words: ['-engine', '-provider', '--engine', '--provider'] })],
  [
    'gpg',
    options({
      long: ['exec-path', 'agent-program', 'dirmngr-program', 'photo-viewer', 'options', 'homedir'],
    }),
  ],
  ...['gcc', 'g++', 'cc', 'c++', 'c89', 'c99', 'cpp', 'clang', 'clang++'].map((name): [string, ProgramRule] => [
    name,
    COMPILER,
  ]),
])

const LOADER: ProgramRule = { kind: 'refused', why: 'is a loader: it runs the program that its arguments name' }
const GIT_PART: ProgramRule = { kind: 'refused', why: 'is a part of git; call git' }

/** A rule and the name it stands under here: what a reason may say, because nobody outside chose it. */
export interface KnownProgram {
  readonly name: string
  readonly rule: ProgramRule
}

/** What is known of a program, by its path or bare name; `undefined` for a plain program. */
export function knownProgram(program: string): KnownProgram | undefined {
  const base = program.slice(program.lastIndexOf('/') + 1).toLowerCase()
  if (/^ld[-.].*\.so|^ld(?:64)?\.so|^ld-(?:linux|musl)/.test(base)) return { name: 'ld.so', rule: LOADER }
  if (base.startsWith('git-')) return { name: 'this', rule: GIT_PART }
  for (const name of namesOf(base)) {
    const rule = RULES.get(name)
    const known = rule === undefined ? refusal(name) : { name, rule }
    if (known !== undefined) return known
  }
  // sudo-rs, busybox-extras, bash-static: a name that begins as that of a program which only runs others.
  const first = base.replace(/[-_.].*$/s, '')
  const rule = RULES.get(first)
  return rule?.kind === 'interpreter' ? { name: first, rule } : refusal(first)
}

function refusal(name: string): KnownProgram | undefined {
  const why = REFUSED_PROGRAMS.get(name)
  return why === undefined ? undefined : { name, rule: { kind: 'refused', why } }
}

/** `x86_64-linux-gnu-gcc-12` → itself, then gcc-12, then gcc. `gtimeout` is timeout where GNU programs go by a g. */
function namesOf(base: string): readonly string[] {
  const bare = base.replace(/^[a-z0-9_]+-(?:[a-z0-9]+-)?linux-[a-z0-9]+-/, '')
  const plain = [base, bare, bare.replace(/[-_.]?[0-9].*$/s, ''), bare.replace(/\..*$/s, '')]
  return base === 'gzip' || !base.startsWith('g') ? plain : [...plain, ...plain.map((name) => name.slice(1))]
}
