/** COPY of protected tables, in and out; COPY of others passes. */
import { type LogicalColumn, type LogicalTable, ROW_COLUMN } from '../../catalog/catalog.js';
import { encodingNamed } from '../../encodings/registry.js';
import { ClarusError } from '../../errors.js';
import type { Compilation } from '../compilation.js';
import type { Defaults } from '../defaults.js';
import type { CopyInBody, CopyOutBody, ReadBody, WrittenColumn, WrittenForm } from '../execute/bodies.js';
import type { Analysis, Plan, ProtectedPlan, SessionPort, Shape } from '../plan.js';
import { stripComments } from '../raw/comments.js';
import { child, columnRef, list, type RawNode, stringOf, target } from '../raw/node.js';
import type { Touch } from '../touch.js';
import { copyOptions } from './options.js';

/** What COPY needs of planning. */
export interface CopyPlanning {
  plan(query: RawNode): Promise<Plan>;
  touch(query: RawNode): Promise<{ analysis: Analysis; touch: Touch }>;
  compilation(analysis: Analysis): Promise<Compilation>;
  defaults(table: LogicalTable): Promise<Defaults>;
}

const noRows: Shape = { parameterTypes: [], columns: undefined };

/**
 * COPY between the client and protected tables is done here; what touches none passes, or is the catalogue's.
 * @throws ClarusError 0A000 for files and programs of the cloud, and for what a protected table cannot take
 */
export async function planCopy(
  raw: RawNode,
  sql: string,
  _session: SessionPort,
  planning: CopyPlanning,
): Promise<Plan> {
  const fields = raw.CopyStmt!;
  const direction = fields.is_from ? 'in' : 'out';
  const query = child(fields, 'query') ?? selectOf(fields);
  const { touch } = await planning.touch(query);
  const tables = touch.tables.filter(t => t.state === 'protected');
  const pass: Plan = {
    kind: 'pass',
    sql: stripComments(sql),
    shape: noRows,
    ...(fields.filename || fields.is_program ? {} : { copy: direction }),
  };
  if (tables.length === 0) {
    const placed = touch.catalogue || touch.tables.length === 0 ? await planning.plan(query) : pass;
    return placed.kind === 'pass' ? pass : copyOfCatalogue(fields, stripComments(sql), direction);
  }
  if (fields.filename || fields.is_program)
    throw new ClarusError(
      '0A000',
      'COPY between a protected table and a file or program of the cloud is refused',
      { hint: 'Use STDIN or STDOUT (in psql: \\copy).' },
    );
  const options = copyOptions(fields);
  if (direction === 'out' && options.freeze)
    throw new ClarusError('22023', 'COPY FREEZE cannot be used with COPY TO');
  if (direction === 'in') return planCopyIn(fields, tables[0]!, options, planning);
  const plan = await planning.plan(query);
  if (plan.kind !== 'protected' || plan.body.kind !== 'read')
    throw new ClarusError('0A000', 'COPY of an INSERT or UPDATE on a protected table is not answered yet', {
      hint: 'Send the statement by itself, with RETURNING.',
    });
  const columns = plan.shape.columns ?? [];
  const body: CopyOutBody = {
    kind: 'copy-out',
    read: plan.body as ReadBody,
    copy: {
      format: options.format === 'binary' ? 1 : 0,
      columns: columns.length,
      options,
      names: columns.map(c => c.name),
    },
  };
  return { kind: 'protected', command: 'COPY', shape: noRows, copy: 'out', body };
}

function copyOfCatalogue(fields: RawNode[string], sql: string, direction: 'in' | 'out'): Plan {
  if (direction === 'in' || fields.filename || fields.is_program)
    throw new ClarusError('42501', 'the system catalogue is not written by COPY');
  return { kind: 'trusted', sql, shape: noRows, copy: 'out' };
}

/** `SELECT columns FROM table`, so that the trusted PostgreSQL resolves the names. */
function selectOf(fields: RawNode[string]): RawNode {
  const names = list(fields, 'attlist').map(stringOf);
  return {
    SelectStmt: {
      targetList: names.length
        ? names.map(name => target(columnRef(name)))
        : [target({ ColumnRef: { fields: [{ A_Star: {} }] } })],
      fromClause: [{ RangeVar: fields.relation as RawNode[string] }],
      limitOption: 'LIMIT_OPTION_DEFAULT',
      op: 'SETOP_NONE',
    },
  };
}

async function planCopyIn(
  fields: RawNode[string],
  table: LogicalTable,
  options: ReturnType<typeof copyOptions>,
  planning: CopyPlanning,
): Promise<ProtectedPlan> {
  if (fields.whereClause)
    throw new ClarusError('0A000', 'COPY ... WHERE into a protected table is not answered yet');
  const names = list(fields, 'attlist').map(stringOf);
  const columns = names.length ? names.map(name => table.columns.find(c => c.name === name)!) : table.columns;
  const defaults = await planning.defaults(table);
  const missing = table.columns.filter(c => c.protection && !columns.includes(c) && defaults.has(c.attnum));
  const { analysis } = await planning.touch(selectOf(fields));
  const { registry } = await planning.compilation(analysis);
  let operands = 0;
  const written = (column: LogicalColumn): WrittenColumn => ({
    column,
    sources: [],
    forms: column.protection!.encodings.map(
      ({ kind, encoded }): WrittenForm => ({
        encoding: encodingNamed(registry, kind),
        encoded,
        operands: Object.fromEntries(Object.keys(encoded.columns).map(role => [role, operands++])),
      }),
    ),
  });
  const protectedOnes = [...columns, ...missing].filter(c => c.protection).map(written);
  const open = columns.filter(c => !c.protection);
  const physical = [
    ROW_COLUMN,
    ...open.map(c => c.name),
    ...protectedOnes.flatMap(w =>
      w.forms.flatMap(f => Object.keys(f.operands).map(role => f.encoded.columns[role]!)),
    ),
  ];
  const body: CopyInBody = {
    kind: 'copy-in',
    table,
    columns,
    written: protectedOnes,
    defaults: missing.map(column => ({ column, ...defaults.get(column.attnum)! })),
    options,
    sql: `COPY ${quote(table.physical.schema)}.${quote(table.physical.name)} (${physical.map(quote).join(', ')}) FROM STDIN (FORMAT binary${options.freeze ? ', FREEZE' : ''})`,
  };
  return { kind: 'protected', command: 'COPY', shape: noRows, copy: 'in', body };
}

const quote = (name: string): string => `"${name.replaceAll('"', '""')}"`;
