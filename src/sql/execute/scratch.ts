/**
 * Memory for the values of a column while they are written. What has more than 64 bytes lies outside V8's heap, where
 * making and freeing it takes longer than converting a single value: small columns are written in one place and copied.
 */
const shared = new Uint8Array(4096);

/** Room for at most so many bytes, until `kept` is called in the same turn. */
export const roomFor = (bytes: number): Uint8Array =>
  bytes <= shared.length ? shared : new Uint8Array(bytes);

/** The first `bytes` bytes written, to be kept. */
export const kept = (room: Uint8Array, bytes: number): Uint8Array =>
  room === shared ? room.slice(0, bytes) : room;
