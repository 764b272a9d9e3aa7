// ./node: files, directories and keys, for a gateway that runs on Node.

export type { AuditVerification } from '../audit/verify.ts'
export { type AuditFileOptions, type AuditFileSink, openAuditFile, verifyAuditFile } from './audit-file.ts'
export { generateKeyPair, type KeyPair, keyPairOf, loadKey, writeKey } from './key-file.ts'
export { type PolicyFileSet, type ReadPolicyFilesOptions, readPolicyFiles } from './policy-file-set.ts'
export {
  type PolicyFileWatcher,
  type PolicyReload,
  type WatchPolicyFilesOptions,
  watchPolicyFiles,
} from './policy-files.ts'
export { type RealPaths, realPaths } from './real-paths.ts'
export { nodeResolver } from './resolver.ts'
export { cosignSkill, type SignedSkill, type SignSkillOptions, signSkill } from './sign.ts'
export { type ReadSkillOptions, readSkillDirectory } from './skill-directory.ts'
export { readSource } from './source.ts'
export {
  type TerminalApprovalsOptions,
  type TerminalInput,
  type TerminalOutput,
  terminalApprovals,
} from './terminal-approvals.ts'
