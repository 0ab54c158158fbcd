/** COPY of protected tables, in and out; COPY of others passes. */
import { isFilled, type LogicalTable } from '../../catalog/catalog.js';
import { ClarusError } from '../../errors.js';
import { PostgresError } from '../../wire/diagnostic.js';
import { writesMustBeFireable } from '../ddl/fireable.js';
import { generatedColumns } from '../defaults.js';
import type { CopyInBody, CopyOutBody, ReadBody, SplitBody } from '../execute/bodies.js';
import { mustBeCopied } from '../materialised.js';
import type { Plan, ProtectedPlan } from '../plan.js';
import type { SessionPort } from '../ports.js';
import { stripComments } from '../raw/comments.js';
import { deparse } from '../raw/deparse.js';
import { child, fieldsOf, kindOf, list, type RawNode, stringOf, text } from '../raw/node.js';
import { parseOne } from '../raw/parse.js';
import { trustedMajor } from '../reading.js';
import { refuseSecuredTriggers } from '../row-security/routines.js';
import { typeNamesIn } from '../row-types.js';
import { isApplied } from '../split/asks.js';
import { absence } from '../standing.js';
import { ofRowType } from '../statements-of-row-types.js';
import { planTemporaryCopy } from '../temporary/copy.js';
import { firedBy } from '../triggers/catalogue.js';
import { firedBelow } from '../triggers/tree.js';
import { returningExpressions } from '../write/returning.js';
import { markersOf } from './markers.js';
import { checkForced, copyOptions } from './options.js';
import {
  type CopyIn,
  type CopyPlanning,
  checkReads,
  copyInto,
  filledForWhere,
  noRows,
  refuseDefaultInChecks,
  refuseDefaultInGenerated,
  selectOf,
} from './planning.js';
import { planRoutedCopy } from './routed.js';
import { planTriggeredCopy } from './triggered.js';
import { whereOf } from './where.js';

/**
 * COPY between the client and protected tables is done here; what touches none passes, or is the catalogue's.
 * @throws ClarusError 0A000 for files and programs of the cloud, and for what a protected table cannot take
 */
