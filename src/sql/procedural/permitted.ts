/** Statements that bodies may hold. */
import { ClarusError } from '../../errors.js';
import { kindOf, type RawNode, visit } from '../raw/node.js';

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
  if (
    /^(VariableSet|VariableShow|Prepare|Execute|Deallocate|Discard|DeclareCursor|Load|Lock)Stmt$/.test(kind)
  )
    throw new ClarusError(
      '0A000',
      'statements about the session are not answered within a function or DO block',
      { hint: 'Send them by themselves.' },
    );
}
