import type { QueryConfig } from 'pg';

/**
 * A query of one statement, whatever its text holds: one that is made of what a cloud tells may be no more. The extended protocol
 * takes no second one (exec_parse_message of postgres.c).
 */
export const single = (text: string): QueryConfig & { readonly queryMode: 'extended' } => ({
  text,
  queryMode: 'extended',
});
