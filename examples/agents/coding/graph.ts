// The change does not need the README: when reading it ends badly, the work goes on.

import type { Graph } from '../../executor/graph.ts'

export const graph: Graph = {
  nodes: {
    read_docs: { skill: 'code_tools', toolScope: ['read_file', 'run'], onFailure: 'continue' },
    write_code: { skill: 'code_tools', after: ['read_docs'], toolScope: ['write_file', 'run'] },
  },
}
