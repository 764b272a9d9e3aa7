// Names of system calls, as documents write them. Which of them exist is the business of whoever filters them.

import { LIMITS } from './limits.ts'

const NAME = /^[a-z_][a-z0-9_]*$/

export const SYSCALL_NAME_HINT = 'write it as the kernel does: execveat'

export function isSyscallName(text: string): boolean {
  return text.length <= LIMITS.nameLength && NAME.test(text)
}
