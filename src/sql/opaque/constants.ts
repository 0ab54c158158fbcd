/** Constants that name relations: of type regclass, and arguments of functions that take names of relations. */
import { quoteQualified } from '../../catalog/quote.js';
import { list, type RawFields, type RawNode, stringOf } from '../raw/node.js';
import { type HiddenNames, opaqueRelation } from './names.js';
import { cannotSpell } from './refusal.js';

/** Functions whose first argument is of type regclass (pg_proc.dat). */
const ofRegclass =
  /^(nextval|currval|setval|pg_(relation|table|total_relation|indexes)_size|pg_relation_(filenode|filepath|is_updatable)|pg_column_is_updatable|pg_partition_(tree|ancestors|root)|pg_sequence_last_value|pg_truncate_visibility_map|pg_prewarm|pgstattuple|pgstatindex)$/;

/** Functions that take the name of a relation as a text (pg_proc.dat). */
const ofNames =
  /^(to_regclass|regclass|to_regtype|regtype|has_(table|any_column|column|sequence)_privilege|row_security_active|pg_get_(serial_sequence|viewdef)|currtid2|pg_input_(is_valid|error_info)|pg_get_object_address)$/;

/**
 * A call or a cast with the opaque name of the relation that its constant names.
 * @throws ClarusError 0A000 for a function that takes the name of a hidden relation as a text
 */
export function spelledConstant(node: RawNode, names: HiddenNames): RawNode {
  if (node.TypeCast) {
    const type = stringOf(list((node.TypeCast.typeName as RawFields | undefined) ?? {}, 'names').at(-1));
    return type === 'regclass' ? { TypeCast: withConstant(node.TypeCast, 'arg', names) } : node;
  }
  const call = node.FuncCall!;
  const called = stringOf(list(call, 'funcname').at(-1));
  const [first, ...others] = list(call, 'args');
  if (!first) return node;
  if (ofNames.test(called))
    for (const arg of [first, ...others]) {
      const text = constantText((arg.TypeCast?.arg as RawNode | undefined) ?? arg);
      if (text !== undefined && hiddenIn(text, names))
        throw cannotSpell(`${called} of a relation whose name is hidden`);
    }
  if (!ofRegclass.test(called) || constantText(first) === undefined) return node;
  const { arg } = withConstant({ arg: first }, 'arg', names);
  return { FuncCall: { ...call, args: [arg, ...others] } };
}

const constantText = (node: RawNode): string | undefined => {
  const text = (node.A_Const?.sval as RawFields | undefined)?.sval;
  return typeof text === 'string' ? text : undefined;
};

function withConstant(fields: RawFields, field: string, names: HiddenNames): RawFields {
  const text = constantText(fields[field] as RawNode);
  const hidden = text === undefined ? undefined : hiddenIn(text, names);
  if (!hidden) return fields;
  return {
    ...fields,
    [field]: { A_Const: { sval: { sval: quoteQualified(hidden.schema, hidden.opaque) } } },
  };
}

/** What a text names, as PostgreSQL reads it (stringToQualifiedNameList); without a schema, what alone has the name. */
function hiddenIn(
  text: string,
  names: HiddenNames,
): { readonly schema: string; readonly opaque: string } | undefined {
  const parts = namesIn(text);
  const [name, schema] = [parts?.at(-1), parts?.at(-2)];
  if (name === undefined) return undefined;
  if (schema !== undefined) {
    const opaque = opaqueRelation(names, schema, name);
    return opaque === undefined ? undefined : { schema, opaque };
  }
  const found = new Set([...names.relations.values()].filter(one => one.own === name));
  if (found.size > 1) throw cannotSpell(`"${name}" without its schema`);
  return [...found][0];
}

/** The parts of a qualified name as PostgreSQL reads it; undefined where it is none. */
export function namesIn(text: string): readonly string[] | undefined {
  const part = /\s*(?:"((?:[^"]|"")+)"|([^\s."]+))\s*(\.|$)/suy;
  const parts: string[] = [];
  for (;;) {
    const match = part.exec(text);
    if (!match) return undefined;
    parts.push(match[1]?.replaceAll('""', '"') ?? match[2]!.toLowerCase());
    if (match[3] === '') return parts;
  }
}
