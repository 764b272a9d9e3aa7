// The signed envelope: DSSE 1.0.2 (PAE, base64 payload, detached signatures), in a profile with one spelling: standard
// base64 only, canonical padding and bits, strict JSON. Decides which keys signed which bytes; believes nothing about
// what the bytes say.

import { decodeBase64, encodeBase64 } from '../core/base64.ts'
import type { Ed25519Provider } from '../core/crypto.ts'
import { defaultEd25519, verifyStrict } from '../core/ed25519.ts'
import { AgentPortError } from '../core/errors.ts'
import { parseJson } from '../core/json.ts'
import { LIMITS } from '../core/limits.ts'
import { checkEnvelopeShape, describeIssue } from './schema.ts'

/** The only payload type taken: the type is under the signature, so bytes signed as something else never count here. */
export const PAYLOAD_TYPE = 'application/vnd.in-toto+json'

export interface EnvelopeSignature {
  /** A hint which key it is; nobody vouches for it. */
  readonly keyId: string
  readonly signature: Uint8Array
}

export interface Envelope {
  /** The signed bytes. What is parsed later is parsed from these and nothing else. */
  readonly payload: Uint8Array
  readonly signatures: readonly EnvelopeSignature[]
}

export type ReadEnvelope =
  | { readonly ok: true; readonly envelope: Envelope }
  | { readonly ok: false; readonly reason: string }

const utf8 = new TextEncoder()

/** DSSE pre-authentication encoding: lengths in front, so that type and payload cannot run into each other. */
export function preAuthEncoding(payloadType: string, payload: Uint8Array): Uint8Array {
  const type = utf8.encode(payloadType)
  const head = utf8.encode(`DSSEv1 ${type.length} ${payloadType} ${payload.length} `)
  const out = new Uint8Array(head.length + payload.length)
  out.set(head)
  out.set(payload, head.length)
  return out
}

/** Takes an envelope apart. Fields that DSSE does not define are ignored, as it says: nothing outside is signed. */
export function readEnvelope(text: string): ReadEnvelope {
  if (text.length > LIMITS.envelopeLength) {
    return { ok: false, reason: `it is longer than ${LIMITS.envelopeLength} characters` }
  }
  let value: unknown
  try {
    value = parseJson(text)
  } catch (error) {
    return { ok: false, reason: error instanceof AgentPortError ? error.message : 'it is not JSON' }
  }
  const shape = checkEnvelopeShape(value)
  if (!shape.success) return { ok: false, reason: describeIssue(shape.error.issues) }
  const { payloadType, payload, signatures } = shape.data
  if (payloadType !== PAYLOAD_TYPE) return { ok: false, reason: `its payloadType is not ${PAYLOAD_TYPE}` }
  const bytes = decodeBase64(payload)
  if (bytes === undefined) return { ok: false, reason: 'its payload is not canonical base64' }
  const read: EnvelopeSignature[] = []
  for (const { keyid, sig } of signatures) {
    const signature = decodeBase64(sig)
    if (signature === undefined) return { ok: false, reason: 'a signature is not canonical base64' }
    read.push({ keyId: keyid ?? '', signature })
  }
  return { ok: true, envelope: { payload: bytes, signatures: read } }
}

/** The text of an envelope, with a line end. */
export function writeEnvelope(envelope: Envelope): string {
  const value = {
    payloadType: PAYLOAD_TYPE,
    payload: encodeBase64(envelope.payload),
    signatures: envelope.signatures.map(({ keyId, signature }) => ({ keyid: keyId, sig: encodeBase64(signature) })),
  }
  return `${JSON.stringify(value, undefined, 2)}\n`
}

/**
 * The ids of those `keys` that signed the payload, each once: a threshold counts keys, not signatures, and two
 * signatures by one key (or under two keyids) are one.
 */
export function signers(
  envelope: Envelope,
  keys: ReadonlyMap<string, Uint8Array>,
  provider: Ed25519Provider = defaultEd25519,
): ReadonlySet<string> {
  const message = preAuthEncoding(PAYLOAD_TYPE, envelope.payload)
  const found = new Set<string>()
  for (const { keyId, signature } of envelope.signatures) {
    // The hint only saves time: a wrong one must neither count nor hide the key that did sign.
    for (const id of new Set([keyId, ...keys.keys()])) {
      const key = keys.get(id)
      if (key === undefined || found.has(id)) continue
      if (verifyStrict(key, message, signature, provider)) {
        found.add(id)
        break
      }
    }
  }
  return found
}
