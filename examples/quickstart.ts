// The smallest whole example: one skill, one policy, one call that is allowed and one that is not.

import { join } from 'node:path'
import { AgentPort, type JsonObject, memorySink, renderForOperator } from '@agentport/gateway'
import { readSkillDirectory } from '@agentport/gateway/node'
import { repositoryRoot } from './support/repository.ts'

const policy = `
version: 1
rules:
  - id: read-the-docs
    effect: permit
    nodes: [read]
    tools: [fetch]
    hosts: [docs.example.com]
`
const digest = 'sha256:00c9c5a92e20cd1b96d3a47d55f0eb35694ad9a9ad52d52e2f0bab7c692151de'
const dispatch = async (tool: string, args: JsonObject) => `${tool} ran with ${JSON.stringify(args)}` // your tools

const port = await AgentPort.open({
  skills: [readSkillDirectory(join(repositoryRoot(), 'examples/quickstart/skill'))],
  trust: { version: 1, pinned: [{ skill: 'web', digest }] }, // these very bytes; or `publishers`, whose keys sign them
  policy: { file: 'policy.yaml', text: policy },
  audit: memorySink(),
})
const graph = { nodes: { read: { skill: 'web', toolScope: ['fetch'] } } }
const run = await port.openRun({ graph, principal: 'alice' })
const node = await run.admit('read')
for (const url of ['https://docs.example.com/start', 'https://collector.example.net/?key=123']) {
  const call = await node.authorize({ tool: 'fetch', args: { url } })
  if (call.decision === 'allow') console.log(await call.settle(await dispatch(call.tool, call.args)))
  else console.log(renderForOperator(call.denial))
}
await node.complete()
await run.close()
await port.close()
