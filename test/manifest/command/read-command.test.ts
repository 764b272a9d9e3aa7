// What a command text is read as, and every construct that is refused with its own reason.

import { spawnSync } from 'node:child_process'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { describeResource } from '../../../src/core/resource.ts'
import { COMMAND_BOUNDS } from '../../../src/manifest/command/bounds.ts'
import { knownProgram } from '../../../src/manifest/command/program-rules.ts'
import {
  type CommandOptions,
  type CommandReading,
  readArgumentVector,
  readCommand,
} from '../../../src/manifest/command/read-command.ts'
import { checkAwkArguments, checkSedArguments } from '../../../src/manifest/command/text-program-arguments.ts'
import { fuzzRuns } from '../../support/fuzz.ts'
import { realProgram, StubShell } from './stub-shell.ts'

const options: CommandOptions = { search: ['/usr/bin', '/bin'], base: '/srv/work', from: '/command' }

function said(reading: CommandReading): readonly string[] {
  if (!reading.ok) throw new Error(reading.reason)
  for (const resource of reading.resources) expect(resource.from).toBe('/command')
  return reading.resources.map(describeResource)
}

function words(reading: CommandReading): readonly (readonly string[])[] {
  if (!reading.ok) throw new Error(reading.reason)
  return reading.commands
}

function reason(reading: CommandReading): string {
  if (reading.ok) throw new Error(`let through: ${JSON.stringify(reading.commands)}`)
  return reading.reason
}

describe('programs and files', () => {
  test.each<[string, readonly string[]]>([
    ['git status', ['run /usr/bin/git', 'run /bin/git']],
    ['/opt/x/tool a b', ['run /opt/x/tool']],
    ['/opt//x/./tool', ['run /opt/x/tool']],
    ['./tool', ['run /srv/work/tool']],
    ['sub/tool', ['run /srv/work/sub/tool']],
    ['/tmp/git status', ['run /tmp/git']],
    ['/bin/a; /bin/b && /bin/c || /bin/d | /bin/e & /bin/f', 'abcdef'.split('').map((name) => `run /bin/${name}`)],
    ['/bin/a; /bin/a', ['run /bin/a']],
    ['/bin/a < in >> /srv/out 2> /dev/null', ['run /bin/a', 'read /srv/work/in', 'write /srv/out', 'write /dev/null']],
    ['/bin/a <> rw', ['run /bin/a', 'read /srv/work/rw', 'write /srv/work/rw']],
    ['/bin/a > "b c"', ['run /bin/a', 'write /srv/work/b c']],
    ['/bin/a 2>&1 >&2 <&0', ['run /bin/a']],
    ["/bin/a <<'E'\n$(x)\nE", ['run /bin/a']],
    ['( /bin/a; { /bin/b; } > f ) < g', ['run /bin/a', 'run /bin/b', 'write /srv/work/f', 'read /srv/work/g']],
    [
      '/bin/nice -n 3 /bin/timeout 5s /bin/env /bin/a',
      ['run /bin/nice', 'run /bin/timeout', 'run /bin/env', 'run /bin/a'],
    ],
    ['/bin/python3 -u run.py -c x', ['run /bin/python3', 'read /srv/work/run.py']],
    ['/bin/bash -eu ./run.sh -c x', ['run /bin/bash', 'read /srv/work/run.sh']],
    ['/bin/node build.mjs', ['run /bin/node', 'read /srv/work/build.mjs']],
    ['exit 1', []],
    ['/bin/git diff --no-index --', ['run /bin/git']],
    ["{ /bin/a\n} <<'E' > f\n$x\nE\n/bin/b", ['run /bin/a', 'run /bin/b', 'write /srv/work/f']],
    ['/bin/a \t -b   c', ['run /bin/a']],
    [':', []],
  ])('%j', (text, expected) => {
    expect(said(readCommand(text, options))).toEqual(expected)
  })

  test.each<[string, readonly (readonly string[])[]]>([
    ['a \'b c\' "d $"', []],
    ["a 'b c' \"d\\$\" e\\ f ''", [['a', 'b c', 'd$', 'e f', '']]],
    ['a b"c"\'d\'\\e', [['a', 'bcde']]],
    ['a "\\n \\\\ \\" \\`"', [['a', '\\n \\ " `']]],
    ["a '\n\t*?$`\\'", [['a', '\n\t*?$`\\']]],
    ['a \'é\' "世界"', [['a', 'é', '世界']]],
    ['a HEAD~1 HEAD^ b=c x#y a@b:c %d +e', [['a', 'HEAD~1', 'HEAD^', 'b=c', 'x#y', 'a@b:c', '%d', '+e']]],
    [
      '[ ! -f x ] && [ a != b ] && [ a = b ]',
      [
        ['[', '!', '-f', 'x', ']'],
        ['[', 'a', '!=', 'b', ']'],
        ['[', 'a', '=', 'b', ']'],
      ],
    ],
    ['! a # b\nc', [['a'], ['c']]],
    ['if a; then b; elif c; then d; else e; fi', [['a'], ['b'], ['c'], ['d'], ['e']]],
    ['while a; do b; done; until c; do d; done', [['a'], ['b'], ['c'], ['d']]],
    ['echo if then for', [['echo', 'if', 'then', 'for']]],
  ])('words of %j', (text, expected) => {
    const reading = readCommand(text, options)
    if (expected.length === 0) expect(reading.ok).toBe(false)
    else expect(words(reading)).toEqual(expected)
  })

  test('a bare name without search, and a relative path without base, are refused with what to do', () => {
    expect(reason(readCommand('git status'))).toMatch(/absolute path, or give the mapping search/)
    expect(reason(readCommand('./git status'))).toMatch(/the mapping has no base/)
    expect(reason(readCommand('/bin/git > x'))).toMatch(/the mapping has no base/)
    expect(readCommand('/bin/git status > /x').ok).toBe(true)
  })

  test('every member of Object.prototype is only a name', () => {
    for (const name of Object.getOwnPropertyNames(Object.prototype)) {
      expect(said(readCommand(`${name} x`, { ...options, search: ['/bin'] }))).toEqual([`run /bin/${name}`])
    }
  })
})

