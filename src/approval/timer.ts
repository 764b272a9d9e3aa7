// Noticing that time is over when nobody calls. The clock decides; the runtime's timer only makes us look.

/** setTimeout takes a longer delay for 1 ms. */
const LONGEST = 2 ** 31 - 1

interface MaybeRef {
  unref?: () => void
}

/**
 * Calls `look` after `firstMs`, and again after as many milliseconds as it returns, until that is 0 or less. Returns what
 * stops it. Without `holdsProcess` it keeps no process alive, where the runtime can tell.
 */
export function startTimer(firstMs: number, look: () => number, holdsProcess: boolean): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined
  const arm = (ms: number): void => {
    timer = setTimeout(again, Math.min(Math.max(ms, 1), LONGEST))
    // A browser's timer is a number.
    if (!holdsProcess) (timer as MaybeRef).unref?.()
  }
  const again = (): void => {
    // The runtime's timers may be early by a millisecond, and a test's clock may stand still.
    const left = look()
    if (left > 0) arm(left)
  }
  arm(firstMs)
  return () => clearTimeout(timer)
}
