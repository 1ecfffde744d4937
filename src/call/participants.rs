//! Who takes part in a call, and on which hops they speak to each other.

use super::{Call, Hop, Participant, Role};
use crate::base::{Connection, Endpoint, Idx};
use crate::session::{FewMap, MessageNo, Seen, Transaction, Transactions};
use crate::sip::{Facts, Message, Method};
use foldhash::fast::RandomState;
use petgraph::unionfind::UnionFind;
use smallvec::SmallVec;
use std::collections::HashMap;
use std::net::IpAddr;

/// Participants and hops of a call, and for each message who sent it to whom on which hop.
pub(super) struct Cast {
    pub(super) participants: Vec<Participant>,
    pub(super) hops: Vec<Hop>,
    /// For each message: sender, receiver, hop.
    pub(super) of_message: Vec<(Idx<Participant>, Idx<Participant>, Idx<Hop>)>,
}

/// Finds them from the addresses, the Via headers and the direction of the requests.
pub(super) fn cast(messages: &[&Seen], found: &Transactions) -> Cast {
    let mut directory = Directory::new(messages);
    directory.join_forwarders(messages, found);
    let graph = path_graph(messages, found, &directory);
    let order = path_order(&graph, messages, &directory);
    let mut addresses = directory.addresses();
    let mut number: Vec<Idx<Participant>> = vec![Idx::new(0); addresses.len()];
    for (at, node) in order.iter().enumerate() {
        number[*node] = Idx::new(at);
    }
    let participants =
        order.iter().map(|node| Participant { addresses: std::mem::take(&mut addresses[*node]), role: Role::Unknown });
    let mut cast =
        Cast { participants: participants.collect(), hops: Vec::new(), of_message: Vec::with_capacity(messages.len()) };
    let mut hop_of: FewMap<(Idx<Participant>, Idx<Participant>), Idx<Hop>> = FewMap::default();
    for (seen, (src, dst)) in messages.iter().zip(&directory.of_message) {
        let from = number[directory.node_of[*src]];
        let to = number[directory.node_of[*dst]];
        let key = (from.min(to), from.max(to));
        let hop = *hop_of.get_or_insert_with(key, || {
            cast.hops.push(new_hop(seen, from, to));
            Idx::new(cast.hops.len() - 1)
        });
        cast.of_message.push((from, to, hop));
    }
    settle_hops(messages, found, &mut cast);
    settle_roles(messages, found, &mut cast);
    settle_gateways(messages, found, &mut cast);
    cast
}

/// The address at which `who` of `call` and `other_who` of `other` are the same element: an address with
/// its port, or a host on which each of the calls has nobody else.
pub(super) fn shared_address(
    call: &Call,
    who: Idx<Participant>,
    other: &Call,
    other_who: Idx<Participant>,
) -> Option<IpAddr> {
    /// Addresses of one element, and elements of one call, that are compared; a flood has thousands.
    const COMPARED: usize = 32;
    let addresses = |call: &Call, who: Idx<Participant>| -> SmallVec<[Endpoint; 4]> {
        call.participants[who.at()].addresses.iter().copied().take(COMPARED).collect()
    };
    let (ours, theirs) = (addresses(call, who), addresses(other, other_who));
    if let Some(same) = ours.iter().find(|endpoint| theirs.contains(endpoint)) {
        return Some(same.ip);
    }
    let alone = |call: &Call, who: Idx<Participant>, ip: IpAddr| {
        let mut others = call.participants.iter().enumerate().filter(|(at, _)| *at != who.at());
        call.participants.len() <= COMPARED
            && !others.any(|(_, other)| other.addresses.iter().any(|endpoint| endpoint.ip == ip))
    };
    let hosts = ours.iter().map(|endpoint| endpoint.ip).filter(|ip| theirs.iter().any(|other| other.ip == *ip));
    hosts.into_iter().find(|ip| alone(call, who, *ip) && alone(other, other_who, *ip))
}

/// Distinct endpoints, numbered from 0 in order of appearance.
#[derive(Default)]
struct Endpoints {
    all: Vec<Endpoint>,
    /// Numbers of those behind the first [`Endpoints::FEW`].
    more: HashMap<Endpoint, usize, RandomState>,
}

impl Endpoints {
    /// Most calls have no more; comparing with these is cheaper than hashing.
    const FEW: usize = 8;

