// Names of our directories, which say whose they are: a pid is used again, so its start time is in the name, and means
// another process in another pid namespace, so that is in it too. Decides whether an owner is surely gone; in doubt it
// lives.

import { type CgroupHost, errnoOf } from './host.ts'

/** Directory in a group of the host that ours are made in. */
export const PARENT = 'agentport'

interface Owner {
  readonly pid: number
  /** Clock ticks since boot. */
  readonly start: string
  /** Inode of the pid namespace. */
  readonly namespace: string
}

const NAME = /^agentport-([1-9][0-9]{0,9})-([0-9]{1,20})-([0-9]{1,20})-[0-9a-f]{8}$/

export function newName(host: CgroupHost): string {
  const { pid, start, namespace } = self(host)
  return `agentport-${pid}-${start}-${namespace}-${host.random()}`
}

/** Whether the name is one of ours and its owner does not run any more. Another namespace's owners are never gone. */
export function isOrphan(host: CgroupHost, name: string): boolean {
  const [, pid, start, namespace] = NAME.exec(name) ?? []
  if (pid === undefined || namespace !== self(host).namespace) return false
  try {
    return parseStat(host.read(`/proc/${pid}/stat`)).start !== start
  } catch (error) {
    // A /proc with hidepid= shows no processes of others; the signal tells them from none.
    return errnoOf(error) === 'ENOENT' && !host.signal(Number(pid), 0)
  }
}

function self(host: CgroupHost): Owner {
  return { ...parseStat(host.read('/proc/self/stat')), namespace: String(host.inode('/proc/self/ns/pid')) }
}

/** proc_pid_stat(5). The second field is the program's name, which may hold spaces and parentheses. */
function parseStat(stat: string): { readonly pid: number; readonly start: string } {
  const start = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
  if (start === undefined) throw new Error('/proc/PID/stat is not as the manual says')
  return { pid: Number.parseInt(stat, 10), start }
}
