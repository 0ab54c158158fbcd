/** ALTER COLUMN TYPE of columns that checks and foreign keys read, beside a plain PostgreSQL. */
import { test } from 'node:test';
import { besideEncrypted } from './support/beside-encrypted.js';

const sides = besideEncrypted(({ code, message }) => ({ code, message }));

test('a session goes on to check a column that has got another type', async () => {
  const made = 'CREATE TABLE dose (id int, amount int, note text)';
  await sides.same(made);
  await sides.ours.query("SECURITY LABEL FOR clarus ON COLUMN dose.amount IS 'none'");
  await sides.same(
    "ALTER TABLE dose ADD CHECK (amount > 0 OR note <> '')",
    "INSERT INTO dose VALUES (1, 1, 'n')",
    "UPDATE dose SET note = 'k'",
    'ALTER TABLE dose ALTER COLUMN amount TYPE bigint',
    "UPDATE dose SET note = 'l'",
    "UPDATE dose SET note = ''",
    'UPDATE dose SET amount = 0',
    'SELECT * FROM dose',
    'DROP TABLE dose',
  );
});

test('a column that refers to partitions gets another type after they have been read', () => {
  const read = "SELECT count(*) FROM ward WHERE name > ''";
  return sides.same(
    'CREATE TABLE ward (id int PRIMARY KEY, name text) PARTITION BY RANGE (id)',
    'CREATE TABLE ward_1 PARTITION OF ward FOR VALUES FROM (0) TO (10)',
    'CREATE TABLE bed (id int, ward int REFERENCES ward, n text)',
    "INSERT INTO ward VALUES (1, 'x')",
    read,
    'ALTER TABLE bed ALTER COLUMN ward TYPE bigint',
    "INSERT INTO bed VALUES (1, 1, 'x')",
    "INSERT INTO bed VALUES (1, 2, 'x')",
    ...[
      'ALTER TABLE bed ADD FOREIGN KEY (ward) REFERENCES ward',
      'ALTER TABLE bed VALIDATE CONSTRAINT bed_ward_fkey',
      'CREATE TABLE cot (ward int REFERENCES ward)',
      'ALTER TABLE bed DROP CONSTRAINT bed_ward_fkey',
      'DROP TABLE bed',
      'ALTER TABLE ward ALTER name SET NOT NULL',
    ].flatMap(sql => [read, sql]),
    'DROP TABLE cot, ward',
  );
});