    fn number(&mut self, endpoint: Endpoint) -> usize {
        let few = self.all.iter().take(Self::FEW);
        if let Some(at) = few.enumerate().find_map(|(at, known)| (*known == endpoint).then_some(at)) {
            return at;
        }
        let next = self.all.len();
        let at = if next < Self::FEW { next } else { *self.more.entry(endpoint).or_insert(next) };
        if at == next {
            self.all.push(endpoint);
        }
        at
    }

    fn len(&self) -> usize {
        self.all.len()
    }
}

/// Which participant an address stands for. All ports of a host are one participant, unless the host
/// answers at several ports or speaks to itself: then each such port is one, and a client's passing
/// port belongs to the one that its Via names.
struct Directory {
    /// As they stand in the packets.
    endpoints: Endpoints,
    /// For each message the numbers of its source and destination in `endpoints`.
    of_message: Vec<(usize, usize)>,
    /// Names of participants.
    nodes: Endpoints,
    /// For each endpoint the number of its participant in `nodes`.
    node_of: Vec<usize>,
}

impl Directory {
    fn new(messages: &[&Seen]) -> Self {
        let mut endpoints = Endpoints::default();
        let of_message: Vec<(usize, usize)> = messages
            .iter()
            .map(|seen| {
                let Connection { src, dst, .. } = seen.connection;
                (endpoints.number(src), endpoints.number(dst))
            })
            .collect();
        // The port at which a sender says (in Via) that it takes responses.
        let mut claimed: Vec<Option<u16>> = vec![None; endpoints.len()];
        let mut serves: Vec<bool> = vec![false; endpoints.len()];
        for (seen, (src, dst)) in messages.iter().zip(&of_message) {
            if !seen.message.is_request() {
                continue;
            }
            let reliable = seen.connection.transport.is_reliable();
            if claimed[*src].is_none() {
                claimed[*src] = if reliable { via_port(seen) } else { Some(seen.connection.src.port) };
            }
            // A request down a connection that the client opened goes to the client's passing port.
            let passing = reliable && claimed[*dst].is_some();
            serves[*dst] |= !passing;
        }
        let service = services(&endpoints, &claimed, &serves);
        let mut nodes = Endpoints::default();
        let node_of = endpoints
            .all
            .iter()
            .zip(&claimed)
            .map(|(endpoint, claimed)| nodes.number(resolve(*endpoint, *claimed, &service)))
            .collect();
        Self { endpoints, of_message, nodes, node_of }
    }

    /// Whoever forwards a request is the element that received it, however many ports it uses for that
    /// (listening on one, sending from another, changing the transport).
    fn join_forwarders(&mut self, messages: &[&Seen], found: &Transactions) {
        let mut same: UnionFind<usize> = UnionFind::new(self.nodes.len());
        for transaction in &found.all {
            // The request itself shows who forwarded it; a response with a wrong Via stack does not.
            let (Some(upstream), Some(_)) = (transaction.upstream, transaction.request) else {
                continue;
            };
            let first = |transaction: &Transaction| transaction.messages.first().copied();
            if let (Some(above), Some(below)) = (first(&found.all[upstream.at()]), first(transaction)) {
                let (_, received) = self.client_server(messages, above);
                let (sent, _) = self.client_server(messages, below);
                same.union(received, sent);
            }
        }
        // The lowest address names them all.
        let mut name: Vec<usize> = (0..self.nodes.len()).collect();
        for node in 0..self.nodes.len() {
            let joined = &mut name[same.find(node)];
            if self.nodes.all[node] < self.nodes.all[*joined] {
                *joined = node;
            }
        }
        for node in &mut self.node_of {
            *node = name[same.find(*node)];
        }
    }

    /// The participants at both ends of the hop of a message: client and server.
    fn client_server(&self, messages: &[&Seen], no: MessageNo) -> (usize, usize) {
        let (src, dst) = self.of_message[no.at()];
        let (src, dst) = (self.node_of[src], self.node_of[dst]);
        if messages[no.at()].message.is_request() { (src, dst) } else { (dst, src) }
    }

    /// Addresses by participant: the one that names it first, then the others in order.
    fn addresses(&self) -> Vec<SmallVec<[Endpoint; 1]>> {
        let mut all = vec![SmallVec::new(); self.nodes.len()];
        for (endpoint, node) in self.endpoints.all.iter().zip(&self.node_of) {
            all[*node].push(*endpoint);
        }
        for (node, addresses) in all.iter_mut().enumerate() {
            let name = self.nodes.all[node];
            addresses.sort_unstable_by_key(|endpoint| (*endpoint != name, *endpoint));
        }
        all
    }
}

