/**
 * Where functions have their home. The cloud answers for time, transaction ids, sequences, advisory locks,
 * notifications and its own backend; the trusted side for everything that only computes or reads the catalogue.
 * Functions that run SQL text, read files or write past tables are not proven to touch no protected table.
 */

import { ClarusError } from '../errors.js';
import { figureFunctions } from '../trusted/figures.js';
import { OWN_SCHEMA } from '../trusted/own-schema.js';
import { isNode, type Node, nodesIn, numberIn } from './analysed/node.js';
import { constantValue } from './analysed/types.js';
import { list, type RawNode, stringOf, visit } from './raw/node.js';

/** Where a function is answered, or what else is to be known of it. */
export type Home =
  | 'anywhere'
  | 'trusted'
  | 'cloud'
  /** on any side, each time anew: but after setseed where that was called */
  | 'random'
  /** on any side, each time anew */
  | 'clock'
  | 'statistics'
  | 'sequence-values'
  | 'settings'
  | 'server-settings'
  /** tells how a value stands in its table */
  | 'storage'
  | 'unproven';

const cloud =
  /^(now|transaction_timestamp|txid_.*|pg_current_xact_id.*|pg_current_snapshot|pg_xact_.*|pg_last_committed_xact|nextval|setval|currval|lastval|pg_advisory_.*|pg_try_advisory_.*|pg_backend_pid|pg_blocking_pids|pg_safe_snapshot_blocking_pids|pg_cancel_backend|pg_terminate_backend|pg_listening_channels|pg_notification_queue_usage|inet_(client|server)_.*|pg_is_in_recovery|pg_postmaster_start_time|pg_conf_load_time|pg_(relation|table|total_relation|indexes|database|tablespace)_size|setseed|pg_current_wal_.*|pg_stat_.*|pg_export_snapshot|pg_isolation_test_session_is_blocked|pg_lock_status|pg_prepared_xact)$/;
const unproven =
  /^(query_to_xml.*|cursor_to_xml.*|table_to_xml.*|schema_to_xml.*|database_to_xml.*|ts_stat|ts_rewrite|lo_.*|loread|lowrite|pg_read_.*|pg_ls_.*|pg_stat_file|pg_logical_.*|pg_create_.*|pg_copy_.*|pg_drop_.*|pg_replication_.*|binary_upgrade_.*|pg_import_system_collations|pg_notify|pg_file_.*|pg_backup_.*|pg_switch_wal|pg_promote|pg_rotate_logfile|pg_reload_conf|pg_restore_.*|pg_clear_.*|brin_.*|gin_clean_.*|pg_extension_config_dump|pg_nextoid|pg_stop_making_pinned_objects|suppress_redundant_updates_trigger|pg_log_.*|pg_wal_.*|pg_sync_.*|pg_wal_replay.*|pg_stat_reset.*)$/;

const tellingNames =
  /^(to_reg(class|type)|has_(table|any_column|column|sequence)_privilege|pg_get_.*|pg_describe_object|pg_identify_object.*|(obj|col)_description|format_type|current_query|row_security_active|pg_relation_(filenode|filepath|is_updatable)|pg_column_is_updatable|pg_filenode_relation|pg_partition_.*|pg_sequence_parameters|pg_index.*_has_property|pg_input_.*|pg_table_is_visible|pg_typeof|currtid2)$/;

const askingRole =
  /^(has_.*_privilege|pg_has_role|row_security_active|current_user|getpgusername|current_schemas?|pg_cancel_backend|pg_terminate_backend|pg_(database|tablespace)_size|pg_stat_.*|pg_.*_is_visible|to_reg.*|pg_show_all_settings|pg_sequence_.*|pg_get_sequence_data)$/;

/** Function OIDs of the shadow database with their homes. */
export interface FunctionHomes {
  home(oid: number): Home;
  /** does it tell of relations, types or statements by their names, or is it told of them so? */
  tellsNames(oid: number): boolean;
  /** does its answer, or whether it may be called, depend on the role that asks? */
  asksRole(oid: number): boolean;
  /** the function of the server in whose place it tells what the cloud says (figures.ts); undefined: it is none of these */
  figure(oid: number): string | undefined;
}

/** Built-in objects have lower OIDs (FirstNormalObjectId, src/include/access/transam.h). */
export const FIRST_USER_OID = 16384;

