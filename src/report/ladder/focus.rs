//! A ladder cut down to what must be seen.

use super::{Ladder, Row};

/// Rows kept on each side of a remarkable one.
const AROUND: usize = 2;
/// Rows kept at the beginning.
const HEAD: usize = 6;

impl Ladder {
    /// The ladder with at most about `rows` rows: its beginning, its end and what has notes stay.
    #[must_use]
    pub fn focus(mut self, rows: usize) -> Self {
        if self.rows.len() <= rows.max(HEAD + AROUND) {
            return self;
        }
        let keep = self.kept(rows);
        let mut kept = Vec::new();
        // Where each row went; a row that was dropped, to the row that stands for it.
        let mut now_at = Vec::with_capacity(keep.len());
        let mut dropped = 0;
        for (row, keep) in std::mem::take(&mut self.rows).into_iter().zip(keep) {
            now_at.push(kept.len() + usize::from(keep && dropped > 0));
            if !keep {
                dropped += usize::from(matches!(row, Row::Arrow(_)));
                continue;
            }
            if dropped > 0 {
                kept.push(Row::Elided { messages: std::mem::take(&mut dropped) });
            }
            kept.push(row);
        }
        self.rows = kept;
        self.renumber(&now_at);
        self
    }

    fn kept(&self, rows: usize) -> Vec<bool> {
        let len = self.rows.len();
        let mut keep = vec![false; len];
        keep[..HEAD].fill(true);
        keep[len - AROUND..].fill(true);
        let mut room = rows.saturating_sub(HEAD + AROUND);
        for (at, arrow) in self.arrows() {
            if !arrow.is_remarkable() {
                continue;
            }
            let around = at.saturating_sub(AROUND)..(at + AROUND + 1).min(len);
            let added = keep[around.clone()].iter().filter(|kept| !**kept).count();
            if added > room {
                break;
            }
            room -= added;
            keep[around].fill(true);
        }
        keep
    }

    /// Follows the rows to where they are now.
    fn renumber(&mut self, now_at: &[usize]) {
        let now = |row: usize| now_at.get(row).copied().unwrap_or_default();
        for row in &mut self.rows {
            if let Row::Arrow(arrow) = row {
                arrow.crosses = arrow.crosses.map(now);
            }
        }
        for media in &mut self.media {
            (media.first, media.last) = (now(media.first), now(media.last));
        }
        for told in &mut self.findings {
            told.row = told.row.map(now);
        }
    }
}
