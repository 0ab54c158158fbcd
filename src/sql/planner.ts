/**
 * Planning: what one statement becomes. The raw tree says its kind, the trusted PostgreSQL says what it means, and
 * the catalogue says what of that is protected.
 */
import type { Catalog, LogicalTable } from '../catalog/catalog.js';
import type { EncodingRegistry } from '../encodings/registry.js';
import { ClarusError } from '../errors.js';
import { PostgresError } from '../wire/diagnostic.js';
import { type Node, numberIn } from './analysed/node.js';
import { entry, scopeOf } from './analysed/query.js';
import { Compilation, physical } from './compilation.js';
import { planCopy } from './copy/plan.js';
import { defaultsOf } from './defaults.js';
import type { CopyInBody, ExplainBody, SplitBody } from './execute/bodies.js';
import { collect } from './execute/collect.js';
import { statement as physicalStatement } from './execute/convert.js';
import { explainPlan } from './explain.js';
import { apart, type FunctionHomes, functionHomes, functionHomesQuery } from './functions.js';
import { holdsMoment, withMoment } from './moment.js';
import { parametersOf } from './operand.js';
import { withoutOwnObjects } from './own-objects.js';
import type { Analysis, Plan, ProtectedPlan, SessionPort, Shape } from './plan.js';
import { mustBeCursorOfClient, mustBeFree } from './portal-names.js';
import { stripComments } from './raw/comments.js';
import { deparse } from './raw/deparse.js';
import { child, fieldsOf, kindOf, list, type RawNode, text } from './raw/node.js';
import { parseOne, type RawStatement } from './raw/parse.js';
import { refuseUnanswered } from './read/answered.js';
import { refuseHiddenNames } from './read/hidden-names.js';
import { planSelect } from './read/select.js';
import { refuseRowTypes } from './row-types.js';
import { placeSequences, type SequencePlaces } from './sequences.js';
import { planSessionStatement } from './session-statements.js';
import { planSetConfig } from './set-config.js';
import { readingOf } from './settings.js';
import { planInsertSelect } from './split/insert.js';
import { planSplit } from './split/plan.js';
import { type Touch, touchOf } from './touch.js';
import { planInsert } from './write/insert.js';
import { planDelete, planUpdate } from './write/modify.js';

/** Plans of DDL and of everything that changes the schema (ddl/). */
export interface DdlPlanner {
  /** undefined: not a statement of its kind */
  plan(raw: RawNode, sql: string, session: SessionPort): Promise<Plan | undefined>;
}

/** What planning needs of the worker. */
export interface PlanningServices {
  readonly registry: EncodingRegistry;
  readonly ddl: DdlPlanner;
}

/** Plans one statement at a time; keeps nothing but where functions are at home. */
export class Planning {
  #homes: Promise<FunctionHomes> | undefined;
  constructor(private readonly services: PlanningServices) {}

  /**
   * @throws ClarusError 0A000 for what cannot be protected, with reason, policy line and hint; PostgresError as the
   *   trusted PostgreSQL words what is wrong with the statement itself
   */
  async plan(
    { node, text: sql }: RawStatement,
    parameterTypes: readonly number[],
    session: SessionPort,
  ): Promise<Plan> {
    if (!session.settings.standardConformingStrings)
      throw new ClarusError(
        '0A000',
        'standard_conforming_strings must be on in a database with protected tables',
      );
    try {
      const plan = await this.#plan(node, sql, parameterTypes, session);
      const keeps = plan.kind === 'pass' || plan.kind === 'trusted' || plan.kind === 'protected';
      return keeps && holdsMoment(node) ? { ...plan, once: true } : plan;
    } catch (error) {
      // Deep trees overflow the stack of this process before that of PostgreSQL.
      if (error instanceof RangeError)
        throw new ClarusError('54001', 'stack depth limit exceeded', {
          hint: 'The statement is nested too deeply.',
        });
      throw error;
    }
  }

