import { type Theme, write } from './theme.js';

const events = 'SELECT * FROM event ORDER BY id';

export const theme: Theme = {
  cases: [
    write(
      "INSERT INTO event (id, who, amount) VALUES (1, 'Up Sert', 1), (90, 'Up Sert', 2) ON CONFLICT (id) DO UPDATE SET who = EXCLUDED.who",
      events,
    ),
    write(
      'INSERT INTO event (id, amount) VALUES (1, 5) ON CONFLICT (id) DO UPDATE SET amount = event.amount + EXCLUDED.amount',
      events,
    ),
    write(
      "INSERT INTO event (id, note) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET note = upper(event.note) WHERE event.amount > 5",
      events,
    ),
    write(
      "INSERT INTO event (id, note) VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET note = 'y' WHERE event.amount > 500",
      events,
    ),
    write(
      'INSERT INTO event (id, who) VALUES (2, $$A$$), (2, $$B$$) ON CONFLICT (id) DO UPDATE SET who = EXCLUDED.who',
      events,
    ),
    write(
      [
        'INSERT INTO event (id, who) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET who = $2',
        '3',
        'Param Eter',
      ],
      events,
    ),
    write(
      'MERGE INTO event e USING department d ON e.who = d.boss WHEN MATCHED AND e.amount > 15 THEN DELETE WHEN MATCHED THEN UPDATE SET note = d.title',
      events,
    ),
    write(
      "MERGE INTO event e USING (VALUES (1, 'Mer Ged'), (91, 'Mer Ged')) AS s (id, who) ON e.id = s.id WHEN MATCHED THEN UPDATE SET who = s.who WHEN NOT MATCHED THEN INSERT (id, who) VALUES (s.id, s.who)",
      events,
    ),
    write(
      'MERGE INTO event e USING staff s ON e.who = s.name WHEN MATCHED THEN UPDATE SET amount = s.salary',
      events,
    ),
  ],
};
