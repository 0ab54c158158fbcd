/**
 * Planning: what one statement becomes. The raw tree says its kind, the trusted PostgreSQL says what it means, and
 * the catalogue says what of that is protected.
 */
import type { Catalog } from '../catalog/catalog.js';
import { isInTree } from '../catalog/trees.js';
import type { EncodingRegistry } from '../encodings/registry.js';
import { ClarusError, ofDepth } from '../errors.js';
import { planActing, withRights } from './acting/plan.js';
import { analysed } from './analysing.js';
import { generatedOf } from './checks/generated.js';
import { boundsOf, checksOf } from './checks/table-checks.js';
import { Compilation, physical } from './compilation.js';
import { planCopy } from './copy/plan.js';
import { isOverCatalogue, planCursorOver } from './cursors.js';
import { defaultsOf } from './defaults.js';
import { asksClarus, planClarus } from './explain.js';
import { planExplained } from './explained/plan.js';
import { readFunctionHomes } from './function-homes.js';
import type { FunctionHomes } from './functions.js';
import { refuseIdentifiers } from './identifiers.js';
import { actingIn } from './kept-plans.js';
import { mustOnlyRead } from './materialised.js';
import { holdsMoment, withMoment } from './moment.js';
import { inFull } from './opaque/in-full.js';
import { refuseCatalogueOfCloud, treesOf } from './opaque/told.js';
import { inPlaceOf, withoutOwnObjects } from './own-objects.js';
import { mustBeProven, place } from './place.js';
import type { Plan, ProtectedPlan, Shape } from './plan.js';
import { mustBeCursorOfClient, mustBeFree } from './portal-names.js';
import type { Analysis, SessionPort } from './ports.js';
import { planBlock } from './procedural/blocks.js';
import { planNotify } from './procedural/notify.js';
import { planCall, planSelectCalls } from './procedural/plan-calls.js';
import { hidden, showsAny } from './procedural/secrets.js';
import { planPushed } from './push.js';
import { stripComments } from './raw/comments.js';
import { deparse } from './raw/deparse.js';
import { child, fieldsOf, kindOf, list, type RawNode, stringOf, text } from './raw/node.js';
import { parseOne, type RawStatement } from './raw/parse.js';
import { mustNotDepend } from './raw/string-literals.js';
import { refuseSecuredRoutines, refuseSecuredTriggers } from './row-security/routines.js';
import { securedCause, securedRefusal } from './row-security/statements.js';
import { copySecured, refuseExempt } from './row-security/tables.js';
import { placeSequences } from './sequences.js';
import { planSessionStatement } from './session-statements.js';
import { readingOf } from './settings.js';
import { isApplied } from './split/asks.js';
import type { SplitPlanning } from './split/plan.js';
import { planSplitQuery, planSplitStatement } from './split/write/plan.js';
import { absence } from './standing.js';
import { ofRowType } from './statements-of-row-types.js';
import { planTemporary, planTemporaryUtility } from './temporary/plan.js';
import { type Touch, touchOf } from './touch.js';
import { firesInsteadOf, planWriteInsteadOf } from './triggers/instead-of.js';
import { planUtility } from './utility-statements.js';
import { withWholeColumns } from './write/part-targets.js';
import { withSetsSelected } from './write/set-returning.js';

