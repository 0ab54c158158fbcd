/** Questions of decision support about the shop, in the manner of the known benchmarks; each sorts its rows fully. */

/** One question. */
export interface Query {
  readonly name: string;
  readonly sql: string;
  readonly values?: readonly string[];
}

export const queries: readonly Query[] = [
  {
    name: 'pricing summary',
    sql: `SELECT returned, mode, sum(quantity), sum(price), sum(price * (1 - discount)),
            sum(price * (1 - discount) * (1 + tax)), avg(quantity), avg(discount), count(*)
       FROM item WHERE shipped <= date '2025-06-01' - interval '90 days' GROUP BY returned, mode ORDER BY 1, 2`,
  },
  {
    name: 'cheapest supplier of a part, correlated minimum',
    sql: `SELECT s.balance, s.name, c.name, p.id, s.phone, o.cost
       FROM part p JOIN offer o ON o.part_id = p.id JOIN supplier s ON s.id = o.supplier_id
       JOIN country c ON c.id = s.country_id JOIN region r ON r.id = c.region_id
      WHERE p.size > 10 AND p.kind LIKE '%box' AND r.name = 'Europe'
        AND o.cost = (SELECT min(o2.cost) FROM offer o2 JOIN supplier s2 ON s2.id = o2.supplier_id
                        JOIN country c2 ON c2.id = s2.country_id JOIN region r2 ON r2.id = c2.region_id
                       WHERE o2.part_id = p.id AND r2.name = 'Europe')
      ORDER BY s.balance DESC, c.name, s.name, p.id LIMIT 20`,
  },
  {
    name: 'unshipped orders of greatest value',
    sql: `SELECT o.id, sum(i.price * (1 - i.discount)) AS value, o.placed, o.priority
       FROM customer c JOIN orders o ON o.customer_id = c.id JOIN item i ON i.order_id = o.id
      WHERE c.segment = $1 AND o.placed < $2 AND i.shipped > $2
      GROUP BY o.id, o.placed, o.priority ORDER BY value DESC, o.placed, o.id LIMIT 10`,
    values: ['garden', '2024-03-15'],
  },
  {
    name: 'priorities of late orders, semi-join',
    sql: `SELECT priority, count(*) FROM orders o WHERE placed >= '2023-07-01' AND placed < '2023-10-01'
        AND EXISTS (SELECT FROM item i WHERE i.order_id = o.id AND i.due < i.received) GROUP BY priority ORDER BY 1`,
  },
  {
    name: 'trade within a country, six tables',
    sql: `SELECT n.name, sum(i.price * (1 - i.discount)) AS value
       FROM customer c, orders o, item i, supplier s, country n, region r
      WHERE c.id = o.customer_id AND i.order_id = o.id AND i.supplier_id = s.id AND c.country_id = s.country_id
        AND s.country_id = n.id AND n.region_id = r.id AND r.name <> 'Asia' AND o.placed >= '2023-01-01'
      GROUP BY n.name ORDER BY value DESC, n.name`,
  },
  {
    name: 'what smaller discounts would bring',
    sql: `SELECT sum(price * discount), count(*) FROM item
      WHERE shipped BETWEEN '2024-01-01' AND '2024-12-31' AND discount BETWEEN 0.05 AND 0.07 AND quantity < 24`,
  },
  {
    name: 'volume between regions by year',
    sql: `SELECT source, target, year, sum(volume) FROM (
         SELECT rs.name AS source, rc.name AS target, extract(year FROM i.shipped) AS year,
                i.price * (1 - i.discount) AS volume
           FROM supplier s JOIN item i ON i.supplier_id = s.id JOIN orders o ON o.id = i.order_id
           JOIN customer c ON c.id = o.customer_id JOIN country ns ON ns.id = s.country_id
           JOIN country nc ON nc.id = c.country_id JOIN region rs ON rs.id = ns.region_id
           JOIN region rc ON rc.id = nc.region_id
          WHERE rs.name IN ('Asia', 'Europe') AND rc.name IN ('Asia', 'Europe')) AS shipping
      GROUP BY source, target, year ORDER BY source, target, year`,
  },
  {
    name: 'market share, CASE in an aggregate',
    sql: `SELECT extract(year FROM o.placed) AS year,
            round(sum(CASE WHEN n.name = 'Country 3' THEN i.price * (1 - i.discount) ELSE 0 END) / sum(i.price * (1 - i.discount)), 8)
       FROM item i JOIN orders o ON o.id = i.order_id JOIN supplier s ON s.id = i.supplier_id
       JOIN country n ON n.id = s.country_id GROUP BY year ORDER BY year`,
  },
  {
    name: 'profit by country and year, LIKE over names',
    sql: `SELECT n.name, extract(year FROM o.placed) AS year,
            sum(i.price * (1 - i.discount) - f.cost * i.quantity / 100) AS profit
       FROM part p JOIN item i ON i.part_id = p.id JOIN offer f ON f.part_id = i.part_id AND f.supplier_id = i.supplier_id
       JOIN supplier s ON s.id = i.supplier_id JOIN orders o ON o.id = i.order_id JOIN country n ON n.id = s.country_id
      WHERE p.name LIKE '%olive%' GROUP BY n.name, year ORDER BY n.name, year DESC`,
  },
  {
    name: 'customers who send back, top 20',
    sql: `SELECT c.id, c.name, sum(i.price * (1 - i.discount)) AS lost, c.balance, n.name, c.phone, c.comment
       FROM customer c JOIN orders o ON o.customer_id = c.id JOIN item i ON i.order_id = o.id
       JOIN country n ON n.id = c.country_id WHERE i.returned AND o.placed >= '2023-10-01'
      GROUP BY c.id, c.name, c.balance, c.phone, n.name, c.comment ORDER BY lost DESC, c.id LIMIT 20`,
  },
  {
    name: 'important stock, HAVING with a subquery',
    sql: `SELECT f.part_id, sum(f.cost * f.available) AS value
       FROM offer f JOIN supplier s ON s.id = f.supplier_id JOIN country n ON n.id = s.country_id
      WHERE n.region_id = 2 GROUP BY f.part_id
     HAVING sum(f.cost * f.available) >
            (SELECT 1.5 * sum(f2.cost * f2.available) / count(DISTINCT f2.part_id) FROM offer f2
              JOIN supplier s2 ON s2.id = f2.supplier_id JOIN country n2 ON n2.id = s2.country_id WHERE n2.region_id = 2)
      ORDER BY value DESC, f.part_id`,
  },
  {
    name: 'modes and priorities, CASE aggregates',
    sql: `SELECT i.mode, sum(CASE WHEN o.priority <= 2 THEN 1 ELSE 0 END), count(*) FILTER (WHERE o.priority > 2)
       FROM orders o JOIN item i ON i.order_id = o.id
      WHERE i.mode IN ('air', 'ship') AND i.due < i.received AND i.shipped < i.due
        AND i.received >= '2024-01-01' AND i.received < '2025-01-01' GROUP BY i.mode ORDER BY i.mode`,
  },
  {
    name: 'distribution of orders, outer join',
    sql: `SELECT orders, count(*) FROM (
         SELECT c.id, count(o.id) AS orders FROM customer c
           LEFT JOIN orders o ON o.customer_id = c.id AND o.comment NOT LIKE '%special%requests%' GROUP BY c.id) AS counted
      GROUP BY orders ORDER BY count(*) DESC, orders DESC`,
  },
  {
    name: 'effect of a promotion',
    sql: `SELECT round(100.00 * sum(CASE WHEN p.kind LIKE 'steel%' THEN i.price * (1 - i.discount) ELSE 0 END)
                   / sum(i.price * (1 - i.discount)), 6)
       FROM item i JOIN part p ON p.id = i.part_id WHERE i.shipped >= '2024-09-01' AND i.shipped < '2024-10-01'`,
  },
  {
    name: 'best supplier, a view read twice',
    sql: `SELECT s.id, s.name, s.phone, r.total FROM supplier s JOIN revenue r ON r.supplier_id = s.id
      WHERE r.total = (SELECT max(total) FROM revenue) ORDER BY s.id`,
  },
  {
    name: 'suppliers by part, anti-join and COUNT(DISTINCT)',
    sql: `SELECT p.brand, p.kind, p.size, count(DISTINCT f.supplier_id) AS suppliers
       FROM offer f JOIN part p ON p.id = f.part_id
      WHERE p.brand <> 'Brand 15' AND p.kind NOT LIKE 'brass%' AND p.size IN (3, 9, 14, 19, 23, 36, 45, 49)
        AND f.supplier_id NOT IN (SELECT id FROM supplier WHERE comment LIKE '%late%complaints%')
      GROUP BY p.brand, p.kind, p.size ORDER BY suppliers DESC, p.brand, p.kind, p.size`,
  },
  {
    name: 'small orders of a part, correlated average',
    sql: `SELECT round(sum(i.price) / 7.0, 4), count(*) FROM item i JOIN part p ON p.id = i.part_id
      WHERE p.brand = 'Brand 23' AND i.quantity < (SELECT 0.5 * avg(i2.quantity) FROM item i2 WHERE i2.part_id = p.id)`,
  },
  {
    name: 'large orders, IN with HAVING',
    sql: `SELECT c.name, c.id, o.id, o.placed, o.total, sum(i.quantity)
       FROM customer c JOIN orders o ON o.customer_id = c.id JOIN item i ON i.order_id = o.id
      WHERE o.id IN (SELECT order_id FROM item GROUP BY order_id HAVING sum(quantity) > 200)
      GROUP BY c.name, c.id, o.id, o.placed, o.total ORDER BY o.total DESC, o.placed, o.id LIMIT 100`,
  },
  {
    name: 'discounted revenue, a disjunction of conjunctions',
    sql: `SELECT sum(i.price * (1 - i.discount)), count(*) FROM item i JOIN part p ON p.id = i.part_id
      WHERE p.brand = 'Brand 12' AND p.kind LIKE '%box' AND i.quantity BETWEEN 1 AND 21 AND p.size BETWEEN 1 AND 35
         OR p.brand = 'Brand 23' AND p.kind LIKE '%pipe' AND i.quantity BETWEEN 10 AND 40 AND p.size BETWEEN 1 AND 40
         OR p.brand = 'Brand 34' AND i.mode IN ('air', 'road') AND i.quantity >= 20`,
  },
  {
    name: 'suppliers with too much stock, nested subqueries',
    sql: `SELECT s.name, s.phone FROM supplier s JOIN country n ON n.id = s.country_id
      WHERE s.id IN (SELECT f.supplier_id FROM offer f
               WHERE f.part_id IN (SELECT id FROM part WHERE name LIKE 'forest%')
                 AND f.available > (SELECT 0.5 * sum(i.quantity) FROM item i WHERE i.part_id = f.part_id
                        AND i.supplier_id = f.supplier_id AND i.shipped >= '2024-01-01'))
      ORDER BY s.name`,
  },
  {
    name: 'suppliers who kept orders waiting, EXISTS and NOT EXISTS',
    sql: `SELECT s.name, count(*) AS waiting FROM supplier s JOIN item i ON i.supplier_id = s.id
       JOIN orders o ON o.id = i.order_id WHERE o.status = 'F' AND i.received > i.due
        AND EXISTS (SELECT FROM item i2 WHERE i2.order_id = i.order_id AND i2.supplier_id <> i.supplier_id)
        AND NOT EXISTS (SELECT FROM item i3 WHERE i3.order_id = i.order_id AND i3.supplier_id <> i.supplier_id
                           AND i3.received > i3.due)
      GROUP BY s.name ORDER BY waiting DESC, s.name LIMIT 100`,
  },
  {
    name: 'customers to win, substring and anti-join',
    sql: `SELECT code, count(*), sum(balance) FROM (
         SELECT substring(phone FROM 1 FOR 2) AS code, balance FROM customer c
          WHERE substring(phone FROM 1 FOR 2) IN ('10', '11', '12', '13', '14', '15', '17', '19', '20', '21')
            AND balance > (SELECT avg(balance) / 4 FROM customer WHERE balance > 0 AND substring(phone FROM 1 FOR 2) <> '16')
            AND NOT EXISTS (SELECT FROM orders o WHERE o.customer_id = c.id)) AS lapsed
      GROUP BY code ORDER BY code`,
  },
  {
    name: 'rank within segments, window functions',
    sql: `SELECT segment, name, spent, rank() OVER (PARTITION BY segment ORDER BY spent DESC),
            round(spent / sum(spent) OVER (PARTITION BY segment), 6),
            lag(name) OVER (PARTITION BY segment ORDER BY spent DESC, name)
       FROM (SELECT c.segment, c.name, sum(o.total) AS spent FROM customer c JOIN orders o ON o.customer_id = c.id
              GROUP BY c.segment, c.name) AS t ORDER BY segment, spent DESC, name LIMIT 60`,
  },
  {
    name: 'sales by region, country and year, ROLLUP',
    sql: `SELECT r.name, n.name, extract(year FROM o.placed) AS year, sum(o.total), grouping(r.name, n.name)
       FROM orders o JOIN customer c ON c.id = o.customer_id JOIN country n ON n.id = c.country_id
       JOIN region r ON r.id = n.region_id GROUP BY ROLLUP (r.name, n.name, extract(year FROM o.placed)) ORDER BY 1, 2, 3`,
  },
  {
    name: 'medians by brand, ordered-set aggregates, CUBE',
    sql: `SELECT p.brand, i.returned, percentile_disc(0.5) WITHIN GROUP (ORDER BY i.price),
            mode() WITHIN GROUP (ORDER BY i.quantity), count(*)
       FROM item i JOIN part p ON p.id = i.part_id GROUP BY CUBE (p.brand, i.returned) ORDER BY 1, 2`,
  },
  {
    name: 'three largest orders of each clerk, LATERAL',
    sql: `SELECT k.clerk, l.id, l.total FROM (SELECT DISTINCT clerk FROM orders WHERE priority = 1) AS k
       CROSS JOIN LATERAL (SELECT o.id, o.total FROM orders o WHERE o.clerk = k.clerk ORDER BY o.total DESC, o.id LIMIT 3) AS l
      ORDER BY k.clerk, l.total DESC, l.id`,
  },
  {
    name: 'running totals by month, a CTE and a frame',
    sql: `WITH months AS (SELECT date_trunc('month', placed)::date AS month, sum(total) AS total FROM orders GROUP BY 1)
     SELECT month, total, sum(total) OVER (ORDER BY month), round(avg(total) OVER (ORDER BY month ROWS 2 PRECEDING), 4)
       FROM months ORDER BY month`,
  },
  {
    name: 'ages of those who buy and of those who do not, set operations',
    sql: `SELECT 'bought' AS what, count(*), min(born), max(born), round(avg(extract(year FROM born)), 4) FROM customer
      WHERE id IN (SELECT customer_id FROM orders)
      UNION ALL SELECT 'did not', count(*), min(born), max(born), round(avg(extract(year FROM born)), 4) FROM customer
      WHERE id IN (SELECT id FROM customer EXCEPT SELECT customer_id FROM orders) ORDER BY 1`,
  },
  {
    name: 'what is bought together, self-join',
    sql: `SELECT p.kind, q.kind, count(*), sum(a.price + b.price) FROM item a
       JOIN item b ON b.order_id = a.order_id AND b.line > a.line JOIN part p ON p.id = a.part_id JOIN part q ON q.id = b.part_id
      WHERE a.mode = 'air' AND b.mode = 'air' GROUP BY p.kind, q.kind ORDER BY 3 DESC, 1, 2`,
  },
];
