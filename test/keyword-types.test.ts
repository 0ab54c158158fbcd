/** Values and columns of types that SQL names by keywords, all of them encrypted, beside a plain PostgreSQL. */
import { test } from 'node:test';
import { besideEncrypted } from './support/beside-encrypted.js';

const { same } = besideEncrypted(({ code, message, constraint }) => ({ code, message, constraint }));

test('bit strings are checked, compared and cast as they are long', () =>
  same(
    "CREATE TABLE bits (id int, b bit(3) CHECK (b <> B'101'), v bit varying CHECK (v IS NULL OR v > B'01'), d bit(3) DEFAULT B'111', t text CHECK (t::bit(3) IS NOT NULL))",
    "INSERT INTO bits (id, b, v, t) VALUES (1, B'100', B'1', '101')",
    "INSERT INTO bits (id, b, v, t) VALUES (1, B'101', B'1', '101')",
    "INSERT INTO bits (id, b, v, t) VALUES (1, B'111', B'0', '101')",
    `SELECT *, b = B'100', b::"bit", b::bit, CAST('1' AS bit), CAST('101' AS "bit"(2)), bit '101' & b FROM bits`,
    "UPDATE bits SET b = B'001' WHERE t = '101' AND b = B'100' RETURNING b, d",
    'DROP TABLE bits',
  ));

test('"char", bpchar and numbers without a length are what they are', () =>
  same(
    `CREATE TABLE named (id int, c "char", n name, b bpchar, many "char"[], CHECK (c <> 'x'), CHECK (b <> 'zz'))`,
    "INSERT INTO named VALUES (1, 'a', 'n', 'pad  ', '{a,b}')",
    "INSERT INTO named VALUES (1, 'x', 'n', 'pad  ', '{a,b}')",
    "INSERT INTO named VALUES (1, 'b', 'n', 'zz  ', '{a,b}')",
    `SELECT *, c = 'a'::"char", b::bpchar || '|', many[1], many::"char"[], CAST(id AS "numeric"), CAST('1 day' AS "interval"), CAST('12:00' AS "time") FROM named`,
    `UPDATE named SET many = '{q}'::"char"[], b = b || 'x' RETURNING *`,
    'DROP TABLE named',
  ));

test('arrays whose elements have a length are assigned to each other', () =>
  same(
    'CREATE TABLE arrays (id int, c varchar(2)[], d varchar(2)[], p char(2)[], w text, b bit(3)[])',
    "INSERT INTO arrays VALUES (1, '{1}', '{2}', '{a}', 'w', '{101}')",
    'UPDATE arrays SET c = d, p = p || d::bpchar[], w = upper(w), b = b || b RETURNING c, b, p',
    'UPDATE arrays SET c = c || d || ARRAY[w], w = lower(w) RETURNING c',
    "UPDATE arrays SET c = c || 'abc'::varchar, w = lower(w) RETURNING c",
    'UPDATE arrays SET c = d RETURNING w',
    'SELECT * FROM arrays',
    'DROP TABLE arrays',
  ));
