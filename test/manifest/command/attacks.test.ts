// Command lines that begin like an allowed one and run another program. Each is run by a real shell first, which does
// start the smuggled program: that is the control. The reader has to refuse the same text, or to name the program.

import { afterAll, describe, expect, test } from 'vitest'

import { readArgumentVector, readCommand } from '../../../src/manifest/command/read-command.ts'
import { realProgram, StubShell } from './stub-shell.ts'

// biome-ignore format: one attack a line.
const REAL = [
  'env', 'timeout', 'nice', 'nohup', 'stdbuf', 'setsid', 'xargs', 'find', 'tar', 'sed', 'awk', 'mawk', 'gawk', 'git',
  'perl', 'python3', 'node', 'bash', 'sh', 'dash', 'sort', 'split', 'zip', 'flock', 'script', 'strace', 'gdb', 'make',
  'watch', 'vim', 'wget', 'ssh', 'man', 'less', 'patch', 'ionice', 'taskset', 'chrt', 'setarch', 'prlimit', 'time',
  'unshare', 'rsync', 'rg', 'cat', 'tcpdump', 'gcc', 'install', 'run-parts', 'start-stop-daemon', 'gzip', 'rm', 'ls', 'seq',
]
const shell = new StubShell(['evil', 'good', 'ok'], REAL)
afterAll(() => shell.close())

const options = { search: [shell.bin], base: shell.work }
const evil = `run ${shell.bin}/evil`

const REPOSITORY = 'git init -q; echo good > a; git add a'

interface Attack {
  readonly class: string
  readonly text: string
  /** Programs of this machine it needs. */
  readonly needs?: readonly string[]
  /** In the reason. */
  readonly says: RegExp
}

const attack = (kind: string, text: string, says: RegExp, ...needs: readonly string[]): Attack => ({
  class: kind,
  text,
  says,
  needs,
})

