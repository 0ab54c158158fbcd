// The kernel as the caller sees it: functions, and the addresses they work on.
export * from './memory';
export { buildTable, open, seal, start } from './cells';
export { TAG_BYTES, deriveSubkeys, listMessages, stepMessages } from './messages';
export {
  OTHER_EPOCH, OVERHEAD, WRONG_HEADER, WRONG_OFFSETS, WRONG_ROW, openCounters, sealCounters,
} from './pieces';