/// Where requests are taken and responses are said (in Via) to be taken, in order.
fn services(endpoints: &Endpoints, claimed: &[Option<u16>], serves: &[bool]) -> Vec<Endpoint> {
    let mut services = Vec::with_capacity(2 * endpoints.len());
    for ((endpoint, claimed), serves) in endpoints.all.iter().zip(claimed).zip(serves) {
        services.extend(claimed.map(|port| Endpoint { port, ..*endpoint }));
        services.extend(serves.then_some(*endpoint));
    }
    services.sort_unstable();
    services.dedup();
    services
}

/// The name of the participant behind `endpoint`.
fn resolve(endpoint: Endpoint, claimed: Option<u16>, services: &[Endpoint]) -> Endpoint {
    let services = &services[services.partition_point(|service| service.ip < endpoint.ip)..];
    let of_host = &services[..services.partition_point(|service| service.ip == endpoint.ip)];
    match (of_host, claimed) {
        ([], _) => endpoint,
        ([only], _) => *only,
        (_, Some(port)) => Endpoint { port, ..endpoint },
        ([first, ..], None) => {
            if of_host.binary_search(&endpoint).is_ok() {
                endpoint
            } else {
                *first
            }
        }
    }
}

fn via_port(seen: &Seen) -> Option<u16> {
    seen.message.vias().next().and_then(|via| via.port)
}

/// Who sends requests to whom, by the numbers of participants in [`Directory::nodes`].
struct Graph {
    /// To whom each sends, in order.
    targets: Vec<SmallVec<[usize; 2]>>,
    /// Who sends to each.
    sources: Vec<SmallVec<[usize; 2]>>,
}

impl Graph {
    fn new(nodes: usize) -> Self {
        Self { targets: vec![SmallVec::new(); nodes], sources: vec![SmallVec::new(); nodes] }
    }

    /// Looks through the shorter list: of all edges, at most the root of twice their number.
    fn contains(&self, from: usize, to: usize) -> bool {
        let (targets, sources) = (&self.targets[from], &self.sources[to]);
        if targets.len() <= sources.len() { targets.contains(&to) } else { sources.contains(&from) }
    }

    fn add(&mut self, from: usize, to: usize) {
        if !self.contains(from, to) {
            self.targets[from].push(to);
            self.sources[to].push(from);
        }
    }
}

/// Edges from client to server of every request, initial requests first, in order of the path.
fn path_graph(messages: &[&Seen], found: &Transactions, directory: &Directory) -> Graph {
    let mut graph = Graph::new(directory.nodes.len());
    for transaction in &found.all {
        let Some(no) = transaction.messages.first() else {
            continue;
        };
        let (client, server) = directory.client_server(messages, *no);
        let initial = transaction.request.is_none_or(|no| messages[no.at()].message.to_tag().is_empty());
        if initial && !graph.contains(server, client) {
            graph.add(client, server);
        }
    }
    graph
}

/// Depth first from the first client: caller, then each element behind the one before it.
fn path_order(graph: &Graph, messages: &[&Seen], directory: &Directory) -> Vec<usize> {
    let mut order = Vec::new();
    let mut known = vec![false; directory.nodes.len()];
    let mut stack = Vec::new();
    let mut visit = |start: usize| {
        stack.push(start);
        while let Some(node) = stack.pop() {
            if !std::mem::replace(&mut known[node], true) {
                order.push(node);
                stack.extend(graph.targets[node].iter().rev());
            }
        }
    };
    // A node that nobody sends initial requests to comes before the others.
    for others in [false, true] {
        for no in 0..messages.len() {
            let (client, server) = directory.client_server(messages, MessageNo::new(no));
            for start in [client, server] {
                if others || graph.sources[start].is_empty() {
                    visit(start);
                }
            }
        }
    }
    order
}

/// A hop is drawn the way its first request went.
fn new_hop(seen: &Seen, from: Idx<Participant>, to: Idx<Participant>) -> Hop {
    let (client, server) = if seen.message.is_request() { (from, to) } else { (to, from) };
    // In-dialog traffic may come from either side: the caller stands before the callee.
    let (upstream, downstream) = if seen.message.to_tag().is_empty() || !seen.message.is_request() {
        (client, server)
    } else {
        (client.min(server), client.max(server))
    };
    Hop { upstream, downstream, first: false, last: true }
}

