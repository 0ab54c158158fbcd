/** Random DDL over a model of the schema. */
import type { Random } from '../../support/random.js';

/** Columns of each table, in order. */
export type Schema = ReadonlyMap<string, readonly string[]>;

/** Statements that are sent one after the other, and the schema when all have been carried out. */
export interface SchemaChange {
  readonly statements: readonly string[];
  readonly after: Schema;
}

const tablesMax = 6;
let names = 0;

export function randomSchemaChange(schema: Schema, random: Random): SchemaChange {
  if (random.next() < 0.3) {
    const inside: string[] = [];
    let after = schema;
    for (let i = random.integer(1, 3); i > 0; i--) {
      const change = one(after, random);
      inside.push(...change.statements);
      after = change.after;
    }
    const undone = random.next() < 0.3;
    return {
      statements: ['BEGIN', ...inside, undone ? 'ROLLBACK' : 'COMMIT'],
      after: undone ? schema : after,
    };
  }
  return one(schema, random);
}

function one(schema: Schema, random: Random): SchemaChange {
  const after = new Map(schema);
  if (schema.size === 0 || (schema.size < tablesMax && random.next() < 0.3)) {
    const table = `t${++names}`;
    after.set(table, ['id', 'a', 'b']);
    return {
      statements: [`CREATE TABLE ${table} (id integer PRIMARY KEY, a text, b integer DEFAULT 7)`],
      after,
    };
  }
  const table = random.pick([...schema.keys()]);
  const columns = schema.get(table)!;
  const droppable = columns.filter(column => column !== 'id');
  const fresh = `c${++names}`;
  const kinds: (() => string)[] = [
    () => {
      after.set(table, [...columns, fresh]);
      return `ALTER TABLE ${table} ADD COLUMN ${fresh} ${random.pick(['text', 'integer', 'date'])}`;
    },
    () => `CREATE INDEX ON ${table} (id)`,
    () => `INSERT INTO ${table} (id) VALUES (${++names}), (${++names})`,
    // rows that stand get tags of what is computed of them
    () => `CREATE UNIQUE INDEX ON ${table} ((id * 2)) WHERE id > ${random.integer(0, names)}`,
    () => {
      after.delete(table);
      return `DROP TABLE ${table}`;
    },
    () => {
      after.delete(table);
      after.set(`t${++names}`, columns);
      return `ALTER TABLE ${table} RENAME TO t${names}`;
    },
    () => `TRUNCATE ${table}`,
  ];
  if (droppable.length > 0) {
    const column = random.pick(droppable);
    kinds.push(
      () => {
        after.set(
          table,
          columns.map(name => (name === column ? fresh : name)),
        );
        return `ALTER TABLE ${table} RENAME COLUMN ${column} TO ${fresh}`;
      },
      () => {
        after.set(
          table,
          columns.filter(name => name !== column),
        );
        return `ALTER TABLE ${table} DROP COLUMN ${column}`;
      },
    );
  }
  return { statements: [random.pick(kinds)()], after };
}

/** One line a table, for comparison. */
export const described = (schema: Schema): string[] =>
  [...schema].map(([table, columns]) => `${table} (${columns.join(', ')})`).sort();
