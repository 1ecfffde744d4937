//! Times in reports: RFC 3339 with nanoseconds for programs, short ones for people.

use crate::base::Timestamp;
use std::cell::Cell;
use std::time::Duration;

/// A moment as text: RFC 3339 in UTC with nine digits.
#[derive(Clone, Copy, Debug)]
pub struct Stamp([u8; 30]);

impl Stamp {
    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The text, all of it ASCII.
    pub fn as_bytes(&self) -> &[u8; 30] {
        &self.0
    }

    /// The last two digits of `number`.
    #[inline]
    fn put(&mut self, at: usize, number: u32) {
        self.0[at..at + 2].copy_from_slice(&PAIRS[number as usize % 100]);
    }
}

/// "00" to "99".
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut number = 0;
    while number < 100 {
        pairs[number as usize] = [b'0' + number / 10, b'0' + number % 10];
        number += 1;
    }
    pairs
};

/// RFC 3339 in UTC with nine digits: "2026-01-02T03:04:05.123456789Z".
pub fn rfc3339(time: Timestamp) -> Stamp {
    thread_local! {
        /// The last second, and its text: many messages come in one.
        static LAST: Cell<(i64, Stamp)> = const { Cell::new((0, Stamp(*b"1970-01-01T00:00:00.000000000Z"))) };
    }
    const NANOS: i64 = 1_000_000_000;
    let second = time.as_nanos().div_euclid(NANOS);
    let (last, mut stamp) = LAST.get();
    if last != second {
        stamp = of_second(second, last, stamp);
        LAST.set((second, stamp));
    }
    let nanos = time.as_nanos().rem_euclid(NANOS) as u32;
    for (pair, unit) in [(20, 10_000_000), (22, 100_000), (24, 1000), (26, 10)] {
        stamp.put(pair, nanos / unit);
    }
    stamp.0[28] = b'0' + (nanos % 10) as u8;
    stamp
}

/// The text of a second with any fraction, made of that of another one: most are of one day.
fn of_second(second: i64, other: i64, told: Stamp) -> Stamp {
    const DAY: i64 = 86_400;
    let day = second.div_euclid(DAY);
    let mut stamp = if day == other.div_euclid(DAY) { told } else { of_midnight(day * DAY) };
    let second = second.rem_euclid(DAY) as u32;
    stamp.put(11, second / 3600);
    stamp.put(14, second / 60 % 60);
    stamp.put(17, second % 60);
    stamp
}

fn of_midnight(second: i64) -> Stamp {
    let mut stamp = Stamp([b' '; 30]);
    let midnight = jiff::Timestamp::from_second(second);
    let text = midnight.map_or_else(|_| String::new(), |midnight| format!("{midnight:.9}"));
    // Years that 64 bits of nanoseconds reach have four digits.
    stamp.0.iter_mut().zip(text.bytes()).for_each(|(to, from)| *to = from);
    stamp
}

/// Date and time of day in UTC with milliseconds: "2026-01-02 03:04:05.123 UTC".
pub fn people(time: Timestamp) -> String {
    utc(time).map_or_else(String::new, |time| time.strftime("%Y-%m-%d %H:%M:%S%.3f UTC").to_string())
}

/// Time of day in UTC: "03:04:05".
pub fn of_day(time: Timestamp) -> String {
    utc(time).map_or_else(String::new, |time| time.strftime("%H:%M:%S").to_string())
}

/// A length of time in words: "283 µs" is told as "0.3 ms", then "41 ms", "7.8 s", "2 min 5 s", "1 h 4 min".
pub fn length(duration: Duration) -> String {
    let (seconds, millis) = (duration.as_secs(), duration.as_secs_f64() * 1e3);
    match seconds {
        0 if millis < 10.0 => format!("{millis:.1} ms"),
        0 => format!("{millis:.0} ms"),
        1..=59 => format!("{:.1} s", duration.as_secs_f64()),
        60..=3599 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// Seconds with milliseconds, for a column: "7.819".
pub fn offset(duration: Duration) -> String {
    format!("{:.3}", duration.as_secs_f64())
}

/// Reads an RFC 3339 time ("2026-01-02T03:04:05Z"; without an offset it is UTC).
pub fn parse(text: &str) -> Option<Timestamp> {
    let time = text.parse::<jiff::Timestamp>().ok().or_else(|| {
        let civil: jiff::civil::DateTime = text.parse().ok()?;
        civil.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
    })?;
    i64::try_from(time.as_nanosecond()).ok().map(Timestamp::from_nanos)
}

fn utc(time: Timestamp) -> Option<jiff::Timestamp> {
    jiff::Timestamp::from_nanosecond(i128::from(time.as_nanos())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_3339_has_nine_digits_before_and_after_the_epoch() {
        let rfc3339 = |time| super::rfc3339(time).as_str().to_owned();
        assert_eq!(rfc3339(Timestamp::from_nanos(1)), "1970-01-01T00:00:00.000000001Z");
        assert_eq!(rfc3339(Timestamp::from_nanos(-1)), "1969-12-31T23:59:59.999999999Z");
        assert_eq!(rfc3339(Timestamp::MAX), "2262-04-11T23:47:16.854775807Z");
        assert_eq!(rfc3339(Timestamp::from_nanos(i64::MIN)), "1677-09-21T00:12:43.145224192Z");
        let leap = "2024-02-29T23:59:59.123456789Z";
        assert_eq!(rfc3339(parse(leap).unwrap()), leap);
    }

    #[test]
    fn lengths_read_like_words() {
        let told = |ms| length(Duration::from_millis(ms));
        assert_eq!(
            [told(1), told(41), told(7819), told(125_000), told(3_840_000)],
            ["1.0 ms", "41 ms", "7.8 s", "2 min 5 s", "1 h 4 min"]
        );
    }

    #[test]
    fn times_are_read_with_and_without_offset() {
        let noon = parse("2026-01-02T12:00:00Z");
        assert!(noon.is_some());
        assert_eq!(noon, parse("2026-01-02 12:00:00"));
        assert_eq!(noon, parse("2026-01-02T13:00:00+01:00"));
        assert_eq!(parse("yesterday"), None);
    }
}
