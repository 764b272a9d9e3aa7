// Waiting with an end.

/** What `promise` gives, or `undefined` when that takes longer than `ms` milliseconds. */
export async function within<T>(promise: Promise<T>, ms: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined
  const patience = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, ms, undefined)
  })
  const done = await Promise.race([promise, patience])
  clearTimeout(timer)
  return done
}
