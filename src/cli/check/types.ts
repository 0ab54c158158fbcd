/** What the check says of types: labels and checks that stand in a cloud while protected columns use them too. */
import type { Catalog } from '../../catalog/catalog.js';
import { typesAround, unneededTypes } from '../../catalog/cloud-types.js';
import type { DatabaseDescription } from '../../catalog/description.js';
import type { Reader } from '../../catalog/reader.js';
import { joinName } from '../../policy/names.js';

/** Both schemas, as they are read. */
export interface TypesInput {
  readonly catalog: Catalog;
  readonly cloud: DatabaseDescription;
  readonly shadow: DatabaseDescription;
  readonly readCloud: Reader;
  readonly readShadow: Reader;
}

/** Enums and domains of protected columns that a cloud knows, each in words. */
export async function typesInTheClear(input: TypesInput): Promise<readonly string[]> {
  const { catalog, cloud, shadow, readCloud, readShadow } = input;
  const inCloud = new Set(cloud.objects.map(({ kind, identity }) => `${kind} ${identity}`));
  const found: string[] = [];
  for (const { kind, oid, identity } of shadow.objects) {
    if ((kind !== 'enum' && kind !== 'domain') || !inCloud.has(`${kind} ${identity}`)) continue;
    const around = await typesAround(readShadow, [oid]);
    const holders = new Set(around.map(type => type.oid));
    const columns = shadow.tables.flatMap(table =>
      table.columns
        .filter(({ userType }) => holders.has(userType))
        .map(({ attnum, name }) => ({
          name: joinName([table.schema, table.name, name]),
          isProtected: catalog.tables.get(table.oid)?.columns.find(c => c.attnum === attnum)?.protection,
        })),
    );
    const hidden = columns.find(({ isProtected }) => isProtected);
    if (!hidden) continue;
    const open = columns.find(({ isProtected }) => !isProtected);
    const [unneeded] = await unneededTypes(
      readCloud,
      around.filter(type => type.oid === oid),
    );
    const why = open
      ? `because ${open.name} is in the clear`
      : unneeded
        ? `though nothing there needs it: past Clarus, run ${unneeded}`
        : 'because something else there needs it';
    found.push(
      `the ${kind === 'enum' ? 'labels' : 'checks and the default'} of ${identity}, which the protected ${hidden.name} uses, stand in the cloud ${why}`,
    );
  }
  return found;
}
