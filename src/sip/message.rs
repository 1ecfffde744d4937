//! A SIP message: its bytes, and where in them the parts lie.

use super::body::sdp_part;
use super::grammar::Commas;
use super::header::{Fields, Headers, Values};
use super::hot::until;
use super::kept::{Kept, Place};
use super::reading::Parts;
use super::{Address, Challenge, Credentials, Facts, Fault, HeaderName, Method, Sdp, Via, fault};
use crate::base::limits::HEADERS_PER_MESSAGE;
use bytes::Bytes;
use std::borrow::Cow;

/// A request or response. Cheap to move and to clone; the bytes are shared.
///
/// What is missing or unreadable is an empty slice or `None`. Of headers that may stand only once,
/// the first one counts.
#[derive(Clone, Debug)]
pub struct Message {
    raw: Bytes,
    parts: Kept,
}

impl Message {
    /// Reads `raw` in one pass over its header section; line ends before the start line are passed over.
    ///
    /// A last header line without a line end counts as cut and is not used: half a Call-ID is another call's.
    /// Bytes behind the body that Content-Length announces stay in [`Message::raw`] (RFC 3261 18.3).
    pub fn parse(raw: Bytes) -> Self {
        let raw = if u32::try_from(raw.len()).is_ok() { raw } else { raw.slice(..u32::MAX as usize) };
        let parts = Kept::new(Parts::read(&raw), raw.len());
        Self { raw, parts }
    }

    /// Whether the readers of what is written as usual say of `raw` what the grammar says: they must, of any
    /// bytes.
    pub(crate) fn is_read_alike(raw: &[u8]) -> bool {
        Parts::read(raw) == Parts::read_by_grammar(raw)
    }

    /// The bytes as given.
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// Whether it is a request (also when the start line cannot be read); otherwise a response.
    pub fn is_request(&self) -> bool {
        !self.has(Facts::RESPONSE)
    }

    /// Method of the request line; of a response, the CSeq method.
    pub fn method(&self) -> Method {
        self.parts.method
    }

