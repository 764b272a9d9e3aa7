// The observer with real programs: what it sees, that it changes nothing about them, and that it decides nothing.

import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'

import type { Observation } from '../../../src/linux/observe/observation.ts'
import { observe } from '../../../src/linux/observe/observer.ts'
import { RecordReader } from '../../../src/linux/observe/record.ts'
import { buildObserver } from './support/observer-binary.ts'

const built = buildObserver()
const observer = built?.path ?? ''
afterAll(() => built?.remove())

let directory: string
beforeEach(() => {
  directory = realpathSync(mkdtempSync(join(tmpdir(), 'agentport-observe-')))
})
afterEach(() => {
  rmSync(directory, { recursive: true, force: true })
})

interface Ran {
  readonly observation: Observation
  readonly stdout: string
}

async function run(file: string, args: readonly string[], env: Record<string, string> = {}): Promise<Ran> {
  const output = join(directory, '.stdout')
  const stdout = openSync(output, 'w')
  try {
    const command = { file, args, cwd: directory, env: { PATH: '/usr/bin:/bin', ...env } }
    const observation = await observe(command, { observer, stdout, stderr: 'ignore' }).done
    return { observation, stdout: readFileSync(output, 'utf8') }
  } finally {
    closeSync(stdout)
  }
}

const shell = (script: string): Promise<Ran> => run('/bin/sh', ['-c', script])

function operations({ files }: Observation): readonly string[] {
  return files
    .filter(({ path, operation }) => path.startsWith(`${directory}/`) && operation !== 'stat')
    .map(({ path, operation }) => `${operation} ${path.slice(directory.length + 1)}`)
}

function find(...paths: readonly string[]): string | undefined {
  return paths.find((path) => existsSync(path))
}
const perl = find('/usr/bin/perl')
const python = ((): string | undefined => {
  const { stdout, status } = spawnSync('python3', ['-c', 'import sys; print(sys.executable)'], { encoding: 'utf8' })
  return status === 0 ? stdout.trim() : undefined
})()
const compiler = spawnSync('cc', ['--version'], { stdio: 'ignore' }).status === 0

