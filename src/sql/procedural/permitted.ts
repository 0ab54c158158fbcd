/** Statements that bodies may hold. */
import { ClarusError } from '../../errors.js';
import { kindOf, type RawFields, type RawNode, text, visit } from '../raw/node.js';
import { withinBodies } from '../settings.js';

/**
 * PostgreSQL refuses some statements in bodies as well; those that act on the session are refused because it is the
 * session's own commands that keep both sides in step.
 * @throws ClarusError 0A000
 */
export function mustBeAllowed(raw: RawNode): void {
  const kind = kindOf(raw);
  if (kind === 'TransactionStmt')
    throw new ClarusError('0A000', 'unsupported transaction command in PL/pgSQL', {
      hint: 'Use a block with EXCEPTION.',
    });
  visit(raw, inner => {
    if (inner === 'CurrentOfExpr')
      throw new ClarusError('0A000', 'WHERE CURRENT OF is not answered within a function or DO block', {
        hint: 'Name the row by its key.',
      });
  });
  if (kind === 'CopyStmt')
    throw new ClarusError('0A000', 'COPY is not answered within a function or DO block');
  if (raw.VariableSetStmt && isFollowed(raw.VariableSetStmt)) return;
  if (
    /^(VariableSet|VariableShow|Prepare|Execute|Deallocate|Discard|DeclareCursor|Load|Lock)Stmt$/.test(kind)
  )
    throw new ClarusError(
      '0A000',
      'statements about the session are not answered within a function or DO block',
      { hint: 'Send them by themselves.' },
    );
}

/** SET and RESET of one setting that bodies may set. */
const isFollowed = (set: RawFields): boolean =>
  /^VAR_(SET_VALUE|SET_DEFAULT|RESET)$/.test(String(set.kind)) &&
  withinBodies(text(set, 'name') ?? '') !== undefined;