export async function planCopy(
  raw: RawNode,
  sql: string,
  session: SessionPort,
  planning: CopyPlanning,
): Promise<Plan> {
  const fields = raw.CopyStmt!;
  const direction = fields.is_from ? 'in' : 'out';
  const relation = child(fields, 'query') === undefined;
  // BeginCopyTo (copyto.c)
  if (child(fields, 'query')?.SelectStmt?.intoClause !== undefined)
    throw new ClarusError('0A000', 'COPY (SELECT INTO) is not supported');
  const query = child(fields, 'query') ?? selectOf(ownRows(fields), []);
  const { analysis, touch } = await (relation
    ? planning.touch(query).catch(unplaced)
    : planning.touch(query));
  if (touch.temporary.size > 0)
    return planTemporaryCopy(raw, stripComments(sql), touch, planning.homes, session);
  const tables = touch.tables.filter(t => t.state === 'protected');
  const pass: Plan = {
    kind: 'pass',
    sql: stripComments(sql),
    shape: noRows,
    ...(fields.filename || fields.is_program ? {} : { copy: direction }),
  };
  if (tables.length === 0) {
    const absent =
      (await ofRowType(analysis, touch, session, typeNamesIn(raw))) ??
      (await absence(raw, analysis, touch, session));
    if (relation && absent) throw absent;
    if (direction === 'in') await refuseSecuredTriggers(touch.tables, session);
    // of a relation, `copySecured` has made a query of it; a view is copied by nobody
    const secured = !relation && isApplied(analysis, session);
    const isPlaced = touch.catalogue || touch.tables.length === 0 || absent || secured;
    const placed = isPlaced ? await planning.plan(query) : pass;
    if (placed.kind === 'protected' && !absent && !secured) throw ofWrite();
    if (placed.kind !== 'protected')
      return placed.kind === 'pass' ? pass : copyOfCatalogue(fields, stripComments(sql), direction, placed);
  }
  if (fields.filename || fields.is_program)
    throw new ClarusError(
      '0A000',
      'COPY between a protected table and a file or program of the cloud is refused',
      { hint: 'Use STDIN or STDOUT (in psql: \\copy).' },
    );
  const view = relation ? tables.find(isFilled) : undefined;
  if (view) mustBeCopied(view, direction, await trustedMajor(session));
  if (relation && touch.views) throw ofView(fields, direction);
  if (kindOf(query) !== 'SelectStmt' && returningExpressions(fieldsOf(query)).length === 0)
    // BeginCopyTo (copyto.c)
    throw new ClarusError('0A000', 'COPY query must have a RETURNING clause');
  const clean = stripComments(sql);
  const statement = clean === sql ? fields : parseOne(clean).CopyStmt!;
  const where =
    relation && direction === 'in'
      ? await whereOf(statement, clean, tables[0]!, session, planning)
      : undefined;
  const names = relation ? await copiedColumns(fields, tables[0]!, session) : undefined;
  const options = copyOptions(statement, clean, session.cloudMajor);
  if (names && direction === 'in') {
    checkForced(options, names.check, names.copied);
    const table = tables[0]!;
    await writesMustBeFireable(table, session);
    if (options.onError === 'ignore') await mustBeSoft(session);
    const columns = names.copied.map(name => table.columns.find(c => c.name === name)!);
    const copy: CopyIn = { fields, table, columns, options, where };
    const inserts = [{ event: 'INSERT' as const, columns: [] }];
    const below = await firedBelow(table, inserts, session);
    if (below.length > 0 || (await firedBy(table, 'INSERT', [], session)))
      return planTriggeredCopy(copy, session, planning);
    if (table.partitioned) return planRoutedCopy(copy, session, planning);
    return planCopyIn(copy, session, planning);
  }
  if (names && tables[0]!.partitioned) throw ofPartitioned(fields);
  const plan = await planning.plan(names ? selectOf(ownRows(fields), names.copied) : query);
  const isRead = plan.kind === 'protected' && (plan.body.kind === 'read' || plan.body.kind === 'split');
  if (!isRead || (plan.body as SplitBody).writes) throw ofWrite();
  const columns = plan.shape.columns ?? [];
  const copied = columns.map(c => c.name);
  checkForced(options, names?.check ?? (given => checkColumns(given, copied, '')), copied);
  const body: CopyOutBody = {
    kind: 'copy-out',
    read: plan.body as ReadBody | SplitBody,
    copy: {
      format: options.format === 'binary' ? 1 : 0,
      columns: columns.length,
      options,
      names: copied,
    },
  };
  const split = plan.split ? ({ split: true } as const) : {};
  return { kind: 'protected', command: 'COPY', shape: noRows, copy: 'out', ...split, body };
}

/** The refusal of COPY (INSERT ... RETURNING) and its like. */
const ofWrite = (): ClarusError =>
  new ClarusError(
    '0A000',
    'COPY of what writes a protected table, or one with policies, is not answered yet',
    {
      hint: 'Send the statement by itself, with RETURNING.',
    },
  );

/** @param planned its query, or one of the relation's rows */
function copyOfCatalogue(fields: RawNode[string], sql: string, direction: 'in' | 'out', planned: Plan): Plan {
  if (direction === 'in' || fields.filename || fields.is_program)
    throw new ClarusError('42501', 'the system catalogue is not written by COPY');
  if (child(fields, 'relation') || planned.kind !== 'trusted')
    return { kind: 'trusted', sql, shape: noRows, copy: 'out' };
  const copy = deparse({ CopyStmt: { ...fields, query: parseOne(planned.sql) } });
  const { figures } = planned;
  return { kind: 'trusted', sql: copy, shape: noRows, copy: 'out', ...(figures ? { figures } : {}) };
}

/** @throws ClarusError 0A000 where the trusted PostgreSQL knows no soft errors */
async function mustBeSoft(session: SessionPort): Promise<void> {
  if ((await trustedMajor(session)) >= 16) return;
  throw new ClarusError(
    '0A000',
    'ON_ERROR ignore is not answered with a trusted PostgreSQL before version 16',
    {
      hint: 'Use a trusted PostgreSQL of the version of the cloud.',
    },
  );
}

/** PostgreSQL does not say where in a COPY the name of a relation is wrong. */
function unplaced(error: unknown): never {
  if (!(error instanceof PostgresError)) throw error;
  const { position: _position, ...diagnostic } = error.diagnostic;
  throw new PostgresError(diagnostic);
}

