/** Statements as the fuzzer runs them: what is sent, by which protocol, and what of the answer is compared. */
import { Choices } from './choices.js';
import { query } from './queries.js';
import type { Schema } from './schema.js';
import { type Literal, Making, type Scope, type Written, written } from './scope.js';
import { special } from './specials.js';
import { write } from './writes.js';

/** How a statement is sent. */
export type Way = 'simple' | 'extended' | 'prepared' | 'copy' | 'cursor';

/** A generated statement. */
export interface Statement {
  readonly way: Way;
  readonly sent: Written;
  /** the order of its rows is total */
  readonly ordered: boolean;
  /** equal numbers may be written in different scales */
  readonly loose: boolean;
  /** it changes something: it runs in a transaction that is rolled back, and this shows what it did */
  readonly state: string | undefined;
  readonly changes: boolean;
  /** shows another session, while the transaction is open, what it may lock */
  readonly locks?: string | undefined;
  /** its rows are compared, not only whether it succeeds */
  readonly compared: boolean;
  readonly constructs: ReadonlySet<string>;
}

/** Kinds of statements. */
export type StatementKind = 'read' | 'write' | 'special';

const nothing: Scope = { columns: [], keys: undefined };

/** Makes a statement of a sequence of choices. @param only absent: of any kind */
export function makeStatement(numbers: readonly number[], schema: Schema, only?: StatementKind): Statement {
  const choices = new Choices(numbers);
  const sent = ['simple', 'simple', 'extended', 'extended', 'prepared', 'prepared'] as const;
  const way = choices.pick<Way>(only === undefined || only === 'read' ? [...sent, 'copy', 'cursor'] : sent);
  const parameters = way === 'extended' || way === 'prepared';
  const making = new Making(choices, schema, parameters);
  const rest = { way, loose: false };
  const kind: StatementKind =
    way === 'copy' || way === 'cursor'
      ? 'read'
      : only !== undefined
        ? only
        : choices.way<StatementKind>([63, () => 'read'], [26, () => 'write'], [11, () => 'special']);
  making.has(`by ${way}`);
  if (kind === 'write') {
    const { sql, state } = write(making);
    return {
      ...rest,
      sent: written(sql, making.literals),
      ordered: false,
      state,
      changes: true,
      compared: true,
      constructs: making.constructs,
    };
  }
  if (kind === 'special') {
    const { sql, state, locks, compared, ordered = false } = special(making, way !== 'simple');
    return {
      ...rest,
      loose: making.loose,
      sent: written(sql, making.literals),
      ordered,
      state,
      locks,
      changes: true,
      compared,
      constructs: making.constructs,
    };
  }
  const { sql, ordered } = query(making, nothing, choices.pick([2, 1, 0, 2]));
  return {
    ...rest,
    loose: making.loose,
    sent: sentAs(way, sql, making.literals),
    ordered,
    state: way === 'cursor' ? 'FETCH BACKWARD 2 FROM c' : undefined,
    changes: way === 'cursor',
    compared: true,
    constructs: making.constructs,
  };
}

function sentAs(way: Way, sql: string, literals: readonly Literal[]): Written {
  const { sql: text, values } = written(sql, literals);
  if (way === 'copy') return { sql: `COPY (${text}) TO STDOUT`, values };
  return { sql: text, values };
}
