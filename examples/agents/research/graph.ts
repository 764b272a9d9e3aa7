// Two shops are read at the same time; the report waits for both.

import type { Graph } from '../../executor/graph.ts'

export const graph: Graph = {
  nodes: {
    fetch_north: { skill: 'web_research', toolScope: ['http_request'] },
    fetch_south: { skill: 'web_research', toolScope: ['http_request'] },
    report: { skill: 'web_research', after: ['fetch_north', 'fetch_south'], toolScope: ['save_report'] },
  },
}
