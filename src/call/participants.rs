//! Who takes part in a call, and on which hops they speak to each other.

use super::{Hop, Participant, Role};
use crate::base::{Connection, Endpoint, Idx};
use crate::session::{Seen, Transactions};
use crate::sip::{Facts, Method};
use foldhash::fast::RandomState;
use petgraph::graphmap::DiGraphMap;
use petgraph::unionfind::UnionFind;
use std::collections::{BTreeMap, BTreeSet, HashMap};
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
    directory.join_forwarders(found);
    let graph = path_graph(messages, found, &directory);
    let mut cast = Cast { participants: Vec::new(), hops: Vec::new(), of_message: Vec::with_capacity(messages.len()) };
    let order = path_order(&graph, messages, &directory);
    let number: HashMap<Endpoint, Idx<Participant>, RandomState> =
        order.iter().enumerate().map(|(at, node)| (*node, Idx::new(at))).collect();
    let mut addresses = directory.addresses();
    cast.participants = order
        .iter()
        .map(|node| Participant { addresses: addresses.remove(node).unwrap_or_default(), role: Role::Unknown })
        .collect();
    let mut hop_of: HashMap<(Idx<Participant>, Idx<Participant>), Idx<Hop>, RandomState> = HashMap::default();
    for seen in messages {
        let from = number[&directory.node(seen.connection.src)];
        let to = number[&directory.node(seen.connection.dst)];
        let key = (from.min(to), from.max(to));
        let hop = *hop_of.entry(key).or_insert_with(|| {
            cast.hops.push(new_hop(seen, from, to));
            Idx::new(cast.hops.len() - 1)
        });
        cast.of_message.push((from, to, hop));
    }
    settle_hops(messages, found, &mut cast);
    settle_roles(messages, found, &mut cast);
    cast
}

/// Which participant an address stands for. All ports of a host are one participant, unless the host
/// answers at several ports or speaks to itself: then each such port is one, and a client's passing
/// port belongs to the one that its Via names.
struct Directory {
    /// Ports at which each host takes requests or says (in Via) that it takes responses.
    service: BTreeMap<IpAddr, BTreeSet<u16>>,
    node_of: HashMap<Endpoint, Endpoint, RandomState>,
}

impl Directory {
    fn new(messages: &[&Seen]) -> Self {
        let mut directory = Self { service: BTreeMap::new(), node_of: HashMap::default() };
        let mut claimed: HashMap<Endpoint, u16, RandomState> = HashMap::default();
        for seen in messages.iter().filter(|seen| seen.message.is_request()) {
            let Connection { src, dst, transport } = seen.connection;
            let own = if transport.is_reliable() { None } else { Some(src.port) };
            if let Some(port) = own.or_else(|| via_port(seen)) {
                claimed.entry(src).or_insert(port);
            }
            // A request down a connection that the client opened goes to the client's passing port.
            let passing = transport.is_reliable() && claimed.contains_key(&dst);
            if !passing {
                directory.service.entry(dst.ip).or_default().insert(dst.port);
            }
        }
        for (endpoint, port) in &claimed {
            directory.service.entry(endpoint.ip).or_default().insert(*port);
        }
        let endpoints = messages.iter().flat_map(|seen| [seen.connection.src, seen.connection.dst]);
        for endpoint in endpoints {
            let node = directory.resolve(endpoint, &claimed);
            directory.node_of.insert(endpoint, node);
        }
        directory
    }

    /// Whoever forwards a request is the element that received it, however many ports it uses for that
    /// (listening on one, sending from another, changing the transport).
    fn join_forwarders(&mut self, found: &Transactions) {
        let mut same: UnionFind<usize> = UnionFind::new(0);
        let mut number: BTreeMap<Endpoint, usize> = BTreeMap::new();
        for transaction in &found.all {
            // The request itself shows who forwarded it; a response with a wrong Via stack does not.
            let (Some(upstream), Some(_)) = (transaction.upstream, transaction.request) else {
                continue;
            };
            let received = self.node(found.all[upstream.at()].connection.dst);
            let sent = self.node(transaction.connection.src);
            let mut of = |node: Endpoint| *number.entry(node).or_insert_with(|| same.new_set());
            let (received, sent) = (of(received), of(sent));
            same.union(received, sent);
        }
        let mut name: BTreeMap<usize, Endpoint> = BTreeMap::new();
        for (node, at) in &number {
            name.entry(same.find(*at)).or_insert(*node);
        }
        for node in self.node_of.values_mut() {
            if let Some(at) = number.get(node) {
                *node = name[&same.find(*at)];
            }
        }
    }

