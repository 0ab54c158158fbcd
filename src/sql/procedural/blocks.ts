/** DO: a block without parameters that returns nothing. */
import { ClarusError } from '../../errors.js';
import { cannotBeRun } from '../execute/given.js';
import type { Bound, Portal } from '../execute/portal.js';
import type { ProtectedPlan } from '../plan.js';
import type { SessionPort } from '../ports.js';
import { fieldsOf, list, type RawFields, type RawNode, stringOf, text } from '../raw/node.js';
import { mustNotDepend } from '../raw/string-literals.js';
import { activityOf, within } from './activity.js';
import type { DoBody } from './bodies.js';
import { Execution, Frame } from './frame.js';
import { Interpreter } from './interpret.js';
import { parseBody } from './parse.js';
import { Returned } from './returned.js';
import type { RoutineServices } from './run.js';
import { foundVariable, Scope } from './variables.js';

const nothing = { columns: [], outputs: undefined, isSet: false, isRow: false, isVoid: true };

/**
 * @param raw a DoStmt
 * @throws ClarusError 0A000 for another language than PL/pgSQL; what is wrong with the block
 */
export function planBlock(raw: RawNode, { settings }: Pick<SessionPort, 'settings'>): ProtectedPlan {
  const options = list(raw.DoStmt!, 'args').map(fieldsOf);
  const language = optionOf(options, 'language') ?? 'plpgsql';
  if (language.toLowerCase() !== 'plpgsql')
    throw new ClarusError('0A000', `DO in ${language} is not proven to touch no protected table`, {
      hint: 'Write the block in PL/pgSQL.',
    });
  const source = optionOf(options, 'as') ?? '';
  mustNotDepend([source], settings, 'the block');
  const body: DoBody = { kind: 'do', block: parseBody(source) };
  const shape = { parameterTypes: [], columns: undefined };
  return { kind: 'protected', command: 'DO', shape, split: true, writes: true, once: true, body };
}

const optionOf = (options: readonly RawFields[], name: string): string | undefined => {
  const option = options.find(o => text(o, 'defname') === name);
  return option && stringOf(option.arg as RawNode);
};

/** Runs a block. */
export function bindBlock({ block }: DoBody, bound: Bound, services: RoutineServices): Portal {
  let over = false;
  return {
    async execute() {
      if (over) throw new ClarusError('55000', cannotBeRun(bound.portal));
      over = true;
      const { session } = bound;
      const { block: inBlock } = session.transaction;
      const atomic = activityOf(session).depth === 0 && inBlock;
      await session.transaction.begin();
      await within(
        session,
        atomic,
        async () => {
          const found = foundVariable();
          const scope = new Scope(undefined, undefined, block);
          scope.declare(found);
          const frame = new Frame(new Execution(session, services), 'neither');
          const returned = new Returned(nothing, found);
          const interpreter = new Interpreter(frame, returned, activityOf(session), 'inline_code_block');
          mustBeOver(await interpreter.body(block, scope));
        },
        true,
      );
      return { kind: 'complete', tag: 'DO' };
    },
    close: () => undefined,
  };
}

/** @throws ClarusError 42601, 2D000 for EXIT and CONTINUE that no loop takes */
export function mustBeOver(flow: Awaited<ReturnType<Interpreter['block']>>): void {
  if (typeof flow === 'string') return;
  throw new ClarusError(
    '42601',
    flow.label === undefined
      ? `${flow.kind.toUpperCase()} cannot be used outside a loop${flow.kind === 'exit' ? ', unless it has a label' : ''}`
      : `there is no label "${flow.label}" attached to any block or loop enclosing this statement`,
  );
}
