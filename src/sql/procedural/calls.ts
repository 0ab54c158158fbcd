/** Runs statements whose calls run first. */
import { columnOf } from '../../crypto/column.js';
import { ClarusError } from '../../errors.js';
import { arrayOf } from '../../wire/arrays.js';
import { typeOids } from '../../wire/types.js';
import { collect, type Row } from '../execute/collect.js';
import { statement } from '../execute/convert.js';
import { cannotBeRun } from '../execute/given.js';
import { HeldRows } from '../execute/held-rows.js';
import { type Bound, named, type Portal } from '../execute/portal.js';
import { parametersOf } from '../operand.js';
import type { DataRows, ExecuteOutcome, SessionPort } from '../ports.js';
import { list, type RawNode, visit } from '../raw/node.js';
import { parseOne } from '../raw/parse.js';
import { versionsOf } from '../routines.js';
import { activityOf, at, within } from './activity.js';
import { mustBeOver } from './blocks.js';
import { type Call, type CallsBody, tellsNull } from './bodies.js';
import { Execution, Frame, rowOf } from './frame.js';
import { Interpreter } from './interpret.js';
import { sendNotification } from './notify.js';
import { Returned } from './returned.js';
import type { Routine } from './routine.js';
import { type RoutineServices, runStatement, StatementRows } from './run.js';
import { underClauses } from './set-clauses.js';
import { setSequence } from './set-sequence.js';
import { open, typeBool, type Value } from './types.js';
import { foundVariable, REFCURSOR, Scope, type Variable, variableOf } from './variables.js';

/** Bytes of rows that may be kept for a client that takes them in parts. */
const heldBytesMax = 64 * 1024 * 1024;

/** A parameter of the rest: a value, or an array of texts. */
interface Given {
  readonly value: Value;
  readonly format: 0 | 1;
}

/** A statement whose calls run when it is executed. */
export function bindCalls(body: CallsBody, bound: Bound, services: RoutineServices): Portal {
  const { session, plan, portal } = bound;
  let over = false;
  let held: HeldRows | undefined;
  return {
    async execute(maxRows) {
      if (over) {
        if (plan.command === 'CALL') throw new ClarusError('55000', cannotBeRun(portal));
        return held?.give(maxRows, session.client, plan.command) ?? { kind: 'complete', tag: 'SELECT 0' };
      }
      over = true;
      const atomic =
        plan.command !== 'CALL' || (activityOf(session).depth === 0 && session.transaction.block);
      await session.transaction.begin();
      const run = () => runCalls(body, bound, services);
      const parameters = await within(session, atomic, run, body.alone);
      if (maxRows > 0) held = new HeldRows(heldBytesMax, 'a query');
      const outcome = await giveRest(body, parameters, bound, held);
      return (await held?.give(maxRows, session.client, plan.command)) ?? outcome;
    },
    close: () => undefined,
  };
}

async function runCalls(body: CallsBody, bound: Bound, services: RoutineServices): Promise<readonly Given[]> {
  const { session } = bound;
  const parameters: Given[] = [...(await clientValues(body, bound))];
  let secret = false;
  for (const call of body.calls) {
    const values = call.given === undefined ? [] : await argumentsGiven(call, parameters, session, services);
    const returned = await underClauses(call.routine.clauses, session, () =>
      runRoutine(call.routine, values, session, services),
    );
    secret ||= returned.secret;
    parameters.push(...columnsOf(call.routine, returned));
  }
  await mustStandStill(body, session);
  if (session.client instanceof StatementRows)
    session.client.returnsSecrets = secret || body.secrets.size > 0;
  return parameters;
}

/** What the client gave, as texts. */
async function clientValues(
  { types, secrets }: CallsBody,
  { bound, session }: Bound,
): Promise<readonly Given[]> {
  const { values, formats } = bound;
  if (values.length === 0) return [];
  const given = types.slice(0, values.length);
  const sql = `SELECT ${given.map((_, i) => `$${i + 1}`).join(', ')}`;
  const [row] = await collect(session.trusted, statement(sql, given), values, formats, [0]);
  return row!.map((text, i) => ({
    value: { type: { oid: given[i]!, modifier: -1 }, text, secret: secrets.has(i + 1) },
    format: 0,
  }));
}

async function argumentsGiven(
  { given, parameters: count }: Call,
  parameters: readonly Given[],
  session: SessionPort,
  services: RoutineServices,
): Promise<readonly Value[]> {
  const raw = parseOne(given!);
  const used = new Set(parametersOf(raw));
  const values = parameters
    .slice(0, count)
    .map(({ value }, i) => (used.has(i) ? value : { ...value, text: null, secret: false }));
  const outcome = await runStatement(given!, values, session, services);
  const targets = list(raw.SelectStmt!, 'targetList');
  return rowOf(outcome, 0).map(({ value }, i) => ({
    ...value,
    secret: value.secret && !isOfOpenValues(targets[i]!, values),
  }));
}

/** Is an argument made of nothing but constants, and parameters that depend on no protected column? */
function isOfOpenValues(argument: RawNode, values: readonly Value[]): boolean {
  let isOpen = true;
  visit(argument, (kind, fields) => {
    if (kind === 'ParamRef') isOpen &&= !values[Number(fields.number) - 1]!.secret;
    else if (/^(SubLink|ColumnRef|FuncCall)$/.test(kind)) isOpen = false;
  });
  return isOpen;
}

