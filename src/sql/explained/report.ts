/** What EXPLAIN (CLARUS) tells: facts, in each of the formats that EXPLAIN knows (explain_format.c of PostgreSQL). */
import { within } from './names.js';
import type { ExplainOptions } from './options.js';

type Format = ExplainOptions['format'];

/** Something that is told, with what belongs to it. */
export interface Fact {
  /** in PostgreSQL's manner: `Index Cond` */
  readonly label: string;
  readonly value?: string | number | readonly string[];
  /** of a number, as text tells it */
  readonly unit?: string;
  readonly facts?: readonly Fact[];
}

/** A property of an object: what it is called, and what it holds. */
type Property = readonly [name: string, value: Told];
type Told = string | number | readonly Told[] | Properties;
interface Properties {
  readonly properties: readonly Property[];
}

/** What the value of a fact that has others is called among them. */
const valueNames: Readonly<Record<string, string>> = {
  Table: 'Name',
  Fetched: 'Name',
  'Cloud Answers': 'Condition',
  Stays: 'Condition',
};

/** Facts of which there may be several: each is an element of a list. */
const several: ReadonlySet<string> = new Set([
  'Why',
  'Reads',
  'Writes',
  'Samples',
  'Operand',
  'Declassifies',
  'Protects',
  'Fires',
  'First',
  'Table',
  'Cloud Answers',
  'Stays',
  'Joins',
  'Fetched',
]);

/**
 * The rows of the answer.
 * @param fact the whole: its label is the way that the statement goes
 */
export function reported(fact: Fact, format: Format): readonly string[] {
  switch (format) {
    case 'text':
      return textOf(fact);
    case 'json':
      return [`[\n${jsonOf({ properties: [['Plan', planOf(fact)]] }, 1)}\n]`];
    case 'yaml':
      return [`- Plan: \n${yamlOf(planOf(fact), 2)}`];
    case 'xml':
      return [
        `<explain xmlns="http://www.postgresql.org/2009/explain">\n${xmlOf('Plan', planOf(fact), 1)}\n</explain>`,
      ];
  }
}

function textOf({ label, value, unit, facts = [] }: Fact): string[] {
  const told = typeof value === 'object' ? value.join(', ') : value;
  return [
    told === undefined ? `${label}:` : `${label}: ${told}${unit === undefined ? '' : ` ${unit}`}`,
    ...facts.flatMap(textOf).map(line => `  ${line}`),
  ];
}

const planOf = ({ label, value, facts = [] }: Fact): Properties => ({
  properties: [
    ['Way', label],
    ...(value === undefined ? [] : [['Summary', value] as const]),
    ...propertiesOf(facts),
  ],
});

function propertiesOf(facts: readonly Fact[]): readonly Property[] {
  const properties = new Map<string, Told>();
  for (const { label, value, facts: more } of facts) {
    const isPlan = more !== undefined && !(label in valueNames);
    const told: Told = isPlan
      ? planOf({ label, ...(value === undefined ? {} : { value }), facts: more })
      : more === undefined
        ? (value ?? '')
        : { properties: [[valueNames[label]!, value ?? ''], ...propertiesOf(more)] };
    const list = properties.get(label) as readonly Told[] | undefined;
    properties.set(label, several.has(label) ? [...(list ?? []), told] : told);
  }
  return [...properties];
}

const isList = (told: Told): told is readonly Told[] => Array.isArray(told);
const isObject = (told: Told): told is Properties => typeof told === 'object' && !isList(told);

const spaces = (depth: number): string => '  '.repeat(depth);

function jsonOf(told: Told, depth: number): string {
  const at = spaces(depth);
  if (isList(told)) {
    if (told.length === 0) return `${at}[]`;
    return `${at}[\n${told.map(item => jsonOf(item, depth + 1)).join(',\n')}\n${at}]`;
  }
  if (!isObject(told)) return at + JSON.stringify(told);
  const inner = told.properties.map(
    ([name, value]) => `${spaces(depth + 1)}${JSON.stringify(name)}: ${jsonOf(value, depth + 1).trimStart()}`,
  );
  return `${at}{\n${inner.join(',\n')}\n${at}}`;
}

function yamlOf(told: Told, depth: number): string {
  const at = spaces(depth);
  const scalar = (value: string | number): string =>
    typeof value === 'number' ? String(value) : `"${within('yaml', value)}"`;
  if (isList(told))
    return told
      .map(item =>
        isObject(item) || isList(item)
          ? `${at}- ${yamlOf(item, depth + 1).trimStart()}`
          : `${at}- ${scalar(item)}`,
      )
      .join('\n');
  if (!isObject(told)) return at + scalar(told);
  return told.properties
    .map(([name, value]) =>
      isObject(value) || isList(value)
        ? `${at}${name}: \n${yamlOf(value, depth + 1)}`
        : `${at}${name}: ${scalar(value)}`,
    )
    .join('\n');
}

function xmlOf(name: string, told: Told, depth: number): string {
  const at = spaces(depth);
  const tag = name.replaceAll(' ', '-');
  if (isList(told)) return told.map(item => xmlOf(name, item, depth)).join('\n');
  if (!isObject(told)) return `${at}<${tag}>${within('xml', String(told))}</${tag}>`;
  const inner = told.properties.map(([property, value]) => xmlOf(property, value, depth + 1));
  return `${at}<${tag}>\n${inner.join('\n')}\n${at}</${tag}>`;
}
