/** EXECUTE in PL/pgSQL. */
import { ClarusError } from '../../errors.js';
import { parseStatements } from '../raw/parse.js';
import { mustNotDepend } from '../raw/string-literals.js';
import type { Frame } from './frame.js';
import { mustBeAllowed } from './permitted.js';
import type { Outcome } from './run.js';
import type { Tracking } from './tracking.js';
import { textOf, typeText, type Value } from './types.js';
import { Scope } from './variables.js';

/**
 * Runs the statement that an expression gives.
 * @param using expressions of its parameters
 * @throws ClarusError 0A000 where the text depends on protected values: the cloud would read it; 22004
 */
export async function runDynamic(
  text: string,
  using: readonly string[],
  scope: Scope,
  frame: Frame,
  tracking: Tracking,
): Promise<Outcome> {
  const sql = await frame.types.assigned(await frame.evaluate(text, scope), typeText);
  const query = textOf(sql);
  if (query === null) throw new ClarusError('22004', 'query string argument of EXECUTE is null');
  if (sql.secret)
    throw new ClarusError('0A000', 'the text of EXECUTE may depend on a protected column', {
      detail: 'A cloud would read it.',
      hint: 'Write $1 in the text, and give the value in USING.',
    });
  mustNotDepend([query], frame.execution.session.settings, 'the text of EXECUTE');
  const [statement, ...more] = parseStatements(query);
  if (!statement) return { rows: [], columns: [], secret: [], tag: '', isQuery: false, secretCount: false };
  if (more.length > 0)
    throw new ClarusError('0A000', 'several statements in one EXECUTE are not answered yet', {
      hint: 'Execute them one by one.',
    });
  if (statement.node.SelectStmt?.intoClause)
    throw new ClarusError('0A000', 'EXECUTE of SELECT ... INTO is not implemented', {
      hint: 'You might want to use EXECUTE ... INTO or EXECUTE CREATE TABLE ... AS instead.',
    });
  mustBeAllowed(statement.node);
  const values: Value[] = [];
  for (const expression of using) values.push(await frame.evaluate(expression, scope));
  if (scope.relations.length === 0)
    return tracking.running(statement.text, frame.execution.run({ sql: statement.text, values }));
  // of the names of the body, the text means its relations only
  const given = new Scope(undefined, undefined, statement);
  for (const relation of scope.relations) given.declareRelation(relation);
  for (const [i, value] of values.entries())
    given.declare({
      kind: 'scalar',
      name: `$${i + 1}`,
      type: value.type,
      constant: true,
      notNull: false,
      value,
    });
  return tracking.running(statement.text, frame.execution.run(await frame.bound(statement.text, given)));
}
