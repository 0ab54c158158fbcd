/** Scripts that a session of Clarus and one of PostgreSQL run beside each other, and what they are told. */
import { type RawClient, say, told } from './raw-client.js';

/** A statement, with the text of its parameters where it has some. */
export type TextStep = string | readonly [string, ...string[]];

/** What a client is told to a step, a message a line: without what the extended protocol says beside. */
export async function linesOf(client: RawClient, step: TextStep, extended: boolean): Promise<string[]> {
  const [sql, ...values] = typeof step === 'string' ? [step] : step;
  const several = /; \w/.test(sql!);
  if (values.length > 0 || (extended && !several))
    client.send(say.parse(sql!), say.bind('', '', values), say.describe('portal'), say.execute(), say.sync);
  else client.send(say.query(sql!));
  return told(await client.until()).filter(
    line => !extended || !/^(ParseComplete|BindComplete|NoData)/.test(line),
  );
}

/** The same in one text, without what OIDs differ in. */
export async function answerTo(client: RawClient, step: TextStep, extended: boolean): Promise<string> {
  return (
    (await linesOf(client, step, extended))
      .map(line => (line.startsWith('RowDescription') ? line.replace(/\b\d{5,}\b/g, 'own') : line))
      // that of a key is left out where a column of it is protected
      .map(line => line.replace(/ Key \(.*\) already exists\. $/, '  '))
      .join('\n')
  );
}
