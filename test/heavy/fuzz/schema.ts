/** Random tables, their protection, their rows, and views over them. */
import type { Choices } from './choices.js';

/** What an expression is of; several types of columns may be of one kind. */
export type Kind =
  | 'int'
  | 'numeric'
  | 'text'
  | 'bool'
  | 'date'
  | 'timestamp'
  | 'timestamptz'
  | 'interval'
  | 'float'
  | 'uuid'
  | 'jsonb'
  | 'ints'
  | 'texts'
  | 'bytea';

/** A column of a generated table. */
export interface Column {
  readonly name: string;
  readonly type: string;
  readonly kind: Kind;
  /** a label's words; undefined: it stands in the clear */
  readonly label: string | undefined;
  /** its values, as literals without quotes; those of protected texts and of some numbers hold a marker */
  readonly pool: readonly string[];
  readonly unique: boolean;
}

/** A generated table or view. */
export interface Table {
  readonly name: string;
  readonly columns: readonly Column[];
  /** a column without duplicates or NULL */
  readonly key: string | undefined;
  readonly writable: boolean;
}

/** All that one generated database holds. */
export interface Schema {
  readonly tables: readonly Table[];
  /** one that PostgreSQL writes through, to the first table */
  readonly view: Table;
  readonly functions: Functions;
  /** statements that make it, rows included */
  readonly sql: readonly string[];
  /** statements that only the protected side runs, after tables are made and before rows */
  readonly labels: readonly string[];
}

/** Names of functions of users, which give a text of a text, an int of a text, an int of an int and rows. */
export interface Functions {
  readonly ofSql: string;
  readonly procedural: string;
  readonly reading: string;
  readonly aggregate: string;
}

/** What protected values are known by in what is sent to the cloud. */
export const markers: readonly RegExp[] = [/zqxvk|7a7178766b/, /(?<![0-9a-f])77012[0-9]{2}(?![0-9a-f])/];

interface Shape {
  readonly type: string;
  readonly kind: Kind;
  readonly open: readonly string[];
  readonly closed: readonly string[];
  readonly tag: boolean;
}

const openWords = ['a', 'ann', 'b-c', 'x_y', '', 'Übel', '100%', 'B'];
const closedWords = [
  'zqxvkann',
  'zqxvkb-c',
  'zqxvk',
  'zqxvkx_y',
  'zqxvkÜbel',
  'zqxvk100%',
  'zqxvkANN',
  "zqxvko'hara",
];
const numbers = ['0', '1', '2', '3', '5', '8', '-4'];
const marked = ['7701231', '7701232', '7701233', '7701234', '7701235', '7701236'];

const shapes: readonly Shape[] = [
  { type: 'text', kind: 'text', open: openWords, closed: closedWords, tag: true },
  { type: 'int', kind: 'int', open: numbers, closed: numbers, tag: true },
  { type: 'int', kind: 'int', open: numbers, closed: marked, tag: true },
  {
    type: 'numeric(10,2)',
    kind: 'numeric',
    open: ['0', '1.5', '2.25', '10', '-3.1'],
    closed: ['0', '1.5', '2.25', '10', '-3.1', '77'],
    tag: true,
  },
  {
    type: 'date',
    kind: 'date',
    open: ['2020-01-01', '2021-06-15', '1999-12-31'],
    closed: ['2020-01-01', '2021-06-15', '1970-02-28', '2024-02-29'],
    tag: true,
  },
  { type: 'text', kind: 'text', open: openWords, closed: closedWords, tag: true },
  { type: 'bool', kind: 'bool', open: ['t', 'f'], closed: ['t', 'f'], tag: true },
  {
    type: 'timestamp',
    kind: 'timestamp',
    open: ['2020-01-01 10:00', '2021-01-01 00:00:00.5'],
    closed: ['2020-01-01 10:00', '2019-05-05 23:59:59.999999'],
    tag: true,
  },
  {
    type: 'timestamptz',
    kind: 'timestamptz',
    open: ['2020-01-01 10:00+00', '2020-07-01 12:00+02'],
    closed: ['2020-01-01 10:00+00', '2020-01-01 11:00+01', '2018-03-25 02:30+01'],
    tag: true,
  },
  {
    type: 'interval',
    kind: 'interval',
    open: ['1 day', '2 hours'],
    closed: ['1 day', '24 hours', '1 mon', '30 days'],
    tag: true,
  },
  {
    type: 'float8',
    kind: 'float',
    open: ['0', '1.5', '-2.25'],
    closed: ['0', '-0', '1.5', '1e10', '-2.25'],
    tag: true,
  },
  { type: 'varchar(12)', kind: 'text', open: openWords, closed: closedWords, tag: true },
  {
    type: 'char(8)',
    kind: 'text',
    open: openWords,
    closed: ['zqxvkann', 'zqxvk', 'zqxvkx_y', 'zqxvkANN'],
    tag: true,
  },
  {
    type: 'uuid',
    kind: 'uuid',
    open: ['00000000-0000-0000-0000-000000000001'],
    closed: ['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12'],
    tag: true,
  },
  {
    type: 'jsonb',
    kind: 'jsonb',
    open: ['{"k": 1}', '[]', '{"k": "x"}'],
    closed: ['{"k": 1, "w": "zqxvkann"}', '[1, 2, "zqxvk"]', '"zqxvkb-c"', '{"k": {"l": 2}}'],
    tag: false,
  },
  {
    type: 'int[]',
    kind: 'ints',
    open: ['{1,2}', '{}', '{3}'],
    closed: ['{1,2}', '{}', '{5,NULL,1}', '{2}'],
    tag: false,
  },
  {
    type: 'text[]',
    kind: 'texts',
    open: ['{a,ann}', '{}'],
    closed: ['{zqxvkann,zqxvk}', '{}', '{zqxvkb-c,NULL}'],
    tag: false,
  },
  { type: 'bytea', kind: 'bytea', open: ['\\x00ff', ''], closed: ['\\xdeadbeef', '\\x'], tag: true },
  { type: 'int8', kind: 'int', open: numbers, closed: marked, tag: true },
];

