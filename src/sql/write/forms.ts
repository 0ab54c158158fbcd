/** What a protected column is written as: a physical value for each column of each of its encodings. */
import type { LogicalColumn } from '../../catalog/catalog.js';
import { type EncodingRegistry, encodingNamed } from '../../encodings/registry.js';
import type { WrittenForm } from '../execute/bodies.js';

/**
 * Gives the physical columns of protected columns the numbers of operands, one after the other.
 * @param first number of the first one
 */
export function formsIn(
  registry: EncodingRegistry,
  first: number,
): (column: LogicalColumn) => readonly WrittenForm[] {
  let operands = first;
  return column =>
    column.protection!.encodings.map(({ kind, encoded }) => ({
      encoding: encodingNamed(registry, kind),
      encoded,
      operands: Object.fromEntries(Object.keys(encoded.columns).map(role => [role, operands++])),
    }));
}

/** The SQL type of a physical column of an encoding. */
export function physicalType(form: WrittenForm, role: string): string {
  for (const spec of form.encoding.relations(form.encoded))
    if (spec.kind === 'column' && spec.role === role) return spec.type;
  throw new Error(`the encoding has no column "${role}"`);
}
