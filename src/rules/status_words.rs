//! What the failure responses of RFC 3261 21 (and a few later ones) mean, what usually causes them and
//! where to look next.

/// A failure status in plain words.
pub(super) struct StatusWords {
    /// Status.
    pub status: u16,
    /// What the server says, after "the server answered 404: ".
    pub means: &'static str,
    /// Usual cause and what to look at.
    pub look: &'static str,
}

/// The words for `status`; those of its class when it is not known.
pub(super) fn words(status: u16) -> &'static StatusWords {
    let known = STATUSES.binary_search_by_key(&status, |words| words.status).ok();
    let class = || CLASSES.iter().find(|words| words.status / 100 == status / 100).unwrap_or(&CLASSES[0]);
    known.map_or_else(class, |at| &STATUSES[at])
}

const fn say(status: u16, means: &'static str, look: &'static str) -> StatusWords {
    StatusWords { status, means, look }
}

static CLASSES: [StatusWords; 3] = [
    say(
        400,
        "the request cannot be fulfilled as it was sent",
        "Read the reason phrase and the server's log, and compare with a request that works.",
    ),
    say(500, "the server failed", "Read the server's log at this moment."),
    say(
        600,
        "the user does not take the call anywhere",
        "Nothing can be done by trying elsewhere; ask the called user or his server.",
    ),
];

/// In order of status.
#[rustfmt::skip]
static STATUSES: [StatusWords; 49] = [
    say(400, "the server could not understand the request", "Its syntax is wrong for this server: read the reason phrase, look at the request with `show`, and at anything on the way that changes messages (ALG, SBC)."),
    say(402, "payment is required", "The status is reserved; some providers use it for an empty account. Look at the account."),
    say(403, "the server understood and refuses", "Usual causes: calls to this number are barred, the sender's address is not allowed, or the account is locked. Trying again does not help; look at the permissions of this user and address at the server."),
    say(404, "the server does not know this user", "Usual causes: a wrong number, a user that does not exist in this domain, or a dial plan that changes the number. Compare the user in the request line with the users of the server."),
    say(405, "the server knows the method but does not allow it here", "Allow lists what it takes. Usual cause: a request for a user agent sent to a server, or the other way round."),
    say(406, "the server cannot answer in a form that the request accepts", "Compare the Accept header with what the server can send."),
    say(408, "no answer in time", "A proxy gave up waiting: the next element did not answer. Look at the hop behind it: is the called phone on, is its registered address still right, does a firewall drop the packets?"),
    say(410, "the user is gone for good", "The server once knew this user. Correct the number, or the server's data."),
    say(412, "the condition of the request does not hold", "PUBLISH: the state it refers to (SIP-If-Match, RFC 3903) has expired; the client should publish anew."),
    say(413, "the body is too large", "Send less, or raise the server's limit; Retry-After says whether it is for now only."),
    say(414, "the request line is too long", "Look for routing that adds to the URI again and again."),
    say(415, "the server does not take this kind of body", "Accept, Accept-Encoding and Accept-Language list what it takes. Compare with Content-Type."),
    say(416, "the server does not know this kind of URI", "Usually a tel: or sips: URI sent to something that only knows sip:. Translate the URI before this server."),
    say(417, "the resource priority is unknown", "Compare Resource-Priority with the namespaces of the server (RFC 4412)."),
    say(420, "the server does not support an extension that the request requires", "Unsupported names it. Switch it off at the sender (Require, Proxy-Require), or on at the server."),
    say(421, "the server wants an extension that the request does not offer", "Require names it. Switch it on at the sender (Supported)."),
    say(422, "the session interval is too small", "The client should try again with at least Min-SE (RFC 4028). Set a longer session timer."),
    say(423, "the interval is too brief", "The client should try again with at least Min-Expires."),
    say(424, "the location in the request is not good enough", "Look at the Geolocation headers (RFC 6442)."),
    say(428, "the server wants a signed identity", "The request has no Identity header (RFC 8224): look at the element that should sign calls."),
    say(429, "the server wants to know who sent the REFER", "Referred-By is missing or has no signature (RFC 3892)."),
    say(433, "anonymous calls are not taken", "Send the caller's number, or allow anonymous calls at the called side (RFC 5079)."),
    say(436, "the signature of the caller cannot be checked", "The certificate named in Identity could not be fetched (RFC 8224)."),
    say(437, "the certificate of the caller is not accepted", "Look at the issuer of the certificate named in Identity (RFC 8224)."),
    say(438, "the signature of the caller is wrong", "Something changed signed headers on the way, or the time is off (RFC 8224)."),
    say(439, "the first hop does not support outbound", "Switch outbound (RFC 5626) off at the client, or on at the edge proxy."),
    say(469, "the INFO package is unknown", "Recv-Info lists what is taken (RFC 6086)."),
    say(480, "the user cannot be reached now", "Usual causes: not registered, do not disturb, or nobody answered. Look at the registration of the called user."),
    say(481, "the server knows no such call or transaction", "It has ended or restarted, or the request went to the wrong one of several servers. Compare Call-ID and tags with the call that was meant."),
    say(482, "the request came to the same place again", "A loop in the routing of the proxies."),
    say(483, "the request went over too many hops", "Usually a loop in the routing of the proxies."),
    say(484, "the number is incomplete", "More digits are needed: look at the dial plan, and at whether the phone dials too early."),
    say(485, "the number could mean several users", "Contact may list them. Dial a full address."),
    say(488, "the session is not acceptable here", "Usually no common codec, or media encryption that only one side wants: compare the m= and a=rtpmap lines of the offer with what the called side supports. Warning may say more."),
    say(489, "the server does not know this event package", "Allow-Events lists what it knows. Switch the subscription off in the client, or the feature on at the server."),
    say(493, "the server cannot decrypt the body", "Look at S/MIME settings at both ends."),
    say(494, "a security agreement is required", "The client should try again with Security-Client (RFC 3329)."),
    say(500, "the server failed inside", "Read the server's log at this moment; Retry-After says when to try again."),
    say(501, "the server does not know this method at all", "Allow lists what it knows. Usual cause: a feature (publishing presence, messages) that this server does not have."),
    say(502, "a server behind this one gave an answer that it cannot use", "Look at the gateway or trunk behind it."),
    say(503, "the server is overloaded or down for the moment", "Retry-After says when it will be back; until then another server should be tried. Proxies also say 503 when they cannot resolve or reach the next one: look behind this server."),
    say(504, "a server behind this one did not answer in time", "Often DNS, a database or a gateway. Look at what this server asks."),
    say(505, "the SIP version is not supported", "Look at the start line of the request."),
    say(513, "the message is too large", "Send less: fewer codecs, fewer headers."),
    say(580, "the reservation of resources failed", "The bandwidth or bearer that the call needs (RFC 3312) could not be had: look at the access network."),
    say(604, "the user does not exist anywhere", "Correct the number."),
    say(606, "the user cannot take part in such a session", "As with 488: no common codec, bandwidth or encryption. Compare the offer with what the called side supports."),
    say(607, "the called user does not want this call", "The caller is marked as unwanted (RFC 8197)."),
    say(608, "the call was blocked by an analytics engine on the way", "Jcard or Call-Info says whom to ask (RFC 8688)."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_in_order() {
        assert!(STATUSES.windows(2).all(|pair| pair[0].status < pair[1].status));
    }

    #[test]
    fn an_unknown_status_is_told_as_its_class() {
        assert_eq!(words(499).means, CLASSES[0].means);
        assert_eq!(words(599).status, 500);
        assert_eq!(words(699).status, 600);
    }
}