/** Columns of what a call returned: of a set they are arrays of texts. */
function columnsOf(routine: Routine, { result, secret, isNull }: Returned): readonly Given[] {
  const columns = routine.columns.map(({ type }, i): Given => {
    if (!routine.isSet) return { value: { type, text: result[0]?.[i] ?? null, secret }, format: 0 };
    const texts = arrayOf(columnOf(result.map(row => row[i]!)), typeOids.text);
    return { value: { type: { oid: 1009, modifier: -1 }, text: texts, secret }, format: 1 };
  });
  if (!tellsNull(routine)) return columns;
  return [...columns, { value: { ...open(isNull ? 't' : 'f', typeBool), secret }, format: 0 }];
}

/** Runs a body with its arguments. */
async function runRoutine(
  routine: Routine,
  given: readonly Value[],
  session: SessionPort,
  services: RoutineServices,
): Promise<Returned> {
  const found = foundVariable();
  const execution = new Execution(session, services);
  const frame = new Frame(execution, routine.body.kind === 'sql' ? 'column' : 'neither');
  const scope = new Scope(undefined, routine.name, routine.body);
  const outputs: Variable[] = [];
  let next = 0;
  let isNull = false;
  for (const [i, { name, mode, type }] of routine.parameters.entries()) {
    const variable = await variableOf(name, type, execution.types);
    if (mode === 'in' || mode === 'inout') {
      const value = given[next++]!;
      isNull ||= value.text === null;
      const assigned = await execution.types.assigned(value, type);
      if (variable.kind === 'row') await frame.assignRowValue(variable, assigned);
      else variable.value = assigned;
    }
    if (mode !== 'in') outputs.push(variable);
    if (name !== '') scope.declare(variable);
    scope.declare(variable, `$${i + 1}`);
  }
  const { columns, isSet, isRow, rowType, isVoid } = routine;
  const returned = new Returned(
    { columns, outputs: outputs.length > 0 ? outputs : undefined, isSet, isRow, rowType, isVoid },
    found,
  );
  if (routine.isStrict && isNull) {
    if (!isSet) returned.none();
    return returned;
  }
  if (routine.body.kind === 'notify') {
    await sendNotification(given, session, services.payloads);
    return returned;
  }
  if (routine.body.kind === 'setval') {
    returned.result.push([await setSequence(given, session)]);
    return returned;
  }
  if (routine.body.kind === 'sql') {
    await runStatements(routine, routine.body.statements, frame, scope, returned);
    return returned;
  }
  scope.declare(found);
  const interpreter = new Interpreter(frame, returned, activityOf(session), routine.signature);
  mustBeOver(await interpreter.body(routine.body.block, scope));
  await returned.ended(frame);
  mustGiveNoCursor(routine, returned, session);
  return returned;
}

/**
 * What bodies have opened is closed when the outermost ends.
 * @throws ClarusError 0A000 where that returns an open one
 */
function mustGiveNoCursor({ columns }: Routine, { result }: Returned, session: SessionPort): void {
  const { depth, cursors } = activityOf(session);
  if (depth > 1) return;
  for (const [i, { type }] of columns.entries())
    if (type.oid === REFCURSOR)
      for (const row of result)
        if (row[i] && cursors.has(Buffer.from(row[i]).toString()))
          throw new ClarusError(
            '0A000',
            'an open cursor that a function returns to the client is not answered yet',
            { hint: 'Return the rows (RETURN QUERY), or DECLARE the cursor in a statement of its own.' },
          );
}

/** A body in SQL: its last statement gives what it returns. */
function runStatements(
  { name }: Routine,
  statements: readonly string[],
  frame: Frame,
  scope: Scope,
  returned: Returned,
): Promise<void> {
  const place = { kind: 'sql' as const, name, statement: 1 };
  return at(activityOf(frame.execution.session), place, async () => {
    for (const [i, sql] of statements.entries()) {
      await frame.execution.step();
      place.statement = i + 1;
      const outcome = await frame.run(sql, scope);
      if (i === statements.length - 1 && !returned.shape.isVoid) await returned.last(outcome, frame);
    }
  });
}

/** @throws ClarusError 40001 where a routine was replaced while it ran */
async function mustStandStill({ calls }: CallsBody, session: SessionPort): Promise<void> {
  const versions = new Map(calls.map(({ routine: { oid, version } }) => [oid, version]));
  const sorted = [...versions].sort(([a], [b]) => a - b);
  const now = await versionsOf([...versions.keys()], session.trusted);
  if (now !== sorted.map(([oid, version]) => `${oid} ${version}`).join())
    throw new ClarusError('40001', 'a function was replaced while it ran', { hint: 'Try again.' });
}

/** Gives the client what the rest of the statement makes of what the calls have returned. */
async function giveRest(
  { rest }: CallsBody,
  parameters: readonly Given[],
  { session, formats, plan }: Bound,
  held: HeldRows | undefined,
): Promise<ExecuteOutcome> {
  if (!rest) return { kind: 'complete', tag: plan.command };
  const values: Row = parameters.map(({ value }) => value.text);
  const port = session.trusted;
  const portal = port.bind(
    rest,
    values,
    { parameters: parameters.map(({ format }) => format), results: formats },
    named,
  );
  const done = portal.execute(0, {
    rows: ({ buffer, starts, count }: DataRows) => {
      if (count === 0) return;
      const last = starts[count - 1]! - 4;
      const rows = buffer.subarray(starts[0]! - 5, last + buffer.readInt32BE(last));
      if (!held) return session.client.write(Buffer.from(rows));
      held.writer.bytes(rows);
      held.written();
    },
  });
  port.flush();
  const outcome = await done;
  portal.close();
  return plan.command === 'CALL' ? { kind: 'complete', tag: 'CALL' } : outcome;
}
