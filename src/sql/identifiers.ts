/**
 * Object identifiers in what the cloud answers of itself: figures, locks, sizes. A client knows the trusted side's, and the
 * cloud has others for the same objects.
 */
import { ClarusError } from '../errors.js';
import { type Node, nodesIn, type Value, walk } from './analysed/node.js';
import { constantValue, typeOf } from './analysed/types.js';
import { FIRST_USER_OID } from './functions.js';
import { type RawNode, visit } from './raw/node.js';
import type { Touch } from './touch.js';

/** oid, int8, int4, regclass (pg_type.dat) */
const OID = 26;
const INT8 = 20;
const INT4 = 23;
const REGCLASS = 2205;

/**
 * @throws ClarusError 0A000 where a query that goes to the cloud says an object identifier of users as a number, or takes one
 *   as a parameter
 */
export function refuseIdentifiers(raw: RawNode, { query, homes, tables }: Touch): void {
  if (!query || !(homes.has('statistics') || (homes.has('cloud') && tables.length === 0))) return;
  let namesRelation = false;
  walk(query, node => {
    if (isIdentifier(node)) throw foreign();
    namesRelation ||= node.kind === 'CONST' && typeOf(node) === REGCLASS;
    return true;
  });
  // a name of digits alone is a number
  visit(raw, (kind, fields) => {
    const { sval } = (kind === 'A_Const' ? (fields.sval as { sval?: string } | undefined) : undefined) ?? {};
    if (namesRelation && sval !== undefined && /^\d+$/.test(sval) && Number(sval) >= FIRST_USER_OID)
      throw foreign();
  });
}

const isIdentifier = (node: Node): boolean =>
  typeOf(node) === OID
    ? isNumberOfUsers(node)
    : typeOf(node) === REGCLASS && node.kind !== 'CONST' && isNumberOfUsers(node.fields.arg);

/** Is it a number, perhaps converted, that is an identifier of users? Of a parameter that is not known. */
function isNumberOfUsers(value: Value | undefined): boolean {
  const type = typeOf(value);
  if (type !== OID && type !== INT4 && type !== INT8) return false;
  const node = value as Node;
  switch (node.kind) {
    case 'PARAM':
      return true;
    case 'CONST': {
      const known = constantValue(node);
      if (!known) return false;
      const bytes = Buffer.from(known);
      return (type === INT8 ? bytes.readBigInt64BE(0) : bytes.readUInt32BE(0)) >= FIRST_USER_OID;
    }
    case 'RELABELTYPE':
      return isNumberOfUsers(node.fields.arg);
    case 'FUNCEXPR': {
      const given = nodesIn(node, 'args');
      return given.length === 1 && isNumberOfUsers(given[0]);
    }
    default:
      return false;
  }
}

const foreign = (): ClarusError =>
  new ClarusError('0A000', 'an object identifier is given to what the cloud answers', {
    detail:
      'Identifiers that Clarus tells are those of the trusted side; the cloud has others for the same objects.',
    hint: "Name the object instead, as in 'name'::regclass, or compare names.",
  });
