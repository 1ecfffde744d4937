//! The bytes that are read.

/// An ordinary INVITE of a desk phone, 12 headers and an offer.
pub const INVITE: &str = "INVITE sip:bob@biloxi.example.com SIP/2.0\r\n\
    Via: SIP/2.0/UDP client.atlanta.example.com:5060;rport;branch=z9hG4bK74bf9\r\n\
    Max-Forwards: 70\r\n\
    From: \"Alice\" <sip:alice@atlanta.example.com>;tag=9fxced76sl\r\n\
    To: Bob <sip:bob@biloxi.example.com>\r\n\
    Call-ID: 3848276298220188511@atlanta.example.com\r\n\
    CSeq: 1 INVITE\r\n\
    Contact: <sip:alice@client.atlanta.example.com;transport=udp>\r\n\
    User-Agent: Linphone/3.6.1 (eXosip2/4.1.0)\r\n\
    Allow: INVITE, ACK, CANCEL, OPTIONS, BYE, REFER, NOTIFY, MESSAGE, SUBSCRIBE, INFO\r\n\
    Content-Type: application/sdp\r\n\
    Content-Length: 151\r\n\
    \r\n\
    v=0\r\n\
    o=alice 2890844526 2890844526 IN IP4 client.atlanta.example.com\r\n\
    s=-\r\n\
    c=IN IP4 192.0.2.101\r\n\
    t=0 0\r\n\
    m=audio 49172 RTP/AVP 0\r\n\
    a=rtpmap:0 PCMU/8000\r\n";

/// Its answer on the way back from the proxy.
pub const OK: &str = "SIP/2.0 200 OK\r\n\
    Via: SIP/2.0/UDP ss1.atlanta.example.com:5060;branch=z9hG4bK2d4790.1;received=192.0.2.111\r\n\
    Via: SIP/2.0/UDP client.atlanta.example.com:5060;rport=5060;branch=z9hG4bK74bf9;received=192.0.2.101\r\n\
    Record-Route: <sip:ss1.atlanta.example.com;lr>\r\n\
    From: \"Alice\" <sip:alice@atlanta.example.com>;tag=9fxced76sl\r\n\
    To: Bob <sip:bob@biloxi.example.com>;tag=314159\r\n\
    Call-ID: 3848276298220188511@atlanta.example.com\r\n\
    CSeq: 1 INVITE\r\n\
    Contact: <sip:bob@client.biloxi.example.com>\r\n\
    Content-Type: application/sdp\r\n\
    Content-Length: 147\r\n\
    \r\n\
    v=0\r\n\
    o=bob 2890844527 2890844527 IN IP4 client.biloxi.example.com\r\n\
    s=-\r\n\
    c=IN IP4 192.0.2.201\r\n\
    t=0 0\r\n\
    m=audio 3456 RTP/AVP 0\r\n\
    a=rtpmap:0 PCMU/8000\r\n";

/// A registration with credentials.
pub const REGISTER: &str = "REGISTER sip:biloxi.example.com SIP/2.0\r\n\
    Via: SIP/2.0/UDP 192.0.2.201:5060;branch=z9hG4bKnashd92;rport\r\n\
    Max-Forwards: 70\r\n\
    From: <sip:bob@biloxi.example.com>;tag=ja743ks76zlflH\r\n\
    To: <sip:bob@biloxi.example.com>\r\n\
    Call-ID: 1j9FpLxk3uxtm8tn@biloxi.example.com\r\n\
    CSeq: 2 REGISTER\r\n\
    Contact: <sip:bob@192.0.2.201:5060>\r\n\
    Authorization: Digest username=\"bob\", realm=\"biloxi.example.com\", nonce=\"ea9c8e88df84f1cec4341ae6cbe5a359\", \
    uri=\"sip:biloxi.example.com\", response=\"dfe56131d1958046689d83306477ecc2\", algorithm=MD5\r\n\
    Expires: 3600\r\n\
    Content-Length: 0\r\n\
    \r\n";

/// A frame with `rest` (EtherType and what stands before the payload) behind the two addresses.
pub fn ethernet(rest: &[u8], payload: &[u8]) -> Vec<u8> {
    [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2][..], rest, payload].concat()
}

/// Without options and checksum.
pub fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let [high, low] = (20 + payload.len() as u16).to_be_bytes();
    let header = [0x45, 0, high, low, 0, 1, 0, 0, 64, protocol, 0, 0, 192, 0, 2, 1, 198, 51, 100, 2];
    [&header[..], payload].concat()
}

/// From and to the same port.
pub fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
    let [port, length] = [port, 8 + payload.len() as u16].map(u16::to_be_bytes);
    [&port[..], &port, &length, &[0, 0], payload].concat()
}

/// A segment with PSH and ACK, from and to the same port.
pub fn tcp(port: u16, payload: &[u8]) -> Vec<u8> {
    let port = port.to_be_bytes();
    [&port[..], &port, &[0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 0xff, 0xff, 0, 0, 0, 0], payload].concat()
}
