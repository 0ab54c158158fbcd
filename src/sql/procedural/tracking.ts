/** Keeps track of where a body in PL/pgSQL is, for the context of what goes wrong in it. */
import { lineOf } from './parse.js';
import { type BodyPlace, bodyPlace, located, nameOf, type Place, tellsText } from './places.js';
import type { Statement } from './syntax.js';

/** The place of one body while it runs. */
export class Tracking {
  readonly place: BodyPlace;

  /** @param places of all bodies that run, the outermost first */
  constructor(
    signature: string,
    private readonly places: readonly Place[],
  ) {
    this.place = bodyPlace(signature);
  }

  /** Runs a statement of the body; afterwards it is where it was. */
  async statement<T>(statement: Statement, work: () => Promise<T>): Promise<T> {
    const { place } = this;
    const { line, at } = place;
    if (statement.kind !== 'block') {
      place.line = lineOf(statement);
      place.at = `at ${nameOf(statement)}`;
    }
    try {
      return await work();
    } catch (error) {
      throw located(error, this.places);
    } finally {
      place.line = line;
      place.at = at;
    }
  }

  /** Runs declarations of a block: an error of one tells its line. */
  async declaring<T>(work: (begins: (line: number) => void) => Promise<T>): Promise<T> {
    const { place } = this;
    const { line, at } = place;
    try {
      return await work(of => {
        place.line = of;
        place.at = 'during statement block local variable initialization';
      });
    } catch (error) {
      throw located(error, this.places);
    } finally {
      place.line = line;
      place.at = at;
    }
  }

  /** Runs a statement of SQL, which an error names, unless it tells the text itself. */
  async running<T>(sql: string, work: Promise<T>): Promise<T> {
    const { place } = this;
    place.sql = sql;
    try {
      return await work;
    } catch (error) {
      if (tellsText(error)) place.sql = undefined;
      throw located(error, this.places);
    } finally {
      place.sql = undefined;
    }
  }
}
