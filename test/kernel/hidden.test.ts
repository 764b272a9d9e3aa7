// Kernels that lack something. What is missing is found out by trying, is said of each feature, and refuses whoever requires
// it; who merely prefers it gets what is left, if anything is, and a report that is true.

import { execFile } from 'node:child_process'
import { chmodSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'

import type { Capability, ConfinedProcess } from '../../src/enforcer/enforcer.ts'
import { FEATURES, type Feature, type Requirements } from '../../src/enforcer/feature.ts'
import type { FeatureReport } from '../../src/enforcer/report.ts'
import type { LinuxConfinement } from '../../src/linux/confinement.ts'
import { LinuxEnforcer } from '../../src/linux/linux-enforcer.ts'
import type { HostProbe } from '../../src/linux/probe.ts'
import { buildHider, type Hidden, type Hider } from './support/hide.ts'
import { eventually, ownDirectory, removeDirectories } from './support/linux-box.ts'
import { type Bundle, bundle } from './support/linux-bundle.ts'
import { processesWith } from './support/linux-host.ts'
import { type Outcome, outcomeOf, profileOf } from './support/linux-supervised.ts'
import { kernelSuite } from './support/suite.ts'

const run = promisify(execFile)
const ALL_PREFERRED: Requirements = Object.fromEntries(FEATURES.map((feature) => [feature, 'preferred']))

interface Refusal {
  readonly code: string
  readonly message: string
  readonly children: readonly number[]
}

interface Findings {
  readonly facts: HostProbe['facts']
  readonly trials: HostProbe['trials']
  readonly features: Readonly<Record<Feature, Capability>>
  readonly required: Refusal | { readonly features: Readonly<Record<Feature, FeatureReport>> }
  readonly preferred:
    | Refusal
    | {
        readonly features: Readonly<Record<Feature, FeatureReport>>
        readonly granted: Outcome
        readonly secret: Outcome
      }
}

removeDirectories()

const all = (...syscalls: readonly string[]): readonly Hidden[] =>
  syscalls.map((syscall) => ({ syscall, errno: 'ENOSYS' }))
const NO_LISTENER: Hidden = { syscall: 'seccomp', errno: 'EINVAL', when: { argument: 1, mask: 8, value: 8 } }
const LANDLOCK = ['landlock_create_ruleset', 'landlock_add_rule', 'landlock_restrict_self']

await kernelSuite(
  'a kernel that lacks',
  () => {
    let hider: Hider
    let program: Bundle
    let granted: string
    let secret: string

    beforeAll(async () => {
      ;[hider, program] = await Promise.all([buildHider(), bundle('test/kernel/support/linux-probe.ts')])
      const directory = await ownDirectory()
      granted = join(directory, 'granted')
      secret = join(directory, 'secret')
      writeFileSync(granted, 'granted')
      writeFileSync(secret, 'secret')
    }, 60_000)
    afterAll(() => Promise.all([hider?.remove(), program?.remove()]))

    async function without(...hidden: readonly Hidden[]): Promise<Findings> {
      const words = hidden.length === 0 ? [] : hider.before(hidden)
      const [file = '', ...args] = [...words, process.execPath, program.path, granted, secret]
      const { stdout } = await run(file, args, { maxBuffer: 1 << 24 })
      return JSON.parse(stdout) as Findings
    }

    /** Whatever is missing, nobody reads what was not granted, and nothing that is required is given up. */
    function isHonest({ features, required, preferred }: Findings): void {
      // The probe speaks of any limit there can be; this profile has none, so that holding all of them is no feat.
      const missing = FEATURES.filter((feature) => feature !== 'limits' && features[feature].support !== 'supported')
      if ('code' in required) {
        expect(required.code).toBe('ERR_ENFORCEMENT_UNAVAILABLE')
        expect(required.children).toEqual([])
        for (const feature of missing) expect(required.message).toContain(feature)
      } else {
        expect(missing).toEqual([])
        for (const feature of FEATURES) expect(required.features[feature].status, feature).toBe('enforced')
      }
      if ('code' in preferred) {
        expect(preferred.code).toBe('ERR_ENFORCEMENT_UNAVAILABLE')
        expect(preferred.children).toEqual([])
        return
      }
      expect(preferred.granted).toMatchObject({ code: 0, stdout: 'granted' })
      expect(preferred.secret.stdout).toBe('')
      expect(preferred.secret.code).not.toBe(0)
      for (const feature of missing) {
        expect(preferred.features[feature].status, feature).not.toBe('enforced')
        expect(preferred.features[feature].reason, feature).toBeTruthy()
        expect(preferred.features[feature].fix, feature).toBeTruthy()
      }
    }

    test('nothing: everything is supported', async () => {
      const findings = await without()
      isHonest(findings)
      expect(findings.features.fs_read.support).toBe('supported')
      expect('features' in findings.required).toBe(true)
      // Control groups are for root, or for whom root has given some.
      expect(findings.trials.filter(({ name, ok }) => !ok && name !== 'control groups')).toEqual([])
    })

    test('Landlock: the mounts hold, and nobody claims otherwise', async () => {
      const findings = await without(...all(...LANDLOCK))
      isHonest(findings)
      expect(findings.facts).toMatchObject({ landlockAbi: 0, namespaces: expect.stringMatching(/user|root/) })
      for (const feature of FEATURES) expect(findings.features[feature].mechanism).not.toMatch(/landlock/i)
    })

    test('the listener of seccomp: denials are no longer reported', async () => {
      const findings = await without(NO_LISTENER)
      isHonest(findings)
      expect(findings.facts.seccompNotify).toBe(false)
      if ('code' in findings.preferred) throw new Error(findings.preferred.message)
      for (const feature of ['syscalls', 'privilege', 'egress'] as const) {
        expect(findings.preferred.features[feature]).toMatchObject({ status: 'enforced', visibility: 'silent' })
      }
    })

    test.each([
      ['new namespaces', [{ syscall: 'mount', errno: 'EPERM' }]],
      ['mount_setattr', all('mount_setattr')],
      ['openat2', all('openat2')],
      ['open_tree', all('open_tree')],
      ['pivot_root', [{ syscall: 'pivot_root', errno: 'EPERM' }]],
    ] satisfies readonly (readonly [string, readonly Hidden[]])[])(
      '%s: no box of mounts, and a flat one says so',
      async (_title, hidden) => {
        const findings = await without(...hidden)
        isHonest(findings)
        expect(findings.facts.namespaces).toBe('none')
        for (const feature of ['fs_read', 'fs_write', 'fs_execute', 'ephemeral'] as const) {
          expect(findings.features[feature].support, feature).toBe('unsupported')
        }
        expect(findings.required).toMatchObject({ code: 'ERR_ENFORCEMENT_UNAVAILABLE', children: [] })
        // Landlock is left, which is something real.
        if (findings.facts.landlockAbi > 0) {
          expect(findings.preferred).toMatchObject({ features: { fs_read: { status: 'partial' } } })
        }
      },
    )

    test('both namespaces and Landlock: nothing is opened, even for who prefers everything', async () => {
      const findings = await without(...all(...LANDLOCK), { syscall: 'mount', errno: 'EPERM' })
      isHonest(findings)
      expect(findings.required).toMatchObject({ code: 'ERR_ENFORCEMENT_UNAVAILABLE', children: [] })
      expect(findings.preferred).toMatchObject({ code: 'ERR_ENFORCEMENT_UNAVAILABLE', children: [] })
    })

    test.each([
      ['seccomp', [{ syscall: 'seccomp', errno: 'EINVAL' }]],
      ['no_new_privs', [{ syscall: 'prctl', errno: 'EINVAL', when: { argument: 0, value: 38 } }]],
      ['capset', [{ syscall: 'capset', errno: 'EPERM' }]],
    ] satisfies readonly (readonly [string, readonly Hidden[]])[])(
      '%s: nothing is opened, whatever is asked for',
      async (_title, hidden) => {
        const findings = await without(...hidden)
        isHonest(findings)
        expect(FEATURES.filter((feature) => findings.features[feature].support === 'supported')).not.toContain(
          'fs_read',
        )
        expect(findings.required).toMatchObject({ code: 'ERR_ENFORCEMENT_UNAVAILABLE', children: [] })
        expect(findings.preferred).toMatchObject({ code: 'ERR_ENFORCEMENT_UNAVAILABLE', children: [] })
      },
    )

    test('clone3 and new namespaces, as in containers: a flat box can still be had', async () => {
      const findings = await without(
        ...all('clone3'),
        { syscall: 'unshare', errno: 'EPERM' },
        { syscall: 'mount', errno: 'EPERM' },
        // CLONE_NEWUSER.
        { syscall: 'clone', errno: 'EPERM', when: { argument: 0, mask: 0x1000_0000, value: 0x1000_0000 } },
      )
      isHonest(findings)
      expect(findings.facts).toMatchObject({ namespaces: 'none', landlockAbi: expect.toSatisfy((abi) => abi > 0) })
      expect('features' in findings.preferred).toBe(true)
    })

    test('setgroups, as for uid 0 of a user namespace: the box is the same', async () => {
      const findings = await without({ syscall: 'setgroups', errno: 'EPERM' })
      isHonest(findings)
      expect('features' in findings.required).toBe(true)
    })

    test('clone3 alone: there is an older call for the same', async () => {
      const findings = await without(...all('clone3'))
      isHonest(findings)
      expect('features' in findings.required).toBe(true)
    })
  },
  { kernel: 'box' },
)

await kernelSuite(
  'a flat box',
  () => {
    let enforcer: LinuxEnforcer
    let directory: string
    let perl: string
    let box: LinuxConfinement

    const spawn = (file: string, ...args: readonly string[]): Promise<ConfinedProcess> => box.spawn({ file, args })
    async function sh(script: string): Promise<Outcome> {
      return outcomeOf(await spawn('/bin/sh', '-c', script))
    }
    const outside = (script: string): Promise<unknown> => run('/bin/sh', ['-c', script])

    beforeAll(async () => {
      enforcer = await LinuxEnforcer.open({ kind: 'flat' })
      // Where the modules of its smallest installation are.
      const { stdout } = await run('/usr/bin/perl', ['-e', 'print $INC{"Socket.pm"} if require Socket'])
      perl = dirname(stdout)
    }, 60_000)

    beforeEach(async () => {
      directory = await ownDirectory()
      await outside(
        `mkdir ${directory}/in ${directory}/out && echo in >${directory}/in/file && echo secret >${directory}/secret`,
      )
      const manifest = [
        'skill: flat',
        'allowed_binaries: [/bin/sh, /usr/bin/cat, /usr/bin/chmod, /usr/bin/env, /usr/bin/ls, /usr/bin/perl,',
        '  /usr/bin/setsid, /usr/bin/sleep]',
        'allowed_libraries: ["${PERL}/**"]',
        'readable_paths: ["${D}/in/**", "${D}/out/**", "${PERL}/**"]',
        'writable_paths: ["${D}/out/**"]',
      ].join('\n')
      box = await enforcer.open(profileOf(manifest, { D: directory, PERL: perl }), { requirements: ALL_PREFERRED })
      return () => box.close()
    })

    test('refuses whoever requires everything, naming what is partial', async () => {
      const refused = enforcer.open(profileOf('skill: flat\n'))
      await expect(refused).rejects.toMatchObject({ code: 'ERR_ENFORCEMENT_UNAVAILABLE' })
      await expect(refused).rejects.toThrow(/fs_read is partial/)
    })

    test('claims no more than it holds', () => {
      const { features } = box.report
      for (const feature of ['fs_read', 'fs_write', 'fs_execute', 'ephemeral'] as const) {
        expect(features[feature], feature).toMatchObject({ status: 'partial', reason: expect.any(String) })
      }
    })

    test('fs_read: content is held, names and sizes are not', async () => {
      expect(await sh(`cat ${directory}/in/file`)).toMatchObject({ code: 0, stdout: 'in\n' })
      await outside(`cat ${directory}/secret`)
      const attack = await sh(`cat ${directory}/secret`)
      expect(attack).toMatchObject({ code: 1, stdout: '' })
      expect((await sh(`ls ${directory}`)).code).not.toBe(0)
      // As the report says.
      expect(box.report.features.fs_read.reason).toMatch(/sizes/)
      expect((await sh(`ls -l ${directory}/secret`)).stdout).toContain('secret')
    })

    test('fs_write: content is held, the mode is not', async () => {
      expect(await sh(`echo new >${directory}/out/file && cat ${directory}/out/file`)).toMatchObject({
        stdout: 'new\n',
      })
      for (const attack of [
        `echo x >${directory}/secret`,
        `echo x >>${directory}/in/file`,
        `echo x >${directory}/made`,
      ]) {
        expect((await sh(attack)).code, attack).not.toBe(0)
      }
      expect(readFileSync(join(directory, 'secret'), 'utf8')).toBe('secret\n')
      expect(readFileSync(join(directory, 'in/file'), 'utf8')).toBe('in\n')
      expect(box.report.features.fs_write.reason).toMatch(/mode/)
      chmodSync(join(directory, 'secret'), 0o600)
      await sh(`chmod 640 ${directory}/secret`)
      expect(statSync(join(directory, 'secret')).mode & 0o777).toBe(0o640)
    })

    test('fs_execute: an unlisted program does not run, nor one that was written', async () => {
      expect((await sh('cat /dev/null')).code).toBe(0)
      await outside('/usr/bin/id')
      expect((await sh('/usr/bin/id')).code).toBe(126)
      await outside(`cp /usr/bin/id ${directory}/in/id && ${directory}/in/id`)
      expect((await sh(`${directory}/in/id`)).code).toBe(126)
      const script = `printf '#!/bin/sh\\necho ran\\n' >${directory}/out/s; chmod 755 ${directory}/out/s`
      expect(await sh(`${script}; ${directory}/out/s`)).toMatchObject({ code: 126, stdout: '' })
      await expect(spawn('/usr/bin/id')).rejects.toMatchObject({ code: 'ERR_SPAWN_FAILED' })
    })

    test('egress: with nothing granted there is no socket at all', async () => {
      const connect = (port: number): string =>
        `perl -e 'use Socket; socket(S,PF_INET,SOCK_STREAM,6)||die "socket: $!"; connect(S,sockaddr_in(${port},inet_aton("127.0.0.1")))||die "connect: $!"; print "connected"'`
      let connections = 0
      const server = createServer((socket) => {
        connections += 1
        socket.destroy()
      })
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      const address = server.address()
      const port = typeof address === 'object' && address !== null ? address.port : 0
      try {
        await outside(connect(port))
        await eventually('the control seen', () => connections === 1)
        const attack = await sh(connect(port))
        expect(attack.stdout).toBe('')
        expect(attack.stderr).toMatch(/socket: /)
        expect(connections).toBe(1)
        expect(box.report.features.egress.status).toBe('enforced')
      } finally {
        server.close()
      }
    })

    test('the end of it takes a daemon that left its session', async () => {
      const mark = `marker-${directory.slice(-6)}-${process.pid}`
      const loop = "trap '' TERM HUP; while :; do /usr/bin/sleep 1; done"
      await spawn('/bin/sh', '-c', `(/usr/bin/setsid /bin/sh -c "${loop}" ${mark} </dev/null >/dev/null 2>&1 &)`)
      await eventually('it running', () => processesWith(mark).length > 0)
      const { outcome } = await box.kill()
      expect(processesWith(mark)).toEqual([])
      const { status } = box.report.features.process_tree_kill
      expect(outcome).toBe(status === 'enforced' ? 'clean' : 'unproven')
    })

    test('the environment is empty but for what everything gets', async () => {
      expect((await sh('env')).stdout.split('\n').map((line) => line.split('=')[0])).not.toContain('USER')
    })
  },
  { kernel: 'launcher' },
)

describe('the hider', () => {
  test('hides: what is hidden is not there, and nothing else is gone', async () => {
    if (process.platform !== 'linux') return
    const hider = await buildHider()
    try {
      const [file = '', ...args] = hider.before([
        { syscall: 'mkdir', errno: 'ENOSPC' },
        { syscall: 'mkdirat', errno: 'ENOSPC' },
      ])
      const attempt = run(file, [...args, '/bin/sh', '-c', 'echo there; mkdir /tmp/never'])
      await expect(attempt).rejects.toMatchObject({ stdout: 'there\n', stderr: expect.stringMatching(/No space left/) })
    } finally {
      await hider.remove()
    }
  })
})