  async #plan(
    raw: RawNode,
    sql: string,
    parameterTypes: readonly number[],
    session: SessionPort,
  ): Promise<Plan> {
    const own = planSessionStatement(raw, sql, session);
    if (own) return own;
    switch (kindOf(raw)) {
      case 'SelectStmt':
        if (raw.SelectStmt!.intoClause) break;
        return this.#query(raw, sql, parameterTypes, session);
      case 'InsertStmt':
      case 'MergeStmt':
        return this.#query(raw, sql, parameterTypes, session);
      case 'UpdateStmt':
      case 'DeleteStmt': {
        const where = child(fieldsOf(raw), 'whereClause');
        mustBeCursorOfClient(where?.CurrentOfExpr && text(where.CurrentOfExpr, 'cursor_name'));
        return this.#query(raw, sql, parameterTypes, session);
      }
      case 'DeclareCursorStmt':
        mustBeFree(text(raw.DeclareCursorStmt!, 'portalname')!);
        return this.#query(raw, sql, parameterTypes, session);
      case 'ExplainStmt':
        return this.#explain(raw, sql, parameterTypes, session);
      case 'CopyStmt':
        return planCopy(raw, sql, session, {
          plan: statement => this.#written(deparse(statement), session),
          touch: statement => this.#touch(statement, session),
          compilation: analysis => this.#compilation(analysis, session),
          defaults: table => defaultsOf(table, session, true),
        });
      case 'VariableShowStmt': {
        const shape = (await session.analyse(stripComments(sql), [])).shape;
        const name = text(raw.VariableShowStmt!, 'name')?.toLowerCase();
        return name === 'application_name'
          ? { kind: 'trusted', sql: stripComments(sql), shape }
          : { kind: 'pass', sql: stripComments(sql), shape };
      }
      case 'FetchStmt':
        mustBeCursorOfClient(text(raw.FetchStmt!, 'portalname'));
        return {
          kind: 'pass',
          sql: stripComments(sql),
          shape: undefined,
          cursor: text(raw.FetchStmt!, 'portalname'),
        };
      case 'ClosePortalStmt':
        mustBeCursorOfClient(text(raw.ClosePortalStmt!, 'portalname'));
        return {
          kind: 'pass',
          sql: stripComments(sql),
          shape: noRows,
          cursor: text(raw.ClosePortalStmt!, 'portalname'),
          closes: true,
        };
      case 'ListenStmt':
      case 'UnlistenStmt':
      case 'LockStmt':
      case 'CheckPointStmt':
      case 'ConstraintsSetStmt':
        return { kind: 'pass', sql: stripComments(sql), shape: noRows };
      case 'VacuumStmt':
        if (list(raw.VacuumStmt!, 'rels').some(rel => list(fieldsOf(rel), 'va_cols').length))
          throw new ClarusError(
            '0A000',
            'ANALYZE of single columns is refused in a database with protected tables',
          );
        return { kind: 'pass', sql: stripComments(sql), shape: noRows };
      case 'NotifyStmt':
        if (raw.NotifyStmt!.payload)
          throw new ClarusError('0A000', 'NOTIFY with a payload would send it to the cloud in the clear', {
            hint: 'Notify without a payload, and read the row from its table.',
          });
        return { kind: 'pass', sql: stripComments(sql), shape: noRows };
      case 'DoStmt':
      case 'CallStmt':
        throw new ClarusError(
          '0A000',
          `${kindOf(raw) === 'DoStmt' ? 'DO' : 'CALL'} is not proven to touch no protected table`,
          { hint: 'Send the statements by themselves.' },
        );
    }
    mustHoldNoParameter(raw);
    const ddl = await this.services.ddl.plan(raw, sql, session);
    if (ddl) return ddl;
    throw new ClarusError(
      '0A000',
      'this statement is not understood well enough to be sent to a cloud with protected tables',
      { detail: `Statement kind: ${kindOf(raw)}.` },
    );
  }

  async #query(
    raw: RawNode,
    sql: string,
    parameterTypes: readonly number[],
    session: SessionPort,
  ): Promise<Plan> {
    const clean = stripComments(sql);
    const analysis = await session.analyse(clean, parameterTypes);
    const catalog = session.catalog();
    const homes = await this.homes(session);
    const touch = touchOf(analysis, catalog, homes);
    const { shape } = analysis;
    mustBeProven(touch);
    const tables = touch.tables.filter(t => t.state === 'protected');
    const momentary = holdsMoment(raw);
    const sequences = await placeSequences(touch.sequences, raw, session);
    if (tables.length === 0) {
      const placed = place(raw, clean, shape, touch, sequences, momentary);
      if (placed.kind === 'pass') await refuseRowTypes(analysis, session);
      return placed.kind === 'trusted' && touch.catalogue && session.residual
        ? { ...placed, sql: await this.#withoutOwnObjects(clean, shape, session) }
        : placed;
    }
    // Locations in the raw tree must be those of the text that was analysed.
    const fresh = clean === sql ? raw : parseOne(clean);
    const dated = momentary ? await withMoment(fresh, analysis, session) : undefined;
    if (dated) {
      const written = deparse(dated);
      return this.#query(parseOne(written), written, parameterTypes, session);
    }
    const plan = await this.#protected(
      fresh,
      analysis,
      touch,
      tables,
      catalog,
      homes,
      session,
      sequences.trusted,
    ).catch(error => {
      if (!(error instanceof ClarusError) || error.code !== '0A000') throw error;
      if (kindOf(fresh) === 'InsertStmt')
        return this.#insertSelect(fresh, analysis, touch, homes, session, error);
      return planSplit(fresh, clean, analysis, touch, homes, session, error);
    });
    const checked = plan.command === 'SELECT' ? (shape.parameterTypes.length ? 'SELECT' : undefined) : clean;
    return {
      ...plan,
      ...(checked === undefined ? {} : { check: physical(checked, shape.parameterTypes) }),
      ...(sequences.trusted.size > 0 ? { homed: true } : {}),
    };
  }

  async #protected(
    raw: RawNode,
    analysis: Analysis,
    touch: Touch,
    tables: readonly LogicalTable[],
    catalog: Catalog,
    homes: FunctionHomes,
    session: SessionPort,
    sequences: ReadonlySet<number>,
  ): Promise<ProtectedPlan> {
    const compilation = this.#compiling(catalog, homes, analysis.shape, session, sequences);
    const query = touch.query!;
    if (touch.views)
      throw new ClarusError('0A000', 'a view over a protected table is not answered yet', {
        hint: 'Select from the table itself.',
      });
    if (touch.catalogue)
      throw new ClarusError(
        '0A000',
        'a protected table together with the system catalogue is not answered yet',
      );
    const plan = await this.#over(raw, query, tables, compilation, session);
    refuseUnanswered(query, compilation);
    await refuseRowTypes(analysis, session);
    return plan;
  }

  /** A view has no key to group by, and a type of its own: where that matters, the statement stays as it is. */
  async #withoutOwnObjects(sql: string, shape: Shape, session: SessionPort): Promise<string> {
    const without = withoutOwnObjects(sql);
    if (without === sql) return sql;
    try {
      const { columns } = (await session.analyse(without, shape.parameterTypes)).shape;
      const types = (found: Shape['columns']): string =>
        (found ?? []).map(c => `${c.name} ${c.typeOid}`).join();
      return types(columns) === types(shape.columns) ? without : sql;
    } catch (error) {
      if (error instanceof PostgresError) return sql;
      throw error;
    }
  }

  #insertSelect(
    raw: RawNode,
    { shape }: Analysis,
    touch: Touch,
    homes: FunctionHomes,
    session: SessionPort,
    cause: ClarusError,
  ): Promise<ProtectedPlan> {
    const target = writtenTable(touch.query!, session.catalog());
    if (target?.state !== 'protected') throw cause;
    return planInsertSelect(
      raw,
      touch.query!,
      shape,
      target,
      session,
      {
        split: async sql => {
          const analysis = await session.analyse(sql, shape.parameterTypes);
          const source = touchOf(analysis, session.catalog(), homes);
          const plan = await planSplit(parseOne(sql), sql, analysis, source, homes, session, cause);
          return { body: plan.body as SplitBody, shape: plan.shape };
        },
        copyIn: async sql => {
          const plan = await this.#plan(parseOne(sql), sql, [], session);
          if (plan.kind !== 'protected' || plan.body.kind !== 'copy-in') throw cause;
          return plan.body as CopyInBody;
        },
      },
      cause,
    );
  }

  /** Plans over encodings; what was not answered is for the caller to find. */
  async #over(
    raw: RawNode,
    query: Node,
    tables: readonly LogicalTable[],
    compilation: Compilation,
    session: SessionPort,
  ): Promise<ProtectedPlan> {
    const { catalog } = compilation;
    refuseHiddenNames(raw, tables);
    if (kindOf(raw) === 'SelectStmt') return planSelect(raw, query, compilation);
    if (kindOf(raw) === 'ExplainStmt')
      throw new ClarusError('0A000', `EXPLAIN of protected table "${tables[0]!.name}" is not answered`, {
        hint: 'EXPLAIN (CLARUS) and "clarus explain" show which way the statement takes, and why.',
      });
    const target = writtenTable(query, catalog);
    if (target?.state !== 'protected') throw flow(tables[0]!, target);
    switch (kindOf(raw)) {
      case 'InsertStmt':
        return planInsert(raw, query, target, await defaultsOf(target, session), compilation);
      case 'UpdateStmt':
        return planUpdate(raw, query, target, await defaultsOf(target, session), compilation);
      case 'DeleteStmt':
        return planDelete(raw, query, target, compilation);
      default:
        throw new ClarusError(
          '0A000',
          `${kindOf(raw).replace('Stmt', '').toUpperCase()} on protected table "${target.name}" is not answered yet`,
        );
    }
  }

  /** Plans a query that we wrote ourselves: its tree's locations are those of the text. */
  #written(sql: string, session: SessionPort): Promise<Plan> {
    return this.#query(parseOne(sql), sql, [], session);
  }

  async #explain(
    raw: RawNode,
    sql: string,
    parameterTypes: readonly number[],
    session: SessionPort,
  ): Promise<Plan> {
    const options = list(raw.ExplainStmt!, 'options');
    const ours = options.some(o => text(fieldsOf(o), 'defname')?.toLowerCase() === 'clarus');
    const inner = child(raw.ExplainStmt!, 'query')!;
    if (!ours) {
      return this.#query(raw, sql, parameterTypes, session);
    }
    const written = deparse(inner);
    const plan = await this.#plan(parseOne(written), written, parameterTypes, session);
    const body: ExplainBody = { kind: 'explain', lines: explainPlan(plan) };
    return {
      kind: 'protected',
      command: 'EXPLAIN',
      shape: {
        parameterTypes: 'shape' in plan ? (plan.shape?.parameterTypes ?? []) : [],
        columns: [textColumn('QUERY PLAN')],
      },
      body,
    };
  }

  async #touch(raw: RawNode, session: SessionPort): Promise<{ analysis: Analysis; touch: Touch }> {
    const analysis = await session.analyse(deparse(raw), []);
    const touch = touchOf(analysis, session.catalog(), await this.homes(session));
    mustBeProven(touch);
    await refuseRowTypes(analysis, session);
    return { analysis, touch };
  }

  async #compilation({ shape }: Analysis, session: SessionPort): Promise<Compilation> {
    return this.#compiling(session.catalog(), await this.homes(session), shape, session);
  }

  #compiling(
    catalog: Catalog,
    homes: FunctionHomes,
    shape: Shape,
    { settings }: SessionPort,
    sequences: ReadonlySet<number> = new Set(),
  ): Compilation {
    const values = { homes, shape, reading: readingOf(settings), sequences };
    return new Compilation(catalog, this.services.registry, values);
  }

  /** Homes of the built-in functions of the trusted PostgreSQL; read once. */
  async homes(session: SessionPort): Promise<FunctionHomes> {
    this.#homes ??= collect(session.trusted, physicalStatement(functionHomesQuery, []), [], [], [0]).then(
      rows =>
        functionHomes(
          rows.map(row => row.map(field => Buffer.from(field ?? []).toString()) as [string, string, string]),
        ),
    );
    try {
      return await this.#homes;
    } catch (error) {
      this.#homes = undefined;
      throw error;
    }
  }
}