/// Tells the ends of the path from its middle.
fn settle_hops(messages: &[&Seen], found: &Transactions, cast: &mut Cast) {
    let hop_of = |at: usize, cast: &Cast| found.all[at].messages.first().map(|no| cast.of_message[no.at()].2);
    for at in 0..found.all.len() {
        let transaction = &found.all[at];
        let (Some(hop), Some(no)) = (hop_of(at, cast), transaction.messages.first()) else {
            continue;
        };
        let message = &messages[no.at()].message;
        let initial = transaction.request.is_none_or(|no| messages[no.at()].message.to_tag().is_empty());
        let with_flow = cast.of_message[no.at()].0 == cast.hops[hop.at()].upstream;
        let routed = !matches!(transaction.method, Method::Cancel | Method::Ack);
        if initial && routed && message.is_request() == with_flow {
            cast.hops[hop.at()].first |= message.via_count() <= 1;
        }
        if let Some(upstream) = transaction.upstream.filter(|_| initial)
            && let Some(before) = hop_of(upstream.at(), cast)
        {
            cast.hops[before.at()].last = false;
        }
        if initial && goes_on(messages, transaction) {
            cast.hops[hop.at()].last = false;
        }
    }
}

/// A response with more Record-Route values than its request comes from behind another proxy.
fn goes_on(messages: &[&Seen], transaction: &Transaction) -> bool {
    let routes = |no: MessageNo| messages[no.at()].message.record_routes().count();
    let (Some(request), Some(answer)) = (transaction.request, transaction.final_response) else {
        return false;
    };
    messages[answer.at()].message.has(Facts::RECORD_ROUTE) && routes(answer) > routes(request)
}

fn settle_roles(messages: &[&Seen], found: &Transactions, cast: &mut Cast) {
    for transaction in &found.all {
        let Some(no) = transaction.messages.first() else {
            continue;
        };
        let (from, to, _) = cast.of_message[no.at()];
        let (client, server) = if messages[no.at()].message.is_request() { (from, to) } else { (to, from) };
        let status = transaction.final_response.and_then(|no| messages[no.at()].message.status());
        let forwarded = transaction.upstream.is_some();
        raise(&mut cast.participants[client.at()], if forwarded { Role::Proxy } else { Role::Ua });
        let server_role = match status {
            Some(300..400) => Role::Redirect,
            Some(407) => Role::Proxy,
            Some(_) if transaction.method == Method::Register => Role::Registrar,
            _ => Role::Ua,
        };
        raise(&mut cast.participants[server.at()], server_role);
    }
}

/// A message that goes on from another address with the same branch and no Via of whoever sends it on was not
/// passed on by a proxy (RFC 3261 16.6 item 8), but rewritten on its way: by an application level gateway.
fn settle_gateways(messages: &[&Seen], found: &Transactions, cast: &mut Cast) {
    type Key<'a> = (u32, Method, Idx<Participant>, &'a [u8]);
    let mut senders: FewMap<Key<'_>, (Idx<Participant>, &Message)> = FewMap::default();
    for transaction in &found.all {
        let Some(no) = transaction.request else {
            continue;
        };
        let message = &messages[no.at()].message;
        let (client, server, _) = cast.of_message[no.at()];
        if !message.branch().starts_with(b"z9hG4bK") {
            continue;
        }
        let key = (transaction.cseq, transaction.method, server, message.branch());
        let (inside, before) = *senders.get_or_insert_with(key, || (client, message));
        if inside != client && before.via_count() == message.via_count() && before.raw() != message.raw() {
            raise(&mut cast.participants[client.at()], Role::Alg);
        }
    }
}

/// An element that was seen to forward is a proxy whatever else it does.
pub(super) fn raise(participant: &mut Participant, role: Role) {
    let rank = |role: Role| match role {
        Role::Unknown => 0,
        Role::Ua => 1,
        Role::Redirect => 2,
        Role::Registrar => 3,
        Role::Alg => 4,
        Role::B2bua => 5,
        Role::Proxy => 6,
    };
    if rank(role) > rank(participant.role) {
        participant.role = role;
    }
}
