-- The demo's work as a psql script: `psql -X -v csv=FILE -v out=FILE -f psql-script.sql`.
\set VERBOSITY verbose
\pset null '(null)'
\ir tables.sql
\set copy '\\copy covid_test FROM ' :'csv' ' WITH (FORMAT csv, HEADER)'
:copy
SELECT count(*), count(fake_last_name), count(gender) FROM covid_test;
SELECT * FROM covid_test WHERE fake_last_name = 'targaryen' ORDER BY rownames LIMIT 5;
SELECT rownames, result, age FROM covid_test WHERE fake_first_name IN ('penny', 'jhezane') ORDER BY rownames;
SELECT count(*) FROM covid_test WHERE subject_id = ANY (ARRAY[1412, 533, 9134]);
SELECT count(*) FROM covid_test WHERE fake_last_name <> 'frey' AND pan_day < 20;
SELECT count(*) FROM covid_test WHERE NOT (fake_last_name = 'frey' OR fake_first_name = 'styr');
SELECT clinic_name, count(*) FROM covid_test WHERE fake_last_name = 'karstark' GROUP BY clinic_name ORDER BY 1;
SELECT rownames FROM covid_test WHERE gender IS NULL OR result IS NULL ORDER BY rownames LIMIT 3;
SELECT rownames, payor_group FROM covid_test WHERE pan_day = 7 AND payor_group IS NULL ORDER BY rownames LIMIT 3;
INSERT INTO follow_up (id, subject_id, due) VALUES (1, 1412, '2020-05-01'), (2, 533, '2020-05-02');
INSERT INTO follow_up VALUES (3, 9134, NULL, NULL) RETURNING id, subject_id, due, remark;
INSERT INTO follow_up (id, subject_id) VALUES (3, 1) ON CONFLICT DO NOTHING;
SELECT t.rownames, f.id, t.fake_last_name, f.remark, f.due
FROM covid_test t JOIN follow_up f ON f.subject_id = t.subject_id ORDER BY t.rownames, f.id LIMIT 8;
UPDATE follow_up SET remark = 'reached', due = DATE '2020-06-01' WHERE subject_id = 533 RETURNING *;
BEGIN;
DELETE FROM follow_up WHERE id = 1;
SAVEPOINT before_mistake;
INSERT INTO follow_up (id, subject_id) VALUES (2, 7);
ROLLBACK TO SAVEPOINT before_mistake;
SELECT id, remark FROM follow_up ORDER BY id;
ROLLBACK;
SELECT id, remark FROM follow_up WHERE due IS NOT DISTINCT FROM NULL ORDER BY id;
PREPARE by_name (text) AS SELECT rownames, age FROM covid_test WHERE fake_first_name = $1 ORDER BY rownames LIMIT 2;
EXECUTE by_name('ravella');
EXECUTE by_name('nobody');
DEALLOCATE by_name;
SELECT 1 AS one\; SELECT fake_last_name FROM covid_test WHERE rownames = 2;
SELECT fake_last_nam FROM covid_test;
SELECT * FROM no_such_table;
INSERT INTO follow_up (id, subject_id) VALUES (1, 5);
INSERT INTO covid_test (rownames, subject_id, fake_first_name) VALUES (0, 1, 'nobody');
INSERT INTO follow_up (id, subject_id) VALUES (9, 'abc');
SELEC 1;
SELECT rownames, fake_last_name FROM covid_test WHERE rownames <= 3 ORDER BY rownames \gdesc
SELECT count(*) FROM covid_test WHERE pan_day < 30;
\set copy '\\copy covid_test TO ' :'out' ' WITH (FORMAT csv, HEADER)'
:copy
\dt
\d covid_test
\d+ follow_up
DROP TABLE follow_up, covid_test;
