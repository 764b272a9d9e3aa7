import type { Plugin } from 'esbuild'
import { defineConfig } from 'tsup'

const esm = { format: 'esm', target: 'es2022', dts: false, sourcemap: true, clean: true, treeshake: true } as const

/**
 * tweetnacl looks for a random source by `require('crypto')`, which neither an ES module nor a bundler for other platforms can
 * answer. We give it none: only its verification and signing from a seed are used, and they need no randomness.
 */
export const withoutRequiredCrypto: Plugin = {
  name: 'without-required-crypto',
  setup(build) {
    build.onResolve({ filter: /^crypto$/ }, () => ({ path: 'crypto', namespace: 'empty' }))
    build.onLoad({ filter: /.*/, namespace: 'empty' }, () => ({ contents: 'module.exports = {}' }))
  },
}

export default defineConfig([
  {
    ...esm,
    // Two of these write to dist at the same time; `npm run build` empties it first.
    clean: false,
    entry: {
      index: 'src/index.ts',
      'node/index': 'src/node/index.ts',
      'linux/index': 'src/linux/index.ts',
      'testing/index': 'src/testing/index.ts',
      'integrations/opa': 'src/integrations/opa.ts',
      'integrations/cedar': 'src/integrations/cedar.ts',
      'integrations/redis-limit-store': 'src/integrations/redis-limit-store.ts',
      'cli/bin': 'src/cli/bin.ts',
    },
    outDir: 'dist',
    splitting: true,
    noExternal: ['tweetnacl'],
    esbuildPlugins: [withoutRequiredCrypto],
  },
  {
    // Runs inside a box, where there is no other file of this package: one module, and recognised as one by its name.
    ...esm,
    clean: false,
    splitting: false,
    entry: { 'linux/skill-host/child': 'src/linux/skill-host/child.ts' },
    outDir: 'dist',
    outExtension: () => ({ js: '.mjs' }),
    noExternal: [/./],
  },
  {
    // The demo runs on `dist`, through the exports a user gets.
    ...esm,
    entry: { demo: 'examples/demo.ts', quickstart: 'examples/quickstart.ts' },
    outDir: '.build/examples',
    external: ['@agentport/gateway', '@agentport/gateway/node', '@electric-sql/pglite'],
  },
  {
    // A benchmark starts itself anew for each cell, over minutes: another build must not take it away meanwhile.
    ...esm,
    clean: false,
    entry: { run: 'bench/run.ts', cidr: 'bench/cidr.ts', enforcer: 'bench/enforcer.ts' },
    outDir: '.build/bench',
    external: [
      '@agentport/gateway',
      '@agentport/gateway/linux',
      '@casl/ability',
      '@cedar-policy/cedar-wasm',
      'casbin',
      'tweetnacl',
      '@anthropic-ai/sandbox-runtime',
    ],
  },
])