describe('refused, each with its reason', () => {
  test.each<[string, RegExp]>([
    ['', /no command/],
    [' \n\t# x', /no command/],
    ['a $x', /expansion of a variable/],
    ['a "${x}"', /expansion of a variable/],
    ['a $(b)', /command substitution/],
    ['a `b`', /backticks/],
    ['a $((1))', /arithmetic expansion/],
    ['a $[1]', /arithmetic expansion/],
    ['a <(b)', /process substitution/],
    ["a $'b'", /ANSI-C/],
    ['a $"b"', /locale/],
    ['a ~', /home directory/],
    ['a ~b/c', /home directory/],
    ['a b=~/c', /home directory/],
    ['a --x=~', /home directory/],
    ['a *', /glob/],
    ['a b?', /glob/],
    ['a [b]', /glob/],
    ['a > b*', /glob/],
    ['a @(b|c)', /parenthesis/],
    ['a ?(b)', /extended glob/],
    ['a {b,c}', /brace/],
    ['a {1..3}', /brace/],
    ['a !b', /!/],
    ['a "b!"', /! in double quotes/],
    ['!! ', /!/],
    ['a =b', /begins with =/],
    ['a ^b^c', /begins with \^/],
    ['x=1', /assignment/],
    ['x=1 a', /assignment/],
    ['x+=1 a', /assignment/],
    ['PATH=/tmp a', /assignment/],
    ["x='a b' a", /assignment/],
    ['> f', /without a command/],
    ['time a', /reserved word time/],
    ['a |& b', /\|&/],
    ['a &> b', /&>/],
    ['a >& b', /redirection with &/],
    ['a 2>&3', /redirection with &/],
    ['a >&-', /redirection with &/],
    ['a 3> b', /file descriptor/],
    ['a 10> b', /file descriptor/],
    ['a {b}> c', /brace/],
    ['a > f3>g', /file descriptor|agree|number/],
    ['a > 1>g', /number|not a shell/],
    ['a <<-E\nb\nE', /<<-/],
    ['a <<E\n$b\nE', /here-document/],
    ['a <<E\nb', /without its end/],
    ["a <<'E x'\nb\nE x", /one plain word/],
    ['a <<\\E\nb\nE', /one plain word/],
    ['a <<A <<B\nx\nA\ny\nB', /two here-documents/],
    ["a <<E 'x\ny'\nE\nE", /here-document/],
    ['f() { a; }', /parenthesis|function/],
    ['function f { a; }', /function/],
    ['for x in a; do b; done', /loop over a variable/],
    ['select x in a; do b; done', /loop over a variable/],
    ['case a in a) b;; esac', /case/],
    ['coproc a', /coprocess/],
    ['[[ a ]]', /\[\[/],
    ['((1))', /arithmetic/],
    ['a \\\n b', /continued/],
    ['a \\', /backslash at the end/],
    ["a 'b", /not closed/],
    ['a "b', /not closed/],
    ['a &&', /not a shell command/],
    ['a ;; b', /not a shell command|agree/],
    [')', /not a shell command|agree/],
    ['a (b)', /not a shell|parenthesis/],
    ['#!/bin/sh\na', /first line/],
    ['a\0', /NUL/],
    ['a\rb', /carriage return/],
    ['a "\u202e"', /invisible/],
    ["a '\u200b'", /invisible/],
    ["a '\ufe0f'", /invisible/],
    ["a '\u3164'", /invisible/],
    ["a '\ud800'", /invisible/],
    ["a '\u001b[0m'", /invisible/],
    ['g\u0456t status', /outside ASCII/],
    ['a\u00a0b', /outside ASCII/],
    ["'g\u0456t' status", /unusual characters/],
    ["'' a", /unusual characters/],
    ["'a b'", /unusual characters/],
    ["'/bin/a b'", /unusual characters/],
    ['-a', /unusual characters/],
    ['%1', /unusual characters/],
    ['/bin/../a', /\.\. segment/],
    ['C:/git', /drive prefix/],
    ['C:\\\\git', /unusual characters/],
    ['\\\\\\\\h\\\\git', /unusual characters/],
    ['>f PATH=. a', /assignment/],
    ['2>f 3>g a', /file descriptor/],
    ['/bin/', /unusual characters/],
    ['a > ../b', /\.\. segment/],
    ['a > /dev/tcp/h/1', /\/dev\/tcp/],
    ['a < //dev/./udp/h/1', /\/dev\/tcp or \/dev\/udp/],
    ['exit $?', /variable/],
    ['exit a', /small number/],
    ['printf -v x y', /-v sets a variable/],
    ['printf %n x', /%n sets a variable/],
    ['printf -- "%5.3n" x', /%n sets a variable/],
    ["printf '%(%s)T'", /%n sets a variable/],
    ['python3', /without a script/],
    ['python3 -', /with an option/],
    ['python3 -m http.server', /with an option/],
    ['python3 -c x', /with an option/],
    ['python3.11 -uc x', /python with an option/],
    ['python3 /dev/stdin', /not a file of its own/],
    ['python3 /proc/self/fd/0', /not a file of its own/],
    ['bash run.sh', /without a slash/],
    ['node run', /does not end in/],
    ['env', /env with/],
    ['tar xf host:x.tar', /colon/],
    ['rsync a host:b', /colon/],
    ['git', /^$/],
  ])('%j', (text, says) => {
    if (says.source === '^$') expect(readCommand(text, options).ok).toBe(true)
    else expect(reason(readCommand(text, options))).toMatch(says)
  })

  test('a reason quotes nothing of the command', () => {
    const secret = 'ignoreallpreviousinstructions'
    for (const text of [
      `sudo ${secret}`,
      `sudo-${secret}`,
      `/x/${secret}/sudo`,
      `git ${secret}`,
      `tar -I ${secret}`,
      `$${secret}`,
      `git-${secret}`,
      `python3.${secret} -c`,
      `ld-${secret}.so`,
      `'${secret} x'`,
      `a > ../${secret}`,
    ]) {
      expect(reason(readCommand(text, options)).toLowerCase()).not.toContain(secret)
    }
  })
})

describe('programs that run other programs', () => {
  // biome-ignore format: a list of names.
  test.each([
    'sudo', 'doas', 'su', 'xargs', 'watch', 'time', 'stdbuf', 'setsid', 'unshare', 'nsenter', 'chroot', 'flock', 'script',
    'strace', 'ltrace', 'gdb', 'parallel', 'ssh', 'vim', 'less', 'man', 'busybox', 'toybox', 'make', 'npm', 'npx', 'yarn',
    'docker', 'systemd-run', 'systemctl', 'crontab', 'at', 'expect', 'screen', 'tmux', 'nc', 'socat', 'psql', 'sqlite3', 'zsh',
    'fish', 'pwsh', 'SUDO', 'sudo.exe', 'sudo-rs', 'vim.tiny', 'nvim', 'nc.openbsd', 'busybox-extras', 'docker-compose',
    'ld.so', 'ld-linux-x86-64.so.2', 'ld-musl-x86_64.so.1', 'git-upload-pack', 'pip3.11', 'java', 'R', 'cargo',
  ])('%s is refused by name, whatever its arguments', (name) => {
    expect(readCommand(`/opt/bin/${name} --version`, options).ok).toBe(false)
    expect(readArgumentVector([`/opt/bin/${name}`, '--version'], options).ok).toBe(false)
    expect(readCommand(`${name} --version`, options).ok).toBe(false)
    expect(readCommand(`nice ${name} x`, options).ok).toBe(false)
  })

  test.each<[string, string]>([
    ['python3.11', 'python'],
    ['pypy3', 'pypy'],
    ['gcc-12', 'gcc'],
    ['g++-12', 'g++'],
    ['x86_64-linux-gnu-gcc-12', 'gcc'],
    ['aarch64-unknown-linux-gnu-gcc', 'gcc'],
    ['perl5.36-x86_64-linux-gnu', 'perl'],
    ['lua5.4', 'lua'],
    ['/usr/bin/Git', 'git'],
    ['git.exe', 'git'],
    ['gawk-5.2.1', 'gawk'],
    ['gtimeout', 'timeout'],
    ['gfind', 'find'],
    ['bash-static', 'bash'],
    ['php-cgi', 'php'],
  ])('%s is read as %s', (program, name) => {
    expect(knownProgram(program)?.name).toBe(name)
  })

  test.each([
    'ls',
    'cat',
    'grep',
    'base64',
    'sha256sum',
    'jq',
    'toString',
    '7z',
    'digit',
    'finder',
    'gzip',
    'gunzip',
    'grep',
    'gls',
    'groups',
  ])('%s is a plain program', (name) => {
    expect(knownProgram(name)).toBeUndefined()
  })

  // biome-ignore format: one a line.
  test.each([
    'git diff --output=x', 'git diff --outp x', 'git log --ext-diff', 'git show --textconv', 'git tag -s x', 'git tag -a x',
    'git add -p', 'git add -i', 'git commit -m x', 'git push', 'git clone ext::sh', 'git config core.pager x', 'git bisect run x',
    'git submodule foreach x', 'git difftool -x y', 'git rebase --exec x', 'git fetch --upload-pack=x', 'git alias', 'git -C x log',
    'git -p log', 'git --git-dir=x log', 'git --no-pager -c a=b log', 'git log --help', 'git help log', 'git grep -O',
    'git grep --open=x y', 'find . -fprintf x y', 'find . -okdir x', 'find . -fls x', 'find -files0-from x', 'tar -xTf l a',
    'tar --new-volume-script=x -cf a', 'tar -cMF x -f a', 'rsync -ave x a b', 'rsync --rsync-path=x a b', 'rsync --rsh x a b',
    'rg --pre x y', 'rg --pre=x y', 'rg -z x', 'fd -x rm', 'fd -tfx rm', 'fd --exec-b rm', 'tcpdump -G 1 -z x', 'zip a b -T',
    'zip -rT a b', 'wget -e use_askpass=x y', 'wget --use-ask=x y', 'curl -K x', 'curl -sK x', 'curl --engine x', 'patch -e',
    'sed -i s/a/b/ f', 'sed -n w f', "sed 's/a/b/w f'", 'sed -f f', "sed 'r /etc/passwd'", 'sed -ne p', 'awk -f x', 'gawk -l x y',
    "awk '{print > $1}'", "awk '@load \"x\"'", 'gcc -wrapper x', 'gcc -B. x.c', 'gcc -fplugin=x y.c', 'gcc @f', 'openssl -engine x',
    'install --strip-program=x a b', 'split --filter x', 'bat --pager x y', 'sdiff -o x a b', 'diff3 --diff-prog x a b c',
  ])('%s is refused', (text) => {
    expect(reason(readCommand(text, options))).toMatch(/with /)
  })

  // biome-ignore format: one a line.
  test.each([
    'git log --oneline -n 5 -S x', 'git --no-pager diff HEAD~1 -- a b', 'git diff --stat --no-ext-diff', 'git add -A', 'git tag -a x -m y',
    'git status -sb', 'git rev-parse --verify HEAD', 'git grep -n x', 'git reset -q', 'find . -name x -type f -print', 'tar czf a.tgz b',
    'tar --file=a.tar -x', 'tar -x --exclude=y -f a.tar', 'rsync -av a/ b/', 'rg -n --pre-glob x y', 'fd -t f x', 'zip -r a b',
    'curl -sSL -o f https://example.com/', 'sort -k2,2n f', 'sort -- --compress-program', "sed -E 's/(a)/\\1/g' f", 'sed -n 1,5p f',
    "sed -e 's|a|b|' -e /x/d f", "sed '$!d' f", "awk -F: '{ print $1, $NF }' f", "awk '$1 >= 3 || $2 == 4 { n++ } END { print n }' f",
    'awk -v x=1 1 f', 'gcc -O2 -o a a.c', 'patch -p1 -i f', 'split -n 3 f', 'wget -q -O f https://example.com/', 'env ls', 'nohup ls',
  ])('%s is not', (text) => {
    expect(refusal(readCommand(text, options))).toBe('')
  })

  function refusal(reading: CommandReading): string {
    return reading.ok ? '' : reading.reason
  }
})

describe('the builtins and reserved words of the real shells are all known', () => {
  test.each(['bash', 'sh'])('%s', (name) => {
    const path = realProgram(name)
    if (path === undefined) return
    const { stdout } = spawnSync(path, ['-c', 'compgen -b; compgen -k'], { encoding: 'utf8' })
    const listed = name === 'bash' ? stdout.trim().split('\n') : DASH.split(' ')
    expect(listed.length).toBeGreaterThan(30)
    // These do the work of the program of their name, and are judged as that.
    const same = new Set(['echo', 'printf', 'true', 'false', 'test', '[', 'pwd', 'kill'])
    const inner = new Set([':', 'exit', 'break', 'continue', 'wait'])
    for (const word of listed) {
      const reading = readCommand(`${word} x`, options)
      if (same.has(word)) expect(reading.ok, word).toBe(true)
      else if (word === '!') expect(reading, word).toMatchObject({ ok: true, commands: [['x']] })
      else expect(reading.ok, word).toBe(false)
      if (inner.has(word)) expect(readCommand(word, options), word).toMatchObject({ ok: true, resources: [] })
    }
  })

  // dash has no list of its own to ask for; from its manual page.
  const DASH =
    '. : [ alias bg break cd chdir command continue echo eval exec exit export false fg getopts hash jobs kill local ' +
    'printf pwd read readonly return set shift test times trap true type ulimit umask unalias unset wait'
})

describe('bounds', () => {
  test.each<[string, string, RegExp]>([
    ['length', `a ${'b'.repeat(COMMAND_BOUNDS.length)}`, /characters/],
    ['commands', Array.from({ length: COMMAND_BOUNDS.commands + 1 }, () => 'a').join(';'), /commands/],
    ['words', `a${' b'.repeat(COMMAND_BOUNDS.words)}`, /words/],
    ['depth', `${'( '.repeat(COMMAND_BOUNDS.depth + 1)}a${')'.repeat(COMMAND_BOUNDS.depth + 1)}`, /levels/],
  ])('%s', (_, text, says) => {
    expect(reason(readCommand(text, options))).toMatch(says)
  })

  test('what is just inside of them is read', () => {
    expect(
      words(readCommand(Array.from({ length: COMMAND_BOUNDS.commands }, () => 'a').join(';'), options)),
    ).toHaveLength(64)
    expect(readCommand(`a${' b'.repeat(COMMAND_BOUNDS.words - 1)}`, options).ok).toBe(true)
    expect(readCommand(`${'( '.repeat(COMMAND_BOUNDS.depth)}a${')'.repeat(COMMAND_BOUNDS.depth)}`, options).ok).toBe(
      true,
    )
  })

  test('a list of arguments has them too', () => {
    expect(reason(readArgumentVector([], options))).toMatch(/no command/)
    expect(reason(readArgumentVector(new Array(COMMAND_BOUNDS.words + 1).fill('a'), options))).toMatch(/words/)
    expect(reason(readArgumentVector(['a', 'b'.repeat(COMMAND_BOUNDS.length)], options))).toMatch(/characters/)
    expect(reason(readArgumentVector(['a', '\0'], options))).toMatch(/NUL/)
    expect(reason(readArgumentVector(['a', '\u202e'], options))).toMatch(/invisible/)
  })
})

describe('never throws', () => {
  const anything = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 60 }),
    fc.string({ unit: fc.constantFrom(...'ab \n\'"\\$`(){}[]<>|&;#!~*?=-E'), maxLength: 60 }),
    // What only the parser minds: nesting until its stack ends.
    fc
      .tuple(
        fc.constantFrom('coproc ', 'a() ', '( ', '{ ', 'if ', 'while ', '! ', 'function f ', '$(', '<<E '),
        fc.integer({ min: 1, max: 20_000 }),
      )
      .map(([piece, count]) => piece.repeat(count)),
  )

  test('on any text, and what it answers is frozen', () => {
    fc.assert(
      fc.property(anything, (text) => {
        const reading = readCommand(text, options)
        if (reading.ok) expect(Object.isFrozen(reading.resources)).toBe(true)
        else expect(reading.reason).toMatch(/^[ -~…]+$/)
      }),
      { numRuns: fuzzRuns(600) },
    )
  })

  test('on any list', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.oneof(
            fc.string({ unit: 'binary' }),
            fc.constantFrom('git', 'env', '--', '-n', 'nice', 'tar', 'sed', 'awk'),
          ),
        ),
        (argv) => {
          readArgumentVector(argv, options)
        },
      ),
      { numRuns: fuzzRuns(600) },
    )
  })
})

