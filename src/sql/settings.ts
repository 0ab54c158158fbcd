/** Which side of a session may see a setting, and which settings a database with protected tables refuses. */
import { ClarusError } from '../errors.js';
import type { SettingSides } from './plan.js';
import type { SessionSettings } from './ports.js';
import { isOfApplication } from './setting-names.js';

/** Settings that only one side may see. `application_name` could hold anything and never leaves. */
const trustedOnly = new Set(['application_name']);
/** The analysis of statements needs these as they are on the trusted side. */
const cloudOnly = new Set([
  'client_min_messages',
  // the client's literals get their escapes when they come, and the trusted side reads all with it on
  'standard_conforming_strings',
  'debug_print_parse',
  'debug_print_rewritten',
  'debug_print_plan',
  'debug_pretty_print',
  'log_parser_stats',
  // the trusted side answers by views and foreign tables of its own
  'restrict_nonsystem_relation_kind',
  // the trusted side has a lock_timeout of its own (postgres/analysis.ts)
  'lock_timeout',
  // a trusted backend is idle while the cloud works
  'idle_session_timeout',
  'idle_in_transaction_session_timeout',
  'transaction_timeout',
  'tcp_user_timeout',
  'client_connection_check_interval',
]);

/** Settings of PL/pgSQL that bodies which Clarus runs do not heed, with the values that change nothing. */
const ofBodies: Readonly<Record<string, RegExp>> = {
  'plpgsql.variable_conflict': /^error$/i,
  'plpgsql.extra_errors': /^(none)?$/i,
  'plpgsql.extra_warnings': /^(none)?$/i,
  'plpgsql.check_asserts': /^(on|true|yes|1|t|y)$/i,
  'plpgsql.print_strict_params': /^(off|false|no|0|f|n)$/i,
};

/**
 * @param name of the setting, in any case
 * @param value what it is set to; undefined: it is reset
 * @throws ClarusError 0A000 for a setting, or a value of it, under which statements would mean something else
 */
export function sidesOf(name: string, value: string | undefined): SettingSides {
  const lower = name.toLowerCase();
  // what Clarus keeps on its own sides
  if (lower.startsWith('clarus.'))
    throw new ClarusError('42501', `permission denied to set parameter "${lower}"`);
  if (lower === 'role' || lower === 'session_authorization' || lower === 'session_replication_role')
    throw new ClarusError('0A000', `"${lower}" cannot be set in a database with protected tables`, {
      hint:
        lower === 'session_replication_role'
          ? 'Disable the triggers one by one (ALTER TABLE ... DISABLE TRIGGER).'
          : 'Use SET ROLE, or log in to Clarus as the user whose rights are wanted.',
    });
  if (value !== undefined && lower in ofBodies && !ofBodies[lower]!.test(value))
    throw new ClarusError('0A000', `"${lower}" cannot be set so in a database with protected tables`, {
      detail: 'Functions and DO blocks over protected tables are run by Clarus, which does not heed it.',
    });
  if (
    (lower === 'client_encoding' || lower === 'names') &&
    value !== undefined &&
    !/^utf-?8$|^unicode$/i.test(value)
  )
    throw new ClarusError('0A000', 'the client encoding must be UTF8 in a database with protected tables', {
      hint: 'Set client_encoding to UTF8.',
    });
  return trustedOnly.has(lower) ? 'trusted' : cloudOnly.has(lower) ? 'cloud' : 'both';
}

const ofPlans =
  /^(enable|jit|geqo)(_\w+)?$|^\w+_(cost|collapse_limit|scan_size|io_concurrency)$|^(work_mem|hash_mem_multiplier|maintenance_work_mem|effective_cache_size|max_parallel_(workers|workers_per_gather|maintenance_workers)|parallel_leader_participation|default_statistics_target|plan_cache_mode|cursor_tuple_fraction|recursive_worktable_factor)$/;

/** Is it a setting that changes how PostgreSQL computes an answer, and never the answer? */
export const changesPlansOnly = (name: string): boolean =>
  ofPlans.test(name.toLowerCase()) && !ofVacuum.test(name.toLowerCase());
/** they are named as costs of the planner are */
const ofVacuum = /vacuum/;

/**
 * What of a body depends on a setting that it sets: `plans`, only how answers are computed; `free`, no text of a value; `names`,
 * what names mean; `zone`, how times are printed.
 * @returns undefined: more than that, so bodies do not set it
 */
export function withinBodies(name: string): 'plans' | 'free' | 'names' | 'zone' | undefined {
  if (changesPlansOnly(name)) return 'plans';
  const lower = name.toLowerCase();
  if (isOfApplication(lower) || lower === 'bytea_output' || lower === 'lock_timeout') return 'free';
  return lower === 'search_path' ? 'names' : lower === 'timezone' ? 'zone' : undefined;
}

/** The settings by which PostgreSQL reads a literal, as one text: equal texts read every literal alike. */
export const readingOf = ({
  dateStyle,
  intervalStyle,
  timeZone,
  arrayNulls,
  literals,
}: SessionSettings): string => [dateStyle, intervalStyle, timeZone, arrayNulls, literals].join('\n');
