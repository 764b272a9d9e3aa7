import { defineConfig } from 'vitest/config'

// Tests and examples import the package by its own name; this condition resolves it to `src`, so no build is needed.
const conditions = ['@agentport/source', 'node', 'import', 'default']

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 60_000,
    pool: 'threads',
  },
})
