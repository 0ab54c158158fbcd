/**
 * What the cloud says of a statement's result, held against what the shadow schema says: they differ where a table
 * was changed past Clarus, and in views of the system that differ between versions.
 */
import { ClarusError } from '../errors.js';
import type { OutputColumn } from '../sql/plan.js';
import { backendTypes } from '../wire/protocol.js';
import { typeOids } from '../wire/types.js';

/** OIDs from here on are given when a server is made, and differ (FirstGenbkiObjectId in transam.h). */
const firstGivenOid = 10_000;
/** Bytes of a field behind its name: table, attribute, type, size, modifier, format (protocol 54.7). */
const fieldBytes = 18;
const typeAt = 6;
/** Bytes before the fields: type and length of the message, and the number of fields. */
const messageHeaderBytes = 5;

/**
 * Do the columns of a RowDescription have the number and types that are known?
 * @param body where its body begins
 */
export function isAsKnown(columns: readonly OutputColumn[], buffer: Buffer, body: number): boolean {
  if (buffer.readUInt16BE(body) !== columns.length) return false;
  let at = body + 2;
  return columns.every(({ typeOid }) => {
    const field = buffer.indexOf(0, at) + 1;
    at = field + fieldBytes;
    return isSameType(typeOid, buffer.readUInt32BE(field + typeAt));
  });
}

/**
 * The description to give to the client: ours, where the cloud's says the same; else the cloud's, without the numbers
 * of tables and types that are only its own.
 * @param ours a whole RowDescription; empty: none is due
 */
export function descriptionFor(ours: Buffer, buffer: Buffer, start: number, end: number): Buffer {
  if (ours.length > 0 && isSameDescription(ours, buffer, start)) return ours;
  const bytes = Buffer.from(buffer.subarray(start, end));
  let at = messageHeaderBytes + 2;
  for (let left = bytes.readUInt16BE(messageHeaderBytes); left > 0; left--) {
    const field = bytes.indexOf(0, at) + 1;
    bytes.fill(0, field, field + typeAt);
    if (bytes.readUInt32BE(field + typeAt) >= firstGivenOid)
      bytes.writeUInt32BE(typeOids.text, field + typeAt);
    at = field + fieldBytes;
  }
  return bytes;
}

function isSameDescription(ours: Buffer, theirs: Buffer, start: number): boolean {
  const fields = ours.readUInt16BE(messageHeaderBytes);
  if (theirs.readUInt16BE(start + messageHeaderBytes) !== fields) return false;
  let ourField = messageHeaderBytes + 2;
  let theirField = start + messageHeaderBytes + 2;
  for (let left = fields; left > 0; left--) {
    ourField = ours.indexOf(0, ourField) + 1;
    theirField = theirs.indexOf(0, theirField) + 1;
    if (!isSameType(ours.readUInt32BE(ourField + typeAt), theirs.readUInt32BE(theirField + typeAt)))
      return false;
    ourField += fieldBytes;
    theirField += fieldBytes;
  }
  return true;
}

const isSameType = (ours: number, theirs: number): boolean =>
  ours === theirs || (ours >= firstGivenOid && theirs >= firstGivenOid);

/** Is this message a description with other columns than those that are known? */
export const isOtherwise = (
  columns: readonly OutputColumn[],
  type: number,
  buffer: Buffer,
  body: number,
): boolean =>
  type === backendTypes.noData || (type === backendTypes.rowDescription && !isAsKnown(columns, buffer, body));

/** The refusal of a statement whose result was described to the client otherwise. */
export const changedPast = (): ClarusError =>
  new ClarusError('55000', 'the cloud returns other columns than the catalogue knows', {
    detail: 'A table was changed past Clarus, or a view of the system differs between the versions.',
    hint: 'Restart Clarus: what was changed in the cloud is taken in when it starts.',
  });