const quoted = (value: string): string => `'${value.replaceAll("'", "''")}'`;

/** Makes tables, rows and views. @param index tells databases of one run apart */
export function makeSchema(choices: Choices, index: number): Schema {
  const tables = Array.from({ length: 3 }, (_, t) => makeTable(choices, `f${index}_${'abc'[t]}`, t === 2));
  const rows = tables.map(table => rowsOf(choices, table));
  const views = viewsOf(choices, index, tables);
  const functions: Functions = {
    ofSql: `f${index}_shout`,
    procedural: `f${index}_twice`,
    reading: `f${index}_how_many`,
    aggregate: `f${index}_all`,
  };
  return {
    tables: [...tables, ...views.map(v => v.table)],
    view: views[0]!.table,
    functions,
    sql: [
      ...tables.map(createTable),
      ...rows,
      ...views.map(v => v.sql),
      ...createFunctions(functions, tables[0]!),
    ],
    labels: tables.flatMap(labelsOf),
  };
}

/** @param open one whose every column stands in the clear */
function makeTable(choices: Choices, name: string, open: boolean): Table {
  const protectedKey = !open && choices.chance(30);
  const key: Column = {
    name: 'id',
    type: 'int',
    kind: 'int',
    label: protectedKey ? 'encrypt queries equality' : undefined,
    pool: Array.from({ length: 14 }, (_, i) => String(i + 1)),
    unique: true,
  };
  // the same names in every table, for USING and NATURAL
  const names = ['k', 'm', 'n', 'd', 'w', 'x', 'y', 'z'];
  const columns = names.map((column, i): Column => {
    const shape = i < 5 && choices.chance(85) ? shapes[i]! : choices.pick(shapes);
    const closed = !open && choices.chance(70);
    const tag = closed && shape.tag && choices.chance(65);
    const label = !closed
      ? undefined
      : tag
        ? `encrypt queries equality${choices.chance(60) ? ` domain ${shape.kind}${shape.type.startsWith('char') ? 'c' : ''}` : ''}`
        : 'encrypt';
    return {
      name: column,
      type: shape.type,
      kind: shape.kind,
      label,
      pool: closed ? shape.closed : shape.open,
      unique: false,
    };
  });
  return { name, columns: [key, ...columns], key: 'id', writable: true };
}

const createTable = ({ name, columns }: Table): string =>
  `CREATE TABLE ${name} (${columns.map(c => `${c.name} ${c.type}${c.unique ? ' PRIMARY KEY' : ''}`).join(', ')})`;

const createFunctions = (
  { ofSql, procedural, reading, aggregate }: Functions,
  { name, columns }: Table,
): string[] => [
  `CREATE FUNCTION ${ofSql}(text) RETURNS text LANGUAGE sql IMMUTABLE AS $f$ SELECT upper($1) || '!' $f$`,
  `CREATE FUNCTION ${procedural}(t text) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $f$ BEGIN IF t IS NULL THEN RETURN -1; END IF; RETURN length(t) * 2; END $f$`,
  `CREATE FUNCTION ${reading}(i int) RETURNS int LANGUAGE sql STABLE AS $f$ SELECT count(${columns[1]!.name})::int FROM ${name} WHERE id > i $f$`,
  `CREATE AGGREGATE ${aggregate}(text) (SFUNC = textcat, STYPE = text, INITCOND = '')`,
];

const labelsOf = ({ name, columns }: Table): string[] =>
  columns
    .filter(c => c.label !== undefined)
    .map(c => `SECURITY LABEL FOR clarus ON COLUMN ${name}.${c.name} IS '${c.label}'`);

function rowsOf(choices: Choices, { name, columns }: Table): string {
  const rows = Array.from({ length: choices.integer(6, 14) }, (_, i) =>
    columns.map(c => {
      if (c.unique) return String(i + 1);
      return choices.chance(25) ? 'NULL' : quoted(choices.pick(c.pool));
    }),
  );
  return `INSERT INTO ${name} VALUES ${rows.map(row => `(${row.join(', ')})`).join(', ')}`;
}

function viewsOf(
  choices: Choices,
  index: number,
  [a, b]: readonly Table[],
): { readonly table: Table; readonly sql: string }[] {
  const name = `f${index}_v`;
  // the key, and at least one column that writes through the view can name
  const some = a!.columns.filter((_, i) => i <= 1 || choices.chance(60));
  const view = { name, columns: some, key: 'id', writable: false };
  const over = `f${index}_u`;
  const joined: Table = {
    name: over,
    columns: [...some.map(c => ({ ...c, name: `v${c.name}` })), { ...b!.columns[1]!, name: 'bk' }],
    key: undefined,
    writable: false,
  };
  const condition = choices.pick([
    'id > 2',
    'k IS NOT NULL',
    'id % 2 = 1',
    `id IN (SELECT id FROM ${b!.name})`,
  ]);
  return [
    {
      table: view,
      sql: `CREATE VIEW ${name} AS SELECT ${some.map(c => c.name).join(', ')} FROM ${a!.name} WHERE ${condition}`,
    },
    {
      table: joined,
      sql: `CREATE VIEW ${over} AS SELECT ${some.map(c => `v.${c.name} AS v${c.name}`).join(', ')}, b.k AS bk FROM ${name} v LEFT JOIN ${b!.name} b ON b.id = v.id`,
    },
  ];
}
