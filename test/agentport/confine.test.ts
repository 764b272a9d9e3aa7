// Processes: what the facade asks of an enforcer, and that without one nothing starts.

import { describe, expect, test } from 'vitest'

import type { Confinement, Enforcer } from '../../src/index.ts'
import { unsafeNullEnforcer } from '../../src/testing/index.ts'
import { bundleOf, GRAPH, MANIFEST, openNode, POLICY, pin, reportOf, ScriptedBox, scriptedEnforcer } from './fixture.ts'

describe('confine', () => {
  test('without an enforcer every confinement is refused, and the record says which enforcer was there', async () => {
    const { node, audit } = await openNode()
    await expect(node.confine('read_file')).rejects.toMatchObject({ code: 'ERR_ENFORCEMENT_UNAVAILABLE' })
    expect(audit.lines.map((line) => JSON.parse(line)).find(({ type }) => type === 'run.opened')).toMatchObject({
      enforcement: 'refusing',
    })
  })

  test('the null enforcer refuses too, as long as anything is required', async () => {
    const { node } = await openNode({ enforcer: unsafeNullEnforcer })
    await expect(node.confine('read_file')).rejects.toMatchObject({ code: 'ERR_ENFORCEMENT_UNAVAILABLE' })
  })

  test('the profile is manifest ∩ policy for this tool, with holes where the policy forbids or asks', async () => {
    const { enforcer, boxes: opened } = scriptedEnforcer()
    const { run, node } = await openNode({ enforcer })
    await node.confine('read_file')
    await node.confine('http_get')
    const [reading, fetching] = opened
    expect(reading?.profile.read.map(({ value }) => value.text)).toEqual(['/srv/data/**'])
    expect(reading?.profile.denied.read.map(({ value }) => value.text)).toEqual(['/srv/data/secret/**'])
    expect(reading?.profile.egress).toEqual([])
    expect(fetching?.profile.egress.map(({ value }) => value.text)).toEqual(['api.example.com'])
    expect(fetching?.profile.read).toEqual([])
    await run.halt({ reason: 'stop' })
    expect(opened.every(({ signal }) => signal?.aborted === true)).toBe(true)
  })

  test('what only a process can have, and what narrows it, arrives from both sides', async () => {
    const { enforcer, boxes: opened } = scriptedEnforcer()
    const manifest = `${MANIFEST}executable_paths: [/opt/bin/**]
allowed_libraries: [/usr/lib/**, /opt/lib/**]
process_rights: [listen, executable_memory]
forbidden_syscalls: [execveat]
limits: { wall_ms: 1000, memory_mb: 512 }
`
    const policy = {
      file: 'p.yaml',
      text: `${POLICY}
  - id: base
    effect: permit
    nodes: ["*"]
    tools: ["*"]
    paths: { execute: [/opt/**] }
    libraries: [/usr/lib/**, /opt/lib/**]
    process_rights: [listen, executable_memory]
    limits: { wall_ms: 5000, memory_mb: 128, processes: 16 }
    forbidden_syscalls: [ptrace]
    execution_mode: ephemeral
  - id: no-plugins
    effect: forbid
    nodes: ["*"]
    tools: [read_file]
    libraries: [/usr/lib/plugins/**]
    process_rights: [listen]
`,
    }
    const bundle = bundleOf(manifest)
    const { node } = await openNode({ enforcer, policy, skills: [bundle], trust: pin(bundle) })
    await node.confine('read_file')
    await node.confine('ping')
    const [reading, pinging] = opened.map(({ profile }) => profile)
    const texts = (
      entries: readonly { readonly value: string | { readonly text: string } }[] = [],
    ): readonly string[] => entries.map(({ value }) => (typeof value === 'string' ? value : value.text))
    expect(texts(reading?.execute)).toEqual(['/opt/bin/**'])
    expect(texts(reading?.libraries)).toEqual(['/usr/lib/**', '/opt/lib/**'])
    expect(texts(reading?.denied.execute)).toEqual(['/usr/lib/plugins/**'])
    expect(texts(reading?.rights)).toEqual(['executable_memory'])
    expect(texts(pinging?.rights)).toEqual(['listen', 'executable_memory'])
    expect(texts(reading?.forbiddenSyscalls)).toEqual(['ptrace', 'execveat'])
    expect(reading?.forbiddenSyscalls[0]?.rule).toContain('base (permit) p.yaml')
    expect(reading?.executionMode).toBe('ephemeral')
    expect(reading?.limits).toEqual({ wallMs: 1000, memoryBytes: 128 * 1024 * 1024, processes: 16 })
  })

  test('it is written down before it is opened, and not opened when it cannot be', async () => {
    const { enforcer, boxes: opened } = scriptedEnforcer()
    let broken = false
    const lines: string[] = []
    const append = (line: string): void => {
      if (broken) throw new Error('full')
      lines.push(line)
    }
    const { node } = await openNode({ enforcer, audit: { append } })
    await node.confine('read_file')
    expect(lines.map((line) => JSON.parse(line)).find(({ type }) => type === 'process.confined')).toMatchObject({
      tool: 'read_file',
      enforcement: 'scripted',
      profile: opened[0]?.profile.digest,
    })
    broken = true
    await expect(node.confine('read_file')).rejects.toMatchObject({ denial: { code: 'audit_unavailable' } })
    expect(opened).toHaveLength(1)
  })

  test('a tool the manifest does not declare gets none, whatever graph and policy say', async () => {
    const { enforcer, boxes: opened } = scriptedEnforcer()
    const policy = { file: 'p.yaml', text: POLICY.replace('tools: [read_file]', 'tools: ["*"]') }
    const graph = { nodes: { ...GRAPH.nodes, fetch: { skill: 'web', toolScope: ['shell'] } } }
    const { node } = await openNode({ enforcer, policy }, graph)
    await expect(node.confine('shell')).rejects.toMatchObject({ denial: { code: 'tool_undeclared' } })
    expect(opened).toEqual([])
  })

  test('a box that was being opened when the run halted is closed and not handed out', async () => {
    let finish: ((box: Confinement) => void) | undefined
    let box: ScriptedBox | undefined
    const enforcer: Enforcer = {
      name: 'slow',
      probe: () => Promise.reject(new Error('not asked')),
      open: (profile, options) => {
        box = new ScriptedBox(profile, options?.signal, reportOf())
        return new Promise((resolve) => (finish = resolve))
      },
    }
    const { run, node } = await openNode({ enforcer })
    const pending = node.confine('read_file')
    await new Promise((resolve) => setTimeout(resolve, 5))
    await run.halt({ reason: 'stop' })
    if (box !== undefined) finish?.(box)
    await expect(pending).rejects.toMatchObject({ denial: { code: 'run_halted' } })
    expect(box).toMatchObject({ kills: 1, closes: 1 })
  })

  test('a permit that depends on arguments grants a process nothing', async () => {
    const { enforcer, boxes: opened } = scriptedEnforcer()
    const policy = {
      file: 'p.yaml',
      text: POLICY.replace(
        'tools: [read_file]\n    paths',
        'tools: [read_file]\n    args: { /path: { equals: /srv/data/a } }\n    paths',
      ),
    }
    const { node } = await openNode({ enforcer, policy })
    await node.confine('read_file')
    expect(opened[0]?.profile.read).toEqual([])
  })

  test('not for a tool out of scope, a node that ended, or a run that halted', async () => {
    const { enforcer, boxes: opened } = scriptedEnforcer()
    const { run, node } = await openNode(
      { enforcer },
      { nodes: { ...GRAPH.nodes, fetch: { skill: 'web', toolScope: ['ping'] } } },
    )
    await expect(node.confine('read_file')).rejects.toMatchObject({ denial: { code: 'tool_out_of_scope' } })
    await node.complete()
    await expect(node.confine('ping')).rejects.toMatchObject({ denial: { code: 'ticket_revoked' } })
    const aside = await run.admit('aside')
    await run.halt({ reason: 'stop' })
    await expect(aside.confine('ping')).rejects.toMatchObject({ denial: { code: 'run_halted' } })
    expect(opened).toEqual([])
  })
})
