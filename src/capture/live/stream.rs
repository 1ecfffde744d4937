//! A stream of packets, from standard input or a file that grows.

use super::{Event, Feed, lock};
use crate::base::{Batch, Error};
use crate::capture::{More, Source};
use std::sync::atomic::Ordering;

/// The thread that opens and reads it.
pub(super) fn run(open: impl FnOnce() -> Result<Box<dyn Source>, Error>, feed: &Feed) {
    match open() {
        Ok(source) => read(source, feed),
        Err(error) => {
            let _ = feed.sender.send(Event::Failed(error));
        }
    }
    let _ = feed.sender.send(Event::Ended);
}

fn read(mut source: Box<dyn Source>, feed: &Feed) {
    while !feed.stop.load(Ordering::Acquire) {
        let mut batch = Batch::default();
        let more = source.next_batch(&mut batch);
        {
            let mut told = lock(&feed.told);
            told.captures = source.captures().to_vec();
            told.keys.extend(source.key_log());
            told.names = source.names().clone();
            told.anomalies.merge(source.take_anomalies());
        }
        let sent = match more {
            Ok(More::More) => feed.sender.send(Event::Packets(feed.number, batch)),
            Ok(More::End) => break,
            Err(error) => feed.sender.send(Event::Failed(error)),
        };
        if sent.is_err() {
            break;
        }
    }
}
