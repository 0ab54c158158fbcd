/** Names of the forms of a protected value in the cloud. */
import type { EncodedColumn, RelationSpec } from '../encodings/encoding.js';
import type { CatalogNumbers } from './derive-input.js';
import { HELPER_SCHEMA } from './object-queries.js';
import { FORM_BYTES_MAX } from './physical-parts.js';
import { boundedName, quoteQualified } from './quote.js';

/** Names no other column of the table has: the generation is catalogue-wide unique, user columns are avoided. */
export async function physicalNames(
  column: string,
  kind: string,
  specs: readonly RelationSpec[],
  numbers: CatalogNumbers,
  taken: Set<string>,
): Promise<Pick<EncodedColumn, 'generation' | 'columns' | 'tables'>> {
  const ofColumns = specs.filter(spec => spec.kind === 'column');
  for (;;) {
    const generation = await numbers.generation();
    const columns: Record<string, string> = {};
    const tables: Record<string, string> = {};
    for (const spec of specs) {
      const role = spec.kind === 'column' && ofColumns.length === 1 ? '' : `_${spec.role}`;
      if (spec.kind === 'column')
        columns[spec.role] = boundedName(column, `_${kind}${generation}${role}`, FORM_BYTES_MAX);
      else tables[spec.role] = quoteQualified(HELPER_SCHEMA, boundedName(kind, `${generation}${role}`));
    }
    if (Object.values(columns).some(name => taken.has(name))) continue;
    for (const name of Object.values(columns)) taken.add(name);
    return { generation, columns, tables };
  }
}
