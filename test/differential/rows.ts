/** The rows that the differential test begins with. */
import { columns } from './schema.js';

/** A literal. */
export const quoted = (value: string): string => `'${value.replaceAll("'", "''")}'`;

/** Values from the pools, so that conditions find some. */
export const seedRows: string = (['sample', 'other'] as const)
  .map((table, t) => {
    const rows = Array.from({ length: 20 }, (_, i) => {
      const values = columns.map((c, k) =>
        (i * 7 + k + t) % 6 === 0 ? 'NULL' : quoted(c.pool[(i + k * t) % c.pool.length]!),
      );
      return `(${i}, ${values.join(', ')})`;
    });
    return `INSERT INTO ${table} (id, ${columns.map(c => c.name).join(', ')}) VALUES ${rows.join(', ')};`;
  })
  .join('\n');
