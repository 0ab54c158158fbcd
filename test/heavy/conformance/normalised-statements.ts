/** What may differ in statements that are named one by one, each with the reason. */
import type { Unit } from './script.js';

/** One thing that may differ. */
export interface Normalisation {
  readonly what: string;
  /** why both answers are right */
  readonly why: string;
  apply(output: string, unit: Unit): string;
}

/** A statement without the comments before and behind it and without its blanks. */
export const statementOf = (text: string): string =>
  text
    .replace(/^(\s|--.*\n|\/\*.*?\*\/)+/, '')
    .replace(/\s*--.*$/, '')
    .replace(/\s+/g, ' ');

/** Applies to statements that are given, or that a pattern finds. */
const of =
  (statements: RegExp | readonly string[], apply: (output: string) => string) =>
  (output: string, { text }: Unit): string => {
    const statement = statementOf(text);
    const isMeant =
      statements instanceof RegExp ? statements.test(statement) : statements.includes(statement);
    return isMeant ? apply(output) : output;
  };

/** An answer that is no error; of an error, the lines from there on. */
const unlessError =
  (instead: string) =>
  (output: string): string =>
    /^ERROR: /m.test(output) ? output : instead;

const sorted = (output: string): string => output.split('\n').sort().join('\n');
/** Cells of a table in any order, without what psql writes for lines that go on. */
const sortedCells = (output: string): string =>
  output
    .split(/[|\n]/)
    .map(cell => cell.replace(/[+\s]+$/, '').trim())
    .sort()
    .join('\n');
const without =
  (lines: RegExp) =>
  (output: string): string =>
    output.replace(lines, '');

