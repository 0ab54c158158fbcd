import type { Theme } from './theme.js';

export const theme: Theme = {
  cases: [
    "SELECT id FROM event WHERE to_tsvector('english', note) @@ to_tsquery('english', 'fox & jump')",
    "SELECT id FROM event WHERE to_tsvector('simple', note) @@ plainto_tsquery('simple', 'first note') ORDER BY id",
    "SELECT id, ts_rank(to_tsvector('english', note), to_tsquery('english', 'note')) FROM event ORDER BY id",
    "SELECT id, ts_headline('english', note, to_tsquery('english', 'fox')) FROM event ORDER BY id",
    "SELECT id FROM event WHERE note @@ 'brown' ORDER BY id",
    "SELECT to_tsvector('simple', string_agg(note, ' ' ORDER BY id)) FROM event",
    "SELECT id FROM event WHERE to_tsvector('english', note) @@ websearch_to_tsquery('english', '\"quick brown\" -lazy')",
  ],
};
