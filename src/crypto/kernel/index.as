// The kernel as the caller sees it: functions, and the addresses they work on.
export * from './memory';
export {
  OTHER_EPOCH, OVERHEAD, WRONG_HEADER, WRONG_OFFSETS, WRONG_ROW, buildTable, open, openCounters, seal, sealCounters, start,
} from './cells';
export { TAG_BYTES, deriveSubkeys, listMessages, stepMessages } from './messages';
