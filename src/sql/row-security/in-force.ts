/**
 * Row level security as PostgreSQL's rewriter has put it into a statement (get_row_security_policies of rowsecurity.c). The
 * trusted backend analyses as the role that the session acts as, so its trees say which policies count for that role. The
 * cloud has one user for all and enforces none: such a statement is run by the trusted PostgreSQL as the role, over carriers,
 * where PostgreSQL applies the policies itself.
 */
import { ClarusError } from '../../errors.js';
import { flag, isNode, type Node, nodesIn, numberIn, readNodes, type Value, walk } from '../analysed/node.js';
import type { FunctionHomes } from '../functions.js';
import type { Analysis } from '../ports.js';
import { isOfApplication, ofSettings, settingRead } from '../setting-names.js';

/** WCO_VIEW_CHECK of WCOKind (parsenodes.h); the others are of policies */
const VIEW_CHECK = 0;
/** Policies are told by fields of these names: of entries of the range table, and of queries. */
const fields = ['securityQuals', 'withCheckOptions'] as const;

/** Are policies applied to a statement? Not where its role is exempt from those of all tables that it names. */
export function isSecured({ rewritten }: Pick<Analysis, 'rewritten'>): boolean {
  let found = false;
  for (const text of rewritten) {
    if (!text.includes(':hasRowSecurity true')) continue;
    for (const tree of readNodes(text))
      walk(tree, node => {
        if (node.kind === 'QUERY' && flag(node, 'hasRowSecurity')) found ||= appliesSome(node);
        return !found;
      });
  }
  return found;
}

const appliesSome = (query: Node): boolean =>
  nodesIn(query, 'rtable').some(entry => nodesIn(entry, 'securityQuals').length > 0) ||
  nodesIn(query, 'withCheckOptions').some(option => numberIn(option, 'kind') !== VIEW_CHECK);

/** Trees without what policies have added to them: what the statement and its views say. */
export const withoutPolicies = (trees: readonly Node[]): readonly Node[] => trees.map(without);

const without = <T extends Value>(value: T): T => {
  if (Array.isArray(value)) return value.map(without) as unknown as T;
  if (!isNode(value)) return value;
  const kept = Object.entries(value.fields).map(([name, field]) => [
    name,
    (fields as readonly string[]).includes(name) ? null : without(field),
  ]);
  return { ...(value as Node), fields: Object.fromEntries(kept) } as unknown as T;
};

/** The expressions of policies in a statement. */
function policiesIn(trees: readonly Node[]): readonly Value[] {
  const found: Value[] = [];
  for (const tree of trees)
    walk(tree, node => {
      for (const name of fields) {
        const value = node.fields[name];
        if (value !== undefined && value !== null) found.push(value);
      }
      return true;
    });
  return found;
}

/** SQLValueFunctionOp up to here ask for dates and times (primnodes.h) */
const LAST_TIME = 8;
/** SVFOP_SESSION_USER (primnodes.h) */
const SESSION_USER = 12;
/** session_user() (pg_proc.dat), where a policy calls it as a function */
const sessionUserFunction = 746;

/**
 * Names of the settings of the session that the policies of a statement ask for.
 * @throws ClarusError 0A000 for a policy that asks for what is another on the trusted side: the time, a setting of the server
 */
export function settingsAsked({ rewritten }: Analysis, homes: FunctionHomes): readonly string[] {
  const names = new Set<string>();
  for (const expression of policiesIn(rewritten.flatMap(readNodes)))
    walk(expression, node => {
      if (node.kind === 'SQLVALUEFUNCTION') refuseValue(numberIn(node, 'op'));
      const called = numberIn(node, 'funcid');
      if (called === sessionUserFunction) refuseValue(SESSION_USER);
      if (ofSettings.has(called)) {
        const name = settingNamed(node);
        if (name !== 'role') names.add(name);
      } else if (node.kind === 'FUNCEXPR' && homes.home(called) === 'cloud')
        throw asks('what only the cloud answers, as the time of the transaction');
      return true;
    });
  return [...names];
}

function refuseValue(asked: number): void {
  if (asked <= LAST_TIME) throw asks('the time');
  if (asked === SESSION_USER) throw asks('SESSION_USER, which is another one there');
}

function settingNamed(call: Node): string {
  const name = settingRead(call);
  if (name === undefined) throw asks('a setting whose name it computes');
  if (!isOfApplication(name) && name !== 'role')
    throw asks(`the setting "${name}", which is not one of the application`);
  return name;
}

const asks = (what: string): ClarusError =>
  new ClarusError('0A000', 'a policy of row level security cannot be applied on the trusted side', {
    detail: `It asks for ${what}.`,
    hint: 'A policy may ask for columns, CURRENT_USER, settings of the application (current_setting with a dot in the name), and tables.',
  });