/**
 * What makes a table of a query runs in two steps, on either side.
 * @throws ClarusError 0A000 where it has parameters
 */
function mustHoldNoParameter(raw: RawNode): void {
  if (kindOf(raw) !== 'CreateTableAsStmt' && kindOf(raw) !== 'SelectStmt') return;
  if (parametersOf(raw).length > 0)
    throw new ClarusError('0A000', 'parameters of CREATE TABLE AS and SELECT INTO are not answered yet', {
      hint: 'Create the table first, then INSERT ... SELECT with the parameters, or write them as constants.',
    });
}

const noRows: Shape = { parameterTypes: [], columns: undefined };

/** A column of type text that is of no table. */
export const textColumn = (name: string): NonNullable<Shape['columns']>[number] => ({
  name,
  tableOid: 0,
  attnum: 0,
  typeOid: 25,
  typeSize: -1,
  typeModifier: -1,
});

function mustBeProven({ functions, homes }: Touch): void {
  if (functions.length)
    throw new ClarusError(
      '0A000',
      'the statement calls a user-defined function, which is not proven to touch no protected table',
      { hint: 'Write what the function does in the statement itself.' },
    );
  if (homes.has('unproven'))
    throw new ClarusError(
      '0A000',
      'the statement calls a function that runs SQL text, reads files or writes past tables',
      { hint: 'In a database with protected tables such functions are refused.' },
    );
}