describe('the languages of sed and awk: what is let through starts nothing and writes nothing', () => {
  const soup = (pieces: readonly string[]) =>
    fc.array(fc.constantFrom(...pieces), { minLength: 1, maxLength: 9 }).map((parts) => parts.join(''))

  test.each([
    {
      name: 'sed',
      check: checkSedArguments,
      // biome-ignore format: pieces in one place.
      script: soup(['s', '/', '/', '|', 'e', 'w', 'evil', 'a', 'p', 'd', '1', '$', ',', '!', ';', '\n', '{', '}', '\\', '[', ']', 'g', 'I', 'r', ' ', '&', '.', '*']),
      good: ['s/a/evil/', '1p', '$d', '/a/p', '1,/b/!d'],
      bad: ['1e evil', 's/.*/evil/e', 'w out', 's/a/b/w out'],
    },
    {
      name: 'awk',
      check: checkAwkArguments,
      // biome-ignore format: pieces in one place.
      script: soup(['{', '}', 'print', ' ', '"evil"', '"out"', '|', '||', '>', '>=', '>>', 'system', '(', ')', 'getline', 'BEGIN', '\n', ';', '\\', '"', '@', '$1', '1', '/', 'close', ',', '<', '#']),
      good: ['{ print $1 }', '$1 >= 2 || 1', 'BEGIN { print "evil" }'],
      bad: ['BEGIN { system("evil") }', '{ print > "out" }', '{ print | "evil" }', 'BEGIN { "evil" | getline x }'],
    },
  ])(
    '$name',
    ({ name, check, script, good, bad }) => {
      const path = realProgram(name)
      if (path === undefined) return
      const shell = new StubShell(['evil', 'sh'])
      try {
        const effects = (text: string): number => {
          const { ran, files } = shell.exec(path, [text, '../bin/evil'])
          return ran.length + files.length
        }
        for (const text of bad) {
          expect(check([text]), text).toBeDefined()
          expect(effects(text), text).toBeGreaterThan(0)
        }
        for (const text of good) {
          expect(check([text]), text).toBeUndefined()
          expect(effects(text), text).toBe(0)
        }
        fc.assert(
          fc.property(script, (text) => {
            if (check([text]) === undefined) expect(effects(text), text).toBe(0)
          }),
          { numRuns: fuzzRuns(400) },
        )
      } finally {
        shell.close()
      }
    },
    120_000,
  )
})