    /// Name of the method as written, also of unknown ones.
    pub fn method_name(&self) -> Cow<'_, str> {
        match self.parts.method {
            Method::Other => String::from_utf8_lossy(self.parts.part(Place::MethodName, &self.raw)),
            known => Cow::Borrowed(known.name()),
        }
    }

    /// Method in the CSeq; [`Method::Other`] also when it is missing.
    pub fn cseq_method(&self) -> Method {
        self.parts.cseq_method
    }

    /// Number in the CSeq.
    pub fn cseq_number(&self) -> Option<u32> {
        self.parts.cseq_number()
    }

    /// Status code of a response, 100 to 699.
    pub fn status(&self) -> Option<u16> {
        (self.parts.status != 0).then_some(self.parts.status)
    }

    /// Reason phrase of a response.
    pub fn reason(&self) -> &[u8] {
        if self.is_request() { b"" } else { self.parts.part(Place::Target, &self.raw) }
    }

    /// Request-URI of a request.
    pub fn request_uri(&self) -> &[u8] {
        if self.is_request() { self.parts.part(Place::Target, &self.raw) } else { b"" }
    }

    /// Call-ID.
    pub fn call_id(&self) -> &[u8] {
        self.parts.part(Place::CallId, &self.raw)
    }

    /// Branch of the top Via.
    pub fn branch(&self) -> &[u8] {
        self.parts.part(Place::Branch, &self.raw)
    }

    /// `host[:port]` of the top Via, as written.
    pub fn sent_by(&self) -> &[u8] {
        self.parts.part(Place::SentBy, &self.raw)
    }

    /// Number of Via values, readable or not.
    pub fn via_count(&self) -> u16 {
        self.parts.via_count
    }

    /// Tag of From.
    pub fn from_tag(&self) -> &[u8] {
        self.parts.part(Place::FromTag, &self.raw)
    }

    /// Tag of To.
    pub fn to_tag(&self) -> &[u8] {
        self.parts.part(Place::ToTag, &self.raw)
    }

    /// URI of From, without angle brackets and header parameters.
    pub fn from_uri(&self) -> &[u8] {
        self.parts.part(Place::FromUri, &self.raw)
    }

    /// URI of To, without angle brackets and header parameters.
    pub fn to_uri(&self) -> &[u8] {
        self.parts.part(Place::ToUri, &self.raw)
    }

    /// What follows the empty line, as far as Content-Length says.
    pub fn body(&self) -> &[u8] {
        self.parts.part(Place::Body, &self.raw)
    }

    /// Content-Length; `None` when it is missing or no number.
    pub fn content_length(&self) -> Option<u64> {
        self.parts.content_length()
    }

    /// All facts of it.
    pub fn facts(&self) -> Facts {
        self.parts.facts
    }

    /// Whether all of `facts` hold.
    pub fn has(&self, facts: Facts) -> bool {
        self.parts.facts.contains(facts)
    }

    /// The header fields in order, also those that cannot be read.
    pub fn headers(&self) -> Headers<'_> {
        Headers::new(Fields::new(&self.raw, self.parts.headers()), HEADERS_PER_MESSAGE)
    }

    /// Every value of that header, comma lists not split.
    pub fn values(&self, name: HeaderName) -> impl Iterator<Item = &[u8]> {
        if self.lacks(Facts::of(name)) {
            return Values::none(name);
        }
        let (fields, room) = self.fields_for(name);
        Values::new(fields, room, name)
    }

    /// The header fields, from where the first one of that name may stand, and how many of them to look at.
    fn fields_for(&self, name: HeaderName) -> (Fields<'_>, usize) {
        let (at, room) = match self.parts.marks.of(name, self.parts.facts) {
            Some((at, only)) => (at, if only { 1 } else { HEADERS_PER_MESSAGE }),
            None => (self.parts.headers(), HEADERS_PER_MESSAGE),
        };
        (Fields::new(&self.raw, at), room)
    }

    /// Whether none of these headers is there. Headers of cut messages may be, though no fact says so.
    fn lacks(&self, headers: Facts) -> bool {
        headers != Facts::default() && !self.parts.facts.intersects(headers | Facts::CUT)
    }

    /// The first value of that header.
    pub fn header(&self, name: HeaderName) -> Option<&[u8]> {
        self.values(name).next()
    }

    /// The Via values as written, comma lists split, top one first.
    pub fn via_values(&self) -> impl Iterator<Item = &[u8]> {
        self.values(HeaderName::Via).flat_map(Commas::new)
    }

    /// The readable Via values, comma lists split, top one first.
    pub fn vias(&self) -> impl Iterator<Item = Via<'_>> {
        self.via_values().filter_map(Via::parse)
    }

    /// The first readable Via value.
    pub fn top_via(&self) -> Option<Via<'_>> {
        let usual = self.parts.at(Place::SentBy).and_then(|at| Via::in_line(&self.raw, at));
        usual.or_else(|| self.vias().next())
    }

    /// The second readable Via value: of whoever sent the request to the element that the top one names.
    pub fn second_via(&self) -> Option<Via<'_>> {
        if self.parts.via_count < 2 {
            return None;
        }
        if self.sent_by().is_empty() {
            return self.vias().nth(1);
        }
        // The top one was readable when the message was read.
        self.usual_second_via()
            .or_else(|| self.values(HeaderName::Via).flat_map(Commas::new).skip(1).find_map(Via::parse))
    }

    /// As [`Message::second_via`], where the Vias stand as [`Message::lower_vias`] says and that one came over UDP, TCP
    /// or TLS.
    fn usual_second_via(&self) -> Option<Via<'_>> {
        let lower = via_line(&self.raw, self.parts.headers())?;
        let is_via = self.raw.get(lower..)?.starts_with(VIA);
        Via::in_line(&self.raw, lower + VIA.len() + b"UDP ".len()).filter(|_| is_via)
    }

    /// The lines of the Vias below the top one, where the Vias stand as usual: before all other headers, each in a
    /// line of its own, without folds.
    pub(crate) fn lower_vias(&self) -> Option<&[u8]> {
        let lower = via_line(&self.raw, self.parts.headers())?;
        let end = (1..self.parts.via_count).try_fold(lower, |at, _| via_line(&self.raw, at))?;
        self.raw.get(lower..end)
    }

    /// The readable addresses of that header, comma lists split.
    pub fn addresses(&self, name: HeaderName) -> impl Iterator<Item = Address<'_>> {
        self.values(name).flat_map(Commas::new).filter_map(Address::parse)
    }

    /// The readable Contact values; see [`Address::is_star`].
    pub fn contacts(&self) -> impl Iterator<Item = Address<'_>> {
        self.addresses(HeaderName::Contact)
    }

    /// The readable Record-Route values, top one first.
    pub fn record_routes(&self) -> impl Iterator<Item = Address<'_>> {
        self.addresses(HeaderName::RecordRoute)
    }

    /// The readable Route values, top one first.
    pub fn routes(&self) -> impl Iterator<Item = Address<'_>> {
        self.addresses(HeaderName::Route)
    }

    /// The challenges of WWW-Authenticate and Proxy-Authenticate, in order.
    pub fn challenges(&self) -> impl Iterator<Item = Challenge<'_>> {
        let lacking = self.lacks(Facts::WWW_AUTHENTICATE | Facts::PROXY_AUTHENTICATE);
        let of = |(value, proxy)| Challenge::all(value, proxy);
        self.either(lacking, HeaderName::WwwAuthenticate, HeaderName::ProxyAuthenticate).flat_map(of)
    }

    /// The credentials of Authorization and Proxy-Authorization, in order.
    pub fn credentials(&self) -> impl Iterator<Item = Credentials<'_>> {
        let lacking = self.lacks(Facts::AUTHORIZATION | Facts::PROXY_AUTHORIZATION);
        let of = |(value, proxy)| Credentials::all(value, proxy);
        self.either(lacking, HeaderName::Authorization, HeaderName::ProxyAuthorization).flat_map(of)
    }

    /// The values of the header of a server and of that of a proxy, with `true` for the latter; nothing
    /// to look for when both are `lacking`.
    fn either(&self, lacking: bool, server: HeaderName, proxy: HeaderName) -> impl Iterator<Item = (&[u8], bool)> {
        let wanted = move |name: HeaderName| name == server || name == proxy;
        let headers = (!lacking).then(|| {
            let (fields, room) = self.fields_for(server);
            Headers::new(fields, room)
        });
        headers.into_iter().flatten().filter(move |h| wanted(h.name)).map(move |h| (h.value, h.name == proxy))
    }

    /// The first session description of the body.
    pub fn sdp(&self) -> Option<Sdp<'_>> {
        self.sdp_part().map(Sdp::parse)
    }

    /// As [`Message::sdp`], as far as it says where media goes: without encodings and other attributes.
    pub fn media(&self) -> Option<Sdp<'_>> {
        self.sdp_part().map(Sdp::parse_media)
    }

    fn sdp_part(&self) -> Option<&[u8]> {
        if self.has(Facts::ALL_SDP) {
            return Some(self.body());
        }
        self.has(Facts::SDP).then(|| {
            let content_type = self.header(HeaderName::ContentType).unwrap_or_default();
            sdp_part(content_type, self.body()).unwrap_or_default()
        })
    }

    /// Where the header section begins.
    pub(super) fn headers_at(&self) -> usize {
        self.parts.headers()
    }

    /// What is wrong with it, in order of the bytes.
    pub fn faults(&self) -> Vec<Fault> {
        fault::find(self)
    }
}

