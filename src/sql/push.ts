/** Statements that the cloud answers alone, over encodings. */
import { generatedWith, type LogicalTable } from '../catalog/catalog.js';
import { ClarusError } from '../errors.js';
import type { Node } from './analysed/node.js';
import { checksOf } from './checks/table-checks.js';
import type { Compilation } from './compilation.js';
import { defaultsOf } from './defaults.js';
import type { ProtectedPlan } from './plan.js';
import type { Analysis, SessionPort } from './ports.js';
import { fieldsOf, kindOf, list, type RawNode, text } from './raw/node.js';
import { refuseUnanswered } from './read/answered.js';
import { refuseHiddenNames } from './read/hidden-names.js';
import { planSelect } from './read/select.js';
import { refuseSample } from './split/sample-condition.js';
import { refuseAbsentTypes, textsIn } from './standing.js';
import { refuseRowTypes } from './statements-of-row-types.js';
import type { Touch } from './touch.js';
import { refuseTrees } from './trees.js';
import { refuseTriggered } from './triggers/plan.js';
import { planInsert } from './write/insert.js';
import { planDelete, planUpdate } from './write/modify.js';
import { flow, writtenTable } from './write/target.js';

/**
 * @param tables the protected ones that it touches
 * @throws ClarusError 0A000 for what no encoding answers
 */
export async function planPushed(
  raw: RawNode,
  analysis: Analysis,
  touch: Touch,
  tables: readonly LogicalTable[],
  compilation: Compilation,
  session: SessionPort,
): Promise<ProtectedPlan> {
  const query = touch.query!;
  refuseSample(raw);
  if (touch.routines)
    throw new ClarusError(
      '0A000',
      'a function of users together with a protected table is not pushed to the cloud',
    );
  if (touch.views)
    throw new ClarusError('0A000', 'a view over a protected table is not answered yet', {
      hint: 'Select from the table itself.',
    });
  if (touch.catalogue)
    throw new ClarusError(
      '0A000',
      'a protected table together with the system catalogue is not answered yet',
    );
  refuseTrees(query, compilation.catalog);
  const plan = await planOver(raw, query, tables, compilation, session);
  refuseUnanswered(query, compilation);
  await refuseRowTypes(analysis, touch, textsIn(plan.body), session);
  await refuseAbsentTypes(raw, plan.body, session);
  return plan;
}

/** Plans over encodings; what was not answered is for the caller to find. */
async function planOver(
  raw: RawNode,
  query: Node,
  tables: readonly LogicalTable[],
  compilation: Compilation,
  session: SessionPort,
): Promise<ProtectedPlan> {
  const { catalog } = compilation;
  refuseHiddenNames(raw, tables);
  if (kindOf(raw) === 'SelectStmt') return planSelect(raw, query, compilation);
  const target = writtenTable(query, catalog);
  if (target?.state !== 'protected') throw flow(tables[0]!, target);
  await refuseTriggered(query, session);
  switch (kindOf(raw)) {
    case 'InsertStmt':
    case 'UpdateStmt': {
      refuseGenerated(raw, target);
      const plan = kindOf(raw) === 'InsertStmt' ? planInsert : planUpdate;
      const [defaults, checks] = [await defaultsOf(target, session), await checksOf(target, session)];
      return plan(raw, query, target, defaults, checks, compilation);
    }
    case 'DeleteStmt':
      return planDelete(raw, query, target, compilation);
    default:
      throw new ClarusError(
        '0A000',
        `${kindOf(raw).replace('Stmt', '').toUpperCase()} on protected table "${target.name}" is not answered yet`,
      );
  }
}

/** @throws ClarusError 0A000 where columns are computed from what is written, once all of that is known */
function refuseGenerated(raw: RawNode, table: LogicalTable): void {
  const names = list(fieldsOf(raw), 'targetList').map(target => text(fieldsOf(target), 'name') ?? '');
  const computed = table.columns.find(
    ({ name, generatedFrom }) => generatedFrom && (raw.InsertStmt || names.includes(name)),
  );
  const [found] = computed ? [computed] : generatedWith(table, names);
  const key = raw.InsertStmt || !table.columns.includes(found!) ? table.computedKeys?.[0] : undefined;
  if (key && (raw.InsertStmt || found))
    throw new ClarusError(
      '0A000',
      `what the unique index "${key.name}" of table "${table.name}" stands on is computed on the trusted side`,
      { constraint: key.name },
    );
  if (found)
    throw new ClarusError(
      '0A000',
      `the generated column "${found.name}" of table "${table.name}" is computed on the trusted side`,
      { column: found.name },
    );
}