    fn resolve(&self, endpoint: Endpoint, claimed: &HashMap<Endpoint, u16, RandomState>) -> Endpoint {
        let Some(ports) = self.service.get(&endpoint.ip) else {
            return endpoint;
        };
        let port = match claimed.get(&endpoint) {
            _ if ports.len() == 1 => ports.first().copied(),
            Some(port) => Some(*port),
            None if ports.contains(&endpoint.port) => Some(endpoint.port),
            None => ports.first().copied(),
        };
        Endpoint { ip: endpoint.ip, port: port.unwrap_or(endpoint.port) }
    }

    fn node(&self, endpoint: Endpoint) -> Endpoint {
        self.node_of.get(&endpoint).copied().unwrap_or(endpoint)
    }

    /// Addresses by participant: the one that names it first, then the others in order.
    fn addresses(&self) -> BTreeMap<Endpoint, Vec<Endpoint>> {
        let mut all: BTreeMap<Endpoint, Vec<Endpoint>> = BTreeMap::new();
        for (endpoint, node) in &self.node_of {
            all.entry(*node).or_default().push(*endpoint);
        }
        for (node, addresses) in &mut all {
            addresses.sort_unstable_by_key(|endpoint| (endpoint != node, *endpoint));
        }
        all
    }
}

fn via_port(seen: &Seen) -> Option<u16> {
    seen.message.vias().next().and_then(|via| via.port)
}

/// Edges from client to server of every request, initial requests first, in order of the path.
fn path_graph(messages: &[&Seen], found: &Transactions, directory: &Directory) -> DiGraphMap<Endpoint, ()> {
    let mut graph = DiGraphMap::new();
    for transaction in &found.all {
        let (client, server) = (directory.node(transaction.connection.src), directory.node(transaction.connection.dst));
        let initial = transaction.request.is_none_or(|no| messages[no.at()].message.to_tag().is_empty());
        if initial && !graph.contains_edge(server, client) {
            graph.add_edge(client, server, ());
        }
    }
    graph
}

/// Depth first from the first client: caller, then each element behind the one before it.
fn path_order(graph: &DiGraphMap<Endpoint, ()>, messages: &[&Seen], directory: &Directory) -> Vec<Endpoint> {
    let mut order = Vec::new();
    let mut known: BTreeSet<Endpoint> = BTreeSet::new();
    let starts = messages.iter().flat_map(|seen| {
        let Connection { src, dst, .. } = seen.connection;
        let (client, server) = if seen.message.is_request() { (src, dst) } else { (dst, src) };
        [directory.node(client), directory.node(server)]
    });
    // A node that nobody sends initial requests to comes before the others.
    let starts: Vec<Endpoint> = starts.collect();
    let is_source = |node: &&Endpoint| graph.neighbors_directed(**node, petgraph::Incoming).next().is_none();
    for start in starts.iter().filter(is_source).chain(starts.iter()) {
        let mut stack = vec![*start];
        while let Some(node) = stack.pop() {
            if known.insert(node) {
                order.push(node);
                let mut next: Vec<Endpoint> = graph.neighbors(node).collect();
                next.reverse();
                stack.extend(next);
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
fn goes_on(messages: &[&Seen], transaction: &crate::session::Transaction) -> bool {
    let routes = |no: crate::session::MessageNo| messages[no.at()].message.record_routes().count();
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

/// An element that was seen to forward is a proxy whatever else it does.
fn raise(participant: &mut Participant, role: Role) {
    let rank = |role: Role| match role {
        Role::Unknown => 0,
        Role::Ua => 1,
        Role::Redirect => 2,
        Role::Registrar => 3,
        Role::B2bua => 4,
        Role::Proxy => 5,
    };
    if rank(role) > rank(participant.role) {
        participant.role = role;
    }
}
