/** All themes. */
import { theme as aggregates } from './aggregates.js';
import { theme as arrays } from './arrays.js';
import { theme as collations } from './collations.js';
import { theme as copy } from './copy.js';
import { theme as ctes } from './ctes.js';
import { theme as cursors } from './cursors.js';
import { theme as dates } from './dates.js';
import { theme as equality } from './equality.js';
import { theme as errors } from './errors.js';
import { theme as expressions } from './expressions.js';
import { theme as fullText } from './full-text.js';
import { theme as groupingSets } from './grouping-sets.js';
import { theme as joins } from './joins.js';
import { theme as json } from './json.js';
import { theme as lateral } from './lateral.js';
import { theme as limits } from './limits.js';
import { theme as nulls } from './nulls.js';
import { theme as patterns } from './patterns.js';
import { theme as prepared } from './prepared.js';
import { theme as ranges } from './ranges.js';
import { theme as rowComparisons } from './row-comparisons.js';
import { theme as setOperations } from './set-operations.js';
import { theme as setReturning } from './set-returning.js';
import { theme as subqueries } from './subqueries.js';
import type { Theme } from './theme.js';
import { theme as transactions } from './transactions.js';
import { theme as upserts } from './upserts.js';
import { theme as valuesAndSelect } from './values-and-select.js';
import { theme as views } from './views.js';
import { theme as windows } from './windows.js';
import { theme as writes } from './writes.js';

/** By name. */
export const themes: Readonly<Record<string, Theme>> = {
  aggregates: aggregates,
  arrays: arrays,
  collations: collations,
  copy: copy,
  ctes: ctes,
  cursors: cursors,
  dates: dates,
  equality: equality,
  errors: errors,
  expressions: expressions,
  'full text': fullText,
  'grouping sets': groupingSets,
  joins: joins,
  json: json,
  lateral: lateral,
  limits: limits,
  nulls: nulls,
  patterns: patterns,
  prepared: prepared,
  ranges: ranges,
  'row comparisons': rowComparisons,
  'set operations': setOperations,
  'set returning': setReturning,
  subqueries: subqueries,
  transactions: transactions,
  upserts,
  'values and select': valuesAndSelect,
  views: views,
  windows: windows,
  writes: writes,
};
