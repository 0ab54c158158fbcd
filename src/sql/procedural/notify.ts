/**
 * NOTIFY with a payload, and pg_notify: the cloud carries notifications, and sees the channel and a sealed payload. The
 * gateway opens it for the sessions that listen.
 */
import { type Payloads, sessionSalt } from '../../crypto/payloads.js';
import { ClarusError } from '../../errors.js';
import { physical } from '../compilation.js';
import { collect } from '../execute/collect.js';
import type { ProtectedPlan } from '../plan.js';
import type { SessionPort } from '../ports.js';
import { deparse } from '../raw/deparse.js';
import { type RawNode, str, target, text } from '../raw/node.js';
import { parseOne } from '../raw/parse.js';
import type { SplitPlanning } from '../split/plan.js';
import type { CallsBody } from './bodies.js';
import { planSelectCalls } from './plan-calls.js';
import { textOf, typeText, type Value } from './types.js';

const notify = physical('SELECT pg_catalog.pg_notify($1, $2)', [typeText.oid, typeText.oid]);

/** A NotifyStmt with a payload as the call that it is. */
export async function planNotify(
  raw: RawNode,
  session: SessionPort,
  planPart: SplitPlanning['plan'],
): Promise<ProtectedPlan> {
  const literal = (sval: string): RawNode => ({ A_Const: { sval: { sval } } });
  const args = ['conditionname', 'payload'].map(field => literal(text(raw.NotifyStmt!, field) ?? ''));
  const call: RawNode = {
    FuncCall: { funcname: [str('pg_catalog'), str('pg_notify')], args, funcformat: 'COERCE_EXPLICIT_CALL' },
  };
  const sql = deparse({
    SelectStmt: { targetList: [target(call)], limitOption: 'LIMIT_OPTION_DEFAULT', op: 'SETOP_NONE' },
  });
  const cause = new ClarusError('0A000', 'the notification cannot be sent');
  const plan = await planSelectCalls(parseOne(sql), await session.analyse(sql, []), session, cause, planPart);
  const shape = { parameterTypes: [], columns: undefined };
  const body: CallsBody = { ...(plan.body as CallsBody), rest: undefined };
  return { ...plan, command: 'NOTIFY', shape, body };
}

/** Bytes of a name, with the one that ends it (pg_config_manual.h). */
const NAMEDATALEN = 64;

const salts = new WeakMap<SessionPort['transaction'], Uint8Array>();

/**
 * Sends a notification, as the arguments of pg_notify say.
 * @throws ClarusError 0A000 for a channel that may depend on a protected column, 22023 and 54000 for what is too long
 */
export async function sendNotification(
  [channel, payload]: readonly Value[],
  session: SessionPort,
  payloads: Payloads,
): Promise<void> {
  if (channel!.secret)
    throw new ClarusError('0A000', 'the channel of a notification may depend on a protected column', {
      detail: 'A cloud would read it.',
      hint: 'Say it in the payload, which is sealed.',
    });
  const name = textOf(channel!) ?? '';
  const said = textOf(payload!) ?? '';
  const size_bytes = Buffer.byteLength(name);
  // the cloud says what is wrong with the channel, before anything of the payload (Async_Notify in async.c)
  const isChannel = size_bytes > 0 && size_bytes < NAMEDATALEN;
  if (isChannel && Buffer.byteLength(said) >= 8_000)
    throw new ClarusError('22023', 'payload string too long');
  const { transaction } = session;
  const salt = salts.get(transaction) ?? sessionSalt();
  salts.set(transaction, salt);
  await transaction.begin();
  const sealed =
    said === '' || !isChannel ? '' : payloads.seal(name, said, { session: salt, number: transaction.number });
  const values = [channel!.text, Buffer.from(sealed)];
  await collect(session.cloud, notify, values, [0, 0], [0]);
}
