/** On which side statements run, and what must hold before one does. */
import { ClarusError } from '../errors.js';
import { apart } from './functions.js';
import type { CursorDeclaration, Plan, Shape } from './plan.js';

import { kindOf, type RawFields, type RawNode, text } from './raw/node.js';
import type { SequencePlaces } from './sequences.js';
import { planSetConfig } from './set-config.js';
import { refuseSample } from './split/sample-condition.js';
import type { Touch } from './touch.js';

/**
 * @returns the same
 * @throws ClarusError 0A000 where the statement calls what is not proven to touch no protected table
 */
export function mustBeProven(touch: Touch): Touch {
  const { routines, homes } = touch;
  if (routines?.doubt !== undefined)
    throw new ClarusError(
      '0A000',
      'the statement calls a user-defined function of which it is not known what it does',
      {
        detail: `${routines.doubt[0]!.toUpperCase()}${routines.doubt.slice(1)}.`,
        hint: 'Write what the function does in the statement itself, or write its body in SQL or PL/pgSQL without EXECUTE.',
      },
    );
  if (homes.has('unproven'))
    throw new ClarusError(
      '0A000',
      'the statement calls a function that runs SQL text, reads files or writes past tables',
      { hint: 'In a database with protected tables such functions are refused.' },
    );
  return touch;
}

/**
 * Where a statement runs that touches no protected table: in the cloud, or on the shadow schema.
 * @param momentary it holds a literal that means the present moment
 * @throws ClarusError 0A000 for what only both sides together could answer
 */
export function place(
  raw: RawNode,
  sql: string,
  shape: Shape,
  touch: Touch,
  sequences: SequencePlaces,
  momentary: boolean,
): Plan {
  refuseSample(raw);
  const { homes } = touch;
  const declares = raw.DeclareCursorStmt && declared(raw.DeclareCursorStmt);
  const pass: Plan = {
    kind: 'pass',
    sql,
    shape,
    ...(declares === undefined ? {} : { declares }),
    ...(touch.cursors ? { listsCursors: true } : {}),
  };
  if (homes.has('sequence-values'))
    throw new ClarusError('0A000', 'the catalogue does not tell the last values of sequences', {
      hint: 'Select last_value from the sequence itself.',
    });
  const { routines } = touch;
  // they stand on both sides; notices are those of the cloud
  const inCloud =
    (['cloud', 'random', 'clock'] as const).some(home => homes.has(home)) ||
    homes.has('statistics') ||
    touch.time ||
    momentary ||
    (routines !== undefined && (!touch.catalogue || routines.time || routines.sequences));
  if (sequences.trusted.size > 0) {
    if (touch.tables.length > 0 || sequences.cloud.size > 0 || inCloud || homes.has('settings'))
      throw apart();
    if (kindOf(raw) === 'DeclareCursorStmt') throw apart();
    return { kind: 'trusted', sql, shape, homed: true };
  }
  if (sequences.cloud.size > 0 && touch.catalogue && touch.tables.length === 0)
    throw new ClarusError('0A000', 'a sequence together with the system catalogue is not answered yet', {
      hint: 'Ask for them in two statements.',
    });
  if (touch.homes.has('settings')) {
    return { kind: 'set-config', sql, shape, given: planSetConfig(raw, shape) };
  }
  if (touch.tables.length) {
    if (touch.catalogue)
      throw new ClarusError('0A000', 'a table together with the system catalogue is not answered yet', {
        hint: 'Ask for them in two statements.',
      });
    return pass;
  }
  if (kindOf(raw) === 'DeclareCursorStmt') return pass;
  if (touch.catalogue) return isOfCatalogue(touch) ? { kind: 'trusted', sql, shape } : pass;
  return inCloud || sequences.cloud.size > 0 ? pass : { kind: 'trusted', sql, shape };
}

/** Name and kinds of the cursor of a DeclareCursorStmt (CURSOR_OPT in parsenodes.h). */
export function declared(fields: RawFields): Pick<CursorDeclaration, 'name' | 'hold' | 'binary'> & {
  readonly scrolls: boolean;
} {
  const options = Number(fields.options ?? 0);
  return {
    name: text(fields, 'portalname')!,
    binary: (options & 0x01) !== 0,
    scrolls: (options & 0x04) === 0,
    hold: (options & 0x20) !== 0,
  };
}

/** Is it a query of the system catalogue that the trusted side answers? Figures and settings are the cloud's. */
export const isOfCatalogue = ({ tables, catalogue, stored, homes }: Touch): boolean =>
  tables.length === 0 && catalogue && !homes.has('statistics') && (stored || !homes.has('server-settings'));
