// `npm run demo`: three agents, each talked into harm by something it reads, run without the gateway and with it.
// Everything is real: HTTP servers on the loopback interface, a Postgres in this process, files and child processes.

import { mkdir, rm } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { openAuditFile, verifyAuditFile } from '@agentport/gateway/node'
import { coding } from './agents/coding/agent.ts'
import { data } from './agents/data/agent.ts'
import { research } from './agents/research/agent.ts'
import { paint, renderCalls, renderChecks, renderFacts } from './support/render.ts'
import { repositoryRoot } from './support/repository.ts'
import { type ExampleRun, runBoth } from './support/run-both.ts'

const directory = join(repositoryRoot(), 'demo-output')
const auditPath = join(directory, 'audit.jsonl')
await rm(directory, { recursive: true, force: true })
await mkdir(directory)

// 'os': this log need not survive a power cut, and the times below are then of deciding and not of the disk.
const openAudit = () => openAuditFile(auditPath, { durability: 'os' })
const runs: ExampleRun[] = []
for (const example of [research, data, coding]) runs.push(await runBoth(example, openAudit))

const expectHead = runs.at(-1)?.head
const audit = await verifyAuditFile(auditPath, expectHead === undefined ? {} : { expectHead })
const verified = audit.ok && audit.tail === 'verified'
const ok = verified && runs.every(({ off, on }) => [...off.checks, ...on.checks].every((check) => check.ok))

console.log(process.argv.includes('--json') ? JSON.stringify(asJson(), undefined, 2) : asText())
process.exitCode = ok ? 0 : 1

function asText(): string {
  const answer = verified ? paint('green', '✓ verified') : paint('red', '✗ does not verify')
  return [
    'Three agents read a text that turns them against their owner. Same agents, same attack, twice.',
    renderFacts(runs),
    paint('bold', 'What the gateway answered, call by call (the first call of each is a cold start)'),
    ...runs.map(renderCalls),
    renderChecks(runs),
    `audit log ${answer}: ${relative(process.cwd(), auditPath)}, ${audit.records} records\nhead ${audit.head.seq}:${audit.head.hash}`,
    '',
  ].join('\n\n')
}

function asJson(): unknown {
  return {
    ok,
    examples: runs.map(({ example, off, on }) => ({
      name: example.name,
      attack: example.attack,
      without: { facts: off.facts, nodes: Object.fromEntries(off.report.nodes) },
      with: {
        facts: on.facts,
        nodes: Object.fromEntries(on.report.nodes),
        halted: on.report.halted,
        verdicts: on.report.timeline.flatMap((event) =>
          event.type === 'call' && event.verdict ? [event.verdict] : [],
        ),
      },
      failed: [...off.checks, ...on.checks].filter((check) => !check.ok).map((check) => check.says),
    })),
    audit: { path: auditPath, ok: verified, records: audit.records, head: audit.head, faults: audit.faults },
  }
}
