/** Asks a real PostgreSQL for the forms of values, thousands in one statement. */
import type { TestServer } from './test-server.test.js';

/** What PostgreSQL makes of a text; undefined: it refuses it. */
export interface PostgresValue {
  readonly binary: Buffer;
  readonly text: string;
}

const sendFunctions = `
CREATE OR REPLACE FUNCTION pg_temp.forms(type text, send text, given text[]) RETURNS TABLE (i int, bin text, txt text)
LANGUAGE plpgsql AS $$
BEGIN
  FOR i IN 1 .. cardinality(given) LOOP
    BEGIN
      EXECUTE format('SELECT encode(%s(x), ''hex''), format(''%%s'', x) FROM (SELECT %L::%s AS x) s', send, given[i], type)
        INTO bin, txt;
    EXCEPTION WHEN OTHERS THEN
      bin := NULL;
      txt := NULL;
    END;
    RETURN NEXT;
  END LOOP;
END $$`;

const isPrepared = new WeakSet<TestServer>();

/** The send function of a type, by its SQL name without a modifier. */
async function sendFunction(server: TestServer, type: string): Promise<string> {
  const { rows } = await server.client.query(
    'SELECT typsend::text AS send FROM pg_type WHERE oid = $1::regtype',
    [type],
  );
  return rows[0].send;
}

/**
 * The forms of texts as values of a type, under the session's settings.
 * @param type SQL name, with or without a modifier
 */
export async function postgresForms(
  server: TestServer,
  type: string,
  texts: readonly string[],
): Promise<readonly (PostgresValue | undefined)[]> {
  if (!isPrepared.has(server)) await server.client.query(sendFunctions);
  isPrepared.add(server);
  const send = await sendFunction(server, type.replace(/\(.*?\)/, ''));
  const { rows } = await server.client.query('SELECT bin, txt FROM pg_temp.forms($1, $2, $3) ORDER BY i', [
    type,
    send,
    texts,
  ]);
  return rows.map(({ bin, txt }) =>
    bin === null ? undefined : { binary: Buffer.from(bin, 'hex'), text: txt },
  );
}

/** A one-dimensional array in binary form, for a parameter. */
export function binaryArray(elementOid: number, elements: readonly Uint8Array[]): Buffer {
  const header = Buffer.alloc(20);
  header.writeInt32BE(1, 0);
  header.writeUInt32BE(elementOid, 8);
  header.writeInt32BE(elements.length, 12);
  header.writeInt32BE(1, 16);
  const parts = elements.flatMap(element => {
    const length = Buffer.alloc(4);
    length.writeInt32BE(element.length);
    return [length, element];
  });
  return elements.length === 0
    ? Buffer.concat([Buffer.alloc(8), header.subarray(8, 12)])
    : Buffer.concat([header, ...parts]);
}
