// Errors that are thrown. A decision is never thrown: it is a Verdict. Caller misuse is a TypeError; everything else
// that goes wrong carries one of these codes.

/** Every code an {@link AgentPortError} can carry, with its one-line meaning. `docs/errors.md` lists the same set. */
export const ERROR_CODES = {
  ERR_CONFIG_INVALID: 'An option or environment variable has a value that cannot be used.',
  ERR_MANIFEST_INVALID: 'A tool binding manifest does not parse or does not hold together.',
  ERR_POLICY_INVALID: 'A policy document does not parse or does not hold together.',
  ERR_GRAPH_INVALID: 'A graph has a cycle, an unknown dependency or an unknown skill.',
  ERR_TRUST_INVALID: 'A trust document does not parse or names an unusable key.',
  ERR_ATTESTATION_FAILED: 'A skill is not vouched for by the trust that was given.',
  ERR_SKILL_REJECTED: 'A skill given to the gateway is not attested, malformed, or asks for more than is granted.',
  ERR_SKILL_UNREADABLE: 'A skill directory holds something that has no single meaning: a link, a device, a bad name.',
  ERR_KEY_INVALID: 'A key is malformed, of small order, or not an Ed25519 key.',
  ERR_LIMIT_UNAVAILABLE: 'A limit cannot be counted, so nothing may be taken from it.',
  ERR_AUDIT_UNAVAILABLE: 'The audit log cannot be written.',
  ERR_AUDIT_CORRUPT: 'An audit log does not verify and so is not appended to.',
  ERR_AUDIT_LOCKED: 'Another writer has the audit log open.',
  ERR_ENFORCEMENT_UNAVAILABLE: 'The host cannot confine a process as the profile requires.',
  ERR_COMMAND_INVALID: 'A command is not an absolute path with plain text arguments.',
  ERR_SPAWN_FAILED: 'A program could not be started.',
  ERR_DENIED: 'A guarded call was denied; the error carries the denial.',
  ERR_HALTED: 'The run was halted or closed; work under its signal must end.',
  ERR_STATE_INVALID: 'A lifecycle method was called in a state that does not allow it.',
  ERR_JSON_INVALID: 'A JSON text is malformed, ambiguous or over a limit.',
  ERR_VALUE_UNREADABLE: 'A value is not plain data or is over a limit.',
} as const

export type ErrorCode = keyof typeof ERROR_CODES

/** Base of every error this library throws on purpose. `code` is stable; `message` is for people. */
export class AgentPortError extends Error {
  override readonly name: string = 'AgentPortError'
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
