import { refused, type Theme, write } from './theme.js';

export const theme: Theme = {
  cases: [
    write('UPDATE staff SET name = grade'),
    write(
      'UPDATE staff SET name = grade, grade = left(name, 2), salary = ratio WHERE ratio < 100 RETURNING *',
    ),
    write("UPDATE staff SET name = 'New Name' WHERE name = 'Bob Bolton'"),
    write('UPDATE staff SET salary = salary * 1.1 WHERE salary > 1000'),
    write("UPDATE staff SET name = upper(name), grade = 'Z' WHERE id < 3"),
    write("UPDATE staff SET (name, born) = ('Row Assigned', '2000-02-02') WHERE name LIKE 'Ann%'"),
    write('UPDATE staff SET salary = (SELECT max(amount) FROM event e WHERE e.who = staff.name)'),
    write("DELETE FROM staff WHERE name LIKE '%arryn'"),
    write('DELETE FROM staff WHERE salary < (SELECT avg(salary) FROM staff)'),
    write(
      'INSERT INTO staff (id, name, salary) SELECT id + 100, lower(name), salary FROM staff WHERE salary > 1000',
    ),
    write("INSERT INTO staff (id, name) VALUES (1, 'x'), (101, 'y') ON CONFLICT DO NOTHING"),
    write(["UPDATE staff SET doc = jsonb_set(doc, '{k}', $1) WHERE doc ? 'k'", '5']),
    write("UPDATE staff SET tags = tags || 'new'::text WHERE 'x' = ANY (tags)"),
    write("UPDATE staff SET hired = hired + interval '1 day', active = NOT active"),
    write('UPDATE staff SET name = name WHERE false'),
    write('DELETE FROM staff'),
    write("UPDATE staff s SET salary = e.amount FROM event e WHERE e.who = s.name AND e.kind = 'leave'"),
    write('DELETE FROM staff s USING department d WHERE d.boss = s.name'),
    write('UPDATE staff SET salary = salary / 0'),
    write("UPDATE staff SET name = 'x' WHERE salary > 1000 RETURNING id, name, salary"),
    refused('a protected value would flow to an open column', 'UPDATE staff SET dept = salary::int'),
  ],
};
