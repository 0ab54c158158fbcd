/** Bodies that a session is running, one within another. */
import { ClarusError } from '../../errors.js';
import type { SessionPort } from '../ports.js';
import { settingActivityOf } from './body-settings.js';
import { OpenCursors } from './cursors.js';
import { located, type Place, withContext } from './places.js';

/** Bodies that may run within each other: PostgreSQL's stack takes some hundreds. */
const depthMax = 200;

/** What a session is running. */
export interface Activity {
  depth: number;
  /** triggers among them: pg_trigger_depth() */
  triggers: number;
  /** COMMIT and ROLLBACK are errors */
  atomic: boolean;
  /** OIDs of tables whose triggers are being fired */
  readonly fired: number[];
  /** where they are, the outermost first */
  readonly places: Place[];
  /** what they have opened, up to the end of the outermost */
  readonly cursors: OpenCursors;
}

const activities = new WeakMap<SessionPort['transaction'], Activity>();

/** What a session is running now. */
export function activityOf({ transaction }: SessionPort): Activity {
  const found = activities.get(transaction) ?? {
    depth: 0,
    triggers: 0,
    atomic: false,
    fired: [],
    places: [],
    cursors: new OpenCursors(),
  };
  activities.set(transaction, found);
  return found;
}

/**
 * Does something within the bodies that run.
 * @param atomic in it COMMIT and ROLLBACK are errors, whatever they were before
 * @param setsForAll nothing of the statement that they are run for is left to be computed beside them
 * @throws ClarusError 54001 where bodies are nested too deeply
 */
export async function within<T>(
  session: SessionPort,
  atomic: boolean,
  work: () => Promise<T>,
  setsForAll = false,
): Promise<T> {
  const activity = activityOf(session);
  if (activity.depth >= depthMax)
    throw new ClarusError('54001', 'stack depth limit exceeded', {
      hint: `Functions and DO blocks may call each other ${depthMax} deep.`,
    });
  const { atomic: before } = activity;
  const setting = settingActivityOf(session);
  const { setsForAll: setBefore } = setting;
  setting.setsForAll = setsForAll && (activity.depth === 0 || setBefore);
  setting.depth = ++activity.depth;
  activity.atomic ||= atomic;
  try {
    return await work();
  } catch (error) {
    throw activity.depth === 1 ? withContext(error) : error;
  } finally {
    setting.depth = --activity.depth;
    activity.atomic = before;
    setting.setsForAll = setBefore;
    if (activity.depth === 0) activity.cursors.clear();
  }
}

/** @throws ClarusError 55006 for DDL on a table by its own trigger (CheckTableNotInUse of tablecmds.c) */
export function mustNotBeFired(
  session: SessionPort,
  { oid, name }: { oid: number; name: string },
  what: string,
): void {
  if (activityOf(session).fired.includes(oid))
    throw new ClarusError(
      '55006',
      `cannot ${what} "${name}" because it is being used by active queries in this session`,
    );
}

/** Runs a body, which is at a place. */
export async function at<T>({ places }: Activity, place: Place, work: () => Promise<T>): Promise<T> {
  places.push(place);
  try {
    return await work();
  } catch (error) {
    throw located(error, places);
  } finally {
    places.pop();
  }
}
