/** Two owners' policies for the same applications: one protects what is sensitive, the other all that it does not name. */

const columns = (protections: Readonly<Record<string, string>>): string =>
  Object.entries(protections)
    .map(([name, protection]) => `      ${name}: { ${protection} }\n`)
    .join('');
const table = (name: string, protections: Readonly<Record<string, string>>): string =>
  `  public.${name}:\n    columns:\n${columns(protections)}`;
const open = (...names: readonly string[]): Record<string, string> =>
  Object.fromEntries(names.map(name => [name, 'protect: none']));
const lookedUp = 'class: identifier, protect: encrypt, queries: [equality]';
const stored = 'class: confidential, protect: encrypt';

/** Names, addresses, birthdays, amounts and notes are protected; the rest of the database is not. */
export const sensitive = `unlisted: pass
tables:
${table('customers', { name: lookedUp, email: lookedUp, birthday: stored, ...open('id', 'active', 'phone', 'created_at', 'updated_at') })}${table('orders', { amount: stored, notes: stored, ...open('id', 'customer_id', 'state', 'placed', 'version', 'details', 'courier', 'carrier') })}`;

/** Every column of every table is, but for the keys, states and counters of the application's own tables. */
export const encryptedByDefault = `unlisted: encrypt
tables:
${table('customers', { name: lookedUp, email: lookedUp, ...open('id') })}${table('orders', open('id', 'customer_id', 'state', 'version'))}${table('tags', { label: lookedUp, ...open('id') })}${table('order_tags', open('id', 'order_id', 'tag_id'))}`;
