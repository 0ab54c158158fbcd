/**
 * The name of the role that a session acts as, where statements ask for it. The cloud has one user for all and hears of no
 * role: the answer is written into what it is sent.
 */
import { ClarusError } from '../../errors.js';
import { castTo, child, fieldsOf, list, type RawFields, type RawNode, rewrite, text } from '../raw/node.js';

/** The user of the session, where SET SESSION AUTHORIZATION has said another. */
const ofSession = 'SVFOP_SESSION_USER';

/** SQL's words for it, with the name that a column of a result gets by each (FigureColname in parse_target.c). */
const words: Readonly<Record<string, string>> = {
  SVFOP_CURRENT_ROLE: 'current_role',
  SVFOP_CURRENT_USER: 'current_user',
  SVFOP_USER: 'user',
  [ofSession]: 'session_user',
};

const asked = (node: RawNode | undefined): string | undefined =>
  node?.SQLValueFunction && words[String(node.SQLValueFunction.op)];

/**
 * A statement with the role's name in place of CURRENT_USER, CURRENT_ROLE and USER, and with that of the session's user in
 * place of SESSION_USER.
 * @param user undefined: the session's own, which each side knows
 * @returns undefined: it asks for none
 * @throws ClarusError 0A000 where one stands for a relation in FROM
 */
export function withOwnName(raw: RawNode, role: string, user?: string): RawNode | undefined {
  let found = false;
  const written = rewrite(
    rewrite(raw, (kind, fields) => nameOfColumn(kind, fields)),
    (kind, fields) => {
      if (asked({ [kind]: fields }) === undefined) return undefined;
      const name = fields.op === ofSession ? user : role;
      if (name === undefined) return undefined;
      found = true;
      return castTo({ A_Const: { sval: { sval: name } } }, 'name');
    },
  );
  return found ? written : undefined;
}

/** A column of a result that is named by the word keeps its name. */
function nameOfColumn(kind: string, fields: RawFields): RawNode | undefined {
  if (kind === 'RangeFunction') refuseIn(fields);
  if (kind !== 'ResTarget' || text(fields, 'name') !== undefined) return undefined;
  let value = child(fields, 'val');
  while (value && (value.TypeCast ?? value.CollateClause)) value = child(fieldsOf(value), 'arg');
  const name = asked(value);
  return name === undefined ? undefined : { ResTarget: { ...fields, name } };
}

function refuseIn(range: RawFields): void {
  for (const { List: one } of list(range, 'functions'))
    if (list(one ?? {}, 'items').some(item => asked(item) !== undefined))
      throw new ClarusError(
        '0A000',
        'CURRENT_USER as a relation in FROM is not answered under another role',
        {
          hint: 'Ask for it in the select list.',
        },
      );
}