export const ofStatements: readonly Normalisation[] = [
  {
    what: 'rows that tie in ORDER BY, and what string_agg without ORDER BY adds first, in statements that are named',
    why: 'PostgreSQL promises no order; here rows come from the cloud',
    apply: (output, unit) =>
      of(
        [
          'SELECT * FROM pa_target ORDER BY tid;',
          'SELECT c1.f1 AS circle, p1.f1 AS point, (p1.f1 <-> c1.f1) AS distance FROM CIRCLE_TBL c1, POINT_TBL p1 WHERE (p1.f1 <-> c1.f1) > 0 ORDER BY distance, area(c1.f1), p1.f1[0];',
          'SELECT * FROM part_document ORDER BY did;',
          'SELECT * FROM part_document ORDER by did;',
          'SELECT * FROM part_document WHERE f_leak(dtitle) ORDER BY did;',
          ...['dataa, datab', 'dataa, datab, g'].flatMap(groups =>
            ['dataa', 'g'].map(
              by =>
                `SELECT dataa, datab b, generate_series(1,2) g, count(*) FROM few GROUP BY CUBE(${groups}) ORDER BY ${by};`,
            ),
          ),
        ],
        sorted,
      )(
        of(/^SELECT v, ?h, ?string_agg\(.*FROM ctv_data GROUP BY v, h ORDER BY/, sortedCells)(output, unit),
        unit,
      ),
  },
  {
    what: 'which of the values that are equal under a collation without case stands for its group, in two statements',
    why: 'PostgreSQL shows the one that it comes to first',
    apply: of(
      /^SELECT t1\.c, count\(t2\.c\) FROM pagg_tab3 t1 .*GROUP BY 1 ORDER BY t1\.c COLLATE "C";$/,
      output => output.toLowerCase(),
    ),
  },
  {
    what: 'how often and for which rows a condition that raises notices (op_leak, f_leak, snoop) is evaluated, in statements that are named',
    why: 'PostgreSQL’s planner evaluates it over statistics, which the trusted side has none of, and orders conditions by cost; the rows that are returned or written are compared',
    apply: (output, unit) =>
      of(/<<< (?:0|1000|\()/, without(/^NOTICE: {2}op_leak => \d+, \d+\n?/gm))(
        of(
          /^UPDATE t[12] .*f_leak|^(?:SELECT \* FROM|UPDATE|DELETE FROM) rw_view1 .*snoop\(person\)/,
          without(/^NOTICE: {2}(?:f_leak => \w+|snooped value: \w+)\n?/gm),
        )(output, unit),
        unit,
      ),
  },
  {
    what: 'what TABLESAMPLE with a seed samples, in tablesample',
    why: 'the sample follows from where rows stand in the blocks of a table, and cells are longer than values',
    apply: of(
      /\bTABLESAMPLE (?:SYSTEM|BERNOULLI) ?\(.*REPEATABLE|^FETCH (?:FIRST|NEXT) FROM tablesample_cur;$/i,
      unlessError('a sample'),
    ),
  },
  {
    what: 'what ANALYZE has gathered: rows of pg_stats, pg_stats_ext and pg_stats_ext_exprs, pg_class.reltuples and relhassubclass, and the warning that statistics were not computed',
    why: 'the trusted side, which answers the catalogue, has no rows: as if no ANALYZE had run. relhassubclass is a hint that ANALYZE corrects',
    apply: (output, unit) =>
      of(
        /^SELECT (?:attname, most_common_vals FROM pg_stats|statistics_name, most_common_vals FROM pg_stats_ext|dependencies FROM pg_stats_ext|reltuples, relhassubclass FROM pg_class)/,
        unlessError('gathered by ANALYZE'),
      )(
        of(
          /^ANALYZE ab1/,
          without(/^WARNING: {2}statistics object ".*" could not be computed for relation ".*"\n?/gm),
        )(output, unit),
        unit,
      ),
  },
  {
    what: 'sizes of relations in a query of pg_class, and the numbers of its columns reltoastrelid and relfrozenxid, in three statements',
    why: 'the trusted side answers, which has no rows and other numbers',
    apply: (output, unit) =>
      of(
        [
          "SELECT pg_relation_size(reltoastrelid) = 0 AS is_empty FROM pg_class where relname = 'toasttest';",
          "SELECT count(*) as trigger_parallel_vacuum_nindexes FROM pg_class WHERE oid in ('regular_sized_index'::regclass, 'typically_sized_index'::regclass) AND pg_relation_size(oid) >= pg_size_bytes(current_setting('min_parallel_index_scan_size'));",
        ],
        unlessError('a size'),
      )(
        of(
          [
            "select reltoastrelid, relkind, relfrozenxid from pg_class where oid = 'rules_fooview'::regclass;",
          ],
          each => each.replace(/ +\d+\b/g, ' n'),
        )(output, unit),
        unit,
      ),
  },
  {
    what: 'locks on indexes that ALTER INDEX takes, as pg_locks tells them, in alter_table',
    why: 'pg_locks is the cloud’s, where the table that the index is of is locked',
    apply: of(
      /^SELECT relation::regclass, mode FROM pg_locks WHERE pid = pg_backend_pid\(\) AND locktype = 'relation'/,
      unlessError('locks'),
    ),
  },
  {
    what: 'the time of a missing value, in fast_default',
    why: 'it is that of the run',
    apply: of(/^SELECT attname, atthasmissing, attmissingval FROM pg_attribute/, output =>
      output
        .replace(/\{"[A-Z][a-z]{2} [^"]*"\}/g, '{now}')
        .replace(/-{3,}|(?<=missingval) +| +(?=attmissingval)/g, ''),
    ),
  },
  {
    what: 'rights on pg_authid, and warnings of GRANT and REVOKE that nothing was granted or revoked on what the server brings, in statements that are named',
    why: 'the user of Clarus is no superuser on the trusted side, and is told so',
    apply: (output, unit) =>
      of(/^select has_table_privilege\(.*pg_authid/, unlessError('a right'))(
        of(
          /^(?:GRANT|REVOKE) .* ON (?:LANGUAGE sql|FUNCTION int8\(integer\)|DATABASE regression) /,
          without(/^WARNING: {2}no privileges (?:were granted|could be revoked) for ".*"\n?/gm),
        )(output, unit),
        unit,
      ),
  },
  {
    what: 'rows that psql shows before the error of a later one under FETCH_COUNT, in one statement',
    why: 'a cursor over protected tables is read to its end when it is declared (docs/compatibility.md)',
    apply: of(['select 1/(15-unique2) from tenk1 order by unique2 limit 19;'], output =>
      output.replace(/^[^E][\s\S]*(?=^ERROR: )/m, ''),
    ),
  },
  {
    what: 'the error of an expression of an index over a row, and that the index is not valid then, in indexing',
    why: 'the index has no effect in the cloud, which is told by a NOTICE: its expression is not evaluated (docs/compatibility.md)',
    apply: (output, unit) =>
      of(/^create index concurrently .*\(\(a\/b\)\);$/, without(/^ERROR: {2}division by zero$/m))(
        of(
          /^select (?:relname, indisvalid from pg_class join pg_index|indexrelid::regclass, indisvalid, indrelid)/,
          each =>
            each.replace(/^( (?:idxpart|parted_isvalid)\w*_(?:expr_)?idx\w* +\|) [tf](?= *(?:\||$))/gm, '$1'),
        )(output, unit),
        unit,
      ),
  },
  {
    what: 'whether PL/pgSQL has been loaded, and its prefix of settings is reserved with it, in guc',
    why: 'LOAD is refused, and blocks are not run by the cloud’s PL/pgSQL',
    apply: (output, unit) =>
      of(
        ['SET plpgsql.extra_foo_warnings = true;', 'SHOW plpgsql.extra_foo_warnings;'],
        () => 'a setting of PL/pgSQL',
      )(
        of(
          ['CREATE ROLE regress_guc_user;'],
          without(
            /^WARNING: {2}invalid configuration parameter name "plpgsql\.extra_foo_warnings", removing it\nDETAIL: {2}"plpgsql" is now a reserved prefix\.\n?/m,
          ),
        )(output, unit),
        unit,
      ),
  },
  {
    what: 'the progress of a COPY that a trigger looks at, in copy',
    why: 'COPY is run by Clarus, in batches: when the trigger is fired the cloud runs none',
    apply: of(/^\\copy tab_progress_reporting from /, without(/^INFO: {2}progress: .*\n?/gm)),
  },
  {
    what: 'lines of CONTEXT that name an expression of a PL/pgSQL body, or a function in SQL that it calls',
    why: 'PostgreSQL tells an expression where it has to plan it, and Clarus runs it otherwise; where in the body it stands is compared',
    apply: output =>
      output.replace(
        /(?<=^(?:CONTEXT: {2})?)(?:PL\/pgSQL (?:expression|assignment) ".*"|SQL function "\w+" statement \d+)\n/gm,
        '',
      ),
  },
  {
    what: 'the place of an error (LINE, QUERY) within a body, and within an EXECUTE or the statement that it runs',
    why: 'their text is not the one that is analysed; SQLSTATE and message are compared',
    apply: of(
      /^(?:do|execute|prepare q4)\b|^UPDATE alter_table_under_transition_tables /i,
      without(/^LINE \d+: .*\n *\^\n?|^QUERY: {2}.*\n?/gm),
    ),
  },
  {
    what: 'the place (LINE) of a strategy of partitions that is none, in create_table',
    why: 'the statement is read by the grammar of PostgreSQL 18, which tells it; that of 15 did not',
    apply: of(
      ['CREATE TABLE partitioned ( a int ) PARTITION BY MAGIC (a);'],
      without(/^LINE \d+: .*\n *\^\n?/gm),
    ),
  },
];
