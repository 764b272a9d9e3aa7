// `agentport audit verify`: is this log whole, and does it end where it should?

import { isHead } from '../audit/chain.ts'
import type { AuditVerification } from '../audit/verify.ts'
import { verifyAuditFile } from '../node/audit-file.ts'
import { type Command, type Output, readOptions, UsageError } from './command.ts'

const HELP = `Usage: agentport audit verify <log> [--head <seq>:<hash>] [--json]

Reads the whole log and reports every altered, dropped, inserted, reordered or torn record with its line.

  --head seq:hash   the last head that was kept outside of the log, as AgentPort.close() returns it and as this command
                    prints it. Without it a log cut at its end, or replaced as a whole, cannot be told from a good one.
  --json            print the result as JSON

Exit codes: 0 no fault, 1 faults found, 2 the log could not be read.`

export const audit: Command = {
  name: 'audit',
  summary: 'verify an audit log',
  help: HELP,
  run: async (args, output) => {
    const { values, positionals } = readOptions(args, { head: { type: 'string' }, json: { type: 'boolean' } })
    const [action, path, ...more] = positionals
    if (action !== 'verify' || path === undefined || more.length > 0)
      throw new UsageError('write: agentport audit verify <log>')
    const head = values['head']
    const result = await verifyAuditFile(path, typeof head === 'string' ? { expectHead: readHead(head) } : {})
    if (values['json'] === true) output.out(JSON.stringify(result, undefined, 2))
    else report(path, result, output)
    return result.ok ? 0 : 1
  },
}

function readHead(text: string): { seq: number; hash: string } {
  const match = /^([0-9]{1,15}):([0-9a-f]{64})$/.exec(text)
  const head = { seq: Number(match?.[1]), hash: match?.[2] ?? '' }
  if (match === null || !isHead(head)) throw new UsageError('--head is <seq>:<hash>, e.g. 41:9f86d0…')
  return head
}

function report(path: string, result: AuditVerification, output: Output): void {
  for (const fault of result.faults) output.err(`${path}:${fault.line}: ${fault.kind}: ${fault.detail}`)
  if (result.omitted > 0) output.err(`… and ${result.omitted} more faults`)
  for (const notice of result.notices) output.err(`${path}:${notice.line}: notice: ${notice.kind}`)
  output.out(
    `${result.ok ? '✓' : '✗'} ${result.records} records, ${result.faults.length + result.omitted} faults; end of the log: ${result.tail}`,
  )
  output.out(`  head ${result.head.seq}:${result.head.hash}`)
}