describe.skipIf(built === undefined)('what is seen', () => {
  test('files of a shell script, also by relative paths, links and other directories', async () => {
    writeFileSync(join(directory, 'in'), 'text')
    mkdirSync(join(directory, 'sub'))
    symlinkSync('in', join(directory, 'link'))
    const { observation } = await shell(
      'read x <in; read x <./link; echo 1 >out; echo 2 >>out; cd sub; read x <../in; echo 3 >new; rm new; cat absent; mv ../out ../moved; mkdir d; rmdir d',
    )
    expect(operations(observation)).toEqual([
      'read in',
      'create moved',
      'create out',
      'delete out',
      'write out',
      'missing sub/absent',
      'create sub/d',
      'delete sub/d',
      'create sub/new',
      'delete sub/new',
    ])
    const read = observation.files.find(({ path, operation }) => path === join(directory, 'in') && operation === 'read')
    expect(read).toMatchObject({ named: [join(directory, 'link')], count: 3 })
    expect(observation).toMatchObject({ complete: true, lost: 0, blind: [], syscalls: 'selected', exit: { code: 0 } })
  })

  test('programs by the file that really ran, with its hash, and the interpreter of a script', async () => {
    const script = join(directory, 'tool')
    writeFileSync(script, '#!/bin/sh\n/usr/bin/env true\n', { mode: 0o755 })
    const { observation } = await shell('./tool; ./absent')
    const sha256 = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex')
    const sh = realpathSync('/bin/sh')
    expect(observation.programs.find(({ path }) => path === script)).toMatchObject({ count: 1, sha256: sha256(script) })
    expect(observation.programs.find(({ path }) => path === sh)).toMatchObject({ count: 2, sha256: sha256(sh) })
    expect(observation.programs.map(({ path }) => path)).toContain(realpathSync('/usr/bin/env'))
    expect(observation.libraries.some(({ path }) => /libc|musl/.test(path))).toBe(true)
  })

  test('ways around a name: /proc/self, /dev/fd and programs without one', async () => {
    writeFileSync(join(directory, 'in'), 'text')
    const { observation } = await shell(`read x </proc/self/root${directory}/in; exec 5<in; read y </dev/fd/5`)
    expect(
      observation.files.find((one) => one.path === join(directory, 'in') && one.operation === 'read'),
    ).toMatchObject({
      count: 3,
      named: ['/dev/fd/5', `/proc/self/root${directory}/in`],
    })
  })

  test.skipIf(perl === undefined)('a program that is run by a descriptor, or out of memory', async () => {
    const truth = realpathSync('/bin/true')
    // Numbers of execveat(2) and memfd_create(2), which perl has no words for.
    const [execveat, memfd] = process.arch === 'x64' ? [322, 319] : [281, 279]
    const byDescriptor = await run(perl ?? '', [
      '-e',
      `open(my $f, '<', '${truth}'); syscall(${execveat}, fileno($f), my $e = '', 0, 0, 0x1000)`,
    ])
    expect(byDescriptor.observation.programs.map(({ path }) => path)).toContain(truth)
    const script = `my $n = 'x'; my $d = syscall(${memfd}, $n, 0); open(my $m, '>&=', $d); open(my $f, '<', '${truth}'); local $/; my $x = <$f>; print {$m} $x; $m->flush; exec {"/proc/self/fd/$d"} 'x'`
    const outOfMemory = await run(perl ?? '', ['-MIO::Handle', '-e', script])
    expect(outOfMemory.observation.rights).toEqual(['executable_memory'])
    expect(outOfMemory.observation.refused).toEqual([{ name: 'memfd_create', count: 1 }])
    expect(outOfMemory.observation.exit).toEqual({ code: 0 })
  })

  test.skipIf(process.geteuid?.() !== 0)('the program cannot write the record itself', () => {
    // As an ordinary user: root may do anything. The record goes to a file, which its descriptor would lead to.
    const record = join(directory, 'record')
    const script = 'for f in /proc/$PPID/fd/*; do echo forged >>$f; done; exit 0'
    const asUser = (args: readonly string[]): void => {
      writeFileSync(record, '')
      chmodSync(record, 0o666)
      chmodSync(directory, 0o755)
      const fd = openSync(record, 'w')
      const command = ['--reuid', '1001', '--regid', '1001', '--clear-groups', ...args]
      const { status } = spawnSync('setpriv', command, { stdio: ['ignore', 'ignore', 'ignore', fd] })
      closeSync(fd)
      expect(status).toBe(0)
    }
    asUser(['/bin/sh', '-c', `/bin/sh -c '${script}'; true`])
    expect(readFileSync(record, 'latin1')).toContain('forged')
    const open = built?.path ?? ''
    chmodSync(join(open, '..'), 0o755)
    asUser([open, '3', '/bin/sh', '-c', script])
    expect(readFileSync(record, 'latin1')).toMatch(/^APOBSRV1/)
    expect(readFileSync(record, 'latin1')).not.toContain('forged\n')
    const reader = new RecordReader()
    reader.push(readFileSync(record))
    expect([reader.sound, reader.ended]).toEqual([true, true])
  })

  test('a name without a manifest form is counted', async () => {
    const { observation } = await shell(`printf 1 > "$(printf 'a\\tb')"; read x < "$(printf 'a\\tb')"`)
    expect(observation.unrepresentable.count).toBeGreaterThan(0)
  })

  test.skipIf(perl === undefined)('a connection to loopback, and listening', async () => {
    const server: Server = createServer((socket) => socket.end('hello'))
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as { port: number }
    try {
      const { observation, stdout } = await run(perl ?? '', [
        '-MIO::Socket::INET',
        '-e',
        `my $l = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or die; print IO::Socket::INET->new("127.0.0.1:${port}")->getline`,
      ])
      expect(stdout).toBe('hello')
      expect(observation.egress).toEqual([{ address: '127.0.0.1', port, protocol: 'tcp', sent: true, count: 1 }])
      expect(observation.listeners).toMatchObject([{ address: '127.0.0.1', protocol: 'tcp' }])
      expect(observation.rights).toEqual(['listen'])
    } finally {
      server.close()
    }
  })

  test.skipIf(python === undefined)(
    'threads, datagrams, executable memory, and the answer of a name server',
    async () => {
      writeFileSync(
        join(directory, 'all.py'),
        [
          'import mmap, socket, struct, sys, threading',
          'mmap.mmap(-1, 4096, prot=7)',
          'u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)',
          'def talk():',
          '    u.connect(("127.0.0.1", 9)); u.send(b"x")',
          't = threading.Thread(target=talk); t.start(); t.join()',
          'p = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)',
          'p.connect(("127.0.0.1", 19))',
          'try:',
          '    d = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); d.bind(("127.77.3.9", 53))',
          '    q = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); q.connect(("127.77.3.9", 53)); q.send(b"?" * 12)',
          '    _, who = d.recvfrom(100)',
          '    d.sendto(bytes.fromhex("123481800001000100000000") + b"\\x03api\\x07example\\x00\\x00\\x01\\x00\\x01" + b"\\xc0\\x0c\\x00\\x01\\x00\\x01\\x00\\x00\\x00\\x3c\\x00\\x04\\x7f\\x00\\x00\\x01", who)',
          '    q.recv(100)',
          '    s = socket.socket()',
          '    try: s.connect(("127.0.0.1", 1))',
          '    except OSError: pass',
          '    print("named")',
          'except PermissionError: pass',
        ].join('\n'),
      )
      const { observation, stdout } = await run(python ?? '', ['-S', 'all.py'])
      const { egress, rights } = observation
      expect(rights).toEqual(['executable_memory', 'udp'])
      expect(egress).toContainEqual({ address: '127.0.0.1', port: 9, protocol: 'udp', sent: true, count: 2 })
      expect(egress).toContainEqual({ address: '127.0.0.1', port: 19, protocol: 'udp', sent: false, count: 1 })
      if (stdout.trim() !== 'named') process.stderr.write('*** not shown: port 53 needs a right this user has not\n')
      else
        expect(egress).toContainEqual({
          address: '127.0.0.1',
          host: 'api.example',
          port: 1,
          protocol: 'tcp',
          sent: true,
          count: 1,
        })
    },
  )
})

