import { townsPolicy, townsRows } from '../support/people.js';

/** Tables that the tests of temporary tables have beside them. */
export const policy = townsPolicy;

export const tables = [
  'CREATE TABLE place (id int PRIMARY KEY, town text)',
  'CREATE TABLE person (id int PRIMARY KEY, town text, name text, amount numeric(8,2))',
  'CREATE TABLE kept (id int PRIMARY KEY, name text, amount numeric)',
  'CREATE SEQUENCE counted',
  ...townsRows,
  "INSERT INTO kept VALUES (1, 'Zaphod', 1), (2, 'Arthur', 2)",
];

/** Stand in temporary tables and protected columns only. */
export const sentinels = ['Zaphod', 'ZAPHOD', 'Trillian', 'Marvin', 'Arthur', 'Slartibartfast', 'Fenchurch'];
