/** ALTER FUNCTION, PROCEDURE and ROUTINE: what a function is told by, and where it is called. */
import type { SessionPort } from '../ports.js';
import { deparse } from '../raw/deparse.js';
import { fieldsOf, kindOf, list, type RawFields, type RawNode, str } from '../raw/node.js';
import { runInShadow } from './backends.js';
import type { DdlBody } from './body.js';
import { routineIdentity } from './owners.js';

/** Kinds of objects that are functions. */
export const areRoutines: ReadonlySet<unknown> = new Set([
  'OBJECT_FUNCTION',
  'OBJECT_PROCEDURE',
  'OBJECT_ROUTINE',
]);

/**
 * RENAME TO, SET SCHEMA, and what a function is: volatility, STRICT, settings and their kin. One that stands in the cloud is
 * altered there too: what it may touch is found by names, whatever search_path says.
 * @throws PostgresError of the shadow
 */
export async function alterRoutine(session: SessionPort, body: DdlBody): Promise<{ readonly tag: string }> {
  const fields = fieldsOf(body.node);
  const field = 'func' in fields ? 'func' : 'object';
  const object = field === 'func' ? { ObjectWithArgs: fields.func as RawFields } : (fields.object as RawNode);
  const found = await routineIdentity(session, fieldsOf(object));
  const tag = await runInShadow(session, body.text);
  session.transaction.record(body.text, []);
  if (!found?.inCloud) return { tag };
  const named = namedIn(object, found.schema);
  const value = field === 'func' ? fieldsOf(named) : named;
  await session.cloud.run(deparse({ [kindOf(body.node)]: { ...fields, [field]: value } }));
  return { tag };
}

/** A function with its schema said. */
function namedIn(object: RawNode, schema: string): RawNode {
  const fields = fieldsOf(object);
  const names = list(fields, 'objname');
  return { ObjectWithArgs: { ...fields, objname: [str(schema), names.at(-1) ?? str('')] } };
}
