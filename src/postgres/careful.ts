import { ClarusError } from '../errors.js';
import type { Mode, Session } from './session.js';

/** A session that plans every statement. */
export class CarefulMode implements Mode {
  readonly #session: Session;
  constructor(session: Session) {
    this.#session = session;
  }
  get idle(): boolean {
    return true;
  }
  get status(): 'I' {
    return 'I';
  }
  adopt(ready: () => void): void {
    ready();
  }
  clientData(_chunk: Buffer): void {
    throw new ClarusError('0A000', 'protected tables are not served yet', { severity: 'FATAL' });
  }
  serverData(_chunk: Buffer): void {}
  serverDrained(): void {}
  clientDrained(): void {}
  catalogChanged(): void {}
  cancel(): Promise<void> {
    return this.#session.connection.cancel();
  }
  close(): void {}
}
