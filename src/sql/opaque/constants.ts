/** Constants that name relations: of type regclass, and arguments of the functions of sequences. */
import { quoteQualified } from '../../catalog/quote.js';
import { list, type RawFields, type RawNode, stringOf } from '../raw/node.js';
import { type HiddenNames, relationKey } from './names.js';
import { cannotSpell } from './refusal.js';

const ofSequences: ReadonlySet<string> = new Set(['nextval', 'currval', 'setval']);

/**
 * A call or a cast with the opaque name of the relation that its constant names.
 * @throws ClarusError 0A000 for pg_get_serial_sequence of a hidden table
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
  const text = constantText(first);
  if (called === 'pg_get_serial_sequence' && text !== undefined && hiddenIn(text, names, 'table'))
    throw cannotSpell('pg_get_serial_sequence of a table whose name is hidden');
  if (!ofSequences.has(called) || text === undefined) return node;
  const { arg } = withConstant({ arg: first }, 'arg', names);
  return { FuncCall: { ...call, args: [arg, ...others] } };
}

const constantText = (node: RawNode): string | undefined => {
  const text = (node.A_Const?.sval as RawFields | undefined)?.sval;
  return typeof text === 'string' ? text : undefined;
};

function withConstant(fields: RawFields, field: string, names: HiddenNames): RawFields {
  const text = constantText(fields[field] as RawNode);
  const hidden = text === undefined ? undefined : hiddenIn(text, names, undefined);
  if (!hidden) return fields;
  return {
    ...fields,
    [field]: { A_Const: { sval: { sval: quoteQualified(hidden.schema, hidden.opaque) } } },
  };
}

/** What a text names, as PostgreSQL reads it (stringToQualifiedNameList); without a schema, what alone has the name. */
function hiddenIn(text: string, names: HiddenNames, kind: 'table' | undefined) {
  const parts = namesIn(text);
  const [name, schema] = [parts?.at(-1), parts?.at(-2)];
  if (name === undefined) return undefined;
  if (schema !== undefined) return names.relations.get(relationKey(schema, name));
  const found = new Set(
    [...names.relations.values()].filter(
      one => one.own === name && (kind === undefined || one.kind === kind),
    ),
  );
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