// biome-ignore format: one attack a line.
const REFUSED: readonly Attack[] = [
  attack('substitution', 'good $(evil)', /command substitution/),
  attack('substitution', 'good "$(evil)"', /command substitution/),
  attack('substitution', 'good `evil`', /backticks/),
  attack('substitution', 'good "`evil`"', /backticks/),
  attack('substitution', 'good <(evil)', /process substitution/),
  attack('substitution', 'good >(evil)', /process substitution/),
  attack('substitution', 'good $((`evil`0))', /arithmetic/),
  attack('substitution', 'good $[`evil`0]', /arithmetic/),
  attack('substitution', 'good ${x:-`evil`}', /expansion of a variable/),
  attack('substitution', 'good > "$(evil)x"', /command substitution/),
  attack('substitution', 'good <<E\n$(evil)\nE', /here-document/),
  attack('substitution', 'good <<<$(evil)', /command substitution/),
  attack('substitution in an assignment', 'X=`evil` good', /backticks/),
  attack('variable in front', 'X=evil; $X', /variable/),
  attack('variable in front', 'BASH_ENV=./x env evil', /assignment/, 'env'),
  attack('variable in front', 'a[`evil`0]=1', /backticks|glob/),
  attack('bare assignment', 'PATH=.:$PATH evil', /expansion/),
  attack('wrapper', 'stdbuf -o0 evil', /stdbuf runs/, 'stdbuf'),
  attack('wrapper', 'setsid evil', /setsid runs/, 'setsid'),
  attack('wrapper', 'echo evil | xargs -n1 env', /xargs runs/, 'xargs', 'env'),
  attack('wrapper', 'xargs evil', /xargs runs/, 'xargs'),
  attack('wrapper', 'flock . evil', /flock runs/, 'flock'),
  attack('wrapper', 'script -qc evil x', /script runs/, 'script'),
  attack('wrapper', 'ionice evil', /ionice runs/, 'ionice'),
  attack('wrapper', 'setarch x86_64 evil', /setarch runs/, 'setarch'),
  attack('wrapper', 'prlimit evil', /prlimit runs/, 'prlimit'),
  attack('wrapper', 'env X=1 evil', /env with/, 'env'),
  attack('wrapper', 'env -S "evil x"', /env with/, 'env'),
  attack('wrapper', 'env -i -S evil', /env with/),
  attack('wrapper', 'nice -5 evil', /nice with/, 'nice'),
  attack('wrapper', 'nice --adjustment=5 evil', /nice with/, 'nice'),
  attack('wrapper', 'timeout --signal=KILL 5 evil', /timeout with/, 'timeout'),
  attack('wrapper', 'timeout --foreground 5 evil', /timeout with/, 'timeout'),
  attack('wrapper', 'time evil', /time/),
  attack('wrapper', "printf 'x:;@evil' | make -f -", /make builds/, 'make'),
  attack('wrapper shell', "bash -c 'evil'", /bash with an option/, 'bash'),
  attack('wrapper shell', "bash -lc '../bin/evil'", /bash with an option/, 'bash'),
  attack('wrapper shell', 'echo evil | sh', /sh without a script/, 'sh'),
  attack('wrapper shell', 'sh <<E\nevil\nE', /sh without a script/, 'sh'),
  attack('wrapper shell', 'echo evil | bash /dev/stdin', /not a file of its own/, 'bash'),
  attack('wrapper shell', 'sh -s <<E\nevil\nE', /sh with an option/, 'sh'),
  attack('interpreter', 'perl -e \'exec "evil"\'', /perl with an option/, 'perl'),
  attack('interpreter', "perl -we 'system(q(evil))'", /perl with an option/, 'perl'),
  attack('interpreter', "echo 'exec q(evil)' | perl", /perl without/, 'perl'),
  attack('interpreter', 'node -e \'require("child_process").execFileSync("evil")\'', /node with an option/, 'node'),
  attack('interpreter', 'node -p "require(\'child_process\').execFileSync(\'evil\')+\'\'"', /node with an option/, 'node'),
  attack('exec-capable flag', 'find . -exec evil ";"', /find with the action -exec/, 'find'),
  attack('exec-capable flag', 'find . -execdir evil \\;', /PATH|find with the action -execdir/),
  attack('exec-capable flag', 'find . -name . -exec evil {} +', /brace/, 'find'),
  attack('exec-capable flag', "find . -name . -ex'ec' evil '{}' +", /find with the action -exec/, 'find'),
  attack('escaped flag', 'find . \\-exec evil \\;', /find with the action -exec/, 'find'),
  attack('escaped flag', 'find . -e"xec" evil \';\'', /find with the action -exec/, 'find'),
  attack('escaped flag', 'sort \\-\\-compress-program=evil -S 1b ../bin/evil ../bin/evil', /--compress-program/),
  attack('exec-capable flag', 'find -- . -exec evil \\;', /find with the action -exec/, 'find'),
  attack('exec-capable flag', 'tar cf x.tar --checkpoint=1 --checkpoint-action=exec=evil ..', /--checkpoint-action/, 'tar'),
  attack('exec-capable flag', 'tar cf x.tar --checkpoint=1 --checkpoint-a=exec=evil ..', /--checkpoint-action/, 'tar'),
  attack('exec-capable flag', 'tar -cf x.tar -I evil ../bin/good', /-I/, 'tar'),
  attack('exec-capable flag', 'tar cfI x.tar evil ../bin/good', /-I/, 'tar'),
  attack('exec-capable flag', 'tar cf x.tar --use-comp evil ../bin/good', /--use-compress-program/, 'tar'),
  attack('exec-capable flag', 'tar cf a.tar ../bin/good && tar xf a.tar --to-command=evil', /--to-command/, 'tar'),
  attack('exec-capable flag', "printf 'a\\n' | sed '1e evil'", /sed with/, 'sed'),
  attack('exec-capable flag', "printf 'evil\\n' | sed 's/x*/&/e'", /sed with/, 'sed'),
  attack('exec-capable flag', "printf 'a\\n' | sed -n -e p -e '1e evil'", /sed with/, 'sed'),
  attack('exec-capable flag', "printf 'a\\n' | sed '/[/]/d\n1e evil'", /sed with/, 'sed'),
  attack('exec-capable flag', "printf 'a\\n' | sed 's/a/b/;1e evil'", /sed with/, 'sed'),
  attack('exec-capable flag', "printf 'a\\n' | sed --expression='1e evil'", /sed with/, 'sed'),
  attack('exec-capable flag', 'awk \'BEGIN{system("evil")}\'', /awk with/, 'awk'),
  attack('exec-capable flag', 'awk \'BEGIN{print "x" | "evil"}\'', /awk with/, 'awk'),
  attack('exec-capable flag', 'awk \'BEGIN{"evil" | getline}\'', /awk with/, 'awk'),
  attack('exec-capable flag', 'awk -- \'BEGIN{system("evil")}\'', /awk with/, 'awk'),
  attack('exec-capable flag', 'seq 99999 | sort -S 1b --compress-program=evil', /--compress-program/, 'sort', 'seq'),
  attack('exec-capable flag', 'seq 99999 | sort --comp evil -S 1b', /--compress-program/, 'sort', 'seq'),
  attack('exec-capable flag', 'seq 99999 | sort -o -- --compress-program=evil -S 1b', /--compress-program/, 'sort', 'seq'),
  attack('exec-capable flag', 'split --filter=evil ../bin/good', /--filter/, 'split'),
  attack('exec-capable flag', 'split --fi evil ../bin/good', /--filter/, 'split'),
  attack('exec-capable flag', 'zip -q x.zip ../bin/good -T -TT "evil #"', /-T/, 'zip'),
  attack('exec-capable flag', "vim -es -c '!evil' -c q", /vim can start/, 'vim'),
  attack('exec-capable flag', 'git grep --open-files-in-pager=evil good', /--open-files-in-pager/, 'git'),
  attack('exec-capable flag', 'git grep -Oevil good', /-O/, 'git'),
  attack('global flag in front', "git -c alias.status2='!evil' status2", /git with an option in front/, 'git'),
  attack('global flag in front', "git -c alias.x='!evil' -P x", /git with an option in front/, 'git'),
  attack('global flag in front', 'git --exec-path=../bin good', /git with/),
  attack('prefix of a builtin', 'eval evil', /eval runs/),
  attack('prefix of a builtin', '\\eval evil', /eval runs/),
  attack('prefix of a builtin', '"ev"al evil', /eval runs/),
  attack('prefix of a builtin', 'command evil', /command runs/),
  attack('prefix of a builtin', 'builtin eval evil', /builtin runs/),
  attack('prefix of a builtin', 'exec evil', /exec replaces/),
  attack('prefix of a builtin', "trap evil EXIT; good", /trap runs/),
  attack('prefix of a builtin', 'echo evil > x; . ./x', /\. runs/),
  attack('prefix of a builtin', 'echo evil > x; source ./x', /source runs/),
  attack('prefix of a builtin', 'hash -p ../bin/evil good; good', /hash gives/),
  attack('prefix of a builtin', "mapfile -C 'evil #' -c 1 < ../bin/good", /mapfile sets/),
  attack('prefix of a builtin', 'compgen -C evil x', /compgen runs/),
  attack('prefix of a builtin', 'good(){ evil; }; good', /parenthesis|function/),
  attack('prefix of a builtin', 'function good { evil; }; good', /function/),
  attack('prefix of a builtin', 'shopt -s expand_aliases\nalias good=evil\ngood', /shopt changes/),
  attack('prefix of a builtin', 'coproc evil; wait', /coprocess/),
  attack('words that are evaluated', "[ -v 'a[$(evil)]' ]", /evaluate/),
  attack('words that are evaluated', "test -v 'a[$(evil)]'", /evaluate/),
  attack('words that are evaluated', "[[ -v 'a[$(evil)]' ]]", /\[\[/),
  attack('words that are evaluated', "[[ 'a[$(evil)]' -eq 0 ]]", /\[\[/),
  attack('words that are evaluated', "printf -v 'a[$(evil)]' x", /printf/),
  attack('words that are evaluated', "read 'a[$(evil)]' <<<x", /read sets/),
  attack('words that are evaluated', "good; unset 'PIPESTATUS[$(evil)]'", /unset/),
  attack('words that are evaluated', "let 'a[$(evil)]=1'", /let evaluates/),
  attack('words that are evaluated', "declare -i 'x=a[$(evil)]'", /declare sets/),
  attack('words that are evaluated', "((a[$(evil)]))", /arithmetic/),
  attack('line tricks', 'good \\\n; evil', /continued with a backslash/),
  attack('line tricks', 'ev\\\nil', /continued with a backslash/),
  attack('line tricks', "$'ev\\x69l'", /ANSI-C/),
  attack('line tricks', '$"evil"', /locale/),
  attack('line tricks', 'e{vil,}', /brace/),
  attack('line tricks', '{evil,x}', /brace/),
  attack('line tricks', '../bin/ev?l', /glob/),
  attack('line tricks', '../bin/[e]vil', /glob/),
  attack('line tricks', 'shopt -s extglob\n../bin/@(evil)', /shopt|parenthesis/),
  attack('line tricks', '~/bin/evil', /home directory/),
  attack('line tricks', '${IFS#?*}evil', /variable/),
  attack('line tricks', 'e$@vil', /variable/),
  attack('line tricks', 'for PATH in ../bin; do evil; done', /loop over a variable/),
  attack('line tricks', 'case x in x) evil;; esac', /case/),
  attack('state', 'cd ../bin && ./evil', /cd changes/),
  attack('state', 'pushd ../bin && ./evil', /pushd changes/),
]

describe('refused, and the real shell runs the smuggled program', () => {
  test.each(REFUSED.map((one) => [one.class, one.text, one] as const))('%s: %j', (_, text, { says, needs = [] }) => {
    const reading = readCommand(text, options)
    expect(reading).toMatchObject({ ok: false, reason: expect.stringMatching(says) })
    if (needs.some((name) => realProgram(name) === undefined)) return
    if (CONTROL_EXEMPT.has(text)) return
    const { ran, stderr } = shell.run('bash', text, text.startsWith('git grep') ? REPOSITORY : undefined)
    expect(
      ran.map(([name]) => name?.replace(/^.*\//, '')),
      stderr,
    ).toContain('evil')
  })

  // Refused all the same; what they do depends on what a machine has or is not the smuggling of a program.
  const CONTROL_EXEMPT: ReadonlySet<string> = new Set([
    'env -i -S evil',
    'sort \\-\\-compress-program=evil -S 1b ../bin/evil ../bin/evil',
    'find . -execdir evil \\;',
    'git --exec-path=../bin good',
  ])
})

describe('refused, because another shell runs the smuggled program', () => {
  test.each([
    ['sh', 'good &> f evil', /&>/],
    ['sh', 'good &>> f evil', /&>/],
  ] as const)('%s: %j', (name, text, says) => {
    expect(readCommand(text, options)).toMatchObject({ ok: false, reason: expect.stringMatching(says) })
    expect(shell.run(name, text).ran.map(([program]) => program)).toContain(`${shell.bin}/evil`)
  })
})

describe('not hidden: the program is named, so that policy decides', () => {
  // biome-ignore format: one attack a line.
  test.each([
    'good; evil', 'good && evil', 'false || evil', 'good | evil', 'good & evil', 'good\nevil', 'good;evil', 'good&&evil',
    '( evil )', '{ evil; }', '! evil', 'if true; then evil; fi', 'if evil; then good; fi', 'while evil; do exit 1; done',
    'until evil; do good; done', "'evil'", '\\evil', 'e"vi"l', "e''vil", 'evil\t-x', '   evil', '# x\nevil', 'good # ;\nevil',
    "good <<'E'\nx\nE\nevil", 'good <<E && evil\nx\nE', '> x evil', '2>&1 evil', 'evil>x', '../bin/evil', './../bin/evil',
    'env evil', 'nice evil', 'nice -n 3 evil', 'nohup evil', 'timeout 5 evil', 'timeout -k 1s -s KILL 5 nice env evil',
    "good '\n'; evil", 'good "\n"; evil', 'good "\\""; evil', "good \\'; evil", "good '\\'; evil",
  ])('%j', (text) => {
    const reading = readCommand(text, options)
    const climbs = text.includes('..')
    if (climbs) expect(reading).toMatchObject({ ok: false, reason: expect.stringContaining('..') })
    else expect(reading.ok && reading.resources.map(said), reading.ok ? '' : reading.reason).toContain(evil)
    const { ran, stderr } = shell.run('bash', text)
    expect(ran.map(([name]) => name?.replace(/^.*\//, '')), stderr).toContain('evil')
  })
})

describe('a list of arguments is run without a shell', () => {
  test.each<[readonly string[], RegExp]>([
    [['env', 'X=1', 'evil'], /env with/],
    [['bash', '-c', 'evil'], /bash with/],
    [['find', '.', '-exec', 'evil', ';'], /find with/],
    [['xargs', 'evil'], /xargs runs/],
    [['tar', 'cf', 'x', '--checkpoint=1', '--checkpoint-action=exec=evil', '..'], /tar with/],
    [['awk', 'BEGIN{system("evil")}'], /awk with/],
  ])('%j', (argv, says) => {
    expect(readArgumentVector(argv, options)).toMatchObject({ ok: false, reason: expect.stringMatching(says) })
    const [program = '', ...args] = argv
    const path = realProgram(program)
    if (path === undefined) return
    expect(shell.exec(path, args).ran.map(([name]) => name?.replace(/^.*\//, ''))).toContain('evil')
  })

  test('so that what a shell would read is only text', () => {
    const argv = ['good', '$(evil)', '`evil`', '; evil', '*', '> x', '\n', '']
    const reading = readArgumentVector(argv, options)
    expect(reading).toMatchObject({ ok: true, commands: [argv] })
    expect(reading.ok && reading.resources.map(said)).toEqual([`run ${shell.bin}/good`])
    expect(shell.exec(`${shell.bin}/good`, argv.slice(1))).toMatchObject({
      ran: [[`${shell.bin}/good`, ...argv.slice(1)]],
      files: [],
    })
  })
})

describe('files that a redirection would open', () => {
  // biome-ignore format: one attack a line.
  test.each([
    'ok > f', 'ok >> f', 'ok >| f', 'ok >f', 'ok 1>f', 'ok 2> f', 'ok <> f', '>f ok',
    '{ ok; } > f', '( ok ) > f', 'if ok; then ok; fi > f', 'while false; do ok; done > f', 'ok > "f"', "ok > 'f'", 'ok > \\f',
    'ok | ok > f', 'ok > f 2>&1', 'ok 2>&1 > f', 'echo x > f', ': > f', 'ok<>f', 'ok>f;ok', 'exit 0 > f', 'ok > x > f',
  ])('%j writes f', (text) => {
    const reading = readCommand(text, options)
    expect(reading.ok && reading.resources.map(said), reading.ok ? '' : reading.reason).toContain(`write ${shell.work}/f`)
    expect(shell.run('bash', text).files).toContain('f')
  })

  test.each([
    ['> f', /without a command/],
    ['ok >& f', /redirection with &/],
    ['ok > $PWD/f', /variable/],
    ['ok {x}> f', /brace/],
    ['ok 3> f', /file descriptor/],
    ['good 1>f>g 2>&1 3>f', /file descriptor/],
    ['exec > f', /exec/],
    ['ok |& good > f', /\|&/],
    ['ok &> f', /&>/],
    ['ok &>> f', /&>/],
  ])('%j is refused, and writes f', (text, says) => {
    expect(readCommand(text, options)).toMatchObject({ ok: false, reason: expect.stringMatching(says) })
    expect(shell.run('bash', text).files).toContain('f')
  })
})

function said(resource: { readonly kind: string }): string {
  const { kind, path = '', access = '' } = resource as { kind: string; path?: string; access?: string }
  return kind === 'binary' ? `run ${path}` : `${access} ${path}`
}
