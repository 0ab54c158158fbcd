/** A client of a statement that is run for what it does. */
import { MessageWriter } from '../../wire/message-writer.js';
import type { ClientPort, SessionPort } from '../ports.js';

/** Takes rows that nobody reads. */
export class Nobody implements ClientPort {
  readonly writer = new MessageWriter();
  constructor(private readonly session: SessionPort) {}
  written(): void {
    this.writer.take();
  }
  write(): void {}
  notice(fields: Parameters<ClientPort['notice']>[0]): void {
    this.session.client.notice(fields);
  }
}
