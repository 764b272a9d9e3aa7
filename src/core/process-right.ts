// What a process may do beyond files, programs and hosts. None of it is a resource that a call could name, and without a
// word from both manifest and policy a process can do none of it.

/**
 * `executable_memory`: memory that was written may become code, as JIT compilers need (node, java). `listen`: accepting
 * connections. `udp`: datagram sockets. `unix_sockets`: AF_UNIX sockets.
 */
export const PROCESS_RIGHTS = ['executable_memory', 'listen', 'udp', 'unix_sockets'] as const

export type ProcessRight = (typeof PROCESS_RIGHTS)[number]
