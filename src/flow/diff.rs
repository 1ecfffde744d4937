//! Two calls side by side: which messages one has and the other lacks, and what the same message says
//! differently. What must differ between any two calls (tags, branches, nonces, addresses of the same
//! part) is set aside by `stable`.

use super::stable::{Field, Names, STATUS};
use crate::analysis::CallView;
use crate::session::MessageNo;
use crate::sip::{Facts, Method};
use similar::{Algorithm, DiffOp, capture_diff_slices};
use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};

/// Messages of each call that are compared; longer calls are compared up to here. Aligning costs the
/// length times the number of differences.
pub const COMPARED: usize = 4000;

/// A line of the comparison of two calls, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// The message in the first call.
    pub a: Option<MessageNo>,
    /// The message in the second call.
    pub b: Option<MessageNo>,
    /// What differs between the two, where both are there.
    pub changes: Vec<Change>,
}

/// A part of a message that is not the same in both calls.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Change {
    /// "status", a header's name, a header's parameter as in "Authorization uri", or a line of the SDP as in "SDP m=audio".
    pub part: String,
    /// What the first call says; `None` where it says nothing.
    pub a: Option<String>,
    /// What the second call says.
    pub b: Option<String>,
}

impl Row {
    /// Whether both calls have this message and say the same in it.
    pub fn is_same(&self) -> bool {
        self.a.is_some() && self.b.is_some() && self.changes.is_empty()
    }
}

/// What is compared first: who sends what to whom.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
struct Letter {
    from: usize,
    to: usize,
    method: Method,
    status: Option<u16>,
    credentials: bool,
}

impl Letter {
    /// Whether one could stand where the other does: the same request, or another answer to it.
    fn is_akin(self, other: Self) -> bool {
        (self.from, self.to, self.method, self.status.is_some())
            == (other.from, other.to, other.method, other.status.is_some())
    }
}

/// Compares two calls, of one capture or of two, message by message. Copies (retransmissions, packets
/// captured twice) are set aside.
pub fn diff(a: CallView<'_>, b: CallView<'_>) -> Vec<Row> {
    let (numbers_a, letters_a) = letters(a);
    let (numbers_b, letters_b) = letters(b);
    let mut pairs: Vec<(Option<usize>, Option<usize>)> = Vec::new();
    for op in capture_diff_slices(Algorithm::Myers, &letters_a, &letters_b) {
        match op {
            DiffOp::Equal { old_index, new_index, len } => {
                pairs.extend((0..len).map(|at| (Some(old_index + at), Some(new_index + at))));
            }
            DiffOp::Delete { old_index, old_len, .. } => {
                pairs.extend((old_index..old_index + old_len).map(|at| (Some(at), None)));
            }
            DiffOp::Insert { new_index, new_len, .. } => {
                pairs.extend((new_index..new_index + new_len).map(|at| (None, Some(at))));
            }
            DiffOp::Replace { old_index, old_len, new_index, new_len } => {
                let (old, new) = (old_index..old_index + old_len, new_index..new_index + new_len);
                replace(old, new, |x, y| letters_a[x].is_akin(letters_b[y]), &mut pairs);
            }
        }
    }
    let (names_a, names_b) = (Names::of(a), Names::of(b));
    let row = |(x, y): (Option<usize>, Option<usize>)| {
        let (x, y) = (x.map(|x| numbers_a[x]), y.map(|y| numbers_b[y]));
        let changes = match (x, y) {
            (Some(x), Some(y)) => changes(names_a.fields(a.sip(x)), names_b.fields(b.sip(y))),
            _ => Vec::new(),
        };
        Row { a: x, b: y, changes }
    };
    pairs.into_iter().map(row).collect()
}

/// The messages of a call that are no copies, and what each is.
fn letters(view: CallView<'_>) -> (Vec<MessageNo>, Vec<Letter>) {
    let originals = view.call.numbers().filter(|no| view.call.message(*no).copy.is_none());
    let letter = |no: MessageNo| {
        let (place, message) = (view.call.message(no), view.sip(no));
        let letter = Letter {
            from: place.from.at(),
            to: place.to.at(),
            method: message.cseq_method(),
            status: message.status(),
            credentials: message.has(Facts::AUTHORIZATION) || message.has(Facts::PROXY_AUTHORIZATION),
        };
        (no, letter)
    };
    originals.take(COMPARED).map(letter).unzip()
}

/// Pairs what stands for each other in two runs without an equal message, in order.
fn replace(
    old: std::ops::Range<usize>,
    new: std::ops::Range<usize>,
    is_akin: impl Fn(usize, usize) -> bool,
    pairs: &mut Vec<(Option<usize>, Option<usize>)>,
) {
    let mut next = new.start;
    for x in old {
        match (next..new.end).find(|y| is_akin(x, *y)) {
            Some(y) => {
                pairs.extend((next..y).map(|y| (None, Some(y))));
                pairs.push((Some(x), Some(y)));
                next = y + 1;
            }
            None => pairs.push((Some(x), None)),
        }
    }
    pairs.extend((next..new.end).map(|y| (None, Some(y))));
}

/// What differs between two lists of fields; fields of one name are compared as a whole, in order.
fn changes(a: Vec<Field>, b: Vec<Field>) -> Vec<Change> {
    let mut parts: BTreeMap<Cow<'static, str>, (Vec<Field>, Vec<Field>)> = BTreeMap::new();
    for field in a {
        parts.entry(field.part.clone()).or_default().0.push(field);
    }
    for field in b {
        parts.entry(field.part.clone()).or_default().1.push(field);
    }
    let differs = |(a, b): (&[Field], &[Field])| !a.iter().map(|field| &field.key).eq(b.iter().map(|field| &field.key));
    let told = |fields: &[Field]| {
        let values: Vec<&str> = fields.iter().map(|field| field.value.as_str()).collect();
        (!values.is_empty()).then(|| values.join(", "))
    };
    let changed = parts.into_iter().filter(|(_, (a, b))| differs((a, b)));
    let mut changes: Vec<Change> =
        changed.map(|(part, (a, b))| Change { part: part.into_owned(), a: told(&a), b: told(&b) }).collect();
    changes.sort_by_key(|change| change.part != STATUS);
    changes
}

/// Pairs the calls of two captures: the n-th call of a kind between the same two parties in one with the
/// n-th in the other, then what is left by kind alone, in order. What has no partner stands alone.
pub fn pair<'a>(
    a: &[CallView<'a>],
    b: &[CallView<'a>],
    parties: impl Fn(CallView<'a>) -> (String, String),
) -> Vec<(Option<CallView<'a>>, Option<CallView<'a>>)> {
    let mut partners: Vec<Option<CallView<'a>>> = vec![None; a.len()];
    let mut free: Vec<Option<CallView<'a>>> = b.iter().copied().map(Some).collect();
    for by_parties in [true, false] {
        let key = |view: CallView<'a>| (view.call.kind, by_parties.then(|| parties(view)));
        let mut waiting: BTreeMap<_, VecDeque<usize>> = BTreeMap::new();
        for (at, view) in free.iter().enumerate().filter_map(|(at, view)| Some((at, (*view)?))) {
            waiting.entry(key(view)).or_default().push_back(at);
        }
        for (view, partner) in a.iter().zip(&mut partners).filter(|(_, partner)| partner.is_none()) {
            let next = waiting.get_mut(&key(*view)).and_then(VecDeque::pop_front);
            *partner = next.and_then(|at| free[at].take());
        }
    }
    let pairs = a.iter().copied().map(Some).zip(partners);
    pairs.chain(free.into_iter().flatten().map(|view| (None, Some(view)))).collect()
}
