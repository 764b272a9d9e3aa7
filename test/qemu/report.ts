// One line for each thing the guest tried, in the form that scripts/kernel-qemu.sh reads from the console.

/** A string it gives is printed; anything else is not looked at. */
export type Check = () => unknown

let failed = 0

/** Prints `RESULT ok NAME` with what `run` says, or `RESULT FAIL NAME` with what it throws. Never throws. */
export async function check(name: string, run: Check): Promise<void> {
  try {
    const said = await run()
    print('ok', name, typeof said === 'string' ? said : '')
  } catch (error) {
    failed++
    print('FAIL', name, error instanceof Error ? error.message : String(error))
  }
}

export function failures(): number {
  return failed
}

/** Throws with both values when they differ. */
export function expectSame(found: unknown, expected: unknown): void {
  const [left, right] = [JSON.stringify(found), JSON.stringify(expected)]
  if (left !== right) throw new Error(`${left} instead of ${right}`)
}

// A terminal is between here and the reader: one line, and nothing that moves a cursor.
function print(word: string, name: string, detail: string): void {
  const plain = detail.replaceAll(/[^\x20-\x7e]+/g, ' ').slice(0, 1500)
  process.stdout.write(`RESULT\t${word}\t${name}\t${plain}\n`)
}
