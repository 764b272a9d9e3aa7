// Real programs with the smallest manifest that they work with, and one thing each that it does not let them do.

import { mkdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'

import type { EnforcerEvent } from '../../src/enforcer/enforcer.ts'
import { closeBoxes, collectEvents, openBox, ownDirectory, removeDirectories } from './support/linux-box.ts'
import { type Outcome, runCommand, runIn } from './support/linux-supervised.ts'
import { ask, askPath, type Origin, outside, profileFrom, programSuite, serveFiles } from './support/programs.ts'

// A name that leads to this host: nothing here may ask a name server.
const NAME = 'origin.test'
vi.mock('node:dns/promises', async (original) => ({
  ...(await original<typeof import('node:dns/promises')>()),
  lookup: (name: string) =>
    name === 'origin.test'
      ? Promise.resolve([{ address: '127.0.0.1', family: 4 }])
      : Promise.reject(Object.assign(new Error('no such name'), { code: 'ENOTFOUND' })),
}))

closeBoxes()
removeDirectories()

let work: string
/** A server of the host, and the files it serves. */
let site: string
let origin: Origin
beforeEach(async () => {
  ;[work, site] = await Promise.all([ownDirectory(), ownDirectory()])
  writeFileSync(join(site, 'page'), 'page of the origin\n')
  origin = await serveFiles(site)
})
afterEach(() => origin.close())

const put = (name: string, text: string): string => {
  const path = join(work, name)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
  return path
}
const got = (name: string): string => readFileSync(join(work, name), 'utf8')
const succeeded = (outcome: Outcome): void => expect(outcome, outcome.stderr).toMatchObject({ code: 0 })

await programSuite('python', ['/usr/bin/python3'], () => {
  const python = async () => {
    const stdlib = await askPath('/usr/bin/python3', '-c', 'import sysconfig; print(sysconfig.get_path("stdlib"))')
    return openBox(profileFrom('python', { WORK: work, PYTHON: stdlib }))
  }

  test('extension modules, threads, a database and TLS settings', async () => {
    const script = put(
      'script.py',
      [
        'import ssl, sqlite3, json, hashlib, threading, tempfile, ctypes, sys, os',
        'base = sys.argv[1]',
        'ssl.create_default_context()',
        'db = sqlite3.connect(base + "/data.db")',
        'db.execute("create table t(a)"); db.executemany("insert into t values(?)", [(i,) for i in range(10)]); db.commit()',
        'found = []',
        'threads = [threading.Thread(target=lambda i=i: found.append(i)) for i in range(8)]',
        '[t.start() for t in threads]; [t.join() for t in threads]',
        'temporary = tempfile.NamedTemporaryFile(mode="w"); temporary.write("x"); temporary.flush()',
        'json.dump({"sum": db.execute("select sum(a) from t").fetchone()[0], "threads": sorted(found),',
        '  "digest": hashlib.sha256(b"").hexdigest()[:8]}, open(base + "/out.json", "w"))',
      ].join('\n'),
    )
    succeeded(await runIn(await python(), '/usr/bin/python3', script, work))
    expect(JSON.parse(got('out.json'))).toEqual({ sum: 45, threads: [0, 1, 2, 3, 4, 5, 6, 7], digest: 'e3b0c442' })
  })

  test('starts no other program, reaches nothing, and reads no file of the host', async () => {
    const box = await python()
    const script = [
      'import subprocess, socket, os',
      'def attempt(what):',
      '    try: what(); print("done")',
      '    except OSError as error: print(type(error).__name__)',
      'attempt(lambda: subprocess.run(["/bin/sh", "-c", "true"]))',
      'attempt(lambda: socket.create_connection(("127.0.0.1", 22), 1))',
      'attempt(lambda: open("/etc/shells").read())',
      'attempt(lambda: os.listdir("/home"))',
    ].join('\n')
    const { stdout } = await runIn(box, '/usr/bin/python3', '-c', script)
    expect(stdout.split('\n')).toEqual([
      'FileNotFoundError',
      'PermissionError',
      'FileNotFoundError',
      'FileNotFoundError',
      '',
    ])
  })
})

await programSuite('node', [process.execPath, '/usr/bin/cat'], () => {
  const node = realpathSync(process.execPath)

  test('files, a thread of its own, and a program that is listed', async () => {
    const script = put(
      'script.mjs',
      [
        'import { Worker } from "node:worker_threads"',
        'import { readFile, writeFile } from "node:fs/promises"',
        'import { execFileSync } from "node:child_process"',
        'import { createHash } from "node:crypto"',
        'const file = process.argv[2]',
        'await writeFile(file, "text")',
        'const worker = new Worker("require(\'worker_threads\').parentPort.postMessage(42)", { eval: true })',
        'const answer = await new Promise((resolve) => worker.once("message", resolve))',
        'const listed = execFileSync("/usr/bin/cat", [file]).toString()',
        'let unlisted = "ran"',
        'try { execFileSync("/usr/bin/id") } catch (error) { unlisted = error.code }',
        'let hot = 0; for (let i = 0; i < 3e6; i++) hot = (hot * 31 + i) | 0',
        'console.log(JSON.stringify({ answer, listed, unlisted, read: await readFile(file, "utf8") }))',
      ].join('\n'),
    )
    const box = await openBox(profileFrom('node', { WORK: work, NODE: node }))
    const outcome = await runIn(box, node, script, join(work, 'file'))
    succeeded(outcome)
    expect(JSON.parse(outcome.stdout)).toEqual({ answer: 42, listed: 'text', unlisted: 'ENOENT', read: 'text' })
  })

  test('does not start without the right to executable memory', async () => {
    const profile = profileFrom('node', { WORK: work, NODE: node })
    const box = await openBox({ ...profile, rights: [] })
    const outcome = await runIn(box, node, '-e', 'console.log("ran")')
    expect(outcome.stdout).toBe('')
    expect(outcome.code === 0).toBe(false)
  })
})

await programSuite('sqlite', ['/usr/bin/sqlite3'], () => {
  test('a database where it may write, and none elsewhere', async () => {
    const box = await openBox(profileFrom('sqlite', { WORK: work }))
    const statements = 'pragma journal_mode=wal; create table t(a); insert into t values(7); select a from t'
    const outcome = await runIn(box, '/usr/bin/sqlite3', join(work, 'data.db'), statements)
    succeeded(outcome)
    expect(outcome.stdout).toBe('wal\n7\n')
    const elsewhere = `${dirname(work)}/never-${process.pid}.db`
    const refused = await runIn(box, '/usr/bin/sqlite3', elsewhere, 'create table t(a)')
    // Its directory is the box's own /tmp, or not there at all: on the host there is nothing either way.
    expect(() => readFileSync(elsewhere)).toThrow(/ENOENT/)
    expect(refused.stdout).toBe('')
    const shell = await runIn(box, '/usr/bin/sqlite3', ':memory:', '.shell id')
    expect(shell.stdout).not.toContain('uid=')
  })
})

await programSuite('a compiler', ['/usr/bin/gcc', '/usr/bin/as', '/usr/bin/ld'], () => {
  const gcc = async () => {
    const directory = dirname(await askPath('/usr/bin/gcc', '-print-prog-name=cc1'))
    const libraries = dirname(await askPath('/usr/bin/gcc', '-print-file-name=libc.so'))
    return openBox(profileFrom('gcc', { WORK: work, GCC: directory, LIBRARIES: libraries }))
  }

  test('compiles and links; what it made runs outside and not inside', async () => {
    const source = put('hello.c', '#include <stdio.h>\nint main(void) { puts("hello"); return 0; }\n')
    const made = join(work, 'hello')
    const box = await gcc()
    succeeded(await runIn(box, '/usr/bin/gcc', '-O1', '-Wall', '-o', made, source))
    expect((await outside(made)).stdout).toBe('hello\n')
    await expect(box.spawn({ file: made, args: [] })).rejects.toMatchObject({ code: 'ERR_SPAWN_FAILED' })
  })

  test('runs no tool that is not listed', async () => {
    const source = put('empty.c', 'int empty;\n')
    const args = ['-wrapper', '/usr/bin/env', '-c', '-o', join(work, 'empty.o'), source]
    await outside('/usr/bin/gcc', args)
    const { code, stderr } = await runIn(await gcc(), '/usr/bin/gcc', ...args)
    expect(code).toBe(1)
    expect(stderr).toContain('/usr/bin/env')
  })
})

await programSuite('a program in C++', ['/usr/bin/g++'], () => {
  test('libraries, exceptions and threads', async () => {
    const source = put(
      'program.cc',
      [
        '#include <iostream>\n#include <stdexcept>\n#include <thread>\n#include <regex>',
        'int main() { int n = 0; std::thread t([&] { n = 6; }); t.join();',
        'try { throw std::runtime_error("caught"); } catch (const std::exception &e) {',
        'std::cout << e.what() << " " << n << " " << std::regex_match("ab", std::regex("a.")) << std::endl; } }',
      ].join('\n'),
    )
    const program = join(work, 'program')
    await outside('/usr/bin/g++', ['-O0', '-pthread', '-o', program, source])
    const outcome = await runIn(await openBox(profileFrom('cplusplus', { PROGRAM: program })), program)
    succeeded(outcome)
    expect(outcome.stdout).toBe('caught 6 1\n')
  })
})

await programSuite('make', ['/usr/bin/make', '/bin/sh', '/usr/bin/sort', '/usr/bin/cat'], () => {
  test('rules by listed programs, and none by others', async () => {
    put('in', 'b\na\n')
    put('Makefile', 'out: sorted\n\tcat sorted >$@\nsorted: in\n\tsort in >$@\nother:\n\t/usr/bin/id >other\n')
    const box = await openBox(profileFrom('make', { WORK: work }))
    succeeded(await runCommand(box, { file: '/usr/bin/make', args: ['-j2', 'out'], cwd: work }))
    expect(got('out')).toBe('a\nb\n')
    const other = await runCommand(box, { file: '/usr/bin/make', args: ['other'], cwd: work })
    expect(other.code).toBe(2)
    expect(got('other')).toBe('')
  })
})

await programSuite('perl', ['/usr/bin/perl'], () => {
  test('modules in C, and no others', async () => {
    const socket = await askPath('/usr/bin/perl', '-e', 'require Socket; print $INC{"Socket.pm"}')
    put('lines', 'one\ntwo\n')
    const box = await openBox(profileFrom('perl', { WORK: work, PERL: dirname(socket) }))
    const script =
      'use strict; use List::Util "sum"; use POSIX (); open my $f, "<", shift or die; my @l = <$f>; print sum(1..10), scalar @l'
    const outcome = await runIn(box, '/usr/bin/perl', '-e', script, join(work, 'lines'))
    succeeded(outcome)
    expect(outcome.stdout).toBe('552')
    expect((await runIn(box, '/usr/bin/perl', '-e', 'print `id`; exec "/usr/bin/id"')).stdout).toBe('')
  })
})

await programSuite('the script of a skill', ['/bin/sh', '/usr/bin/awk', '/usr/bin/sed', '/usr/bin/grep'], () => {
  test('pipes, redirections, here-documents and the usual tools', async () => {
    put('access.log', 'GET /a 200\nGET /b 404\nPOST /a 200\nGET /a 500\nGET /c 404\n')
    mkdirSync(join(work, 'out'))
    const script = put(
      'report.sh',
      [
        'set -eu',
        'work=$1',
        'scratch=$(mktemp)',
        'trap \'rm -f "$scratch"\' EXIT',
        `grep -v ' 200$' "$work/access.log" | awk '{ print $2, $3 }' | sort | uniq -c | sed 's/^ *//' >"$scratch"`,
        'mkdir -p "$work/out/day"',
        'cat_lines() { while read -r line; do printf "%s\\n" "$line"; done; }',
        'cat_lines <<END >"$work/out/day/report"',
        'errors: $(wc -l <"$scratch" | tr -d " ")',
        '$(head -n 1 "$scratch" | cut -d " " -f 2-)',
        'END',
        '(echo late; exit 3) >>"$work/out/day/report" || echo "code $?" >>"$work/out/day/report"',
        'mv "$work/out/day/report" "$work/out/report"',
        'date +%Y >/dev/null',
        '{ echo x >"$work/access.log"; } 2>/dev/null || echo "input is read-only" >>"$work/out/report"',
      ].join('\n'),
    )
    const box = await openBox(profileFrom('report', { WORK: work }))
    succeeded(await runIn(box, '/bin/sh', script, work))
    expect(got('out/report')).toBe('errors: 3\n/a 500\nlate\ncode 3\ninput is read-only\n')
    expect(got('access.log')).toContain('GET /a 200')
  })
})

await programSuite('curl', ['/usr/bin/curl'], () => {
  async function curl(hosts: string, ...args: readonly string[]): Promise<{ outcome: Outcome; denials: string[] }> {
    const box = await openBox(profileFrom('curl', { ORIGIN: hosts }))
    const { events, done } = collectEvents(box)
    const outcome = await runIn(box, '/usr/bin/curl', '-sS', '-m', '20', ...args)
    await box.close()
    await done
    return { outcome, denials: events.flatMap(deniedSubject) }
  }

  test('a granted server, through the proxy', async () => {
    const { outcome, denials } = await curl(origin.url, `${origin.url}/page`)
    succeeded(outcome)
    expect(outcome.stdout).toBe('page of the origin\n')
    expect(origin.requests).toEqual([`127.0.0.1:${origin.port} /page`])
    expect(denials).toEqual([])
  })

  test('a granted name, by a client that knows of no proxy', async () => {
    // The name is granted, and so is where it leads: nobody gets to this host by a name alone.
    const profile = profileFrom('curl', { ORIGIN: `http://${NAME}:${origin.port}` })
    const address = profileFrom('curl', { ORIGIN: origin.url })
    const box = await openBox({ ...profile, egress: [...profile.egress, ...address.egress] })
    const outcome = await runIn(
      box,
      '/usr/bin/curl',
      '--noproxy',
      '*',
      '-sS',
      '-m',
      '20',
      `http://${NAME}:${origin.port}/page`,
    )
    succeeded(outcome)
    expect(outcome.stdout).toBe('page of the origin\n')
    expect(origin.requests).toEqual([`${NAME}:${origin.port} /page`])
  })

  test('a granted name that leads to this host is refused when the address is not granted', async () => {
    const { outcome, denials } = await curl(`http://${NAME}:${origin.port}`, '-f', `http://${NAME}:${origin.port}/page`)
    expect(outcome.code).not.toBe(0)
    expect(outcome.stdout).toBe('')
    expect(origin.requests).toEqual([])
    expect(denials.join()).toContain('address_not_allowed')
  })

  test.each([
    ['through the proxy', []],
    ['past the proxy', ['--noproxy', '*']],
    ['by SOCKS', ['--proxy', 'socks5h://127.0.0.1:3128']],
  ])('a server that is not granted, %s: refused, and reported', async (_title, args) => {
    const other = await serveFiles(site)
    try {
      const { outcome, denials } = await curl(`http://${NAME}:${origin.port}`, '-f', ...args, `${other.url}/page`)
      expect(outcome.code).not.toBe(0)
      expect(outcome.stdout).toBe('')
      expect(other.requests).toEqual([])
      // Past the proxy there is nothing at that port to report it.
      if (args[0] !== '--noproxy') expect(denials).toContain(`127.0.0.1:${other.port} host_not_granted`)
    } finally {
      await other.close()
    }
  })

  test('no server is granted: there is no network at all', async () => {
    const profile = profileFrom('curl', { ORIGIN: origin.url })
    const box = await openBox({ ...profile, egress: [] })
    const { code } = await runIn(box, '/usr/bin/curl', '-sS', '-m', '20', `${origin.url}/page`)
    expect(code).not.toBe(0)
    expect(origin.requests).toEqual([])
  })
})

await programSuite('git', ['/usr/bin/git'], () => {
  test('clones from a granted server', async () => {
    const source = join(site, 'project')
    const git = (...args: readonly string[]) =>
      outside('/usr/bin/git', ['-C', site, '-c', 'user.name=a', '-c', 'user.email=a@b', ...args])
    await git('init', '-q', '-b', 'main', source)
    writeFileSync(join(source, 'file'), 'content\n')
    await git('-C', source, 'add', 'file')
    await git('-C', source, 'commit', '-q', '-m', 'first')
    await git('-C', source, 'update-server-info')
    const box = await openBox(profileFrom('git', { WORK: work, ORIGIN: origin.url }))
    const clone = join(work, 'clone')
    succeeded(await runIn(box, '/usr/bin/git', 'clone', '-q', `${origin.url}/project/.git`, clone))
    expect(got('clone/file')).toBe('content\n')
    expect((await runIn(box, '/usr/bin/git', '-C', clone, 'log', '--format=%s')).stdout).toBe('first\n')
    // A helper of the repository's choosing is a program like any other.
    const helped = await runIn(
      box,
      '/usr/bin/git',
      '-C',
      clone,
      '-c',
      'core.pager=/usr/bin/id',
      '-c',
      'alias.x=!id',
      'x',
    )
    expect(helped.stdout).not.toContain('uid=')
    expect(await ask('/usr/bin/git', '-C', clone, 'rev-parse', 'HEAD')).toMatch(/^[0-9a-f]{40}$/)
  })
})

function deniedSubject(event: EnforcerEvent): readonly string[] {
  return event.type === 'denied' ? [event.subject] : []
}
