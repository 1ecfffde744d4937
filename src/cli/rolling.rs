//! Calls that are judged while more come: looked at again and again, told, and let go when they are over.

use super::Stop;
use super::teller::Teller;
use crate::analysis::{Analysis, Analyzer, Options};
use crate::base::{Anomaly, AnomalyKind, Timestamp};
use crate::report::count;
use crate::story::{News, Stage, Story, Watch};

/// Of the memory that the user gives, the part that open calls may take. As much again goes to judging them, to connections
/// and fragments, and to what the allocator cannot use.
const PART: usize = 3;

/// The calls that are open.
pub(super) struct Rolling {
    pub(super) analyzer: Analyzer,
    pub(super) watch: Watch,
    /// Calls let go before they were over.
    pub(super) given_up: u64,
    room: usize,
}

impl Rolling {
    /// `max_memory`: bytes.
    pub(super) fn new(options: Options, watch: Watch, max_memory: usize) -> Self {
        Self { analyzer: Analyzer::new(options), watch, given_up: 0, room: max_memory / PART }
    }

    /// Bytes that open calls may take.
    pub(super) fn room(&self) -> usize {
        self.room
    }

    /// Judges what changed or fell due when it is `now` for the packets, tells what is new of it, and lets go of what is over.
    pub(super) fn look(&mut self, now: Timestamp, teller: &mut Teller<'_>) -> Result<(Story, News), Stop> {
        let story = teller.judge(self.analyzer.look(now, self.room));
        let news = self.watch.hear(&story, now, Stage::Running, |call| self.analyzer.gives_up(call));
        self.given_up += news.given_up as u64;
        for id in self.analyzer.take_unjudged() {
            self.given_up += self.watch.lose(&id) as u64;
        }
        teller.tell(&story, &news)?;
        self.analyzer.forget(&story.analysis, |call| news.stays[call]);
        Ok((story, news))
    }

    /// Nothing more comes.
    pub(super) fn end(&mut self) {
        if self.given_up > 0 {
            let text = format!("{} given up to keep below --max-memory", count(self.given_up as usize, "open call"));
            self.analyzer.note(Anomaly::new(AnomalyKind::LimitReached, 0, 0, text));
        }
        self.analyzer.end();
    }

    /// After the end, as [`Rolling::look`] for what is left; whether that was all. If not, the rest comes next time. `now` is
    /// that of the last packet when it is [`Timestamp::MIN`]. `finish` adds what is known of the whole capture, and is told
    /// whether this is all.
    pub(super) fn last_look(
        &mut self,
        now: Timestamp,
        teller: &mut Teller<'_>,
        finish: impl FnOnce(&mut Analysis, bool),
    ) -> Result<(Story, News, bool), Stop> {
        let (mut analysis, is_all) = self.analyzer.last_look(now, self.room);
        finish(&mut analysis, is_all);
        let now = analysis.last.unwrap_or(now);
        let story = teller.judge(analysis);
        let stage = if is_all { Stage::Last } else { Stage::Ending };
        let news = self.watch.hear(&story, now, stage, |_| false);
        teller.tell(&story, &news)?;
        if !is_all {
            self.analyzer.forget(&story.analysis, |call| news.stays[call]);
        }
        Ok((story, news, is_all))
    }
}
