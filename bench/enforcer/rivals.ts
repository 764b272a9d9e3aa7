// Other ways to start a program in a sandbox, as their users start them. What is not installed is left out and said so.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'

export type Start = (file: string) => ChildProcess

/** Read-only /usr and /etc, own /dev, /proc and /tmp, all namespaces; no seccomp filter, for it brings none. */
export function bubblewrap(): Start | undefined {
  if (spawnSync('bwrap', ['--version']).status !== 0) {
    console.log('bubblewrap left out: `apt-get install bubblewrap`')
    return undefined
  }
  const flags = [
    ...['--ro-bind', '/usr', '/usr', '--ro-bind', '/etc', '/etc', '--symlink', 'usr/lib', '/lib'],
    ...['--symlink', 'usr/lib64', '/lib64', '--symlink', 'usr/bin', '/bin', '--dev', '/dev', '--proc', '/proc'],
    ...['--tmpfs', '/tmp', '--unshare-all', '--die-with-parent', '--new-session'],
  ]
  return (file) => spawn('bwrap', [...flags, file], { stdio: ['ignore', 'pipe', 'pipe'] })
}

const RUNTIME = '@anthropic-ai/sandbox-runtime'

interface SandboxManager {
  initialize(config: unknown): Promise<void>
  wrapWithSandbox(command: string): Promise<string>
}

/** As a library: its own wrapping of the command line, then a shell that runs it. */
export async function sandboxRuntime(): Promise<Start | undefined> {
  try {
    const { SandboxManager } = (await import(RUNTIME)) as { SandboxManager: SandboxManager }
    await SandboxManager.initialize({
      network: { allowedDomains: [], deniedDomains: [] },
      filesystem: { denyRead: [], allowWrite: [], denyWrite: [] },
    })
    const wrapped = await SandboxManager.wrapWithSandbox('/usr/bin/true')
    return () => spawn(wrapped, { shell: true, stdio: ['ignore', 'pipe', 'pipe'] })
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('\n')[0] : String(error)
    console.log(
      `sandbox-runtime left out: ${reason}; \`npm install --no-save ${RUNTIME}\`, bubblewrap, socat and ripgrep`,
    )
    return undefined
  }
}
