// Noticing that time is over when nobody calls. The clock decides; the runtime's timer only makes us look.

/** setTimeout takes a longer delay for 1 ms. */
const LONGEST = 2 ** 31 - 1

interface MaybeRef {
  unref?: () => void
}

/**
 * Calls `fire` once, as soon as `leftMs()` is 0 or less and a timer has been through. Returns what stops it. Without
 * `holdsProcess` it keeps no process alive, where the runtime can tell.
 */
export function startTimer(leftMs: () => number, fire: () => void, holdsProcess: boolean): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined
  const arm = (left: number): void => {
    timer = setTimeout(look, Math.min(Math.max(left, 1), LONGEST))
    // A browser's timer is a number.
    if (!holdsProcess) (timer as MaybeRef).unref?.()
  }
  const look = (): void => {
    // The runtime's timers may be early by a millisecond, and a test's clock may stand still.
    const left = leftMs()
    if (left > 0) arm(left)
    else fire()
  }
  arm(leftMs())
  return () => clearTimeout(timer)
}
