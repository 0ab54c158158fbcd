import type { Theme } from './theme.js';

export const theme: Theme = {
  cases: [
    'SELECT count(*), count(name), count(DISTINCT name), count(DISTINCT (name, born)) FROM staff',
    'SELECT sum(salary), avg(salary), min(born), max(born), stddev(salary), variance(salary), corr(salary, dept) FROM staff',
    "SELECT string_agg(name, ',' ORDER BY name DESC, id), array_agg(salary ORDER BY id), json_agg(name ORDER BY id) FROM staff",
    'SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY salary), percentile_disc(0.5) WITHIN GROUP (ORDER BY name), mode() WITHIN GROUP (ORDER BY grade) FROM staff',
    "SELECT rank(1500) WITHIN GROUP (ORDER BY salary), dense_rank('Bob Bolton') WITHIN GROUP (ORDER BY name), percent_rank(1500) WITHIN GROUP (ORDER BY salary) FROM staff",
    "SELECT count(*) FILTER (WHERE name = 'Ann Arryn'), sum(salary) FILTER (WHERE active) FROM staff",
    'SELECT bool_and(active), bool_or(active), every(salary > 100), bit_or(id) FROM staff',
    'SELECT jsonb_object_agg(id, name ORDER BY id), jsonb_agg(doc ORDER BY id) FROM staff WHERE name IS NOT NULL',
    'SELECT range_agg(daterange(born, born + 1) ORDER BY id) FROM staff',
    'SELECT dept, array_agg(DISTINCT name ORDER BY name) FROM staff GROUP BY dept ORDER BY dept',
    'SELECT sum(name) FROM staff',
    'SELECT max(salary), name FROM staff',
    'SELECT min(name), max(grade), min(span), max(hired) FROM staff',
    'SELECT regr_slope(salary, id), covar_pop(salary, id) FROM staff',
  ],
};