/**
 * Where a statement runs that touches no protected table.
 * @param momentary it holds a literal that means the present moment
 */
function place(
  raw: RawNode,
  sql: string,
  shape: Shape,
  touch: Touch,
  sequences: SequencePlaces,
  momentary: boolean,
): Plan {
  const { homes } = touch;
  if (homes.has('sequence-values'))
    throw new ClarusError('0A000', 'the catalogue does not tell the last values of sequences', {
      hint: 'Select last_value from the sequence itself.',
    });
  const inCloud = homes.has('cloud') || homes.has('statistics') || touch.time || momentary;
  if (sequences.trusted.size > 0) {
    if (touch.tables.length > 0 || sequences.cloud.size > 0 || inCloud || homes.has('settings'))
      throw apart();
    if (kindOf(raw) === 'DeclareCursorStmt') throw apart();
    return { kind: 'trusted', sql, shape, homed: true };
  }
  if (sequences.cloud.size > 0 && touch.catalogue && touch.tables.length === 0)
    throw new ClarusError('0A000', 'a sequence together with the system catalogue is not answered yet', {
      hint: 'Ask for them in two statements.',
    });
  if (touch.homes.has('settings')) {
    return { kind: 'set-config', sql, shape, given: planSetConfig(raw, shape) };
  }
  if (touch.tables.length) {
    if (touch.catalogue)
      throw new ClarusError('0A000', 'a table together with the system catalogue is not answered yet', {
        hint: 'Ask for them in two statements.',
      });
    return { kind: 'pass', sql, shape };
  }
  if (kindOf(raw) === 'DeclareCursorStmt') {
    if (touch.catalogue && !homes.has('statistics'))
      throw new ClarusError('0A000', 'a cursor over the system catalogue is not answered yet', {
        hint: 'Send the query by itself, or fetch its rows by a portal of the protocol.',
      });
    return { kind: 'pass', sql, shape };
  }
  if (touch.catalogue) return { kind: touch.homes.has('statistics') ? 'pass' : 'trusted', sql, shape };
  return { kind: inCloud || sequences.cloud.size > 0 ? 'pass' : 'trusted', sql, shape };
}

/** The table that an analysed INSERT, UPDATE, DELETE or MERGE writes. */
function writtenTable(query: NonNullable<Touch['query']>, catalog: Catalog): LogicalTable | undefined {
  const result = numberIn(query, 'resultRelation');
  return result > 0 ? catalog.tables.get(numberIn(entry(scopeOf(query), result), 'relid')) : undefined;
}

const flow = (from: LogicalTable, to: LogicalTable | undefined): ClarusError =>
  new ClarusError(
    '0A000',
    to
      ? `values of protected table "${from.name}" would flow to "${to.name}", which is not protected`
      : `protected table "${from.name}" is used in a statement of a kind that is not answered yet`,
    {
      schema: from.schema,
      table: from.name,
    },
  );