/** Plans of DDL and of everything that changes the schema (ddl/). */
export interface DdlPlanner {
  /** undefined: not a statement of its kind */
  plan(
    raw: RawNode,
    sql: string,
    parameterTypes: readonly number[],
    session: SessionPort,
  ): Promise<Plan | undefined>;
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
    { node, text: sql, offset }: RawStatement,
    parameterTypes: readonly number[],
    session: SessionPort,
  ): Promise<Plan> {
    try {
      const { seeded } = session.randomness;
      if (node.CreateFunctionStmt) mustNotDepend(bodiesIn(node), session.settings, 'the function');
      const role = actingIn(session);
      const copied = await copySecured(node, session);
      const [raw, text] = copied ? [copied, deparse(copied)] : [node, sql];
      const plan = await (role === undefined
        ? this.#asOwn({ node: raw, text }, parameterTypes, session)
        : planActing(
            { node: raw, text, offset },
            {
              role,
              session,
              parameterTypes,
              homes: () => this.homes(session),
              plan: (raw, text, within) => this.#plan(raw, text, parameterTypes, within),
              calls: (text, cause) => this.#calls(text, parameterTypes, session, cause),
            },
          ));
      const keeps = plan.kind === 'pass' || plan.kind === 'trusted' || plan.kind === 'protected';
      const seeds = session.randomness.seeded && !seeded;
      return keeps && (seeds || holdsMoment(node)) ? { ...plan, once: true } : plan;
    } catch (error) {
      throw ofDepth(error);
    }
  }

  /** Plans a statement of the session's own role. */
  async #asOwn(
    statement: Pick<RawStatement, 'node' | 'text'>,
    parameterTypes: readonly number[],
    session: SessionPort,
  ): Promise<Plan> {
    const plan = await this.#plan(statement.node, statement.text, parameterTypes, session);
    return session.internal ? plan : withRights(plan, statement, parameterTypes, session);
  }

  async #plan(
    raw: RawNode,
    sql: string,
    parameterTypes: readonly number[],
    session: SessionPort,
  ): Promise<Plan> {
    if (raw.VariableSetStmt && text(raw.VariableSetStmt, 'name') === 'seed') session.randomness.seeded = true;
    const own = planSessionStatement(raw, sql);
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
          planWith: (written, types) => this.#written(written, session, types),
          touch: statement => this.#touch(statement, session),
          compilation: analysis => this.#compilation(analysis, session),
          defaults: table => defaultsOf(table, session, true),
          checks: table => checksOf(table, session),
          generated: table => generatedOf(table, session),
          bounds: table => boundsOf(table, session),
          homes: await this.homes(session),
        });
      case 'DoStmt':
        return planBlock(raw, session);
      case 'NotifyStmt':
        if (text(raw.NotifyStmt!, 'payload') !== undefined)
          return planNotify(raw, session, this.#parts(session));
        break;
      case 'CallStmt':
        return planCall(raw, sql, parameterTypes, session, this.#parts(session));
    }
    const utility =
      (await planTemporaryUtility(raw, stripComments(sql), session)) ??
      (await planUtility(raw, sql, session));
    if (utility) return utility;
    const ddl = await this.services.ddl.plan(raw, sql, parameterTypes, session);
    if (ddl) return ddl;
    throw new ClarusError(
      '0A000',
      'this statement is not understood well enough to be sent to a cloud with protected tables',
      { detail: `Statement kind: ${kindOf(raw)}.` },
    );
  }

  /** A query or write; what cannot be run otherwise, and calls functions of users, by running their bodies. */
  #query(raw: RawNode, sql: string, parameterTypes: readonly number[], session: SessionPort): Promise<Plan> {
    return this.#withoutBodies(raw, sql, parameterTypes, session).catch(async error => {
      const isRefused = error instanceof ClarusError && error.code === '0A000';
      if (!isRefused || kindOf(raw) !== 'SelectStmt') throw error;
      return this.#calls(stripComments(sql), parameterTypes, session, error);
    });
  }

  /** A SELECT whose functions are run before it. @throws cause where they cannot */
  async #calls(
    sql: string,
    parameterTypes: readonly number[],
    session: SessionPort,
    cause: ClarusError,
  ): Promise<ProtectedPlan> {
    const analysis = await session.analyse(sql, parameterTypes);
    return planSelectCalls(parseOne(sql), analysis, session, cause, this.#parts(session));
  }

  /** Where parameters may hold protected values, it is a plan that shows the cloud none of them. */
  async #withoutBodies(
    raw: RawNode,
    sql: string,
    parameterTypes: readonly number[],
    session: SessionPort,
  ): Promise<Plan> {
    const { secrets } = session;
    if (!secrets || secrets.size === 0) return this.#planned(raw, sql, parameterTypes, session);
    const plan = await this.#planned(raw, sql, parameterTypes, session);
    if (!showsAny(plan, secrets)) return plan;
    const text = deparse(hidden(parseOne(sql), secrets));
    const analysis = await session.analyse(text, parameterTypes);
    const homes = await this.homes(session);
    const touch = await touchOf(analysis, session, homes);
    const cause = new ClarusError(
      '0A000',
      'a value that may depend on a protected column would come to the open',
      {
        detail: 'It stands in a variable of a function or DO block.',
      },
    );
    const splitting = { analysis, touch, homes, session, cause, plan: this.#parts(session) };
    return planSplitStatement(parseOne(text), text, splitting);
  }

  async #planned(
    raw: RawNode,
    sql: string,
    parameterTypes: readonly number[],
    session: SessionPort,
  ): Promise<Plan> {
    const clean = stripComments(sql);
    const analysis = await analysed(raw, clean, parameterTypes, session);
    const catalog = session.catalog();
    const homes = await this.homes(session);
    const { shape } = analysis;
    const cursor = raw.DeclareCursorStmt && child(raw.DeclareCursorStmt, 'query');
    // views in the query of a cursor are expanded when it is opened only
    const read = cursor ? await session.analyse(deparse(cursor), shape.parameterTypes) : analysis;
    const touch = mustBeProven(await touchOf(read, session, homes));
    const secured = isApplied(read, session);
    if (secured) await refuseExempt(session);
    if (touch.routines && !secured && !session.internal) await refuseSecuredRoutines(touch.routines, session);
    if (!session.internal && (isOfWrite(raw) || touch.routines?.writes))
      await refuseSecuredTriggers(touch.tables, session);
    mustOnlyRead(read, touch.tables, catalog);
    if (touch.seeds || (touch.homes.has('settings') && /seed|\$/i.test(clean)))
      session.randomness.seeded = true;
    const tables = touch.tables.filter(t => t.state === 'protected');
    if (touch.temporary.size > 0) {
      if (secured) throw securedRefusal('a statement over temporary tables');
      return planTemporary(raw, clean, {
        analysis,
        touch,
        homes,
        session,
        plan: this.#parts(session),
        planIn: within => this.#parts(within),
        source: (statement, types) => this.source(statement, session, types),
      });
    }
    const named = await inFull(clean, analysis, treesOf([analysis, read]), homes, session);
    if (named?.sql) return this.#query(parseOne(named.sql), named.sql, parameterTypes, session);
    const momentary = holdsMoment(raw);
    let absent: ClarusError | undefined;
    if (touch.views && firesInsteadOf(read, catalog)) {
      if (secured) throw securedRefusal('a write that fires triggers');
      return planWriteInsteadOf(
        clean,
        { analysis, touch, homes, session, plan: this.#parts(session) },
        momentary,
      );
    }
    const sequences = await placeSequences(touch.sequences, raw, session);
    if (
      tables.length === 0 &&
      !secured &&
      !(cursor && (await isOverCatalogue(cursor, read.shape, touch, homes, session)))
    ) {
      const own =
        touch.catalogue && session.residual
          ? await withoutOwnObjects(clean, shape, session, homes)
          : undefined;
      const touched = own ? await touchOf(own.analysis, session, homes) : touch;
      const placed = place(raw, clean, shape, touched, sequences, momentary);
      if (placed.kind === 'pass') refuseIdentifiers(raw, touched);
      if (placed.kind === 'pass' && named) refuseCatalogueOfCloud(treesOf([read]));
      if (placed.kind === 'pass')
        absent =
          (await ofRowType(read, touch, session)) ?? (await absence(parseOne(clean), read, touch, session));
      if (placed.kind !== 'pass' || !(named?.cause ?? absent))
        return placed.kind === 'trusted' && own ? { ...placed, ...inPlaceOf(raw, own) } : placed;
    }
    // Locations in the raw tree must be those of the text that was analysed.
    const fresh = clean === sql ? raw : parseOne(clean);
    const dated = momentary
      ? await withMoment(fresh, analysis, session)
      : (withSetsSelected(fresh, analysis) ?? (await withWholeColumns(fresh, touch.query, session)));
    if (dated) {
      const written = deparse(dated);
      return this.#query(parseOne(written), written, parameterTypes, session);
    }
    if (fresh.ExplainStmt)
      return planExplained(fresh, { analysis, touch, session, plan: this.#parts(session) });
    if (cursor)
      return planCursorOver(fresh, shape, homes, session, {
        parts: this.#parts(session),
        query: (node, text) => this.#query(node, text, shape.parameterTypes, session),
      });
    const compilation = this.#compiling(catalog, homes, analysis.shape, session, sequences.trusted);
    const unsaid = secured ? securedCause() : (named?.cause ?? absent);
    const pushed = unsaid
      ? Promise.reject<ProtectedPlan>(unsaid)
      : planPushed(fresh, analysis, touch, tables, compilation, session);
    const plan = await pushed.catch(error => {
      if (!(error instanceof ClarusError) || error.code !== '0A000') throw error;
      // rows that a cursor keeps on the trusted side are no longer those of the table
      if (child(fieldsOf(fresh), 'whereClause')?.CurrentOfExpr) throw error;
      const splitting: SplitPlanning = {
        analysis,
        touch,
        homes,
        session,
        cause: error,
        plan: this.#parts(session),
      };
      return planSplitStatement(fresh, clean, splitting);
    });
    // a table that is carried is not merged into, and has no indexes by which rows could conflict
    const isOfTables = fresh.MergeStmt !== undefined || fresh.InsertStmt?.onConflictClause !== undefined;
    const isChecked = !(isOfTables && tables.some(table => isInTree(catalog, table)));
    const whole = isChecked ? clean : undefined;
    const checked = plan.command === 'SELECT' ? (shape.parameterTypes.length ? 'SELECT' : undefined) : whole;
    return {
      ...plan,
      ...(checked === undefined ? {} : { check: physical(checked, shape.parameterTypes) }),
      ...(sequences.trusted.size > 0 ? { homed: true } : {}),
    };
  }

  /** Plans a query whose constants no cloud may see, because they go to protected columns. */
  async source(sql: string, session: SessionPort, types: readonly number[] = []): Promise<Plan> {
    const raw = parseOne(sql);
    const plan = await this.#query(raw, sql, types, session);
    const isSplit = plan.kind === 'protected' && /^(split|parts)$/.test(plan.body.kind);
    if (plan.kind === 'trusted' || isSplit) return plan;
    const analysis = await session.analyse(sql, types);
    const dated = holdsMoment(raw) ? await withMoment(raw, analysis, session) : undefined;
    if (dated) return this.source(deparse(dated), session, types);
    const homes = await this.homes(session);
    const touch = mustBeProven(await touchOf(analysis, session, homes));
    const cause = new ClarusError('0A000', 'the query cannot be run on the trusted side', {
      detail: 'What it computes would be written to protected columns.',
      hint: 'Create the table first, then fill it with INSERT.',
    });
    return planSplitQuery(raw, sql, { analysis, touch, homes, session, cause, plan: this.#parts(session) });
  }

  /** Plans parts of a statement as statements of their own. */
  #parts(session: SessionPort): SplitPlanning['plan'] {
    return (raw, sql, types) => this.#plan(raw, sql, types, session);
  }

  /** Plans a query that we wrote ourselves: its tree's locations are those of the text. */
  #written(sql: string, session: SessionPort, parameterTypes: readonly number[] = []): Promise<Plan> {
    return this.#query(parseOne(sql), sql, parameterTypes, session);
  }

  async #explain(
    raw: RawNode,
    sql: string,
    parameterTypes: readonly number[],
    session: SessionPort,
  ): Promise<Plan> {
    if (!asksClarus(raw)) return this.#query(raw, sql, parameterTypes, session);
    return planClarus(raw.ExplainStmt!, {
      plan: node => this.#parts(session)(parseOne(deparse(node)), deparse(node), parameterTypes),
      source: node => this.source(deparse(node), session),
    });
  }

  async #touch(raw: RawNode, session: SessionPort): Promise<{ analysis: Analysis; touch: Touch }> {
    const analysis = await session.analyse(deparse(raw), []);
    const touch = await touchOf(analysis, session, await this.homes(session));
    mustBeProven(touch);
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
    this.#homes ??= readFunctionHomes(session.trusted);
    try {
      return await this.#homes;
    } catch (error) {
      this.#homes = undefined;
      throw error;
    }
  }
}

/** The texts of the body that CREATE FUNCTION gives. */
const bodiesIn = (node: RawNode): readonly string[] =>
  list(node.CreateFunctionStmt!, 'options')
    .map(fieldsOf)
    .filter(option => text(option, 'defname') === 'as')
    .flatMap(option => list((option.arg as RawNode).List ?? {}, 'items').map(stringOf));

const isOfWrite = (raw: RawNode): boolean => !raw.SelectStmt || raw.SelectStmt.withClause !== undefined;