describe.skipIf(built === undefined)('what is not changed', () => {
  test.each([0, 1, 77, 125, 126, 127])('exit code %d is the program’s', async (code) => {
    const { observation } = await shell(`exit ${code}`)
    expect(observation.exit).toEqual({ code })
    expect(
      spawnSync(observer, ['3', '/bin/sh', '-c', `exit ${code}`], { stdio: ['ignore', 1, 2, 'pipe'] }).status,
    ).toBe(code)
  })

  test('a signal that ends it, standard input and output, and the environment', async () => {
    expect((await shell('kill -TERM $$')).observation.exit).toEqual({ signal: 'SIGTERM' })
    expect((await shell('kill -KILL $$')).observation.exit).toEqual({ signal: 'SIGKILL' })
    const stdio = ['pipe', 'pipe', 'inherit', 'pipe'] as const
    const result = spawnSync(observer, ['3', '/bin/sh', '-c', 'cat; echo "$GREETING"'], {
      stdio: [...stdio],
      input: 'in and out\n',
      env: { PATH: '/usr/bin:/bin', GREETING: 'hello' },
      encoding: 'utf8',
    })
    expect([result.status, result.stdout]).toEqual([0, 'in and out\nhello\n'])
    const killed = spawnSync(observer, ['3', '/bin/sh', '-c', 'kill -SEGV $$'], { stdio: ['ignore', 1, 2, 'pipe'] })
    expect([killed.status, killed.signal]).toEqual([null, 'SIGSEGV'])
  })

  test('signals reach the program', async () => {
    const ready = join(directory, 'ready')
    const running = observe(
      {
        file: '/bin/sh',
        args: ['-c', `trap 'exit 9' TERM; : >${ready}; while :; do sleep 0.05; done`],
        env: { PATH: '/usr/bin:/bin' },
      },
      { observer, stdout: 'ignore', stderr: 'ignore' },
    )
    while (!existsSync(ready)) await new Promise((resolve) => setTimeout(resolve, 20))
    running.forward('SIGTERM')
    expect((await running.done).exit).toEqual({ code: 9 })
  })

  test('an abort ends a program that does not want to', async () => {
    const controller = new AbortController()
    const ready = join(directory, 'ready')
    const { done } = observe(
      { file: '/bin/sh', args: ['-c', `trap '' TERM; echo $$ >${ready}; while :; do read x </dev/null; done`] },
      { observer, signal: controller.signal, stdout: 'ignore', stderr: 'ignore' },
    )
    while (!existsSync(ready) || readFileSync(ready, 'utf8') === '')
      await new Promise((resolve) => setTimeout(resolve, 20))
    const pid = Number(readFileSync(ready, 'utf8'))
    controller.abort()
    const observation = await done
    expect(observation).toMatchObject({ complete: false, blind: expect.arrayContaining(['stream']) })
    await expect
      .poll(() => existsSync(`/proc/${pid}`) && !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8')))
      .toBe(false)
  })

  test('no descriptor of ours is open in the program, and no signal is blocked or ignored', async () => {
    const script = 'ls /proc/self/fd; grep -E "^Sig(Blk|Ign)" /proc/self/status'
    const { stdout } = await shell(script)
    const control = execFileSync('/bin/sh', ['-c', script], { stdio: ['ignore', 'pipe', 'ignore'], encoding: 'utf8' })
    expect(stdout).toBe(control)
  })

  test('processes that are left behind end with the observation, and it says so', async () => {
    const { observation } = await shell('sleep 600 & echo $! >pid')
    expect(observation).toMatchObject({ leftBehind: true, exit: { code: 0 } })
    const pid = readFileSync(join(directory, 'pid'), 'utf8').trim()
    expect(existsSync(`/proc/${pid}`)).toBe(false)
    expect((await shell('sleep 0.1 &')).observation.leftBehind).toBe(false)
  })
})

describe.skipIf(built === undefined)('when nothing can be observed', () => {
  test.each([
    ['/nonexistent/program', /errno 2/],
    ['/etc/passwd', /errno 13/],
  ])('%s cannot be started', async (file, message) => {
    const { done } = observe({ file, args: [] }, { observer, stderr: 'ignore' })
    await expect(done).rejects.toMatchObject({ code: 'ERR_SPAWN_FAILED', message: expect.stringMatching(message) })
  })

  test('another supervisor: the reason, on the stream and on stderr, and exit code 125', () => {
    const result = spawnSync(observer, ['3', '/bin/sh', '-c', `${observer} 4 /bin/true 4>${directory}/inner`], {
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
      encoding: 'utf8',
    })
    expect([result.status, result.stderr]).toEqual([125, expect.stringContaining('another supervisor')])
    expect(new RecordReader().push(readFileSync(join(directory, 'inner')))).toMatchObject([
      { type: 'failure', text: expect.stringContaining('another supervisor') },
    ])
  })

  test('no descriptor to write to is 125 too', () => {
    expect(spawnSync(observer, ['9', '/bin/true']).status).toBe(125)
    expect(spawnSync(observer, ['3x', '/bin/true']).status).toBe(125)
  })

  test('an observer that is not one', async () => {
    const command = { file: '/bin/true', args: [] }
    await expect(observe(command, { observer: '/bin/true' }).done).rejects.toMatchObject({ code: 'ERR_SPAWN_FAILED' })
    await expect(observe(command, { observer: '/absent' }).done).rejects.toMatchObject({ code: 'ERR_SPAWN_FAILED' })
    expect(() => observe(command, { observer: 'relative' })).toThrow(TypeError)
    expect(() => observe({ file: 'relative', args: [] }, { observer })).toThrow(/ERR_COMMAND_INVALID|plain absolute/)
  })
})

describe.skipIf(built === undefined)('a slow reader', () => {
  test('does not hold the program up: what does not fit is counted', async () => {
    // Each record of these paths has some four kilobytes, and the buffer four megabytes.
    const long = `${'d'.repeat(200)}/`.repeat(18)
    const script = `i=0; while [ $i -lt 3000 ]; do [ -e ${directory}/${long}$i ]; i=$((i+1)); done; exit 5`
    const child = spawn(observer, ['3', '/bin/sh', '-c', script], { stdio: ['ignore', 'ignore', 'inherit', 'pipe'] })
    const stream = child.stdio[3] as NodeJS.ReadableStream
    const reader = new RecordReader()
    // Nothing is read for as long as an observed run of this length takes several times over.
    await new Promise((resolve) => setTimeout(resolve, 2500))
    const records = []
    for await (const chunk of stream) records.push(...reader.push(chunk as Uint8Array))
    const end = records.at(-1)
    expect(end).toMatchObject({ type: 'end', how: 'exited', status: 5 })
    const lost = end?.type === 'end' ? end.lost : 0
    expect(lost).toBeGreaterThan(100)
    expect(records.length - 1 + lost).toBeGreaterThanOrEqual(3000)
    expect(reader.sound).toBe(true)
  })

  test('a reader that is gone does not either', () => {
    const script = `${observer} 4 /bin/sh -c 'sleep 0.2; exit 6' 4>&1 | true; exit 0`
    const result = spawnSync('/bin/bash', ['-c', `set -o pipefail; ${script.replace('; exit 0', '')}`])
    expect(result.status).toBe(6)
  })
})

describe.skipIf(built === undefined)('racing the observer', () => {
  test.skipIf(!compiler)('another thread that changes a path spoils the record, and nothing else', async () => {
    const source = join(directory, 'race.c')
    writeFileSync(source, RACE)
    execFileSync('cc', ['-O2', '-pthread', '-o', join(directory, 'race'), source])
    for (const name of ['aaa', 'bbb']) writeFileSync(join(directory, name), name)
    const { observation, stdout } = await run(join(directory, 'race'), [directory])
    // The program tells by the content which file each open really got.
    const [a = 0, b = 0] = stdout.trim().split(' ').map(Number)
    expect(a + b).toBe(4000)
    const seen = (name: string): number =>
      observation.files.find((one) => one.path === join(directory, name) && one.operation === 'read')?.count ?? 0
    const torn = observation.files.filter(
      ({ path, operation }) => path.startsWith(directory) && operation === 'missing',
    )
    // Every open is in the record under some name; under which is not to be relied on.
    expect(seen('aaa') + seen('bbb') + torn.reduce((sum, { count }) => sum + count, 0)).toBe(4000)
    expect(observation.exit).toEqual({ code: 0 })
  })

  test('the answer that trusts what was read stands in the observer and nowhere else', () => {
    const native = fileURLToPath(new URL('../../../native', import.meta.url))
    const sources = readdirSync(native).filter((name) => /\.[ch]$/.test(name))
    expect(sources).toContain('observer.c')
    const using = sources.filter((name) => /FLAG_CONTINUE/.test(readFileSync(join(native, name), 'utf8')))
    expect(using).toEqual(['observer.c'])
    // And the observer has no other answer: it never returns a value or an error in the kernel's place.
    const text = readFileSync(join(native, 'observer.c'), 'utf8')
    expect(text.match(/struct seccomp_notif_resp [^;]*;/g)).toEqual([
      'struct seccomp_notif_resp answer = {.id = n->id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE};',
    ])
    expect(text).not.toMatch(/SECCOMP_RET_(?:ERRNO|KILL|TRAP)|SECCOMP_IOCTL_NOTIF_ADDFD/)
  })
})

// One thread opens a path over and over while another one changes its last letters from aaa to bbb and back.
const RACE = `
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
static char path[512];
static volatile int done;
static void *flip(void *end) {
  while (!done) { memcpy(end, "bbb", 3); memcpy(end, "aaa", 3); }
  return 0;
}
int main(int argc, char **argv) {
  (void)argc;
  int length = snprintf(path, sizeof path, "%s/aaa", argv[1]);
  pthread_t thread;
  pthread_create(&thread, 0, flip, path + length - 3);
  int a = 0, b = 0;
  for (int i = 0; i < 4000; i++) {
    char first = 0;
    int fd = open(path, O_RDONLY);
    /* A torn name (aab) is no file. */
    if (fd < 0 || read(fd, &first, 1) != 1) first = 'a';
    if (first == 'a') a++; else b++;
    if (fd >= 0) close(fd);
  }
  done = 1;
  pthread_join(thread, 0);
  printf("%d %d\\n", a, b);
  return 0;
}
`
