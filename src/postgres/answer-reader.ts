import { FrameReader } from '../wire/frame-reader.js';
import { backendLimits, backendTypes, messageBytesMax } from '../wire/protocol.js';
import { streamedFor } from './answers.js';
import { type Expectation, expects } from './expectations.js';
import { RowBatch } from './row-batch.js';

/** The server's messages one after the other, with the rows that are not for the client as such gathered to batches. */
export class AnswerReader {
  readonly frame = new FrameReader({ tagged: true, limits: backendLimits(messageBytesMax) });
  readonly rows = new RowBatch();
  /** the frame has not been handled yet */
  #again = false;

  /** @param head what is expected next @returns false when no whole message is at hand */
  next(head: Expectation | undefined): boolean {
    if (!this.#again) {
      this.frame.streamed = streamedFor(head);
      if (!this.frame.next()) return false;
    }
    this.#again = false;
    return true;
  }

  /**
   * Gathers the frame, if it is a row to be gathered.
   * @returns gathered; other: it is something else; full: the rows gathered so far must be delivered first
   */
  gather(head: Expectation | undefined): 'gathered' | 'other' | 'full' {
    const { frame, rows } = this;
    if (frame.type === backendTypes.dataRow && head?.expects === expects.execute && !head.toClient) {
      if (rows.add(frame.buffer, frame.start, frame.body, frame.end)) return 'gathered';
    } else if (rows.count === 0) return 'other';
    this.#again = true;
    return 'full';
  }
}
