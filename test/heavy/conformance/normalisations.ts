/** What may differ between two right answers, each with the reason. Applied to both sides alike. */
import { type Normalisation, ofStatements, statementOf } from './normalised-statements.js';
import type { Unit } from './script.js';

export const normalisations: readonly Normalisation[] = [
  {
    what: 'notices of Clarus: that a key adds tags to a column, whose tags are comparable, that an index does nothing in the cloud',
    why: 'they are told beside what PostgreSQL tells, and promised (what the cloud learns is said)',
    apply: output => output.replace(ownNotices, ''),
  },
  {
    what: 'DETAIL and CONTEXT of errors where they show rows: keys that are there, rows that fail a check or find no partition, rows that are there twice in a materialised view, lines of COPY',
    why: 'errors agree in SQLSTATE, message and logical names; the cloud could tell of a row what it holds only',
    apply: output => output.replace(rowsInErrors, ''),
  },
  {
    what: 'NOTICE that a long identifier is cut, in statements that are analysed before they run',
    why: 'the statement means the same; the notice is of the parser',
    apply: output => output.replace(/^NOTICE: {2}identifier ".*" will be truncated to ".*"\n?/gm, ''),
  },
  ...ofStatements,
  {
    what: 'answers of PostgreSQL that depend on the plan: distances of points that tie, comparisons within a tolerance that an index answers otherwise than a scan, distances that an index-only scan cannot tell, and pg_class.reltuples',
    why: 'Clarus answers as PostgreSQL does without the index; reltuples is an estimate, and the trusted side has not the cloud’s',
    apply: (output, { text }) =>
      planDependent.has(statementOf(text)) && (!/^ERROR/m.test(output) || /lossy distance/.test(output))
        ? ''
        : output,
  },
  {
    what: 'psql’s variable LAST_ERROR_MESSAGE where the error before is one of Clarus',
    why: 'the error before is counted',
    apply: (output, { text }) => (showErrors.test(statementOf(text)) ? '' : output),
  },
  {
    what: 'the plan that EXPLAIN tells, where it tells one',
    why: 'it is the plan of what Clarus runs: of the statement over encodings in the cloud, or over carriers on the trusted side',
    apply: (output, { text }) =>
      /^explain\b/i.test(statementOf(text)) && /^\s*QUERY PLAN\b/m.test(output) ? 'a plan' : output,
  },
  {
    what: 'what functions of the suite return that run EXPLAIN and give its lines, or rows and batches that it estimates and counts, where they return any',
    why: 'it is the plan of what Clarus runs, whose tables on the trusted side have no statistics; that the functions are run is compared',
    apply: (output, { text }) =>
      ofExplain.test(statementOf(text)) && !/^ERROR: /m.test(output) ? 'a plan' : output,
  },
  {
    what: 'the order of rows of a statement without ORDER BY',
    why: 'PostgreSQL promises none',
    apply: (output, { text }) =>
      /\border\s+by\b/i.test(text) ? output : output.split('\n').sort().join('\n'),
  },
];

/** They show the message of the error before, which is another. */
const showErrors = /^SELECT regexp_replace\(:'LAST_ERROR_MESSAGE'/;

/** Statements of nothing but a call of functions whose bodies execute EXPLAIN. */
const ofExplain =
  /^select (\* from |jsonb_pretty\( )?(check_estimated_rows|explain_filter(_to_json)?|explain_memoize|explain_merge|explain_parallel_append|explain_analyze_without_memory|explain_analyze_inc_sort_nodes(_without_memory)?|explain_sq_limit|explain_parallel_sort_stats|explain_query_json)\(|^select [^()]* from hash_join_batches\(/i;

const planDependent: ReadonlySet<string> = new Set([
  "SELECT count(*) FROM point_tbl WHERE f1 <@ polygon '(0,0),(0,100),(100,100),(50,50),(100,0),(0,0)';",
  "SELECT * FROM point_tbl ORDER BY f1 <-> '0,1';",
  "SELECT * FROM point_tbl WHERE f1 IS NOT NULL ORDER BY f1 <-> '0,1';",
  "SELECT * FROM point_tbl WHERE f1 <@ '(-10,-10),(10,10)':: box ORDER BY f1 <-> '0,1';",
  'select p from gist_tbl order by circle(p,1) <-> point(0,0) limit 1;',
  "SELECT reltuples, relhassubclass FROM pg_class WHERE oid = 'past_inh_parent'::regclass;",
]);

const rowsInErrors =
  /^DETAIL: {2}(?:Key |Failing row contains |Partition key of the failing row contains |Row: \().*\n?|(?<=^CONTEXT: {2}COPY \w+, line \d+): ".*"/gm;
const ownNotices =
  /^NOTICE: {2}(?:column ".*" gets equality tags, because .*|the equality tags of column ".*" are comparable with .*|index ".*" has no effect in the cloud|unique index ".*" stands on equality tags of what is computed of each row)\n(?:(?:DETAIL|HINT): .*\n?)*/gm;

/** An answer as it is compared. */
export const normalised = (output: string, unit: Unit): string =>
  normalisations.reduce((text, { apply }) => apply(text, unit), output).replace(/^\n+|\n+$/g, '');
