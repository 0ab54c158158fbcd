/**
 * The state of planning one statement over protected tables: its operands, and the tables it uses. Operands
 * stand in the rewritten tree as parameters with numbers above every number a client can use; `finish`
 * numbers all parameters anew, so that a client's parameter that only protected columns see is never sent.
 */
import {
  type Catalog,
  encodingOf,
  type LogicalColumn,
  type LogicalTable,
  ROW_COLUMN,
} from '../catalog/catalog.js';
import type { Answer, EncodedColumn, Encoding, Question } from '../encodings/encoding.js';
import { type EncodingRegistry, encodingNamed } from '../encodings/registry.js';
import { ClarusError } from '../errors.js';
import type { Node } from './analysed/node.js';
import { apart, callsSequence } from './functions.js';
import { spelled } from './opaque/index.js';
import type { ManySource, OperandPlan, OperandSource, ValueContext } from './operand.js';
import { parametersOf } from './operand.js';
import type { PhysicalStatement, Shape } from './plan.js';
import { deparse } from './raw/deparse.js';
import { castTo, columnRef, paramRef, type RawNode, renumberAll } from './raw/node.js';
import { parseExpression } from './raw/parse.js';

/** First number of operand parameters: PostgreSQL takes at most 65535 from a client. */
const FIRST_OPERAND = 100_000;

/** Where a physical parameter comes from at execution. */
export type ParameterSource =
  | { readonly kind: 'client'; readonly index: number }
  | { readonly kind: 'operand'; readonly operand: number; readonly part: number };

/** A statement for the cloud with the sources of its parameters. */
export interface CloudStatement {
  readonly statement: PhysicalStatement;
  readonly parameters: readonly ParameterSource[];
}

/** A table reference in FROM, or the target of a write. */
export interface TableUse {
  readonly table: LogicalTable;
  /** name by which its columns are qualified */
  readonly alias: string;
}

const physicalTypeOids: Readonly<Record<string, number>> = {
  uuid: 2950,
  'uuid[]': 2951,
  bytea: 17,
  'bytea[]': 1001,
  int8: 20,
  'int8[]': 1016,
  int4: 23,
  text: 25,
  numeric: 1700,
  float8: 701,
};

let statements = 0;
/** Gives a physical statement its number. */
export const physical = (sql: string, parameterTypes: readonly number[]): PhysicalStatement => ({
  id: ++statements,
  sql,
  parameterTypes,
});

/** The state for one statement: encodings are asked by it, and operands are registered in it. */
export class Compilation {
  readonly operands: OperandPlan[] = [];
  /** placeholder number -> operand and part */
  readonly #placeholders = new Map<number, { operand: number; part: number; type: string }>();

  constructor(
    readonly catalog: Catalog,
    readonly registry: EncodingRegistry,
    readonly values: ValueContext,
    /** references to protected columns, of the analysed tree, that an encoding answers for */
    readonly answered: Set<Node> = new Set(),
  ) {}

  get shape(): Shape {
    return this.values.shape;
  }

  /** Registers an operand and returns its placeholders. */
  operand(
    source: OperandSource | ManySource,
    encode: OperandPlan['encode'],
    types: readonly string[],
    lookUps: OperandPlan['lookUps'] | undefined,
    used: OperandPlan['used'],
  ): RawNode[] {
    const operand = this.operands.push({ source, encode, types, lookUps: lookUps ?? [], used }) - 1;
    return types.map((type, part) => this.placeholder(operand, part, type));
  }

  /** A parameter that execution fills. */
  placeholder(operand: number, part: number, type: string): RawNode {
    const number = FIRST_OPERAND + this.#placeholders.size;
    this.#placeholders.set(number, { operand, part, type });
    // A type without a well-known OID is said by a cast.
    return physicalTypeOids[type] === undefined ? castTo(paramRef(number), type) : paramRef(number);
  }

  /**
   * Asks the encodings of a column; the first that answers exactly wins.
   */
  answer(
    column: LogicalColumn,
    question: Question,
  ): { answer: Answer; encoded: EncodedColumn; encoding: Encoding } | undefined {
    for (const { kind, encoded } of column.protection?.encodings ?? []) {
      const encoding = encodingNamed(this.registry, kind);
      const answer = encoding.answers(encoded, question);
      if (answer && answer.exactness === 'exact') return { answer, encoded, encoding };
    }
    return undefined;
  }

