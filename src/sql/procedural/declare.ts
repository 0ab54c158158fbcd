/** Declarations of a block, as it is entered. */
import { ClarusError } from '../../errors.js';
import type { Frame } from './frame.js';
import type { Block, CursorDeclaration, Declaration } from './syntax.js';
import { folded } from './tokens.js';
import type { ValueType } from './types.js';
import { mustTake, REFCURSOR, Scope, type Variable, variableOf } from './variables.js';

/**
 * The variables of a block with the values they begin with, each of which may use those before.
 * @param begins is told of each variable by its line
 */
export async function declared(
  block: Block,
  outer: Scope | undefined,
  frame: Frame,
  begins: (line: number) => void,
): Promise<Scope> {
  if (block.declarations.length === 0 && block.label === undefined && outer) return outer;
  const scope = new Scope(outer, block.label, block);
  for (const declaration of block.declarations) {
    if (declaration.kind === 'variable') begins(declaration.line);
    await declare(declaration, scope, frame);
  }
  return scope;
}

async function declare(declaration: Declaration, scope: Scope, frame: Frame): Promise<void> {
  const { name } = declaration;
  if (declaration.kind === 'alias') {
    const found = scope.find([declaration.of]);
    if (!found) throw new ClarusError('42704', `variable "${declaration.of}" does not exist`);
    scope.declare(found.variable, name);
    return;
  }
  if (declaration.kind === 'cursor') return declareCursor(declaration, scope, frame);
  const { constant, notNull, value } = declaration;
  const type = await typeOf(declaration.type, scope, frame);
  // it is given its first value before it is constant
  const variable = await variableOf(name, type, frame.types, { notNull });
  if (value !== undefined) await begin(variable, value, scope, frame);
  scope.declare(constant ? { ...variable, constant } : variable);
}

async function declareCursor(declaration: CursorDeclaration, scope: Scope, frame: Frame): Promise<void> {
  const { name } = declaration;
  const parameters: { name: string; type: ValueType | 'record' }[] = [];
  for (const parameter of declaration.parameters)
    parameters.push({ name: parameter.name, type: await typeOf(parameter.type, scope, frame) });
  const type = { oid: REFCURSOR, modifier: -1 };
  const value = { type, text: null, secret: false };
  const cursor = { declaration, parameters, scope: scope.asItIs(declaration) };
  scope.declare({ kind: 'scalar', name, type, constant: false, notNull: false, cursor, value });
}

async function begin(variable: Variable, expression: string, scope: Scope, frame: Frame): Promise<void> {
  if (variable.kind === 'row') {
    return frame.assignRowOf(variable, expression, scope);
  }
  variable.value = await frame.types.assigned(await frame.evaluate(expression, scope), variable.type);
  mustTake(variable, variable.value.text === null);
}

/** A type as it is declared. */
async function typeOf(text: string, scope: Scope, frame: Frame): Promise<ValueType | 'record'> {
  if (/^record$/i.test(text)) return 'record';
  const [, named, kind, arrays] = /^(.*?)\s*%\s*(type|rowtype)\s*((?:\[\d*\]|\s)*)$/is.exec(text) ?? [];
  if (named === undefined) return frame.types.named(text);
  if (arrays) throw new ClarusError('0A000', 'arrays of %TYPE and %ROWTYPE are not answered yet');
  if (kind!.toLowerCase() === 'rowtype') {
    const variable = scope.find([plain(named)])?.variable;
    if (variable?.kind === 'row') return variable.type ?? 'record';
    return frame.types.rowType(named);
  }
  const parts = named.split('.');
  const found = scope.find(parts.map(plain));
  if (found?.variable.kind === 'scalar' && found.rest.length === 0) return found.variable.type;
  const last = parts.pop()!;
  const column = parts.length > 0 ? await frame.types.column(parts.join('.'), plain(last)) : undefined;
  if (column) return column;
  throw parts.length > 0
    ? new ClarusError('42703', `column "${plain(last)}" of relation "${plain(parts.at(-1)!)}" does not exist`)
    : new ClarusError('42704', `variable "${plain(last)}" does not exist`);
}

const plain = (name: string): string =>
  name.trim().startsWith('"') ? name.trim().slice(1, -1).replaceAll('""', '"') : folded(name.trim());
