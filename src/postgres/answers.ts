import { ClarusError } from '../errors.js';
import { backendTypes } from '../wire/protocol.js';
import { type Expectation, expects } from './expectations.js';

/** What a message means for the expectation at the head. */
export const meaning = {
  /** it has no place there */
  none: 0,
  /** more will follow */
  part: 1,
  /** the expectation is met */
  end: 2,
} as const;

const table = new Uint8Array(16 * 256);
const says = (kind: number, value: number, ...types: number[]): void => {
  for (const type of types) table[kind * 256 + type] = value;
};
const b = backendTypes;
const copy = [b.copyInResponse, b.copyOutResponse, b.copyData, b.copyDone];
const completions = [b.commandComplete, b.portalSuspended, b.emptyQueryResponse];
says(expects.parse, meaning.end, b.parseComplete);
says(expects.bind, meaning.end, b.bindComplete);
says(expects.close, meaning.end, b.closeComplete);
says(expects.describe, meaning.part, b.parameterDescription);
says(expects.describe, meaning.end, b.rowDescription, b.noData);
says(expects.execute, meaning.part, ...copy);
says(expects.execute, meaning.end, ...completions);
says(expects.query, meaning.part, b.rowDescription, b.dataRow, ...copy, ...completions);
says(expects.query, meaning.end, b.readyForQuery);
says(expects.sync, meaning.end, b.readyForQuery);

/**
 * What a message of the server means for what is expected next.
 * @throws ClarusError FATAL 08P01 when it has no place there: the server does not speak the protocol
 */
export function meaningOf(kind: number | undefined, type: number): number {
  const found = kind === undefined ? meaning.none : table[kind * 256 + type]!;
  if (found !== meaning.none) return found;
  throw new ClarusError(
    '08P01',
    `the server sent a message of type '${String.fromCharCode(type)}' that fits no request`,
    { severity: 'FATAL' },
  );
}

/** Messages that tell that a statement is done (CommandComplete), pauses (PortalSuspended) or was none. */
export const isCompletion = (type: number): boolean =>
  completions.includes(type as (typeof completions)[number]);

const rows = new Uint8Array(256);
rows[b.dataRow] = 1;
rows[b.copyData] = 1;

/** Types of messages that are forwarded in pieces as they come, a row of 1 GB as well as a small one. */
export function streamedFor(head: Expectation | undefined): Uint8Array | undefined {
  const forwards = head?.toClient && (head.expects === expects.execute || head.expects === expects.query);
  return forwards ? rows : undefined;
}
