/** Rows of the shop, by a scale factor and a seed, as lines of COPY's CSV. */
import { Random } from '../../support/random.js';

const segments = ['garden', 'kitchen', 'office', 'sports', 'toys'];
const brands = Array.from({ length: 25 }, (_, i) => `Brand ${i + 11}`);
const kinds = ['brass box', 'brass pipe', 'copper box', 'copper wire', 'steel pipe', 'steel wire', 'tin can'];
const modes = ['air', 'mail', 'rail', 'road', 'ship'];
const colours = ['almond', 'azure', 'coral', 'forest', 'ivory', 'navy', 'olive', 'plum', 'rose', 'wheat'];
const words = [
  'quick',
  'special',
  'requests',
  'late',
  'packages',
  'calm',
  'complaints',
  'bold',
  'idle',
  'deposits',
];
const regions = ['Africa', 'America', 'Asia', 'Europe'];

/** Rows at scale 1; parts and suppliers follow the orders. */
const ordersAtFullScale = 15_000;

/** Rows of one table. */
export interface TableRows {
  readonly table: string;
  readonly lines: readonly string[];
}

/** @param scale 1: 15,000 orders of some 60,000 items */
export function shopRows(scale: number, seed: number): readonly TableRows[] {
  const random = new Random(seed);
  const orders = Math.ceil(ordersAtFullScale * scale);
  const customers = Math.max(20, Math.ceil(orders / 10));
  const suppliers = Math.max(10, Math.ceil(orders / 150));
  const parts = Math.max(30, Math.ceil(orders / 8));
  const money = (least: number, most: number): string =>
    (random.integer(least * 100, most * 100) / 100).toFixed(2);
  const sentence = (): string =>
    Array.from({ length: random.integer(2, 6) }, () => random.pick(words)).join(' ');
  const day = (from: string, days: number): string =>
    new Date(Date.parse(from) + days * 86_400_000).toISOString().slice(0, 10);
  const phone = (country: number): string =>
    `${country + 10}-${random.integer(100, 999)}-${random.integer(1000, 9999)}`;
  const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i + 1);
  const line = (...fields: (string | number)[]): string => `${fields.join()}\n`;
  const suppliersOf = (part: number): number[] => [
    ...new Set([0, 1, 2, 3].map(i => ((part + i * (1 + (suppliers >> 2))) % suppliers) + 1)),
  ];
  const items: string[] = [];
  const ordered = range(orders).map(id => {
    // a third of the customers never ordered
    const customer = random.integer(1, Math.ceil((customers * 2) / 3));
    const placed = day('2023-01-01', random.integer(0, 900));
    for (const number of range(random.integer(1, 7))) {
      const part = random.integer(1, parts);
      const shipped = day(placed, random.integer(1, 120));
      const received = random.next() < 0.05 ? '' : day(shipped, random.integer(1, 30));
      const [discount, tax] = [random.integer(0, 10), random.integer(0, 8)].map(n => (n / 100).toFixed(2));
      items.push(
        line(
          ...[id, number, part, random.pick(suppliersOf(part)), random.pick(modes)],
          ...[random.next() < 0.2 ? 't' : 'f', random.integer(1, 50), money(5, 900), discount!, tax!],
          ...[shipped, day(placed, random.integer(30, 90)), received],
        ),
      );
    }
    const comment = random.next() < 0.1 ? '' : sentence();
    return line(
      id,
      customer,
      random.pick(['F', 'O', 'P']),
      random.integer(1, 5),
      placed,
      `Clerk ${random.integer(1, 40)}`,
      money(10, 9_000),
      comment,
    );
  });
  return [
    { table: 'region', lines: regions.map((name, i) => line(i + 1, name)) },
    { table: 'country', lines: range(16).map(id => line(id, (id % regions.length) + 1, `Country ${id}`)) },
    {
      table: 'customer',
      lines: range(customers).map(id => {
        const country = (id % 16) + 1;
        const born = random.next() < 0.1 ? '' : day('1940-01-01', random.integer(0, 24_000));
        return line(
          id,
          country,
          random.pick(segments),
          `Customer ${id}`,
          phone(country),
          born,
          money(-900, 9_900),
          sentence(),
        );
      }),
    },
    {
      table: 'supplier',
      lines: range(suppliers).map(id => {
        const country = (id % 16) + 1;
        return line(id, country, `Supplier ${id}`, phone(country), money(-900, 9_900), sentence());
      }),
    },
    {
      table: 'part',
      lines: range(parts).map(id =>
        line(
          id,
          random.pick(brands),
          random.pick(kinds),
          // each colour begins the name of every tenth part, so that no question about one is empty
          `${colours[id % colours.length]} ${random.pick(colours)} ${id}`,
          random.integer(1, 50),
          money(5, 900),
        ),
      ),
    },
    {
      table: 'offer',
      lines: range(parts).flatMap(part =>
        suppliersOf(part).map(supplier => line(part, supplier, random.integer(1, 9_999), money(1, 800))),
      ),
    },
    { table: 'orders', lines: ordered },
    { table: 'item', lines: items },
  ];
}
