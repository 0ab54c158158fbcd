/** Functions that stand in the shadow alone for want of types, made in the cloud as soon as that has these. */
import { qualified } from '../../catalog/describe.js';
import { oidArray } from '../../catalog/reader.js';
import { OWN_SCHEMA } from '../../trusted/own-schema.js';
import { PostgresError } from '../../wire/diagnostic.js';
import { FIRST_USER_OID } from '../functions.js';
import { hiddenNameIn } from '../opaque/bodies.js';
import { readerOn } from '../reading.js';
import { absentFromCloud } from '../standing.js';
import { doubtOfFunction, type ProofContext } from './proof.js';

/** Those for triggers are made when a trigger of the cloud needs them. */
const candidates = `
SELECT p.oid::text FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid = p.prolang
  JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
 WHERE p.oid >= ${FIRST_USER_OID} AND l.lanname IN ('sql', 'plpgsql') AND p.prokind IN ('f', 'p')
   AND p.prorettype <> 'pg_catalog.trigger'::pg_catalog.regtype
   AND n.nspname <> '${OWN_SCHEMA}' AND n.nspname !~ '^pg_temp'
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e
     WHERE e.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND e.objid = p.oid AND e.deptype = 'e')
 ORDER BY p.oid`;
const definitions =
  'SELECT p.oid::text, pg_catalog.pg_get_functiondef(p.oid) FROM pg_catalog.pg_proc p WHERE p.oid = ANY ($1::pg_catalog.oid[])';

/** Makes those that are proven to touch open tables only, and to need nothing that the cloud has not. */
export async function makeWaitingFunctions(context: ProofContext): Promise<void> {
  const { session } = context;
  const shadow = readerOn(session.trusted);
  const all = (await shadow(candidates, [])).map(([oid]) => Number(oid));
  let waiting = (await absentFromCloud({ routines: all }, session)).map(({ oid }) => oid);
  for (;;) {
    const ready: number[] = [];
    for (const oid of waiting) if ((await doubtOfFunction(context, oid)) === undefined) ready.push(oid);
    if (ready.length === 0) return;
    const texts = await qualified(shadow, () => shadow(definitions, [oidArray(ready)]));
    for (const [, definition] of texts) await made(definition!, context);
    waiting = waiting.filter(oid => !ready.includes(oid));
  }
}

/** One that the cloud does not take goes on standing in the shadow alone. */
async function made(definition: string, { session }: ProofContext): Promise<void> {
  if (hiddenNameIn(definition, session) !== undefined) return;
  try {
    await session.transaction.subtransaction(() => session.cloud.run(definition));
  } catch (error) {
    if (!(error instanceof PostgresError)) throw error;
  }
}
