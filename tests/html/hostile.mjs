// A capture of calls whose every value tries to become part of the page, as a pcap of raw IP packets.

import { writeFileSync } from "node:fs";

export const EVIL = `</script><img src=x onerror="document.title='owned'"><!--<script>document.title='owned'</script>`;

function packet(from, to, text) {
  const payload = Buffer.from(text.replaceAll("\n", "\r\n"));
  const head = Buffer.alloc(28);
  head.writeUInt8(0x45, 0);
  head.writeUInt16BE(28 + payload.length, 2);
  head.writeUInt8(64, 8);
  head.writeUInt8(17, 9);
  head.set(from, 12);
  head.set(to, 16);
  head.writeUInt16BE(5060, 20);
  head.writeUInt16BE(5060, 22);
  head.writeUInt16BE(8 + payload.length, 24);
  return Buffer.concat([head, payload]);
}

function record(packet, millis) {
  const head = Buffer.alloc(16);
  head.writeUInt32LE(1_800_000_000 + Math.floor(millis / 1000), 0);
  head.writeUInt32LE((millis % 1000) * 1000, 4);
  head.writeUInt32LE(packet.length, 8);
  head.writeUInt32LE(packet.length, 12);
  return Buffer.concat([head, packet]);
}

/** Writes `calls` refused calls, each with a header that is wrong (Expires). */
export function writeHostile(path, calls) {
  const head = Buffer.alloc(24);
  head.writeUInt32LE(0xa1b2c3d4, 0);
  head.writeUInt16LE(2, 4);
  head.writeUInt16LE(4, 6);
  head.writeUInt32LE(65535, 16);
  head.writeUInt32LE(101, 20);
  const [a, b] = [[192, 0, 2, 1], [192, 0, 2, 2]];
  const records = [];
  for (let n = 0; n < calls; n++) {
    const common = (tag) => `Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK${n}\nFrom: "${EVIL.replaceAll('"', "'")}" <sip:caller${n}@example.com>;tag=${n}\nTo: <sip:callee@example.com>${tag}\nCall-ID: ${n}-${EVIL}\nCSeq: 1 INVITE\n`;
    records.push(record(packet(a, b, `INVITE sip:callee@example.com SIP/2.0\n${common("")}Max-Forwards: 70\nContact: <sip:caller@192.0.2.1>\nExpires: x1\nSubject: ${EVIL} needle-${n};\nContent-Length: 0\n\n`), n * 100));
    records.push(record(packet(b, a, `SIP/2.0 603 ${EVIL}\n${common(";tag=b")}Content-Length: 0\n\n`), n * 100 + 10));
    records.push(record(packet(a, b, `ACK sip:callee@example.com SIP/2.0\n${common(";tag=b")}Max-Forwards: 70\nContent-Length: 0\n\n`), n * 100 + 20));
  }
  writeFileSync(path, Buffer.concat([head, ...records]));
}
