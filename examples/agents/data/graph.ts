// Tickets are read, then the report goes out. Whoever reads tickets has the read-only tool and nothing else.

import type { Graph } from '../../executor/graph.ts'

export const graph: Graph = {
  nodes: {
    count_orders: { skill: 'warehouse', toolScope: ['pg_readonly'] },
    read_tickets: { skill: 'warehouse', after: ['count_orders'], toolScope: ['pg_readonly'], onFailure: 'halt' },
    mail_report: { skill: 'warehouse', after: ['read_tickets'], toolScope: ['send_mail'] },
  },
}
