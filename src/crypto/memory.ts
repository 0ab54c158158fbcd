/**
 * How the process keeps memory outside V8's heap. Each AES call and each result is fresh memory, a few hundred MiB a
 * second of it; left alone, allocating it costs more than the encryption.
 */
import { setFlagsFromString } from 'node:v8';
import { MessageChannel } from 'node:worker_threads';

// V8 frees the memory of array buffers on a thread of its own. malloc then has two threads, and every block comes back
// to another one than took it: making and freeing a buffer of 100 bytes takes 1.1 us instead of 0.25 us. V8 reads the
// flag at each collection, so that it may change while the process runs.
setFlagsFromString('--no-concurrent-array-buffer-sweeping');

// Some 32 MiB pile up before the garbage collector comes. glibc gives freed memory back to the system, to be mapped
// and zeroed page by page again, unless it has once seen a large block freed: then it keeps up to twice that size
// (mallopt(3), M_MMAP_THRESHOLD, "dynamic", at most 32 MiB). This block is the largest that counts; it is never
// touched and freed by the first garbage collection. Other allocators do not mind.
new ArrayBuffer((32 << 20) - 65536);

/** Below this many bytes the garbage collector is the cheaper way. */
const release_bytes_min = 16384;
const { port1: closed, port2: otherEnd } = new MessageChannel();
otherEnd.close();
closed.close();

/**
 * Frees the memory of an AES result now: what is posted to a closed port is detached and gone (HTML, "message port
 * post message steps"). Left to the garbage collector, it piles up, so that each new result is cold memory.
 */
export function release(result: Uint8Array): void {
  if (result.length < release_bytes_min) return;
  const { buffer } = result;
  if (buffer instanceof ArrayBuffer && buffer.byteLength === result.length)
    closed.postMessage(undefined, [buffer]);
}
