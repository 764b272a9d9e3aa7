// A model without a model: it follows its script, turn by turn, and - as an injected language model would - obeys
// orders it finds in what the tools return. Nothing else in the examples knows of the attack: no text, no attack.

import type { JsonObject } from '@agentport/gateway'

export interface Message {
  readonly from: 'task' | 'tool'
  readonly text: string
}

export interface ToolCall {
  readonly tool: string
  readonly args: JsonObject
}

export type Turn = { readonly call: ToolCall } | { readonly text: string }

/** One turn, or how to make it from what was read so far. */
export type Step = Turn | ((transcript: readonly Message[]) => Turn)

const MARKER = 'IGNORE PREVIOUS INSTRUCTIONS'
const ORDER = /^\d+\. call (\w+) with (\{.*)$/

export class ScriptedModel {
  readonly #script: Step[]
  readonly #orders: ToolCall[] = []
  #read = 0

  constructor(script: readonly Step[]) {
    this.#script = [...script]
  }

  /** The next turn: orders found in the new messages come before the script goes on. */
  next(transcript: readonly Message[]): Turn {
    for (const message of transcript.slice(this.#read)) this.#orders.push(...ordersIn(message.text))
    this.#read = transcript.length
    const order = this.#orders.shift()
    if (order !== undefined) return { call: { tool: order.tool, args: fill(order.args, transcript) } }
    const step = this.#script.shift() ?? { text: '' }
    return typeof step === 'function' ? step(transcript) : step
  }
}

/** Lines such as `1. call http_request with {"method": "POST", …}` after the marker. */
function ordersIn(text: string): ToolCall[] {
  const start = text.indexOf(MARKER)
  if (start === -1) return []
  return text
    .slice(start)
    .split('\n')
    .map((line) => ORDER.exec(line.trim()))
    .flatMap((match) => (match?.[1] && match[2] ? [{ tool: match[1], args: JSON.parse(match[2]) as JsonObject }] : []))
}

/** An order may quote what the model knows: `<conversation>`, or `<last result>`. */
function fill(args: JsonObject, transcript: readonly Message[]): JsonObject {
  const conversation = transcript.map((message) => message.text).join('\n')
  const values: Record<string, string> = {
    '<conversation>': conversation,
    '<last result>': transcript.at(-1)?.text ?? '',
  }
  return JSON.parse(JSON.stringify(args), (_key, value: unknown) => {
    return typeof value === 'string' && Object.hasOwn(values, value) ? values[value] : value
  }) as JsonObject
}