/** BeginCopyTo and CopyFrom (copyto.c, copyfrom.c) */
function ofView(fields: RawNode[string], direction: 'in' | 'out'): ClarusError {
  const name = text(fields.relation as RawNode[string], 'relname') ?? '';
  return direction === 'out'
    ? new ClarusError('42809', `cannot copy from view "${name}"`, {
        hint: 'Try the COPY (SELECT ...) TO variant.',
      })
    : new ClarusError('42809', `cannot copy to view "${name}"`, {
        hint: 'To enable copying to a view, provide an INSTEAD OF INSERT trigger.',
      });
}

/** BeginCopyTo (copyto.c) */
const ofPartitioned = (fields: RawNode[string]): ClarusError =>
  new ClarusError(
    '42809',
    `cannot copy from partitioned table "${text(fields.relation as RawNode[string], 'relname') ?? ''}"`,
    { hint: 'Try the COPY (SELECT ...) TO variant.' },
  );

/** COPY of a table means its own rows, not those of its heirs (PostgreSQL manual, COPY). */
const ownRows = (fields: RawNode[string]): RawNode[string] => {
  const { inh: _heirs, ...relation } = fields.relation as RawNode[string];
  return { ...fields, relation };
};

/**
 * The columns that a COPY of a table is about: those it names, else all but the generated ones (CopyGetAttnums of
 * copy.c).
 */
async function copiedColumns(
  fields: RawNode[string],
  table: LogicalTable,
  session: SessionPort,
): Promise<{ readonly copied: readonly string[]; readonly check: (names: readonly string[]) => void }> {
  const generated = await generatedColumns(table, session);
  const all = table.columns.map(c => c.name);
  const check = (names: readonly string[]): void => {
    checkColumns(names, all, ` of relation "${table.name}"`, generated);
  };
  const names = list(fields, 'attlist').map(stringOf);
  check(names);
  return { copied: names.length > 0 ? names : all.filter(name => !generated.has(name)), check };
}

/** @param of what the columns are of, as the error says it */
function checkColumns(
  names: readonly string[],
  known: readonly string[],
  of: string,
  generated: ReadonlySet<string> = new Set(),
): void {
  for (const [i, name] of names.entries()) {
    if (generated.has(name))
      throw new ClarusError('42P10', `column "${name}" is a generated column`, {
        detail: 'Generated columns cannot be used in COPY.',
      });
    if (!known.includes(name)) throw new ClarusError('42703', `column "${name}"${of} does not exist`);
    if (names.indexOf(name) < i) throw new ClarusError('42701', `column "${name}" specified more than once`);
  }
}

async function planCopyIn(
  copy: CopyIn,
  session: SessionPort,
  planning: CopyPlanning,
): Promise<ProtectedPlan> {
  const { fields, table, columns, options, where } = copy;
  const defaults = await planning.defaults(table);
  const read = (await filledForWhere(copy, defaults, planning.homes, session)).map(({ column }) => column);
  const missing = table.columns.filter(
    c => read.includes(c) || (c.protection && !columns.includes(c) && defaults.has(c.attnum)),
  );
  const known = [...columns, ...missing];
  const checks = await planning.checks(table);
  const bounds = table.bounds === 'trusted' ? await planning.bounds(table) : undefined;
  refuseDefaultInChecks(checks, known, defaults, checkReads);
  refuseDefaultInChecks(bounds, known, defaults, () => 'The bounds of the partition read');
  const names = columns.map(({ name }) => name);
  const { analysis } = await planning.touch(selectOf(fields, names));
  const { registry } = await planning.compilation(analysis);
  const generated = await planning.generated(table);
  refuseDefaultInGenerated(generated, known, defaults);
  const computed = (generated?.expressions ?? []).map(({ column }) => column);
  const { written, sql } = copyInto(table, [...known, ...computed], registry, options);
  const body: CopyInBody = {
    kind: 'copy-in',
    table,
    columns,
    written,
    defaults: missing.map(column => ({ column, ...defaults.get(column.attnum)! })),
    options,
    markers: await markersOf(table, columns, options, defaults, planning.homes, session),
    where,
    checks,
    generated,
    bounds,
    sql,
  };
  return { kind: 'protected', command: 'COPY', shape: noRows, copy: 'in', body };
}
