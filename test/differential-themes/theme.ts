/** What a file of a theme lists, and the tables that all themes read. */

/** A statement with its parameters. */
export type Statement = string | readonly [string, ...(string | null)[]];

/** One case: statements that one session executes, one after the other. */
export interface Case {
  readonly steps: readonly Statement[];
  /** why Clarus refuses it with 0A000; the suite fails when it is answered */
  readonly refused?: string;
}

/** A theme: what it makes beside the common tables, and its cases. */
export interface Theme {
  readonly setup?: readonly string[];
  readonly cases: readonly (Statement | Case)[];
}

/** A case of a write: it is undone, and what it did is compared. */
export const write = (sql: Statement, state = 'SELECT * FROM staff ORDER BY id'): Case => ({
  steps: ['BEGIN', sql, state, 'ROLLBACK'],
});

/** A case that is refused. */
export const refused = (why: string, ...steps: Statement[]): Case => ({ steps, refused: why });

/** Columns that stand in the clear: `id`s, `staff.dept`, `department.title`, `event.kind`. */
export const policy = `unlisted: pass
tables:
  public.staff:
    columns:
      id: { protect: none }
      dept: { protect: none }
      name: { class: identifier, protect: encrypt, queries: [equality], domain: person }
      born: { class: quasi-identifier, protect: encrypt, queries: [equality] }
      grade: { class: quasi-identifier, protect: encrypt, queries: [equality] }
      span: { class: confidential, protect: encrypt, queries: [equality] }
  public.department:
    columns:
      id: { protect: none }
      title: { protect: none }
      boss: { class: identifier, protect: encrypt, queries: [equality], domain: person }
  public.event:
    columns:
      id: { protect: none }
      kind: { protect: none }
      who: { class: identifier, protect: encrypt, queries: [equality], domain: person }
      amount: { class: confidential, protect: encrypt, queries: [equality] }`;

/** Tables and rows that all themes read. */
export const tables: readonly string[] = [
  `CREATE TABLE staff (id int PRIMARY KEY, name text, born date, salary numeric(10,2), grade char(4), tags text[], doc jsonb,
     hired timestamptz, ratio float8, span interval, active bool, dept int)`,
  'CREATE TABLE department (id int PRIMARY KEY, title text, boss text, budget numeric)',
  'CREATE TABLE event (id int PRIMARY KEY, who text, at timestamp, kind text, amount numeric, note text)',
  `INSERT INTO staff VALUES
    (1, 'Ann Arryn', '1970-01-01', 1000.50, 'A', '{x,y}', '{"k": 1, "l": [1, 2]}', '2020-01-01 10:00+01', 1.5, '1 day', true, 1),
    (2, 'Bob Bolton', '1980-02-03', 2000.00, 'B', '{}', '{"k": 2}', '2020-01-02 10:00+01', -2.25, '24 hours', false, 2),
    (3, 'Cyd Clegane', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 1),
    (4, 'Dan Dayne', '1999-12-31', 1500.25, 'AB', '{z}', '{"k": "text", "n": {"m": null}}', '2021-06-01 00:00+00', 0, '1 mon', true, NULL),
    (5, NULL, '2001-01-01', 900.00, 'B', '{x,NULL}', '[]', '2020-01-01 09:00+00', -0.0, '30 days', false, 2),
    (6, 'Ann Arryn', '1970-01-01', 3000.00, 'C', '{y,x}', '{"k": 1}', '2019-01-01 10:00+01', 1e10, '-1 day', true, 3),
    (7, 'ann arryn', '1988-08-08', 1000.50, 'a', '{}', '"word"', '2022-02-02 02:02+02', 'NaN', '1 year 2 mons', NULL, 3)`,
  "INSERT INTO department VALUES (1, 'north', 'Ann Arryn', 10), (2, 'south', 'Bob Bolton', 20.0), (3, 'east', NULL, NULL), (4, 'west', 'Zed Zero', 10.00)",
  `INSERT INTO event VALUES
    (1, 'Ann Arryn', '2020-01-01 10:00', 'pay', 10, 'first note'), (2, 'Ann Arryn', '2020-01-02 11:30', 'pay', 20.5, NULL),
    (3, 'Bob Bolton', '2020-01-03 00:00', 'leave', 7, 'went 100% away'), (4, 'Eve Estermont', NULL, 'pay', 99, 'lost_and found'),
    (5, NULL, '2020-03-01 23:59:59.5', 'leave', 0, 'first note'), (6, 'Dan Dayne', '2020-01-02 12:00', NULL, 10.0, 'quick brown foxes jump'),
    (7, 'Cyd Clegane', '2021-01-02 12:00', 'pay', NULL, '')`,
];
