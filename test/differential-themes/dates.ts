import type { Theme } from './theme.js';

export const theme: Theme = {
  cases: [
    "SELECT id, born + 1, born - '1990-01-01', age('2020-01-01', born) FROM staff ORDER BY id",
    "SELECT id FROM staff WHERE born > '1975-01-01' ORDER BY id",
    "SELECT id FROM staff WHERE born BETWEEN '1970-01-01' AND '1980-12-31' ORDER BY id",
    "SELECT id, date_trunc('month', hired), hired AT TIME ZONE 'UTC', extract(dow FROM hired) FROM staff ORDER BY id",
    "SELECT date_trunc('year', born), count(*) FROM staff GROUP BY 1 ORDER BY 1",
    "SELECT id FROM staff WHERE hired + interval '1 day' > '2020-01-02 12:00+00' ORDER BY id",
    "SELECT id, to_char(hired, 'YYYY-MM-DD HH24:MI TZ'), to_char(born, 'Day DDth Month') FROM staff ORDER BY id",
    "SELECT id FROM event WHERE (at, at + '1 hour') OVERLAPS ('2020-01-01 10:30', '2020-01-02') ORDER BY id",
    'SELECT id FROM staff WHERE hired < now() ORDER BY id',
    "SELECT id, date_bin('1 day', at, '2000-01-01 06:00') FROM event ORDER BY id",
    'SELECT id, make_date(extract(year FROM born)::int, 2, 30) FROM staff WHERE id = 1',
    ['SELECT id FROM staff WHERE born = $1::date - 1 ORDER BY id', '1970-01-02'],
    {
      steps: [
        "SET DateStyle = 'German'",
        'SELECT born::text, hired::text FROM staff ORDER BY id',
        "SET TimeZone = 'Asia/Tokyo'",
        'SELECT hired, hired::date FROM staff ORDER BY id',
        'RESET DateStyle',
        'RESET TimeZone',
      ],
    },
  ],
};
