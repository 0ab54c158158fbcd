/** The options of EXPLAIN (ExplainQuery in explain.c), as far as they say what is run and how it is told. */
import { ClarusError } from '../../errors.js';
import { fieldsOf, list, type RawFields, type RawNode, stringOf, text } from '../raw/node.js';

/** What an EXPLAIN is asked for. */
export interface ExplainOptions {
  /** `EXPLAIN (...) `, as the client wrote the options */
  readonly asked: string;
  /** the same for what is not to be run */
  readonly plans: string;
  /** ANALYZE: the statement is run */
  readonly runs: boolean;
  /** GENERIC_PLAN: it has parameters without values */
  readonly generic: boolean;
  /** SUMMARY: with ANALYZE the time is told unless it says otherwise */
  readonly summary: boolean;
  readonly format: 'text' | 'json' | 'xml' | 'yaml';
}

/** OIDs of what a plan is told in (ExplainResultDesc in explain.c); YAML is text. */
export const explainTypes: Readonly<Record<ExplainOptions['format'], number>> = {
  text: 25,
  json: 114,
  xml: 142,
  yaml: 25,
};

/** Options that PostgreSQL takes with ANALYZE only. */
const ofRuns: ReadonlySet<string> = new Set(['analyze', 'timing', 'wal', 'serialize']);

/** @param fields of an ExplainStmt */
export function explainOptions(fields: RawFields): ExplainOptions {
  const options = list(fields, 'options').map(fieldsOf);
  const named = (name: string): RawFields | undefined =>
    options.filter(option => nameOf(option) === name).at(-1);
  const format = textIn(named('format') ?? {}).toLowerCase();
  return {
    asked: written(options),
    plans: written(options.filter(option => !ofRuns.has(nameOf(option)))),
    runs: isOn(named('analyze')),
    generic: isOn(named('generic_plan')),
    summary: isOn(named('summary') ?? named('analyze')),
    format: format === 'json' || format === 'xml' || format === 'yaml' ? format : 'text',
  };
}

/** Those of ParseExplainOptionList (explain_state.c) of PostgreSQL 18, and ours. */
const names: ReadonlySet<string> = new Set([
  'analyze',
  'buffers',
  'clarus',
  'costs',
  'format',
  'generic_plan',
  'memory',
  'serialize',
  'settings',
  'summary',
  'timing',
  'verbose',
  'wal',
]);

/**
 * The options of EXPLAIN (CLARUS), which no PostgreSQL looks at.
 * @param fields of an ExplainStmt
 * @throws ClarusError 42601 and 22023 as PostgreSQL does, for options that it does not know
 */
export function clarusOptions(fields: RawFields): ExplainOptions {
  for (const option of list(fields, 'options').map(fieldsOf)) {
    const name = nameOf(option);
    if (!names.has(name)) throw new ClarusError('42601', `unrecognized EXPLAIN option "${name}"`);
    if (name === 'format' && !/^(text|json|xml|yaml)$/.test(textIn(option)))
      throw new ClarusError('22023', `unrecognized value for EXPLAIN option "format": "${textIn(option)}"`);
  }
  const options = explainOptions(fields);
  if (options.runs && options.generic)
    throw new ClarusError('22023', 'EXPLAIN options ANALYZE and GENERIC_PLAN cannot be used together');
  return options;
}

const nameOf = (option: RawFields): string => text(option, 'defname')?.toLowerCase() ?? '';

/** An option's value as text; empty: it has none. */
function textIn({ arg }: RawFields): string {
  const node = arg as RawNode | undefined;
  if (!node) return '';
  if (node.String) return stringOf(node);
  const { ival, fval, boolval } = fieldsOf(node);
  return String(ival ?? fval ?? boolval ?? (node.Integer ? 0 : 'off'));
}

/** defGetBoolean of define.c */
const isOn = (option: RawFields | undefined): boolean =>
  option !== undefined && /^(|true|on|1)$/i.test(textIn(option));

function written(options: readonly RawFields[]): string {
  const all = options.map(option => {
    const value = textIn(option);
    const isNumber = (option.arg as RawNode | undefined)?.String === undefined;
    const quoted = isNumber ? value : `'${value.replaceAll("'", "''")}'`;
    return `"${(text(option, 'defname') ?? '').replaceAll('"', '""')}" ${quoted}`.trimEnd();
  });
  return all.length > 0 ? `EXPLAIN (${all.join(', ')}) ` : 'EXPLAIN ';
}
