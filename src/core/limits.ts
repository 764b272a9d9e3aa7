// Every bound on size and depth, in one table, so that "how big may it be" has one answer. None is an option: a bound
// that can be switched off is not a bound.

/** Bounds on untrusted input. Lengths of text are UTF-16 code units unless the name says bytes. */
export const LIMITS = {
  /** A policy, manifest, trust or graph document. */
  documentLength: 16 * 1024 * 1024,
  /** Nesting of any document or argument value. */
  depth: 64,
  /** Words and marks of a YAML document that yaml-block.ts cannot read: the library needs some 700 bytes for each. */
  yamlTokens: 1_000_000,
  /** One string or comment of a YAML document. */
  yamlString: 1024 * 1024,
  /** Words and marks in one TOML document: its library needs some 1000 bytes for each. */
  tomlTokens: 250_000,
  /** Values (scalars, arrays and objects) in one document. */
  documentValues: 2_000_000,
  /** Values in the arguments of one call. */
  argumentValues: 20_000,
  /** Text in the arguments of one call, keys included. */
  argumentLength: 4 * 1024 * 1024,
  /** Problems reported for one document; the rest is counted. */
  problems: 100,
  /** A tool, node, skill, role, rule or run name. */
  nameLength: 128,
  /** A glob or host pattern. */
  patternLength: 1024,
  /** A canonical absolute path (PATH_MAX less the NUL). */
  pathLength: 4095,
  /** A canonical host name (RFC 1035 §2.3.4, without the root label). */
  hostLength: 253,
  /** A URL. */
  urlLength: 8192,
  /** Nodes of one graph. */
  graphNodes: 10_000,
  /** Resources one call may name. */
  resources: 256,
  /** Tools in one manifest. */
  manifestTools: 1_000,
  /** Values in one tool input schema, every local `$ref` counted as often as it is used. */
  schemaValues: 10_000,
  /** The same over all tools of a manifest: compiling takes about 0.1 ms a value. */
  manifestSchemaValues: 20_000,
  /** Subschemas directly inside one schema: the generated code nests once for each. */
  schemaWidth: 400,
  /** Instructions of one compiled `pattern` of a tool input schema. */
  patternProgram: 2_000,
  /** Pattern instructions × characters that checking the arguments of one call may take. */
  patternSteps: 64_000_000,
  /** Text of a rendered denial. */
  messageLength: 500,
  /** One audit record, as bytes of UTF-8: the entry length of a C2SP log tile is an unsigned 16-bit number. */
  auditRecordBytes: 65_535,
  /** Text of records handed to a sink that has not answered yet; beyond it appending is refused, never dropped. */
  auditPendingLength: 16 * 1024 * 1024,
  /** Files in one skill. */
  skillFiles: 10_000,
  /** Bytes of all files of one skill. */
  skillBytes: 100 * 1024 * 1024,
  /** Text of an attestation envelope. */
  envelopeLength: 8 * 1024 * 1024,
  /** Signatures read from one envelope, and keys of one publisher: their product bounds the work of a bad envelope. */
  signatures: 16,
} as const
