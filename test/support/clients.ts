/** Clients that a suite connects as it goes; they end with it. */
import pg from 'pg';

export class Clients {
  readonly #open: pg.Client[] = [];

  async join(target: pg.ClientConfig): Promise<pg.Client> {
    const client = new pg.Client(target);
    // the end of a connection is told by the query that meets it
    client.on('error', () => undefined);
    await client.connect();
    this.#open.push(client);
    return client;
  }

  async end(): Promise<void> {
    await Promise.all(this.#open.map(client => client.end()));
  }
}