/** Rows of pg_proc that `functionHomes` takes. */
export const functionHomesQuery = `${"SELECT oid::text, proname::text, provolatile::text FROM pg_catalog.pg_proc WHERE oid < 16384 AND (provolatile <> 'i' OR proname ~ '^(lo_|pg_|ts_|query_to|table_to)')"}
  UNION ALL SELECT p.oid::text, p.proname::text, 'figure' FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname = '${OWN_SCHEMA}' AND p.proname IN (${[...figureFunctions].map(name => `'${name}'`).join(', ')})`;

/**
 * @param rows oid, name, volatility of the built-in functions that are not immutable; `figure` of ours that stand for one
 */
export function functionHomes(rows: readonly (readonly [string, string, string])[]): FunctionHomes {
  const homes = new Map<number, Home>();
  const telling = new Set<number>();
  const asking = new Set<number>();
  const told = new Map<number, string>();
  for (const [oid, name, kind] of rows) {
    if (kind === 'figure') {
      told.set(Number(oid), name);
      continue;
    }
    homes.set(Number(oid), homeOf(name));
    if (tellingNames.test(name)) telling.add(Number(oid));
    if (askingRole.test(name)) asking.add(Number(oid));
  }
  return {
    home: oid =>
      told.has(oid) ? 'trusted' : oid >= FIRST_USER_OID ? 'unproven' : (homes.get(oid) ?? 'anywhere'),
    tellsNames: oid => telling.has(oid),
    asksRole: oid => asking.has(oid),
    figure: oid => told.get(oid),
  };
}

function homeOf(name: string): Home {
  if (name === 'set_config') return 'settings';
  if (name === 'pg_show_all_settings') return 'server-settings';
  if (unproven.test(name)) return 'unproven';
  if (name === 'pg_sequence_last_value' || name === 'pg_get_sequence_data') return 'sequence-values';
  if (/^(pg_stat_get_.*|pg_lock_status|pg_cursor|pg_prepared_statement|pg_prepared_xact)$/.test(name))
    return 'statistics';
  if (/^pg_column_(size|compression|toast_chunk_id)$/.test(name)) return 'storage';
  if (/^random(_normal)?$/.test(name)) return 'random';
  if (/^(clock_timestamp|statement_timestamp|timeofday|pg_sleep.*)$/.test(name)) return 'clock';
  if (cloud.test(name)) return 'cloud';
  return 'trusted';
}

/** pg_proc OIDs of now() and transaction_timestamp() (pg_proc.dat). */
export const TRANSACTION_TIME: ReadonlySet<number> = new Set([1299, 2647]);
/** nextval, currval, setval with two and with three arguments (pg_proc.dat) */
const ofSequence: ReadonlySet<number> = new Set([1574, 1575, 1576, 1765]);

/**
 * The sequence that a call of nextval, currval or setval is about: its OID in the shadow, or `unknown` where it is
 * not written as a constant; undefined for every other node.
 */
export function sequenceCalled(node: Node): number | 'unknown' | undefined {
  if (node.kind !== 'FUNCEXPR' || !ofSequence.has(numberIn(node, 'funcid'))) return undefined;
  const [sequence] = nodesIn(node, 'args');
  const value = isNode(sequence) && sequence.kind === 'CONST' ? constantValue(sequence) : undefined;
  return value ? Buffer.from(value).readUInt32BE(0) : 'unknown';
}

/** Functions that are answered where a sequence lives; lastval is about the session's last one. */
export const isOfSequence = (oid: number): boolean => ofSequence.has(oid) || oid === LASTVAL;
/** pg_proc OID of lastval() */
export const LASTVAL = 2559;

/** The refusal of a sequence of the trusted side beside something that the cloud answers. */
export const apart = (): ClarusError =>
  new ClarusError(
    '0A000',
    'a sequence that feeds a protected column is used together with what only the cloud answers',
    {
      hint: 'Ask for the value of the sequence in a statement of its own, or write it to a protected column.',
    },
  );

/** Does a tree call nextval, currval or setval? */
export function callsSequence(raw: RawNode): boolean {
  let found = false;
  visit(raw, (kind, fields) => {
    if (kind === 'FuncCall' && /^(nextval|currval|setval)$/.test(stringOf(list(fields, 'funcname').at(-1))))
      found = true;
  });
  return found;
}
