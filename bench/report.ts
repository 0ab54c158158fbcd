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
  /** what else stands between a client and the server, by its name */
  readonly others?: readonly (readonly [name: string, measure: Measurement])[];
  /** the difference to direct is told instead of the ratio, as what Clarus adds */
  readonly difference?: boolean;
}

/** Gathers rows and prints them as Markdown. */
export class Report {
  readonly rows: ReportRow[] = [];

  /** @param runs alternating runs of each measurement; their median counts */
  constructor(readonly runs: number) {}

  /** Alternates the measurements and adds a row a peer. @returns the medians of ours and of direct */
  async compare(comparison: Comparison): Promise<readonly [ours: number, direct: number]> {
    const { what, unit, goal, ours, direct, others = [], difference } = comparison;
    const measures = [ours, direct, ...others.map(([, measure]) => measure)];
    const figures: number[][] = measures.map(() => []);
    for (let run = 0; run < this.runs; run++)
      for (const [at, measure] of measures.entries()) figures[at]!.push(await measure());
    const medians = figures.map(median);
    const [a, b] = [medians[0]!, medians[1]!];
    this.add(what, `${format(a)} ${unit}`, {
      peer: `${format(b)} ${unit}`,
      ratio: difference ? `+${format(a - b)} ${unit}` : (a / b).toFixed(2),
      goal,
    });
    for (const [at, [name]] of others.entries()) {
      const other = medians[at + 2]!;
      this.add(`the same through ${name}`, `${format(other)} ${unit}`, {
        peer: `${format(b)} ${unit}`,
        ratio: (other / b).toFixed(2),
      });
    }
    return [a, b];
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
