/** Assignments to elements of arrays. */
import { ClarusError } from '../../errors.js';
import { nameText } from '../ddl/resolve.js';
import { collect } from '../execute/collect.js';
import { statement } from '../execute/convert.js';
import { deparseExpression } from '../raw/deparse.js';
import { list, type RawNode, stringOf } from '../raw/node.js';
import { parseExpression } from '../raw/parse.js';
import { readingOf } from '../settings.js';
import { type Frame, unknownVariable } from './frame.js';
import type { Target } from './syntax.js';
import { typeInt, type Value, withoutPlace } from './types.js';
import type { Scope } from './variables.js';

/**
 * Assigns an expression to an element of an array.
 * @param target as it is written
 * @returns the names of the target where it is none of an array, so that nothing was assigned
 */
export async function assignElement(
  target: string,
  expression: string,
  scope: Scope,
  frame: Frame,
): Promise<Target | undefined> {
  const raw = parseExpression(target);
  if (raw.ParamRef) return [target.trim()];
  if (raw.ColumnRef) return namesOf(raw);
  const { arg, indirection = [] } = (raw.A_Indirection ?? {}) as {
    arg?: RawNode;
    indirection?: readonly RawNode[];
  };
  const [subscript, ...more] = indirection;
  const names = arg?.ColumnRef && namesOf(arg);
  const index = subscript?.A_Indices;
  if (!names || !index || more.length > 0 || index.is_slice || !index.uidx)
    throw new ClarusError('0A000', 'an assignment to a part of a variable like this is not answered yet', {
      hint: 'Assign the whole variable.',
    });
  const found = scope.find(names);
  if (!found) throw unknownVariable(names);
  const array = await frame.evaluate(nameText(names), scope);
  const { element } = await frame.types.facts(array.type.oid);
  if (element === 0)
    throw new ClarusError(
      '0A000',
      'an assignment to a part of a variable that is no array is not answered yet',
      {
        hint: 'Assign the whole variable.',
      },
    );
  const place = await frame.types.assigned(
    await frame.evaluate(deparseExpression(index.uidx as RawNode), scope),
    typeInt,
  );
  if (place.text === null) throw new ClarusError('22004', 'array subscript in assignment must not be null');
  const value = await frame.types.assigned(await frame.evaluate(expression, scope), {
    oid: element,
    modifier: array.type.modifier,
  });
  await frame.assign(names, scope, await replaced(array, place, value, frame));
  return undefined;
}

const namesOf = (raw: RawNode): Target => list(raw.ColumnRef!, 'fields').map(stringOf);

/** MaxArraySize (utils/array.h) */
const elementsMax = 134_217_727;

/** Elements between the old bounds and the new one become NULL (array_set_element in arrayfuncs.c). */
async function replaced(array: Value, place: Value, value: Value, frame: Frame): Promise<Value> {
  const { types, execution } = frame;
  const { session } = execution;
  const [arrays, elements] = [await types.facts(array.type.oid), await types.facts(value.type.oid)];
  const sql = `SELECT CASE WHEN b.lo <> 1 THEN '[' || b.lo || ':' || b.hi || ']=' ELSE '' END || (SELECT pg_catalog.array_agg(
      CASE WHEN s.i = $2 THEN $3::${elements.name} ELSE ($1::${arrays.name})[s.i] END ORDER BY s.i) FROM pg_catalog.generate_series(b.lo, b.hi) AS s (i))::text,
    pg_catalog.array_ndims($1::${arrays.name})
    FROM (SELECT least(pg_catalog.array_lower($1::${arrays.name}, 1), $2) AS lo, greatest(pg_catalog.array_upper($1::${arrays.name}, 1), $2) AS hi) AS b
    WHERE b.hi::pg_catalog.int8 - b.lo::pg_catalog.int8 < ${elementsMax}`;
  const types_ = [array.type.oid, typeInt.oid, value.type.oid];
  const [row] = await collect(
    session.trusted,
    statement(sql, types_, readingOf(session.settings)),
    [array.text, place.text, value.text],
    [0],
    [0],
  ).catch(error => {
    throw withoutPlace(error);
  });
  if (!row) throw new ClarusError('54000', `array size exceeds the maximum allowed (${elementsMax})`);
  if (row[1] && Buffer.from(row[1]).toString() !== '1')
    throw new ClarusError('2202E', 'wrong number of array subscripts');
  // bounds of an array tell where something was put
  const secret = array.secret || place.secret || value.secret;
  return { type: array.type, text: row[0]!, secret };
}
