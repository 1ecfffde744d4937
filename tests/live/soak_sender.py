"""Sends calls, registrations, media and floods over an interface as raw frames, both directions of all of them, for
tests/live/soak. Every call has a Call-ID of its own, whose start says what it is; the phones are a fixed population whose
registrations are refreshed. A line of JSON at the end of each phase says what was sent.

    soak_sender.py INTERFACE CALLS_PER_SECOND RTP_PER_CALL FLOOD_PER_SECOND SEED NAME:SECONDS...
"""
import heapq
import json
import random
import signal
import socket
import struct
import sys
import time

ETHERNET = bytes.fromhex("020000000001" "020000000002" "0800")
PROXY = "192.0.2.2"
PHONES = 2000
# When a message is sent again over UDP, seconds after the first time (RFC 3261 17.1.2.2 and 13.3.1.4).
AGAIN = [0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
SDP = "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio {port} RTP/AVP 8\r\n"


def ip_packet(source, target, protocol, payload, number=0, fragment=0):
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), number & 0xFFFF, fragment, 64, protocol, 0,
                       socket.inet_aton(source), socket.inet_aton(target))
    total = sum(struct.unpack("!10H", head))
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    return ETHERNET + head[:10] + struct.pack("!H", total ^ 0xFFFF) + head[12:] + payload


def udp(source, target, payload, ports=(5060, 5060)):
    return ip_packet(source, target, 17, struct.pack("!HHHH", *ports, 8 + len(payload), 0) + payload)


def phone(number):
    return f"198.51.{100 + number // 250}.{1 + number % 250}"


