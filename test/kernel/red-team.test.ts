// What the attack corpus does not try: descriptors that a box was given rather than took, quotas that it shares with whoever
// runs the gateway, the first process of the box as a target, and what the host changes while a box runs. The first part
// holds; the second is what does not, and fails until it does.

import { execFile, execFileSync, spawnSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  copyFileSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import type { ConfinedProcess } from '../../src/enforcer/enforcer.ts'
import { LinuxEnforcer } from '../../src/linux/linux-enforcer.ts'
import { nativeFile } from '../../src/linux/native.ts'
import { buildHider, type Hider } from './support/hide.ts'
import { closeBoxes, collectEvents, openBox, ownDirectory, removeDirectories } from './support/linux-box.ts'
import { start } from './support/linux-program.ts'
import { linuxEnforcer, profileOf, runIn, textOf } from './support/linux-supervised.ts'
import { kernelSuite } from './support/suite.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const run = promisify(execFile)

/** One program, one attack a word. Exit code 0: it went through; otherwise the errno of the refusal. */
const ATTACKER = String.raw`
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int is(const char *a, const char *b) { return strcmp(a, b) == 0; }
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec / 1e9; }

int main(int n, char **a)
{
	if (n < 2) return 2;
	const char *what = a[1];
	if (is(what, "true")) return 0;
	if (is(what, "stopper")) {
		double end = now() + atof(a[2]);
		printf("ready\n"); fflush(stdout);
		while (now() < end) kill(-1, SIGSTOP);
		return 0;
	}
	if (is(what, "idle-first")) {
		struct sched_param none = { 0 };
		if (sched_setscheduler(1, SCHED_IDLE, &none) != 0) perror("sched");
		for (int i = 0; i < atoi(a[2]); i++)
			if (fork() == 0) for (;;) ;
		printf("ready\n"); fflush(stdout);
		for (;;) pause();
	}
	if (is(what, "kill-group")) return kill(0, atoi(a[2])) == 0 ? 0 : errno;
	if (is(what, "lease")) {
		int fd = open(a[2], O_RDONLY);
		if (fd < 0) { perror("open"); return 1; }
		signal(SIGIO, SIG_IGN);
		if (fcntl(fd, F_SETLEASE, atoi(a[3])) != 0) { printf("refused %d\n", errno); return 1; }
		printf("ready\n"); fflush(stdout);
		sleep(30);
		return 0;
	}
	if (is(what, "fifo")) {
		int fd = open(a[2], O_WRONLY | O_NONBLOCK);
		if (fd < 0) { printf("refused %d\n", errno); return 1; }
		return write(fd, "from the box", 12) == 12 ? 0 : 1;
	}
	if (is(what, "inflight")) {
		int sent = 0;
		for (int pairs = 0; pairs < 200; pairs++) {
			int p[2];
			if (socketpair(AF_UNIX, SOCK_STREAM, 0, p) != 0) break;
			int fds[100];
			for (int i = 0; i < 100; i++) fds[i] = p[0];
			union { char space[CMSG_SPACE(sizeof fds)]; struct cmsghdr align; } c;
			memset(&c, 0, sizeof c);
			char one = 1;
			struct iovec v = { &one, 1 };
			struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = c.space, .msg_controllen = sizeof c.space };
			struct cmsghdr *h = CMSG_FIRSTHDR(&m);
			h->cmsg_level = SOL_SOCKET; h->cmsg_type = SCM_RIGHTS; h->cmsg_len = CMSG_LEN(sizeof fds);
			memcpy(CMSG_DATA(h), fds, sizeof fds);
			if (sendmsg(p[0], &m, MSG_DONTWAIT) < 0) { if (errno == ETOOMANYREFS) break; continue; }
			sent += 100;
		}
		printf("ready %d %d\n", sent, errno); fflush(stdout);
		sleep(20);
		return 0;
	}
	if (is(what, "epoll")) {
		/* Each set may hold every descriptor of its process, and each process have as many sets. */
		int pairs[2]; (void)!pipe(pairs);
		for (int p = 0; p < atoi(a[2]); p++) {
			if (fork() == 0) {
				static int members[2000]; int m = 0; long added = 0;
				while (m < 2000 && (members[m] = eventfd(0, 0)) >= 0) m++;
				for (int e; (e = epoll_create1(0)) >= 0;)
					for (int i = 0; i < m; i++) {
						struct epoll_event ev = { EPOLLIN, { 0 } };
						if (added == atol(a[3]) || epoll_ctl(e, EPOLL_CTL_ADD, members[i], &ev) != 0)
							goto out;
						added++;
					}
out:			dprintf(pairs[1], "%ld %d\n", added, errno);
				sleep(25); _exit(0);
			}
		}
		char text[256]; long total = 0;
		for (int p = 0; p < atoi(a[2]); p++) { ssize_t s = read(pairs[0], text, 255); if (s > 0) { text[s] = 0; total += atol(text); } }
		printf("ready %ld\n", total); fflush(stdout);
		sleep(20);
		return 0;
	}
	if (is(what, "inotify")) {
		int count = 0;
		while (inotify_init1(0) >= 0) count++;
		printf("ready %d %d\n", count, errno); fflush(stdout);
		sleep(15);
		return 0;
	}
	if (is(what, "aio")) {
		unsigned long context = 0;
		long r = syscall(SYS_io_setup, atoi(a[2]), &context);
		printf("ready %ld %d\n", r, errno); fflush(stdout);
		sleep(10);
		return 0;
	}
	if (is(what, "cat")) {
		char text[65536];
		int fd = open(a[2], O_RDONLY);
		ssize_t s = fd < 0 ? -1 : read(fd, text, sizeof text);
		if (s < 0) { printf("refused %d", errno); return 1; }
		(void)!write(1, text, (size_t)s);
		return 0;
	}
	if (is(what, "own-write")) {
		int fd = open("/proc/self/fd/0", O_WRONLY);
		if (fd < 0) return errno;
		return pwrite(fd, "owned", 5, 0) == 5 ? 0 : errno;
	}
	if (is(what, "own-exec")) {
		char *args[] = { "payload", NULL };
		execv("/proc/self/fd/0", args);
		return errno;
	}
	if (is(what, "own-map")) {
		static const unsigned char code[] = { 0xb8, 0x2a, 0, 0, 0, 0xc3 };
		(void)!ftruncate(1, 4096);
		if (pwrite(1, code, sizeof code, 0) != sizeof code) return errno;
		int fd = open("/proc/self/fd/1", O_RDONLY);
		if (fd < 0) return errno;
		void *at = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
		if (at == MAP_FAILED) return errno;
		return ((int (*)(void))at)() == 42 ? 0 : 99;
	}
	if (is(what, "own-directory")) {
		char text[64];
		int fd = openat(0, a[2], O_RDONLY);
		if (fd < 0) return errno;
		return read(fd, text, 64) > 0 ? 0 : errno;
	}
	if (is(what, "own-socket")) {
		struct sockaddr none = { .sa_family = AF_UNSPEC };
		if (connect(0, &none, sizeof none) != 0) return errno;
		struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(atoi(a[2])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
		if (connect(0, (struct sockaddr *)&to, sizeof to) != 0) return errno;
		return write(0, "escaped", 7) == 7 ? 0 : errno;
	}
	if (is(what, "refused-flood")) {
		for (int i = 0; i < atoi(a[2]); i++) if (fork() == 0) for (;;) ptrace(PTRACE_TRACEME, 0, 0, 0);
		printf("ready\n"); fflush(stdout);
		for (;;) pause();
	}
	if (is(what, "connect-flood")) {
		for (int i = 0; i < atoi(a[2]); i++) if (fork() == 0) for (;;) {
			int fd = socket(AF_INET, SOCK_STREAM, 0);
			struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(3128), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
			connect(fd, (struct sockaddr *)&to, sizeof to);
			close(fd);
		}
		printf("ready\n"); fflush(stdout);
		for (;;) pause();
	}
	if (is(what, "output-flood")) {
		static char block[65536];
		memset(block, 'x', sizeof block);
		for (;;) if (write(1, block, sizeof block) < 0) return errno;
	}
	if (is(what, "mmap-suid")) {
		int fd = open(a[2], O_RDWR);
		if (fd < 0) return errno;
		char *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (at == MAP_FAILED) return errno;
		memcpy(at, "OWNED", 5);
		return 0;
	}
	if (is(what, "bury")) {
		/* Refusals of another kind first, until nobody has room for the one that counts. */
		double end = now() + atof(a[2]);
		for (int i = 0; i < 4; i++)
			if (fork() == 0) {
				while (now() < end + 0.3) syscall(SYS_memfd_create, "x", 0);
				_exit(0);
			}
		while (now() < end) usleep(1000);
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		while (wait(NULL) > 0) ;
		return 0;
	}
	if (is(what, "rights")) {
		int fds[200], sent = 0;
		for (int i = 0; i < 200; i++) fds[i] = open("/dev/null", O_RDONLY);
		for (int round = 0; round < 20; round++) {
			union { char space[CMSG_SPACE(sizeof fds)]; struct cmsghdr align; } c;
			memset(&c, 0, sizeof c);
			char one = 'x';
			struct iovec v = { &one, 1 };
			struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = c.space, .msg_controllen = sizeof c.space };
			struct cmsghdr *h = CMSG_FIRSTHDR(&m);
			h->cmsg_level = SOL_SOCKET; h->cmsg_type = SCM_RIGHTS; h->cmsg_len = CMSG_LEN(sizeof fds);
			memcpy(CMSG_DATA(h), fds, sizeof fds);
			if (sendmsg(1, &m, 0) == 1) sent++;
		}
		fprintf(stderr, "%d", sent);
		sleep(1);
		return 0;
	}
	return 2;
}
`

/** A gateway of its own, for attacks on the process that opens the box. The last word is the attack. */
const GATEWAY = `
import { LinuxEnforcer } from './src/linux/linux-enforcer.ts'
import { profileOf, runIn } from './test/kernel/support/linux-supervised.ts'
import { watch } from 'node:fs'

const [mode, manifest, file, ...args] = process.argv.slice(2)
const enforcer = await LinuxEnforcer.open()
const ready = async (child) => Buffer.from((await child.stdout.getReader().read()).value ?? []).toString()
const say = (value) => process.stdout.write(JSON.stringify(value) + '\\n')

if (mode === 'inherit') {
  const box = await enforcer.open(profileOf(manifest), { inherit: true })
  const { exited } = await box.spawnInherited({ file, args })
  const { code } = await exited
  await box.close()
  process.exit(code ?? 200)
}
if (mode === 'landlock') {
  say((await enforcer.host()).facts.landlockAbi)
  process.exit(0)
}
if (mode === 'run') {
  const box = await enforcer.open(profileOf(manifest))
  const outcome = await runIn(box, file, ...args)
  say({ outcome, status: box.report.features.fs_write.status })
  await box.close()
  process.exit(0)
}
// Beside the box of the attacker: another box, and what the gateway itself needs.
const attacker = await enforcer.open(profileOf(manifest))
const other = await enforcer.open(profileOf(manifest))
const said = await ready(await attacker.spawn({ file, args }))
let watching = 'yes'
try {
  watch('/').close()
} catch (error) {
  watching = error.code
}
const outcome = await runIn(other, file, 'true').then(({ code }) => code, (error) => String(error))
say({ said, watching, other: outcome })
await Promise.all([attacker.close(), other.close()])
process.exit(0)
`

let directory: string
let attacker: string
let gateway: string
let hider: Hider

closeBoxes()
removeDirectories()

beforeAll(async () => {
  directory = await ownDirectory()
  chmodSync(directory, 0o755)
  attacker = join(directory, 'attacker')
  gateway = join(directory, 'gateway.mjs')
  writeFileSync(`${attacker}.c`, ATTACKER)
  const url = JSON.stringify(pathToFileURL(join(ROOT, 'test', 'gateway.ts')).href)
  ;[, , hider] = await Promise.all([
    run(process.env['CC'] ?? 'cc', ['-O1', '-Wall', '-Wextra', '-Werror', '-o', attacker, `${attacker}.c`]),
    build({
      stdin: { contents: GATEWAY, resolveDir: ROOT, loader: 'ts' },
      outfile: gateway,
      bundle: true,
      platform: 'node',
      format: 'esm',
      target: 'node20',
      logLevel: 'error',
      define: { 'import.meta.url': url },
      banner: { js: `import { createRequire } from 'node:module'; const require = createRequire(${url})` },
    }),
    buildHider(),
  ])
}, 60_000)
afterAll(() => hider?.remove())

const manifest = (...lines: readonly string[]): string =>
  ['skill: red-team', `allowed_binaries: [${attacker}, /bin/sh]`, ...lines, ''].join('\n')

/** The first line that the program prints. */
async function ready(child: ConfinedProcess): Promise<string> {
  const { value } = await child.stdout.getReader().read()
  return Buffer.from(value ?? []).toString()
}

/** What `promise` gives, or `late` after so many milliseconds. */
async function within<T>(promise: Promise<T>, milliseconds: number): Promise<T | 'late'> {
  let timer: NodeJS.Timeout | undefined
  const patience = new Promise<'late'>((resolve) => {
    timer = setTimeout(resolve, milliseconds, 'late')
  })
  const first = await Promise.race([promise, patience])
  clearTimeout(timer)
  return first
}

const NO_LANDLOCK = ['landlock_create_ruleset', 'landlock_add_rule', 'landlock_restrict_self'].map(
  (syscall) => ({ syscall, errno: 'ENOSYS' }) as const,
)

/** A command of a gateway with descriptors of its own: exit code 0 is an attack that went through. */
function inherited(
  descriptors: { readonly input?: string; readonly output?: string },
  landlock: 'with' | 'without',
  ...words: readonly string[]
): number | null {
  const before = landlock === 'with' ? [] : hider.before(NO_LANDLOCK)
  const [file = '', ...args] = [...before, process.execPath, gateway, 'inherit', manifest(), attacker, ...words]
  const input = openSync(descriptors.input ?? '/dev/null', 'r')
  const output = openSync(descriptors.output ?? '/dev/null', 'w')
  try {
    return spawnSync(file, args, { stdio: [input, output, 'ignore'], timeout: 20_000 }).status
  } finally {
    closeSync(input)
    closeSync(output)
  }
}

await kernelSuite('attacks that hold', () => {
  test('descriptors sent over standard output do not reach the gateway', async () => {
    const box = await openBox(profileOf(manifest()))
    const before = readdirSync('/proc/self/fd').length
    const child = await box.spawn({ file: attacker, args: ['rights'] })
    const [output, sent] = await Promise.all([textOf(child.stdout), textOf(child.stderr)])
    expect(output).toBe('x'.repeat(20))
    expect(sent, 'positive control: they were sent').toBe('20')
    expect(readdirSync('/proc/self/fd').length).toBeLessThanOrEqual(before)
  })

  test('output that nobody reads stays in the box', async () => {
    const box = await openBox(profileOf(manifest()))
    const before = process.memoryUsage().rss
    await box.spawn({ file: attacker, args: ['output-flood'] })
    await new Promise((resolve) => setTimeout(resolve, 1500))
    expect(process.memoryUsage().rss - before).toBeLessThan(64 << 20)
  })

  test.each([
    ['refused calls', ['refused-flood', '4'], []],
    ['connections to the proxy', ['connect-flood', '8'], ['allowed_hosts: [example.com]']],
  ] as const)('a flood of %s does not keep the gateway from ending the box', async (_, words, lines) => {
    const box = await openBox(profileOf(manifest(...lines)))
    const { done } = collectEvents(box)
    await ready(await box.spawn({ file: attacker, args: words }))
    const delay = monitorEventLoopDelay({ resolution: 10 })
    delay.enable()
    await new Promise((resolve) => setTimeout(resolve, 1500))
    delay.disable()
    expect(delay.max / 1e6).toBeLessThan(1000)
    const asked = performance.now()
    expect((await box.kill()).outcome).toBe('clean')
    expect(performance.now() - asked).toBeLessThan(2000)
    await box.close()
    await done
  })

  test('the first process made the least important of all still keeps the time', async () => {
    const box = await openBox(profileOf(manifest('limits: { wall_ms: 1000, processes: 64 }')))
    const child = await box.spawn({ file: attacker, args: ['idle-first', '50'] })
    expect(await within(child.exited, 5000)).toEqual({ signal: 'SIGKILL' })
  })

  test.each(['own-write', 'own-exec'])('a file given as standard input is not had another way (%s)', async (attack) => {
    const file = join(directory, `input-${attack}`)
    copyFileSync('/bin/true', file)
    const { facts } = await (await linuxEnforcer()).host()
    // Without Landlock it is: see below.
    if (facts.landlockAbi > 0) expect(inherited({ input: file }, 'with', attack)).not.toBe(0)
  })
})

await kernelSuite('what the attacks found', () => {
  test('a child is stopped before its exec: time and answers of the box stop with it', async () => {
    const box = await openBox(profileOf(manifest('limits: { wall_ms: 2000 }')))
    const child = await box.spawn({ file: attacker, args: ['stopper', '30'] })
    await ready(child)
    for (let round = 0; round < 40; round++) {
      const started = await within(
        box.spawn({ file: attacker, args: ['true'] }).catch(() => 'refused'),
        1000,
      )
      if (started === 'late' || started === 'refused') break
    }
    expect(await within(child.exited, 4000)).toEqual({ signal: 'SIGKILL' })
  })

  test('a hidden file that the host replaces can be read, and the report says so', async () => {
    const tree = join(directory, 'holes')
    const secret = join(tree, 'secret')
    mkdirSync(tree)
    writeFileSync(secret, 'old')
    const enforcer = await LinuxEnforcer.open({ ownPaths: [secret] })
    const profile = profileOf(manifest(`readable_paths: [${tree}/**]`))
    await expect(enforcer.open(profile)).rejects.toThrow(/fs_read is partial: .*replaces/)
    const box = await enforcer.open(profile, { requirements: { fs_read: 'preferred' } })
    try {
      expect(box.report.features.fs_read).toMatchObject({ status: 'partial' })
      expect((await runIn(box, attacker, 'cat', secret)).code).not.toBe(0)
    } finally {
      await box.close()
    }
  })

  test('a file given as standard output does not become code', () => {
    expect(inherited({ output: join(directory, 'output') }, 'with', 'own-map')).not.toBe(0)
  })

  test('a directory given as standard input is not a way into the host', () => {
    expect(inherited({ input: '/etc' }, 'with', 'own-directory', 'passwd')).not.toBe(0)
  })

  test('a socket given as standard input is not a way into the network of the host', async () => {
    const got: string[] = []
    const inner = createServer((socket) => {
      socket.on('data', (bytes) => got.push(String(bytes))).on('error', () => undefined)
    })
    const outer = createServer({ pauseOnConnect: true })
    const portOf = async (server: typeof inner): Promise<number> => {
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      return (server.address() as { port: number }).port
    }
    const port = await portOf(inner)
    try {
      const ended = new Promise<void>((resolve) => {
        outer.once('connection', (socket) => {
          const words = [gateway, 'inherit', manifest(), attacker, 'own-socket', String(port)]
          const { ended: done } = start(process.execPath, words, { stdio: [socket, 'ignore', 'ignore'] })
          void done.then(() => {
            socket.destroy()
            resolve()
          })
        })
      })
      const client = connect(await portOf(outer), '127.0.0.1').on('error', () => undefined)
      await ended
      client.destroy()
      expect(got).toEqual([])
    } finally {
      inner.close()
      outer.close()
    }
  })

  describe('without Landlock', () => {
    test('a signal to the own process group stays in the box', async () => {
      // The group of a script: the gateway, and whatever else the script has started.
      const words = [...hider.before(NO_LANDLOCK), process.execPath, gateway, 'inherit', manifest(), attacker]
      const script = 'sleep 30 & echo $!; shift; "$@" >/dev/null 2>&1; kill -0 $! && echo alive; kill $!'
      const { stdout, ended } = start('/bin/sh', ['-c', script, 'sh', 'sh', ...words, 'kill-group', '15'], {
        detached: true,
      })
      await ended
      expect(stdout()).toContain('alive')
    })

    test('a file given as standard input stays as it is', () => {
      const file = join(directory, 'read-only')
      writeFileSync(file, 'original')
      expect(inherited({ input: file }, 'without', 'own-write')).not.toBe(0)
      expect(readFileSync(file, 'utf8')).toBe('original')
    })

    test('a file given as standard input is not run', () => {
      const file = join(directory, 'unlisted')
      copyFileSync(attacker, file)
      chmodSync(file, 0o755)
      // `payload` without a word ends with 2; a refusal ends with its errno.
      expect(inherited({ input: file }, 'without', 'own-exec')).not.toBe(2)
    })

    test('a pipe of the host in a tree that may be read is not written, or that is said', () => {
      const tree = join(directory, 'pipes')
      const pipe = join(tree, 'pipe')
      mkdirSync(tree)
      execFileSync('mkfifo', [pipe])
      const reader = openSync(pipe, constants.O_RDONLY | constants.O_NONBLOCK)
      try {
        const [file = '', ...args] = [...hider.before(NO_LANDLOCK), process.execPath, gateway, 'run']
        const text = manifest(`readable_paths: [${tree}/**]`)
        const { stdout } = spawnSync(file, [...args, text, attacker, 'fifo', pipe], {
          encoding: 'utf8',
          timeout: 20_000,
        })
        // A box that cannot hold it is refused.
        const { status } = (stdout === '' ? { status: 'refused' } : JSON.parse(stdout)) as { status: string }
        const bytes = Buffer.alloc(64)
        const got = bytes.subarray(0, readSync(reader, bytes)).toString()
        expect([status, got]).not.toEqual(['enforced', 'from the box'])
      } finally {
        closeSync(reader)
      }
    })
  })

  test('an attempt at privilege is told, whatever else was refused before', async () => {
    const box = await openBox(profileOf(manifest()))
    const { events, done } = collectEvents(box)
    const child = await box.spawn({ file: attacker, args: ['bury', '1'] })
    // A gateway that is busy for a moment.
    for (const end = performance.now() + 1500; performance.now() < end; );
    await child.exited
    await box.close()
    await done
    expect(events.some((event) => event.type === 'denied' && event.feature === 'privilege')).toBe(true)
  })

  describe('what is written for the one who runs a command goes nowhere else', () => {
    test.each(['--report', '--events'])('%s', async (option) => {
      const { bundle } = await import('./support/linux-bundle.ts')
      const cli = await bundle('src/cli/bin.ts')
      try {
        const work = join(directory, `work${option}`)
        const victim = join(directory, `victim${option}`)
        mkdirSync(work)
        writeFileSync(victim, 'precious')
        const text = `skill: red-team\nallowed_binaries: [/bin/sh, /usr/bin/ln, /usr/bin/sleep]\nwritable_paths: [${work}/**]\nreadable_paths: [${work}/**]\n`
        writeFileSync(join(directory, `manifest${option}.yaml`), text)
        const link = `/usr/bin/ln -sf ${victim} ${work}/file; /usr/bin/sleep 0.2`
        const words = ['run', '--manifest', join(directory, `manifest${option}.yaml`), option, join(work, 'file')]
        const { ended, stderr } = start(process.execPath, [cli.path, ...words, '--', '/bin/sh', '-c', link])
        expect((await ended).code, `positive control: it ran: ${stderr()}`).toBe(0)
        expect(readFileSync(victim, 'utf8')).toBe('precious')
      } finally {
        await cli.remove()
      }
    })
  })

  test('a file that may be read is not kept from the host by a lease', async () => {
    const file = join(directory, 'leased')
    writeFileSync(file, 'data')
    const box = await openBox(profileOf(manifest(`readable_paths: [${file}]`)))
    await ready(await box.spawn({ file: attacker, args: ['lease', file, String(1)] }))
    expect(spawnSync('/bin/cat', [file], { timeout: 3000 }).status).toBe(0)
  })

  test('asynchronous requests, of which the host has few, are not taken', async () => {
    const box = await openBox(profileOf(manifest()))
    await ready(await box.spawn({ file: attacker, args: ['aio', '1000'] }))
    expect(Number(readFileSync('/proc/sys/fs/aio-nr', 'utf8'))).toBeLessThan(1000)
  })

  test('files of /proc that are the whole kernel and not the box are not there', async () => {
    const box = await openBox(profileOf(manifest()))
    const names = ['kpageflags', 'kpagecount', 'kpagecgroup', 'slabinfo', 'vmallocinfo', 'timer_list']
    const sizes = await Promise.all(
      names.map(async (name) => [name, (await runIn(box, attacker, 'cat', `/proc/${name}`)).code] as const),
    )
    expect(sizes.filter(([, code]) => code === 0)).toEqual([])
  })

  test('the arguments of the first process say nothing of the host', async () => {
    const box = await openBox(profileOf(manifest()))
    const { stdout } = await runIn(box, attacker, 'cat', '/proc/1/cmdline')
    expect(stdout).not.toContain('/')
  })

  // docs/linux.md, Limits to know.
  test.fails('a set-id file in a writable tree does not get other contents and keep its mode', async () => {
    const tree = join(directory, 'set-id')
    const file = join(tree, 'program')
    mkdirSync(tree)
    writeFileSync(file, 'x'.repeat(8192))
    chmodSync(file, 0o4755)
    const box = await openBox(profileOf(manifest(`writable_paths: [${tree}/**]`, `readable_paths: [${tree}/**]`)))
    await runIn(box, attacker, 'mmap-suid', file)
    const changed = readFileSync(file, 'utf8').startsWith('OWNED')
    expect(changed && (statSync(file).mode & 0o4000) !== 0).toBe(false)
  })

  test('a launcher in a directory that others can write is not started', () => {
    const open = join(directory, 'open')
    mkdirSync(open)
    chmodSync(open, 0o777)
    const copy = join(open, 'launcher')
    copyFileSync(nativeFile('launcher').path, copy)
    chmodSync(copy, 0o755)
    expect(() => nativeFile('launcher', copy)).toThrow(/can write/)
  })
})

// As a user of its own: what is used up is counted by user, and nobody else's is to be used up by a test.
await kernelSuite(
  'quotas of the user who runs the gateway',
  () => {
    const UID = 40_000 + (process.pid % 20_000)

    async function beside(...words: readonly string[]): Promise<{ said: string; watching: string; other: unknown }> {
      const temporary = join(directory, words.join('-'))
      mkdirSync(temporary)
      chownSync(temporary, UID, UID)
      const args = [gateway, 'beside', manifest(), attacker, ...words]
      const env = { ...process.env, TMPDIR: temporary }
      const { stdout, stderr, ended } = start(process.execPath, args, { uid: UID, gid: UID, env, cwd: '/' })
      await ended
      expect(stdout(), stderr()).not.toBe('')
      return JSON.parse(stdout()) as { said: string; watching: string; other: unknown }
    }

    // docs/linux.md, Limits to know: there is no share of these for a user namespace.
    test.fails('descriptors on their way: other boxes go on', async () => {
      expect((await beside('inflight')).other).toBe(0)
    })

    test('inotify: the gateway can still watch', async () => {
      expect((await beside('inotify')).watching).toBe('yes')
    })

    test.fails('epoll: the gateway can still wait', async () => {
      // All of them end every Node of this user by SIGABRT; a tenth is enough to see that nothing stops at less.
      const most = Number(readFileSync('/proc/sys/fs/epoll/max_user_watches', 'utf8'))
      const { said } = await beside('epoll', '2', String(Math.ceil(most / 20)))
      expect(Number(said.split(' ')[1])).toBeLessThan(most / 10)
    }, 60_000)
  },
  { root: true },
)
