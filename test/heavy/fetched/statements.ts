/** What statements over tables of 100,000 rows may fetch: a plan that fetches more than it must fails. */

/** Columns that stand in the clear: the `id`s, `account.branch`, `payment.account`, `payment.kind`. */
export const bigPolicy = `unlisted: pass
tables:
  public.account:
    columns:
      id: { protect: none }
      branch: { protect: none }
      name: { class: identifier, protect: encrypt, queries: [equality], domain: name }
      opened: { class: quasi-identifier, protect: encrypt, queries: [equality] }
  public.payment:
    columns:
      id: { protect: none }
      account: { protect: none }
      kind: { protect: none }
      payer: { class: identifier, protect: encrypt, queries: [equality], domain: name }`;

/** A hundred branches, a thousand names, ten days; a payment an account, of which every fifth is of kind `fee`. */
export const bigTables: readonly string[] = [
  'CREATE TABLE account (id int PRIMARY KEY, branch int, name text, opened date, balance numeric(12,2), note text)',
  'CREATE TABLE payment (id int PRIMARY KEY, account int, kind text, payer text, amount numeric(12,2))',
  "INSERT INTO account SELECT i, i % 100, 'Owner ' || i % 1000, DATE '2020-01-01' + i % 10, i / 4.0, 'note ' || i FROM generate_series(1, 100000) AS i",
  "INSERT INTO payment SELECT i, i, CASE WHEN i % 5 = 0 THEN 'fee' ELSE 'rent' END, 'Owner ' || i % 2000, i / 8.0 FROM generate_series(1, 100000) AS i",
  'CREATE INDEX ON account (name)',
  'CREATE INDEX ON payment (payer)',
  'CREATE INDEX ON payment (account)',
];

/**
 * Statements with what they fetch: `table(columns) rows`, or `pushed` where the cloud answers alone. What fetches a
 * whole table stands here as it is: lower the figure when a plan does better.
 */
