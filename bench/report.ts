/** Measurements that alternate between us and a peer, and the table of their medians. */

/** One line of the table. */
export interface ReportRow {
  readonly what: string;
  readonly ours: string;
  readonly peer: string;
  readonly ratio: string;
  readonly goal: string;
}

/** One figure of a run. */
export type Measurement = () => Promise<number> | number;

/** How a ratio of medians is reported. */
export interface Comparison {
  readonly what: string;
  readonly unit: string;
  readonly goal: string;
  readonly ours: Measurement;
  readonly direct: Measurement;
  /** PgBouncer, where it is installed and the comparison makes sense */
  readonly pgbouncer?: Measurement | undefined;
  /** the difference to direct is told instead of the ratio, as what Clarus adds */
  readonly difference?: boolean;
}

/** Gathers rows and prints them as Markdown. */
export class Report {
  readonly rows: ReportRow[] = [];

  /** @param runs alternating runs of each measurement; their median counts */
  constructor(readonly runs: number) {}

  /** Alternates the measurements and adds a row a peer. */
  async compare({ what, unit, goal, ours, direct, pgbouncer, difference }: Comparison): Promise<void> {
    const figures: [ours: number[], direct: number[], pgbouncer: number[]] = [[], [], []];
    for (let run = 0; run < this.runs; run++) {
      figures[0].push(await ours());
      figures[1].push(await direct());
      if (pgbouncer !== undefined) figures[2].push(await pgbouncer());
    }
    const [a, b] = [median(figures[0]), median(figures[1])];
    this.add(what, `${format(a)} ${unit}`, {
      peer: `${format(b)} ${unit}`,
      ratio: difference ? `+${format(a - b)} ${unit}` : (a / b).toFixed(2),
      goal,
    });
    if (pgbouncer === undefined) return;
    const c = median(figures[2]);
    this.add(`the same through PgBouncer`, `${format(c)} ${unit}`, {
      peer: `${format(b)} ${unit}`,
      ratio: (c / b).toFixed(2),
      goal: '',
    });
  }

  /** Adds a row without a peer. */
  add(what: string, ours: string, rest: Partial<Omit<ReportRow, 'what' | 'ours'>> = {}): void {
    const row = { what, ours, peer: '', ratio: '', goal: '', ...rest };
    this.rows.push(row);
    process.stderr.write(`${line(row)}\n`);
  }

  toString(): string {
    const head = '| what | measured | direct PostgreSQL | ratio | goal |\n|---|---|---|---|---|\n';
    return head + this.rows.map(row => `${line(row)}\n`).join('');
  }
}

const line = ({ what, ours, peer, ratio, goal }: ReportRow): string =>
  `| ${what} | ${ours} | ${peer} | ${ratio} | ${goal} |`;

export const median = (figures: readonly number[]): number =>
  [...figures].sort((a, b) => a - b)[figures.length >> 1]!;

export const format = (figure: number): string =>
  Math.abs(figure) >= 100 ? figure.toFixed(0) : figure.toPrecision(3);

/** Milliseconds that some work takes. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await work();
  return performance.now() - begun;
}