class Sender:
    def __init__(self, interface, calls, rtp, flood, seed):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self.socket.bind((interface, 0))
        self.calls, self.rtp, self.flood_rate = calls, rtp, flood
        self.random = random.Random(seed)
        self.due = []
        self.count = 0
        self.sent = {}
        self.cseq = [0] * PHONES
        self.giant = 0

    def note(self, what, times=1):
        self.sent[what] = self.sent.get(what, 0) + times

    def at(self, when, frame):
        self.count += 1
        heapq.heappush(self.due, (when, self.count, frame))

    def message(self, start, cseq, ids, target, to_tag, body="", extra=""):
        call, branch, caller, callee = ids
        content = "Content-Type: application/sdp\r\n" if body else ""
        return (f"{start}\r\nVia: SIP/2.0/UDP {caller}:5060;branch=z9hG4bK{branch}\r\nMax-Forwards: 70\r\n"
                f"From: <sip:{caller}@example.com>;tag=f{call}\r\nTo: <sip:{target}@example.com>{to_tag}\r\nCall-ID: {call}\r\n"
                f"CSeq: {cseq}\r\n{extra}{content}Content-Length: {len(body)}\r\n\r\n{body}").encode()

    def call(self, now):
        pick = self.random.random()
        kind = "noack" if pick < 0.02 else "lostbye" if pick < 0.03 else "call"
        self.note(kind)
        self.count += 1
        call = f"{kind}-{self.count}-{self.random.getrandbits(48):x}"
        one, other = self.random.sample(range(PHONES), 2)
        caller, callee = phone(one), phone(other)
        port = 10000 + 2 * self.random.randrange(20000)
        say = lambda branch, *rest, **more: self.message(rest[0], rest[1], (call, f"{call}{branch}", caller, callee), callee, rest[2], **more)
        there = lambda when, data: self.at(when, udp(caller, callee, data))
        back = lambda when, data: self.at(when, udp(callee, caller, data))
        tag = f";tag=t{call}"
        mine = f"Contact: <sip:{caller}:5060>\r\n"
        yours = f"Contact: <sip:{callee}:5060>\r\n"
        there(now, say("i", f"INVITE sip:{callee} SIP/2.0", "1 INVITE", "", body=SDP.format(ip=caller, port=port), extra=mine))
        back(now + 0.01, say("i", "SIP/2.0 100 Trying", "1 INVITE", ""))
        back(now + 0.05, say("i", "SIP/2.0 180 Ringing", "1 INVITE", tag, extra=yours))
        answer = now + 0.5 + self.random.random()
        accepted = say("i", "SIP/2.0 200 OK", "1 INVITE", tag, body=SDP.format(ip=callee, port=port), extra=yours)
        if kind == "noack":
            for later in AGAIN:
                back(answer + later, accepted)
            return
        back(answer, accepted)
        there(answer + 0.02, say("a", f"ACK sip:{callee}:5060 SIP/2.0", "1 ACK", tag))
        for n in range(self.rtp):
            rtp = struct.pack("!BBHII", 0x80, 8, n & 0xFFFF, n * 160, one) + bytes(160)
            when = answer + 0.03 + 0.02 * (n // 2)
            self.at(when, udp(caller, callee, rtp, (port, port)) if n % 2 else udp(callee, caller, rtp, (port, port)))
        end = answer + max(0.02 * self.rtp / 2 + 0.1, self.random.expovariate(0.25))
        bye = say("b", f"BYE sip:{callee}:5060 SIP/2.0", "2 BYE", tag)
        if kind == "lostbye":
            for later in AGAIN:
                there(end + later, bye)
            return
        there(end, bye)
        back(end + 0.02, say("b", "SIP/2.0 200 OK", "2 BYE", tag))

    def registration(self, now):
        """A phone registers or refreshes: one Call-ID per phone, a higher CSeq each time (RFC 3261 10.2)."""
        self.note("reg")
        which = self.random.randrange(PHONES)
        caller = phone(which)
        for step, (code, extra) in enumerate(((401, 'WWW-Authenticate: Digest realm="example.com",nonce="n%d",algorithm=MD5\r\n' % self.count), (200, ""))):
            self.cseq[which] += 1
            number = self.cseq[which]
            ids = (f"reg-{which}", f"r{which}-{number}", caller, PROXY)
            proof = "" if step == 0 else ('Authorization: Digest username="%s",realm="example.com",nonce="n%d",uri="sip:example.com",'
                                          'response="0123456789abcdef0123456789abcdef",algorithm=MD5\r\n' % (caller, self.count - 2))
            contact = f"Contact: <sip:{caller}:5060>;expires=3600\r\n"
            ask = self.message("REGISTER sip:example.com SIP/2.0", f"{number} REGISTER", ids, caller, "", extra=contact + proof)
            reason = {401: "Unauthorized", 200: "OK"}[code]
            reply = self.message(f"SIP/2.0 {code} {reason}", f"{number} REGISTER", ids, caller, f";tag=p{number}",
                                 extra=extra if code == 401 else contact)
            self.at(now + 0.05 * step, udp(caller, PROXY, ask))
            self.at(now + 0.05 * step + 0.01, udp(PROXY, caller, reply))

    def flood(self, kind):
        self.note(kind)
        bits = self.random.getrandbits(64)
        source = f"203.0.{bits >> 8 & 255}.{1 + bits % 250}"
        if kind == "invites":
            ids = (f"flood-{bits:x}", f"{bits:x}", source, PROXY)
            return udp(source, PROXY, self.message("INVITE sip:x@example.com SIP/2.0", "1 INVITE", ids, "x", "", extra=f"Contact: <sip:{source}>\r\n"))
        if kind == "syns":
            return ip_packet(source, PROXY, 6, struct.pack("!HHIIBBHHH", bits >> 16 & 0xFFFF | 1024, 5060, bits & 0xFFFFFFFF, 0, 0x50, 2, 65535, 0, 0))
        if kind == "fragments":
            # All but the last are multiples of eight bytes (RFC 791 3.1).
            start = (struct.pack("!HHHH", 5060, 5060, 2000, 0) + b"INVITE sip:x@example.com SIP/2.0\r\nSubject: ").ljust(1024, b"x")
            return ip_packet(source, PROXY, 17, start, bits >> 32, 0x2000)
        # One giant call: requests inside a dialog, each answered.
        self.giant += 1
        number = self.giant // 2 + 1
        ids = ("giant-1", f"g{number}", "203.0.113.1", PROXY)
        if self.giant % 2:
            return udp("203.0.113.1", PROXY, self.message("INFO sip:x@example.com SIP/2.0", f"{number} INFO", ids, "x", ";tag=g"))
        return udp(PROXY, "203.0.113.1", self.message("SIP/2.0 200 OK", f"{number - 1} INFO", ("giant-1", f"g{number - 1}", "203.0.113.1", PROXY), "x", ";tag=g"))

    def run(self, name, seconds):
        """One phase; the flood of that name, if it is one, beside the calls."""
        self.sent = {}
        begin = time.monotonic()
        calls = regs = flood = 0
        while (now := time.monotonic()) < begin + seconds:
            passed = now - begin
            while calls < passed * self.calls:
                calls += 1
                self.call(now)
            while regs < passed * self.calls / 10:
                regs += 1
                self.registration(now)
            packets = 0
            while self.due and self.due[0][0] <= now:
                self.socket.send(heapq.heappop(self.due)[2])
                packets += 1
            if name in ("invites", "syns", "fragments", "giant"):
                # What could not be sent in time is not made up for: no bursts.
                flood = max(flood, (passed - 0.1) * self.flood_rate)
                while flood < passed * self.flood_rate and packets < 2000:
                    flood += 1
                    packets += 1
                    self.socket.send(self.flood(name))
            self.note("packets", packets)
            time.sleep(0.001)
        print(json.dumps({"phase": name, "seconds": round(time.monotonic() - begin, 1), **self.sent}), flush=True)


def main():
    interface, calls, rtp, flood, seed, *phases = sys.argv[1:]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    sender = Sender(interface, float(calls), int(rtp), float(flood), int(seed))
    for phase in phases:
        name, seconds = phase.split(":")
        sender.run(name, float(seconds))


if __name__ == "__main__":
    main()
