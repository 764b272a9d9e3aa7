// What the shared store needs of a client of Redis or Valkey, and how the two common packages fit it. Neither is imported:
// whoever has a client hands it in.

/** Runs Lua scripts. Answers as the server gives them, text as text; errors of the server as rejections. */
export interface RedisScripting {
  eval(script: string, keys: readonly string[], args: readonly string[]): Promise<unknown>
  /** By the SHA-1 of the script, in hex. Rejects with a message that begins with NOSCRIPT when the server lacks it. */
  evalsha(sha1: string, keys: readonly string[], args: readonly string[]): Promise<unknown>
}

/** The part of a client of the package `ioredis` that is used: `Redis` and `Cluster` both fit. */
export interface IoredisClient {
  eval(script: string, numberOfKeys: number, ...keysAndArgs: string[]): Promise<unknown>
  evalsha(sha1: string, numberOfKeys: number, ...keysAndArgs: string[]): Promise<unknown>
}

/** The part of a client of the package `redis` that is used. */
export interface NodeRedisClient {
  eval(script: string, options: { keys: string[]; arguments: string[] }): Promise<unknown>
  evalSha(sha1: string, options: { keys: string[]; arguments: string[] }): Promise<unknown>
}

export function fromIoredis(client: IoredisClient): RedisScripting {
  return {
    eval: (script, keys, args) => client.eval(script, keys.length, ...keys, ...args),
    evalsha: (sha1, keys, args) => client.evalsha(sha1, keys.length, ...keys, ...args),
  }
}

export function fromNodeRedis(client: NodeRedisClient): RedisScripting {
  return {
    eval: (script, keys, args) => client.eval(script, { keys: [...keys], arguments: [...args] }),
    evalsha: (sha1, keys, args) => client.evalSha(sha1, { keys: [...keys], arguments: [...args] }),
  }
}
