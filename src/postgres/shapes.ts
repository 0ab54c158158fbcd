/** Descriptions for the client, worded from plans: what Describe answers. */

import { ClarusError } from '../errors.js';
import type { OutputColumn, Shape } from '../sql/plan.js';
import { MessageWriter } from '../wire/message-writer.js';
import { backendTypes } from '../wire/protocol.js';

const parseComplete = whole(backendTypes.parseComplete);
const bindComplete = whole(backendTypes.bindComplete);
const closeComplete = whole(backendTypes.closeComplete);
const noData = whole(backendTypes.noData);
const emptyQuery = whole(backendTypes.emptyQueryResponse);
const suspended = whole(backendTypes.portalSuspended);
const copyDone = whole(backendTypes.copyDone);

/** Messages without a body, ready to be sent. */
export const messages = {
  parseComplete,
  bindComplete,
  closeComplete,
  noData,
  emptyQuery,
  suspended,
  copyDone,
} as const;

function whole(type: number): Buffer {
  return Buffer.from([type, 0, 0, 0, 4]);
}

const inText = new WeakMap<readonly OutputColumn[], Buffer>();

/**
 * RowDescription of some columns.
 * @param formats none: all text; one: for all; else one a column
 * @throws ClarusError 08P01 when their number fits neither
 */
export function rowDescription(columns: readonly OutputColumn[], formats: readonly (0 | 1)[]): Buffer {
  const text = formats.length === 0 || (formats.length === 1 && formats[0] === 0);
  const known = text ? inText.get(columns) : undefined;
  if (known !== undefined) return known;
  if (formats.length > 1 && formats.length !== columns.length) {
    throw new ClarusError(
      '08P01',
      `bind message has ${formats.length} result formats but query has ${columns.length} columns`,
    );
  }
  const writer = new MessageWriter(256);
  writer.begin(backendTypes.rowDescription);
  writer.int16(columns.length);
  columns.forEach((column, i) => {
    writer.cstring(column.name);
    writer.int32(column.tableOid);
    writer.int16(column.attnum);
    writer.int32(column.typeOid);
    writer.int16(column.typeSize);
    writer.int32(column.typeModifier);
    writer.int16((formats.length > 1 ? formats[i] : formats[0]) ?? 0);
  });
  writer.end();
  const bytes = writer.take();
  if (text) inText.set(columns, bytes);
  return bytes;
}

/** RowDescription or NoData. */
export const resultDescription = (shape: Shape, formats: readonly (0 | 1)[]): Buffer =>
  shape.columns === undefined ? noData : rowDescription(shape.columns, formats);

/** What Describe of a statement answers: ParameterDescription, then RowDescription or NoData. */
export const statementDescription = (shape: Shape): Buffer =>
  Buffer.concat([parameterDescription(shape.parameterTypes), resultDescription(shape, [])]);

/** ParameterDescription. @param types their OIDs */
export function parameterDescription(types: readonly number[]): Buffer {
  const writer = new MessageWriter(16 + 4 * types.length);
  writer.begin(backendTypes.parameterDescription);
  writer.int16(types.length);
  for (const oid of types) writer.int32(oid);
  writer.end();
  return writer.take();
}

/** Tags come again and again: `SELECT 1`. */
const completed = new Map<string, Buffer>();
const completedMax = 256;

/** @param tag such as `INSERT 0 1` @returns bytes that are never written again */
export function commandComplete(tag: string): Buffer {
  const known = completed.get(tag);
  if (known !== undefined) return known;
  const writer = new MessageWriter(tag.length + 16);
  writer.begin(backendTypes.commandComplete);
  writer.cstring(tag);
  writer.end();
  const bytes = writer.take();
  if (completed.size === completedMax) completed.clear();
  completed.set(tag, bytes);
  return bytes;
}

/** ParameterStatus. */
export function parameterTold(name: string, value: string): Buffer {
  const writer = new MessageWriter(name.length + value.length + 16);
  writer.begin(backendTypes.parameterStatus);
  writer.cstring(name);
  writer.cstring(value);
  writer.end();
  return writer.take();
}

/** CopyInResponse or CopyOutResponse: one format for all columns. */
export function copyResponse(type: number, format: 0 | 1, columns: number): Buffer {
  const writer = new MessageWriter(16 + 2 * columns);
  writer.begin(type);
  writer.uint8(format);
  writer.int16(columns);
  for (let i = 0; i < columns; i++) writer.int16(format);
  writer.end();
  return writer.take();
}