/// How the line of a Via begins as nearly every sender writes it.
const VIA: &[u8] = b"Via: SIP/2.0/";

/// Where the line with one Via value that begins at `at` ends, if it is written as usual.
fn via_line(raw: &[u8], at: usize) -> Option<usize> {
    if !raw.get(at..)?.starts_with(VIA) {
        return None;
    }
    let end = until::<b' ', _>(raw, at + VIA.len(), [b',']);
    matches!(raw.get(end..)?, [b'\r', b'\n', next, ..] if !matches!(next, b' ' | b'\t')).then_some(end + 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: impl AsRef<[u8]>) -> Message {
        Message::parse(Bytes::copy_from_slice(text.as_ref()))
    }

    fn text(bytes: &[u8]) -> String {
        String::from_utf8_lossy(bytes).into_owned()
    }

    const INVITE: &str = "INVITE sip:bob@biloxi.example.com SIP/2.0\r\n\
        Via: SIP/2.0/TCP client.atlanta.example.com:5060;branch=z9hG4bK74bf9\r\n\
        Max-Forwards: 70\r\n\
        Record-Route: <sip:p2.example.com;lr>, <sip:p1.example.com;lr>\r\n\
        From: Alice <sip:alice@atlanta.example.com>;tag=9fxced76sl\r\n\
        To: Bob <sip:bob@biloxi.example.com>\r\n\
        Call-ID: 2xTb9vxSit55XU7p8@atlanta.example.com\r\n\
        CSeq: 1 INVITE\r\n\
        Contact: <sip:alice@client.atlanta.example.com;transport=tcp>\r\n\
        Content-Type: application/sdp\r\n\
        Content-Length: 40\r\n\r\n\
        v=0\r\nm=audio 49172 RTP/AVP 0\r\na=inactive";

    const LINES: [&str; 11] = [
        "Via: SIP/2.0/UDP a.example:5060;branch=z1",
        "Via: SIP/2.0/TLS b.example;branch=z2",
        "Via: SIP/2.0/UDP c;branch=z3, SIP/2.0/TCP d;branch=z4",
        "v: SIP/2.0/TCP e;branch=z5",
        "Via: SIP/2.0/WS f.invalid;branch=z6",
        "Via: SIP/2.0/UDP g;\r\n branch=z7",
        "Via:SIP/2.0/UDP [2001:db8::1]:5060;branch=z8",
        "Via: SIP/2.0/UDP ;branch=z9",
        "Via: SIP / 2.0 / UDP h",
        "Max-Forwards: 70",
        "Subject: Via: SIP/2.0/UDP i",
    ];

    proptest! {
        #[test]
        fn vias_that_stand_as_usual_are_what_the_grammar_reads(
            lines in proptest::collection::vec(proptest::sample::select(&LINES[..]), 0..6),
        ) {
            let message = parse(format!("OPTIONS sip:a SIP/2.0\r\n{}\r\nCSeq: 1 OPTIONS\r\n\r\n", lines.join("\r\n")));
            let sent_by = |via: Via<'_>| (text(via.sent_by), text(via.transport));
            prop_assert_eq!(message.second_via().map(sent_by), message.vias().nth(1).map(sent_by));
            if let Some(lower) = message.lower_vias() {
                let values = text(lower).lines().map(|line| line.trim_start_matches("Via: ").to_owned()).collect::<Vec<_>>();
                let all = message.values(HeaderName::Via).skip(1).map(text).collect::<Vec<_>>();
                prop_assert_eq!(values, all);
            }
        }
    }

    #[test]
    fn an_ordinary_request_is_read() {
        let message = parse(INVITE);
        assert!(message.is_request());
        assert_eq!(
            (message.method(), message.cseq_method(), message.cseq_number()),
            (Method::Invite, Method::Invite, Some(1))
        );
        assert_eq!(message.request_uri(), b"sip:bob@biloxi.example.com");
        assert_eq!((message.status(), message.reason()), (None, b"".as_slice()));
        assert_eq!(message.call_id(), b"2xTb9vxSit55XU7p8@atlanta.example.com");
        assert_eq!(
            (message.branch(), message.sent_by()),
            (b"z9hG4bK74bf9".as_slice(), b"client.atlanta.example.com:5060".as_slice())
        );
        assert_eq!((message.from_tag(), message.to_tag()), (b"9fxced76sl".as_slice(), b"".as_slice()));
        assert_eq!(
            (message.from_uri(), message.to_uri()),
            (b"sip:alice@atlanta.example.com".as_slice(), b"sip:bob@biloxi.example.com".as_slice())
        );
        assert_eq!((message.via_count(), message.content_length(), message.body().len()), (1, Some(40), 40));
        assert!(message.has(Facts::CONTACT | Facts::RECORD_ROUTE | Facts::MAX_FORWARDS | Facts::SDP));
        assert!(!message.has(Facts::ROUTE) && !message.has(Facts::CUT) && !message.has(Facts::MALFORMED));
        let routes: Vec<_> = message.record_routes().map(|route| text(route.uri)).collect();
        assert_eq!(routes, ["sip:p2.example.com;lr", "sip:p1.example.com;lr"]);
        assert_eq!(message.sdp().unwrap().media[0].direction, super::super::Direction::Inactive);
        assert_eq!(message.headers().count(), 10);
    }

    #[test]
    fn a_response_takes_its_method_from_cseq() {
        let message = parse(
            "SIP/2.0 486 Busy  Here\r\nCSeq: 7 FOO\r\nv: SIP/2.0/UDP a;branch=1,SIP/2.0/UDP b\r\nVIA:SIP/2.0/UDP c\r\n\r\n",
        );
        assert!(!message.is_request());
        assert_eq!((message.status(), message.reason()), (Some(486), b"Busy  Here".as_slice()));
        assert_eq!((message.method(), message.method_name().as_ref()), (Method::Other, "FOO"));
        assert_eq!((message.via_count(), message.vias().count(), message.branch()), (3, 3, b"1".as_slice()));
        assert!(message.has(Facts::MALFORMED));
        assert_eq!(message.request_uri(), b"");
    }

    /// RFC 4475 3.1.1.1: folds, odd spacing, compact forms, escaped quotes.
    #[test]
    fn a_short_tortuous_invite_is_read() {
        let message = parse(
            "INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0\r\n\
             TO :\r\n sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n\r\n\
             from   : \"J Rosenberg \\\\\\\"\"       <sip:jdrosen@example.com>\r\n  ;\r\n  tag = 98asjd8\r\n\
             MaX-fOrWaRdS: 0068\r\n\
             Call-ID: wsinv.ndaksdj@192.0.2.1\r\n\
             Content-Length   : 150\r\n\
             cseq: 0009\r\n  INVITE\r\n\
             Via  : SIP  /   2.0\r\n /UDP\r\n    192.0.2.2;branch=390skdjuw\r\n\
             s :\r\n\
             NewFangledHeader:   newfangled value\r\n continued newfangled value\r\n\
             UnknownHeaderWithUnusualValue: ;;,,;;,;\r\n\
             Content-Type: application/sdp\r\n\
             Route:\r\n <sip:services.example.com;lr;unknownwith=value;unknown-no-value>\r\n\
             v:  SIP  / 2.0  / TCP     spindle.example.com   ;\r\n  branch  =   z9hG4bK9ikj8  ,\r\n SIP  /    2.0   / UDP  192.168.255.111   ; branch=\r\n z9hG4bK30239\r\n\
             m:\"Quoted string \\\"\\\"\" <sip:jdrosen@example.com> ; newparam =\r\n      newvalue ;\r\n  secondparam ; q = 0.33\r\n\r\n\
             v=0\r\no=mhandley 29739 7272939 IN IP4 192.0.2.3\r\ns=-\r\nc=IN IP4 192.0.2.4\r\nt=0 0\r\nm=audio 49217 RTP/AVP 0 12\r\nm=video 3227 RTP/AVP 31\r\na=rtpmap:31 LPC\r\n",
        );
        assert_eq!(message.method(), Method::Invite);
        assert_eq!((message.to_tag(), message.from_tag()), (b"1918181833n".as_slice(), b"98asjd8".as_slice()));
        assert_eq!(message.to_uri(), b"sip:vivekg@chair-dnrc.example.com");
        assert_eq!((message.cseq_number(), message.cseq_method()), (Some(9), Method::Invite));
        assert_eq!((message.branch(), message.sent_by()), (b"390skdjuw".as_slice(), b"192.0.2.2".as_slice()));
        assert_eq!(message.via_count(), 3);
        let branches: Vec<_> = message.vias().map(|via| text(via.branch)).collect();
        assert_eq!(branches, ["390skdjuw", "z9hG4bK9ikj8", "z9hG4bK30239"]);
        let contact = message.contacts().next().unwrap();
        assert_eq!((contact.uri, contact.q()), (b"sip:jdrosen@example.com".as_slice(), Some(330)));
        assert_eq!(message.header(HeaderName::Subject), Some(b"".as_slice()));
        assert_eq!((message.content_length(), message.body().len()), (Some(150), 150));
        assert_eq!(message.sdp().unwrap().media.len(), 2);
        assert!(!message.has(Facts::MALFORMED) && !message.has(Facts::CUT));
        assert_eq!(message.faults(), []);
    }

    /// RFC 4475 3.1.1.2, 3.1.1.3, 3.1.1.5: characters that are allowed though they look odd.
    #[test]
    fn wide_ranges_of_characters_are_valid() {
        let message = parse(
            "!interesting-Method0123456789_*+`.%indeed'~ sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com SIP/2.0\r\n\
             Via: SIP/2.0/TCP host1.example.com;branch=z9hG4bK-.!%66*_+`'~\r\n\
             To: \"BEL:\\\x07 NUL:\\\x00 DEL:\\\x7f\" <sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*@example.com>\r\n\
             From: token1~` token2'+_ token3*%!.- <sip:mundane@example.com>;fromParam''~+*_!.-%=\"\u{440}\u{430}\";tag=_token~1'+`*%!-.\r\n\
             Call-ID: intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{\r\n\
             CSeq: 139122385 !interesting-Method0123456789_*+`.%indeed'~\r\n\
             Max-Forwards: 255\r\nextensionHeader-!.%*+_`'~:\u{feff}\u{5927}\r\nContent-Length: 0\r\n\r\n",
        );
        assert_eq!(
            (message.method(), message.method_name().as_ref()),
            (Method::Other, "!interesting-Method0123456789_*+`.%indeed'~")
        );
        assert_eq!(
            (message.from_tag(), message.branch()),
            (b"_token~1'+`*%!-.".as_slice(), b"z9hG4bK-.!%66*_+`'~".as_slice())
        );
        assert_eq!(message.call_id(), b"intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{");
        assert_eq!(message.faults(), []);
    }

    #[test]
    fn sloppy_senders_are_understood() {
        let lines = INVITE.replace("\r\n", "\n");
        let leading = format!("\r\n\r\n{INVITE}");
        let latin =
            INVITE.replace("Alice", "\u{e4}").into_bytes().into_iter().filter(|b| *b != 0xc3).collect::<Vec<_>>();
        let bare = INVITE.replace("Alice <sip:alice@atlanta.example.com>", "sip:alice@atlanta.example.com");
        for sloppy in [lines.as_bytes(), leading.as_bytes(), &latin, bare.as_bytes()] {
            let message = parse(sloppy);
            assert_eq!(
                (message.method(), message.from_tag()),
                (Method::Invite, b"9fxced76sl".as_slice()),
                "{}",
                text(sloppy)
            );
            assert_eq!(message.from_uri(), b"sip:alice@atlanta.example.com");
            assert_eq!(message.call_id(), b"2xTb9vxSit55XU7p8@atlanta.example.com");
            assert!(!message.has(Facts::MALFORMED) && message.sdp().is_some());
        }
    }

    #[test]
    fn the_tag_of_the_uri_is_not_the_tag_of_the_header() {
        let message =
            parse("BYE sip:x SIP/2.0\r\nf: \"a;tag=1\" <sip:x;tag=2>;x=\";tag=3\";tag=4\r\nt:<sip:x;tag=5>\r\n\r\n");
        assert_eq!((message.from_tag(), message.to_tag()), (b"4".as_slice(), b"".as_slice()));
    }

    #[test]
    fn a_broken_display_name_does_not_hide_the_tag() {
        for name in ["\"Alice", "\\\"Alice\\\""] {
            let message = parse(INVITE.replace("Alice", name));
            assert!(message.has(Facts::MALFORMED), "{name}");
            assert_eq!(
                (message.from_uri(), message.from_tag()),
                (b"sip:alice@atlanta.example.com".as_slice(), b"9fxced76sl".as_slice())
            );
        }
    }

    #[test]
    fn a_cut_message_is_cut_and_not_malformed() {
        for end in [INVITE.len() - 1, INVITE.len() - 50, 200, 45] {
            let message = parse(&INVITE[..end]);
            assert!(message.has(Facts::CUT) && !message.has(Facts::MALFORMED), "{end}");
            assert_eq!(message.method(), Method::Invite);
        }
    }

    #[test]
    fn bytes_behind_the_body_are_no_body() {
        let message = parse("MESSAGE sip:x SIP/2.0\r\nl: 2\r\n\r\nabc");
        assert_eq!((message.body(), message.has(Facts::CUT)), (b"ab".as_slice(), false));
        let message = parse("MESSAGE sip:x SIP/2.0\r\n\r\nabc");
        assert_eq!(message.body(), b"abc");
    }

    #[test]
    fn junk_and_wrong_numbers_are_malformed() {
        for bad in [
            "",
            "\r\n",
            "INVITE",
            "SIP/2.0 999 x\r\n\r\n",
            "SIP/2.0 4294967301 x\r\n\r\n",
            "SIP/2.0 ok\r\n\r\n",
            "junk\r\n\r\n",
        ] {
            let message = parse(bad);
            assert!(message.has(Facts::MALFORMED) && message.status().is_none(), "{bad:?}");
        }
        for (good, bad) in [
            ("CSeq: 1 ", "CSeq: 4294967296 "),
            ("CSeq: 1 INVITE", "CSeq: INVITE"),
            ("Via: SIP/2.0/TCP ", "Via: SIP/2.0/TCP"),
            ("To: Bob <", "To: Bob "),
            ("Call-ID: 2xTb9vxSit55XU7p8@atlanta.example.com\r\n", ""),
        ] {
            let message = parse(INVITE.replacen(good, bad, 1));
            assert!(message.has(Facts::MALFORMED), "{bad}");
        }
    }

    #[test]
    fn sdp_is_found_in_a_multipart() {
        let message = parse(
            "INVITE sip:x SIP/2.0\r\nc: multipart/mixed; boundary=\"b 1\"\r\n\r\npreamble --b 1\r\n--b 1\r\nContent-Type: text/plain\r\n\r\nm=no\r\n\
             --b 1\r\ncontent-type:  Application/SDP ;x=y\r\nX: y\r\n\r\nv=0\r\nm=image 4 udptl t38\r\n--b 1--\r\nm=no\r\n",
        );
        assert!(message.has(Facts::SDP));
        let kinds: Vec<_> = message.sdp().unwrap().media.iter().map(|media| text(media.kind)).collect();
        assert_eq!(kinds, ["image"]);
        assert!(parse("INVITE sip:x SIP/2.0\r\nc: multipart/mixed\r\n\r\nm=no").sdp().is_none());
        assert!(parse("INVITE sip:x SIP/2.0\r\nc: application/sdp\r\n\r\n").sdp().is_none());
    }

    #[test]
    fn challenges_and_credentials_say_which_side_asked() {
        let message = parse(
            "SIP/2.0 401 x\r\nWWW-Authenticate: Digest realm=\"a\",nonce=\"1\"\r\nProxy-Authenticate: Digest realm=\"b\",nonce=\"2\",stale=true\r\n\r\n",
        );
        let found: Vec<_> = message.challenges().map(|c| (c.proxy, text(c.realm), c.stale)).collect();
        assert_eq!(found, [(false, "a".to_owned(), false), (true, "b".to_owned(), true)]);
        let message = parse("BYE sip:x SIP/2.0\r\nProxy-Authorization: Digest username=\"u\"\r\n\r\n");
        assert!(message.has(Facts::PROXY_AUTHORIZATION));
        assert_eq!(message.credentials().next().map(|c| (c.proxy, text(c.username))), Some((true, "u".to_owned())));
    }

    #[test]
    fn the_top_via_is_the_first_that_can_be_read() {
        let usual = "Via: SIP/2.0/TCP client.atlanta.example.com:5060;branch=z9hG4bK74bf9";
        assert!(INVITE.contains(usual));
        for line in [
            usual,
            "v:SIP/2.0/UDP 192.0.2.1",
            "Via: SIP/2.0/UDP 192.0.2.1:5060 ;rport",
            "Via: SIP/2.0/UDP 192.0.2.1;rport\r\n ;branch=1",
            "Via: SIP/2.0/UDP a;branch=1, SIP/2.0/UDP b;branch=2",
            "Via: SIP/2.0/UDP\tc;maddr=\"d\"",
            "Via: x\r\nVia: SIP/2.0/UDP e",
        ] {
            let message = parse(INVITE.replace(usual, line));
            assert_eq!(message.top_via(), message.vias().next(), "{line}");
            assert!(message.top_via().is_some(), "{line}");
        }
    }

    #[test]
    fn a_message_is_small() {
        assert!(size_of::<Message>() <= 112, "{}", size_of::<Message>());
    }

    /// Asks for everything that can be asked for.
    fn exercise(message: &Message) -> usize {
        let parts = [
            message.reason(),
            message.request_uri(),
            message.call_id(),
            message.branch(),
            message.sent_by(),
            message.from_tag(),
            message.to_tag(),
            message.from_uri(),
            message.to_uri(),
            message.body(),
            message.method_name().as_bytes(),
        ]
        .map(<[u8]>::len);
        let values = message.vias().count()
            + message.contacts().count()
            + message.challenges().count()
            + message.credentials().count();
        let uris =
            message.addresses(HeaderName::From).filter(|from| super::super::Uri::parse(from.uri).is_some()).count();
        let media = message.sdp().map_or(0, |sdp| sdp.media.len());
        parts.iter().sum::<usize>() + values + uris + media + message.headers().count() + message.faults().len()
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_message(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            exercise(&parse(bytes));
        }

        #[test]
        fn a_changed_message_is_still_read(changes in prop::collection::vec((0..INVITE.len(), prop::sample::select(b"\0\r\n \t:;,<>\"\\=@[]-a\xff".to_vec())), 0..8), end in 0..=INVITE.len()) {
            let mut bytes = INVITE.as_bytes().to_vec();
            for (at, byte) in changes {
                bytes[at] = byte;
            }
            bytes.truncate(end);
            let message = parse(&bytes);
            exercise(&message);
            prop_assert_eq!(message.raw().as_ref(), bytes.as_slice());
            for fault in message.faults() {
                prop_assert!(fault.offset as usize + fault.len as usize <= bytes.len());
            }
        }
    }
}