export const fetches: readonly (readonly [sql: string, fetched: string])[] = [
  ["SELECT id, balance FROM account WHERE name = 'Owner 7' ORDER BY id", 'pushed'],
  ['SELECT upper(name) FROM account WHERE id = 17', 'account(name) 1'],
  ["SELECT upper(note) FROM account WHERE name = 'Owner 7' ORDER BY 1", 'account(note) 100'],
  ["SELECT count(*) FROM account WHERE name = 'Owner 7'", 'pushed'],
  ["SELECT count(*) FROM account WHERE name IN ('Owner 7', 'Owner 8')", 'pushed'],
  ["SELECT sum(balance) FROM account WHERE name = 'Owner 7'", 'account(balance) 100'],
  ["SELECT sum(balance) FROM account WHERE name IN ('Owner 7', 'Owner 8')", 'account(balance) 200'],
  ["SELECT sum(balance) FROM account WHERE name = ANY ('{Owner 7,Owner 8,Owner 9}')", 'account(balance) 300'],
  ['SELECT sum(balance) FROM account WHERE branch = 5', 'account(balance) 1000'],
  ["SELECT sum(balance) FROM account WHERE branch = 5 AND name = 'Owner 105'", 'account(balance) 100'],
  [
    "SELECT sum(balance) FROM account WHERE branch = 5 AND name LIKE 'Owner 1%'",
    'account(balance, name) 1000',
  ],
  ['SELECT count(*) FROM account WHERE id <= 100 AND balance > 10', 'account(balance) 100'],
  ["SELECT count(*) FROM account WHERE id BETWEEN 100 AND 199 AND note LIKE '%5'", 'account(note) 100'],
  ["SELECT max(balance) FROM account WHERE opened = '2020-01-03' AND branch = 2", 'account(balance) 1000'],
  ['SELECT name, count(*) FROM account WHERE branch = 7 GROUP BY name ORDER BY name', 'account(name) 1000'],
  [
    'SELECT opened, count(*) FROM account WHERE id < 1000 GROUP BY opened ORDER BY opened',
    'account(opened) 999',
  ],
  [
    "SELECT branch, sum(balance) FROM account WHERE name = 'Owner 42' GROUP BY branch",
    'account(balance, branch) 100',
  ],
  [
    "SELECT id FROM account WHERE name = 'Owner 7' AND balance > 20000 ORDER BY id",
    'account(balance, id) 100',
  ],
  [
    "SELECT id FROM account WHERE name = 'Owner 7' OR name = 'Owner 8' ORDER BY balance LIMIT 3",
    'account(balance, id) 200',
  ],
  [
    "SELECT id FROM account WHERE (name = 'Owner 7' OR name = 'Owner 8') AND balance < 100 ORDER BY id",
    'account(balance, id) 200',
  ],
  [
    "SELECT id FROM account WHERE (name, opened) = ('Owner 7', '2020-01-08') AND balance < 5000 ORDER BY id",
    'account(balance, id) 100',
  ],
  ['SELECT id FROM account WHERE name IS NULL AND balance > 0', 'account(balance, id) 0'],
  [
    "SELECT id FROM account WHERE name IS NOT DISTINCT FROM 'Owner 7' AND balance < 300 ORDER BY id",
    'account(balance, id) 100',
  ],
  ["SELECT id FROM account WHERE name = 'nobody' AND balance > 0", 'account(balance, id) 0'],
  ["SELECT id FROM account WHERE name || '' = 'Owner 7' AND id < 2000 ORDER BY id", 'account(id, name) 1999'],
  ['SELECT id FROM account WHERE balance > 24990 ORDER BY id', 'account(balance, id) 100000'],
  ["SELECT count(*) FROM account WHERE note LIKE '%99999%'", 'account(note) 100000'],
  ["SELECT count(DISTINCT balance) FROM account WHERE name = 'Owner 3'", 'account(balance) 100'],
  [
    'SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY balance) FROM account WHERE branch = 1',
    'account(balance) 1000',
  ],
  [
    "SELECT id, rank() OVER (ORDER BY balance DESC) FROM account WHERE name = 'Owner 9' ORDER BY id",
    'account(balance, id) 100',
  ],
  [
    "SELECT a.id, p.amount FROM account a JOIN payment p ON p.account = a.id WHERE a.name = 'Owner 7' AND p.amount > 1 ORDER BY a.id",
    'account(id, name) 100, payment(account, amount, id) 100',
  ],
  [
    'SELECT a.id, p.id FROM account a JOIN payment p ON p.payer = a.name WHERE a.id = 7 AND a.balance > 0 ORDER BY 2',
    'account(balance, id, name) 1, payment(id, payer) 50',
  ],
  [
    "SELECT sum(p.amount) FROM account a JOIN payment p ON p.payer = a.name WHERE a.name = 'Owner 7'",
    'account(name) 100, payment(amount, payer) 50',
  ],
  [
    "SELECT a.id FROM account a JOIN payment p ON p.account = a.id AND p.kind = 'fee' WHERE a.name = 'Owner 5' AND p.amount > 10000 ORDER BY 1",
    'account(id, name) 100, payment(account, amount, id, kind) 100',
  ],
  [
    "SELECT a.id FROM account a LEFT JOIN payment p ON p.account = a.id AND p.amount > 12400 WHERE a.branch = 3 AND a.name = 'Owner 3' AND p.id IS NULL ORDER BY 1",
    'account(id) 100, payment(account, amount, id) 100000',
  ],
  [
    "SELECT a.id FROM account a JOIN account b ON b.name = a.name AND b.balance > a.balance WHERE a.name = 'Owner 7' AND b.id < 2000 ORDER BY 1",
    'account(balance, id, name) 102',
  ],
  [
    'SELECT id FROM account WHERE name = (SELECT payer FROM payment WHERE id = 7) AND balance < 100 ORDER BY id',
    'account(balance, id, name) 100000, payment(payer) 1',
  ],
  [
    "SELECT id FROM account a WHERE name = 'Owner 7' AND EXISTS (SELECT FROM payment p WHERE p.account = a.id AND p.amount > 12000) ORDER BY id",
    'account(id) 100, payment(account, amount) 100000',
  ],
  [
    "SELECT id FROM account a WHERE name = 'Owner 7' AND balance > (SELECT avg(amount) FROM payment WHERE payer = 'Owner 7') ORDER BY id LIMIT 3",
    'account(balance, id) 100, payment(amount) 50',
  ],
  [
    'SELECT (SELECT sum(amount) FROM payment p WHERE p.payer = a.name) FROM account a WHERE id = 11',
    'account(name) 1, payment(amount, payer) 100000',
  ],
  [
    "SELECT (SELECT count(*) FROM payment WHERE payer = 'Owner 7'), max(balance) FROM account WHERE name = 'Owner 7'",
    'account(balance) 100, payment() 50',
  ],
  [
    "WITH x AS (SELECT * FROM account WHERE name = 'Owner 7') SELECT count(*), sum(balance) FROM x",
    'account(balance) 100',
  ],
  [
    "WITH x AS MATERIALIZED (SELECT id, balance FROM account WHERE name = 'Owner 7') SELECT sum(balance) FROM x WHERE id < 50000",
    'account(balance, id) 100',
  ],
  [
    "SELECT sum(balance) FROM (SELECT balance FROM account WHERE name = 'Owner 7' UNION ALL SELECT amount FROM payment WHERE payer = 'Owner 7') u",
    'account(balance) 100, payment(amount) 50',
  ],
  [
    'SELECT name FROM account WHERE branch = 1 AND id < 500 UNION SELECT payer FROM payment WHERE id < 5 ORDER BY 1',
    'account(name) 5, payment(payer) 4',
  ],
  [
    "SELECT name FROM account WHERE id < 100 INTERSECT SELECT payer FROM payment WHERE kind = 'fee' AND id < 100 ORDER BY 1",
    'account(name) 99, payment(payer) 19',
  ],
  [
    "SELECT a.id, x.amount FROM account a, LATERAL (SELECT amount FROM payment p WHERE p.account = a.id ORDER BY amount DESC LIMIT 1) x WHERE a.name = 'Owner 7' AND a.id < 3000 ORDER BY 1",
    'account(id) 3, payment(account, amount) 100000',
  ],
  ['SELECT id, lower(name) FROM account WHERE id IN (1, 2, 3) ORDER BY id', 'account(id, name) 3'],
  [
    "SELECT row_to_json(a) FROM account a WHERE name = 'Owner 7' AND branch = 7 ORDER BY id LIMIT 1",
    'account(balance, branch, id, name, note, opened) 100',
  ],
  [
    "SELECT count(*) FILTER (WHERE balance > 100) FROM account WHERE name = 'Owner 7'",
    'account(balance) 100',
  ],
  ["SELECT coalesce(note, 'none') FROM account WHERE id = 5", 'account(note) 1'],
  ["SELECT CASE WHEN balance > 1 THEN 'rich' END FROM account WHERE id = 50", 'account(balance) 1'],
  ['SELECT name FROM account WHERE id = 50', 'pushed'],
  ["SELECT name = 'Owner 50' FROM account WHERE id = 50", 'account(name) 1'],
  ['SELECT DISTINCT opened FROM account WHERE branch = 9 ORDER BY 1', 'account(opened) 1000'],
  [
    "SELECT DISTINCT ON (opened) opened, balance FROM account WHERE name IN ('Owner 1', 'Owner 2') ORDER BY opened, balance",
    'account(balance, opened) 200',
  ],
  ['SELECT id FROM account ORDER BY id LIMIT 3', 'pushed'],
  ['SELECT id, upper(name) FROM account ORDER BY id LIMIT 3', 'account(id, name) 1000'],
  [
    "SELECT kind, sum(amount) FROM payment WHERE payer = 'Owner 12' GROUP BY kind ORDER BY kind",
    'payment(amount, kind) 50',
  ],
  ["SELECT max(amount) FROM payment WHERE kind = 'fee' AND id > 99000", 'payment(amount) 200'],
  [
    'SELECT name FROM account GROUP BY name HAVING sum(balance) > 1268700 ORDER BY name',
    'account(balance, name) 100000',
  ],
];
