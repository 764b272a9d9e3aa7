// The loop every agent framework has: model turn, tool call, result back to the model, until it answers in text.

import { renderForModel } from '@agentport/gateway'
import type { ToolResult, Tools } from '../executor/tools.ts'
import type { Message, ScriptedModel } from './scripted-model.ts'

const MAX_TURNS = 20

/** Runs `task` to the model's final answer. `transcript` is filled while it runs, so it survives a node that is ended. */
export async function converse(
  model: ScriptedModel,
  tools: Tools,
  task: string,
  transcript: Message[] = [],
): Promise<string> {
  transcript.push({ from: 'task', text: task })
  for (let turns = 0; turns < MAX_TURNS; turns += 1) {
    const turn = model.next(transcript)
    if ('text' in turn) return turn.text
    transcript.push({ from: 'tool', text: resultText(await tools.call(turn.call.tool, turn.call.args)) })
  }
  throw new Error(`no answer after ${MAX_TURNS} turns`)
}

function resultText(result: ToolResult): string {
  switch (result.kind) {
    case 'value':
      return typeof result.value === 'string' ? result.value : JSON.stringify(result.value)
    case 'denied':
      return renderForModel(result.denial)
    case 'error':
      return `The tool failed: ${result.message}`
  }
}
