import { defineConfig } from 'vitest/config'

// Tests and examples import the package by its own name; this condition resolves it to `src`, so no build is needed.
const conditions = ['@agentport/source', 'node', 'import', 'default']

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    include: ['test/**/*.test.ts'],
    // The launcher and its companions, built once where there is a C compiler.
    globalSetup: ['test/support/native.ts'],
    testTimeout: 60_000,
    pool: 'threads',
    // The default leaves one processor out, which on a machine with two is half of them.
    maxWorkers: '100%',
  },
})
