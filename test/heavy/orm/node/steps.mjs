// What the applications of Node share: they work in named steps, print what each gave as one line of JSON, and go on
// after a step that failed, so that one refusal does not hide the next.

/** Where to connect, from libpq's variables. */
export const address = {
  host: process.env.PGHOST,
  port: Number(process.env.PGPORT),
  user: process.env.PGUSER,
  password: process.env.PGPASSWORD,
  database: process.env.PGDATABASE,
};

/**
 * Runs the steps in their order.
 * @param {Record<string, () => unknown>} steps by name; what one returns is printed
 */
export async function run(steps) {
  for (const [step, work] of Object.entries(steps)) {
    try {
      print({ step, gives: (await work()) ?? null });
    } catch (error) {
      print({ step, ...failure(error) });
    }
  }
}

/**
 * The error that a piece of work must end in, as a value.
 * @param {() => unknown} work
 */
export async function errorOf(work) {
  try {
    return { unexpected: (await work()) ?? null };
  } catch (error) {
    const { code, message, table, table_name: tableName, constraint, constraint_name: name } = root(error);
    return { code, message, table: table ?? tableName, constraint: constraint ?? name };
  }
}

const print = line => process.stdout.write(`${JSON.stringify(line)}\n`);

function failure(error) {
  const { code, message, query } = root(error);
  return { code: code ?? 'none', error: message, statement: query ?? error.query };
}

/** Mappers wrap what the driver says. */
function root(error) {
  const cause = error.cause ?? error.driverError;
  return cause instanceof Error && cause !== error ? root(cause) : error;
}
