/** Names of portals that are not for cursors of the client: the cloud knows them, too, but as ours. */
import { ClarusError } from '../errors.js';

const prefix = 'clarus_';

/** True for the unnamed portal and for those that Clarus makes in the cloud. */
export const isPortalName = (name: string): boolean => name === '' || name.startsWith(prefix);

/** @throws ClarusError 42602 for the name of a new portal or cursor that could be one of ours */
export function mustBeFree(name: string): void {
  if (name.startsWith(prefix))
    throw new ClarusError('42602', `names of portals and cursors may not begin with "${prefix}"`);
}

/** @throws ClarusError 34000 where SQL names a portal of ours as a cursor */
export function mustBeCursorOfClient(name: string | undefined): void {
  if (name?.startsWith(prefix)) throw new ClarusError('34000', `cursor "${name}" does not exist`);
}
