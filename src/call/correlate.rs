//! Which messages make up one call: Call-ID first, then what splits or joins.

use crate::base::Idx;
use crate::session::{Seen, timer};
use crate::sip::Method;
use bytes::Bytes;
use foldhash::fast::RandomState;
use rayon::prelude::*;
use std::collections::HashMap;
use std::time::Duration;

/// Positions of the messages of one call, in order of capture.
pub type Group = Vec<Idx<Seen>>;

/// Messages by Call-ID; grows as messages come in.
#[derive(Debug, Default)]
pub struct CallIds {
    by_id: HashMap<Bytes, usize, foldhash::quality::RandomState>,
    groups: Vec<Group>,
}

impl CallIds {
    /// Adds the message at position `at`. Messages whose Call-ID is missing or cut off are grouped by
    /// their From tag, else by their addresses, so that they are shown all the same.
    pub fn push(&mut self, at: Idx<Seen>, seen: &Seen) {
        let id = seen.message.call_id();
        if let Some(&group) = self.by_id.get(id).filter(|_| !id.is_empty()) {
            self.groups[group].push(at);
            return;
        }
        let id = group_key(seen);
        let group = *self.by_id.entry(id).or_insert(self.groups.len());
        if group == self.groups.len() {
            self.groups.push(Group::new());
        }
        self.groups[group].push(at);
    }

    /// How many distinct Call-IDs were seen.
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// Whether no message was seen.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }
}

/// What messages that are grouped together have in common: their Call-ID, or what stands for it.
pub fn group_key(seen: &Seen) -> Bytes {
    let id = seen.message.call_id();
    if id.is_empty() { substitute(seen) } else { seen.message.raw().slice_ref(id) }
}

/// A key that no Call-ID can equal: NUL is no token character (RFC 3261 25.1).
fn substitute(seen: &Seen) -> Bytes {
    let tag = seen.message.from_tag();
    if !tag.is_empty() {
        return [b"\0", tag].concat().into();
    }
    let (a, b) = (seen.connection.src.min(seen.connection.dst), seen.connection.src.max(seen.connection.dst));
    format!("\0{a} {b}").into_bytes().into()
}

/// Splits a Call-ID that two calls share, and joins an attempt with the one that replaces it at
/// another server (BCP 75 3.4). Groups come in order of their first message.
pub fn group_messages(seen: &[Seen], ids: CallIds) -> Vec<Group> {
    let mut groups: Vec<Group> = ids.groups.into_par_iter().flat_map_iter(|group| split(seen, group)).collect();
    groups.sort_unstable_by_key(|group| group[0]);
    join_failovers(seen, groups)
}

/// A registration and a call under one Call-ID (test tools do that) are two stories: REGISTER sets up
/// no dialog (RFC 3261 10.2).
fn split(seen: &[Seen], group: Group) -> Vec<Group> {
    let is = |method: Method| move |at: &Idx<Seen>| seen[at.at()].message.method() == method;
    if !(group.iter().any(is(Method::Register)) && group.iter().any(is(Method::Invite))) {
        return split_calls(seen, group);
    }
    let (registration, call): (Group, Group) = group.into_iter().partition(is(Method::Register));
    let mut parts = split_calls(seen, call);
    parts.push(registration);
    parts
}

/// A new initial INVITE with a new From tag between the same two hosts is another call, unless it
/// carries on an attempt that was challenged, redirected or found wanting (RFC 3261 8.1.3).
fn split_calls(seen: &[Seen], group: Group) -> Vec<Group> {
    let initial = |at: &Idx<Seen>| {
        let message = &seen[at.at()].message;
        message.is_request() && message.method() == Method::Invite && message.to_tag().is_empty()
    };
    let mut tags = group.iter().filter(|at| initial(at)).map(|at| seen[at.at()].message.from_tag());
    let first = tags.next();
    if tags.all(|tag| Some(tag) == first) {
        return vec![group];
    }
    let mut parts: Vec<Group> = vec![Group::new()];
    let mut part_of_tag: HashMap<&[u8], usize, RandomState> = HashMap::default();
    let mut hop_of_part: HashMap<(std::net::IpAddr, std::net::IpAddr), usize, RandomState> = HashMap::default();
    let mut last_status: Vec<Option<u16>> = vec![None];
    let mut current = 0;
    for at in group {
        let Seen { message, connection, .. } = &seen[at.at()];
        let known = part_of_tag.get(message.from_tag()).or_else(|| part_of_tag.get(message.to_tag()));
        if let Some(part) = known {
            current = *part;
        } else if initial(&at) {
            let hop = (connection.src.ip, connection.dst.ip);
            let rival = hop_of_part.get(&hop).copied();
            if rival.is_some_and(|part| !carries_on(last_status[part])) {
                parts.push(Group::new());
                last_status.push(None);
                current = parts.len() - 1;
            } else {
                current = rival.unwrap_or(current);
            }
            hop_of_part.insert(hop, current);
            part_of_tag.insert(message.from_tag(), current);
        }
        if message.method() == Method::Invite && message.status().is_some() {
            last_status[current] = message.status();
        }
        parts[current].push(at);
    }
    parts.retain(|part| !part.is_empty());
    parts
}

fn carries_on(status: Option<u16>) -> bool {
    matches!(status, Some(300..=399 | 401 | 407 | 413 | 415 | 416 | 420 | 422 | 491 | 494))
}

/// How soon after giving up a caller tries the next server.
const FAILOVER: Duration = Duration::from_secs(10);

/// BCP 75 3.4: an INVITE that nobody answered, then the same caller to the same callee by another server.
fn join_failovers(seen: &[Seen], groups: Vec<Group>) -> Vec<Group> {
    type Target<'a> = (&'a [u8], &'a [u8], std::net::IpAddr);
    let mut silent: HashMap<Target<'_>, usize, RandomState> = HashMap::default();
    let mut joined: Vec<Group> = Vec::with_capacity(groups.len());
    for group in groups {
        let first = &seen[group[0].at()];
        let message = &first.message;
        let starts = message.is_request() && message.method() == Method::Invite && message.to_tag().is_empty();
        if !starts {
            joined.push(group);
            continue;
        }
        let target = (message.from_uri(), message.to_uri(), first.connection.src.ip);
        let earlier = silent.remove(&target).filter(|at| replaces(seen, &joined[*at], first));
        if is_silent(seen, &group) {
            silent.insert(target, earlier.unwrap_or(joined.len()));
        }
        match earlier {
            Some(at) => {
                joined[at].extend(group);
                joined[at].sort_unstable();
            }
            None => joined.push(group),
        }
    }
    joined
}

fn is_silent(seen: &[Seen], group: &Group) -> bool {
    group.iter().all(|at| {
        let message = &seen[at.at()].message;
        message.is_request() && message.method() == Method::Invite
    })
}

/// The earlier attempt was repeated without an answer, given up, and the next one goes elsewhere.
fn replaces(seen: &[Seen], earlier: &Group, next: &Seen) -> bool {
    let Some(last) = earlier.last().map(|at| &seen[at.at()]) else {
        return false;
    };
    let wait = next.time.since(last.time);
    earlier.len() > 1
        && next.time > last.time
        && last.connection.dst != next.connection.dst
        && last.message.call_id() != next.message.call_id()
        && wait <= FAILOVER + timer::TIMEOUT / 2
}