  /** The expression of an answer as a raw tree, its roles replaced by columns and its operands by placeholders. */
  expression(
    answer: Answer,
    encoded: EncodedColumn,
    alias: string,
    operands: readonly RawNode[],
    other?: { encoded: EncodedColumn; alias: string },
  ): RawNode {
    const sql = answer.sql.replace(
      /\{([a-z]+:)?([A-Za-z0-9_]+)\}/g,
      (whole, prefix: string | undefined, role: string) => {
        if (prefix === 'table:') return named(encoded.tables[role], whole);
        if (prefix === 'other:') return `${quoted(other?.alias)}.${quoted(other?.encoded.columns[role])}`;
        if (prefix !== undefined) throw new Error(`unknown placeholder ${whole}`);
        if (/^\d+$/.test(role)) return `$${FIRST_OPERAND - Number(role)}`;
        if (role === 'row') return `${quoted(alias)}.${quoted(ROW_COLUMN)}`;
        return `${quoted(alias)}.${quoted(encoded.columns[role])}`;
      },
    );
    return renumberAll(parseExpression(sql), number => operands[FIRST_OPERAND - number - 1]);
  }

  /** The row id of a table reference. */
  rowId(alias: string): RawNode {
    return columnRef(alias, ROW_COLUMN);
  }

  /**
   * Numbers the parameters of a finished tree and writes it as SQL.
   * @param alsoProtected client parameters (from 0) that writes protect
   * @throws ClarusError 0A000 where a client's parameter goes both to a protected and to an unprotected place
   */
  finish(tree: RawNode, alsoProtected: ReadonlySet<number> = new Set()): CloudStatement {
    if (this.values.sequences.size > 0 && callsSequence(tree)) throw apart();
    const numbers = new Map<number, number>();
    const parameters: ParameterSource[] = [];
    const types: number[] = [];
    const protectedOnes = new Set([...this.clientParametersOfOperands(), ...alsoProtected]);
    for (const index of parametersOf(tree)) {
      const number = index + 1;
      numbers.set(number, parameters.length + 1);
      const placeholder = this.#placeholders.get(number);
      if (placeholder) {
        parameters.push({ kind: 'operand', operand: placeholder.operand, part: placeholder.part });
        types.push(physicalTypeOids[placeholder.type] ?? 0);
      } else {
        if (protectedOnes.has(index)) throw flowsTwice(number);
        parameters.push({ kind: 'client', index });
        const type = this.shape.parameterTypes[index] ?? 0;
        types.push(type < 16384 ? type : 0);
      }
    }
    const sql = deparse(renumberAll(tree, number => paramRef(numbers.get(number)!)));
    // What cannot be said in hidden names is finished on the trusted side.
    spelled(sql, this.catalog.tables);
    return { statement: physical(sql, types), parameters };
  }

  /** Client parameters (from 0) that operands read. */
  clientParametersOfOperands(): Set<number> {
    const found = new Set<number>();
    const see = (source: OperandSource | ManySource): void => {
      switch (source.kind) {
        case 'parameter':
          found.add(source.index);
          break;
        case 'expression':
          for (const index of source.parameters) found.add(index);
          break;
        case 'list':
          source.items.forEach(see);
          break;
        case 'array':
          see(source.array);
          break;
        case 'constant':
          break;
      }
    };
    for (const { source } of this.operands) see(source);
    return found;
  }
}

const quoted = (name: string | undefined): string => `"${(name ?? '').replaceAll('"', '""')}"`;
function named(name: string | undefined, placeholder: string): string {
  if (name === undefined) throw new Error(`the encoding has no ${placeholder}`);
  return name;
}

const flowsTwice = (number: number): ClarusError =>
  new ClarusError('0A000', `parameter $${number} goes to a protected column and to an unprotected place`, {
    hint: 'Pass the value twice, as two parameters, if the unprotected place may show it to the cloud.',
  });

/** The encoding that gives a protected column's values back. */
export function openingEncoding(
  registry: EncodingRegistry,
  column: LogicalColumn,
): { encoding: Encoding; encoded: EncodedColumn } {
  for (const { kind, encoded } of column.protection?.encodings ?? []) {
    const encoding = encodingNamed(registry, kind);
    if (encoding.open) return { encoding, encoded };
  }
  throw new Error('a protected column has no form that can be opened');
}

export { encodingOf };
