// Opens reports from disk and uses them as a person does: node report.mjs PROGRAM CAPTURES WORK

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import puppeteer from "puppeteer-core";
import { EVIL, writeHostile } from "./hostile.mjs";

const [program, captures, work] = process.argv.slice(2);
const browser = await puppeteer.launch({ executablePath: process.env.BROWSER, args: ["--no-sandbox"] });
let failed = 0;

/** The report on a capture, as a file of its own. */
function report(capture, name) {
  const path = join(work, `${name}.html`);
  const run = spawnSync(program, ["check", "--fail-on", "never", "--format", "html", "-o", path, capture], { encoding: "utf8" });
  assert.equal(run.status, 0, run.stderr);
  return pathToFileURL(path).href;
}

/** Opens a report, and afterwards holds it to what is true of every report. */
async function test(claim, address, size, use) {
  const page = await browser.newPage();
  const requests = [];
  const complaints = [];
  page.on("request", (request) => requests.push(request.url()));
  page.on("console", (message) => complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  try {
    await page.setViewport(size);
    await page.goto(address);
    await page.waitForSelector("#page > *");
    await use(page);
    assert.deepEqual(requests.filter((url) => url.split("#")[0] !== address.split("#")[0]), [], "nothing is fetched");
    assert.deepEqual(complaints, [], "no error on the console");
    console.log(`ok   ${claim}`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL ${claim}\n${error.stack}`);
  }
  await page.close();
}

const text = (page, selector) => page.$eval(selector, (node) => node.innerText);
const texts = (page, selector) => page.$$eval(selector, (nodes) => nodes.map((node) => node.innerText.trim()));
const until = (page, condition, ...args) => page.waitForFunction(condition, { timeout: 10_000 }, ...args);
const shown = (page) => texts(page, ".body .row .n");
const DESK = { width: 1400, height: 900 };
const PHONE = { width: 390, height: 844 };

writeHostile(join(work, "hostile.pcap"), 400);
const hostile = report(join(work, "hostile.pcap"), "hostile");
const refused = report(join(captures, "a05-register-wrong-password.pcap"), "refused");
const noAck = report(join(captures, "b10-ack-never-200-retransmitted.pcap"), "no-ack");
const healthy = report(join(captures, "a11-session-two-proxies.pcap"), "healthy");

await test("a hostile name is text and runs nowhere", hostile, DESK, async (page) => {
  const isClean = async () => {
    assert.equal(await page.$$eval("img", (all) => all.length), 0);
    assert.match(await page.title(), /callflow$/);
    assert.equal(await page.$$eval("script", (all) => all.filter((script) => !script.type).length), 1);
  };
  await isClean();
  await page.click(".body .row");
  await until(page, () => document.querySelector(".arrow"));
  await isClean();
  await page.click('.arrow[data-row="0"] .label');
  assert.ok((await text(page, ".raw")).includes(`Subject: ${EVIL} needle-0;`));
  await isClean();
});

await test("a wrong header is marked and says what was expected", `${hostile}#call=1&row=1`, DESK, async (page) => {
  await until(page, () => document.querySelector(".raw mark"));
  assert.ok((await texts(page, ".raw mark")).includes("x1"));
  assert.match((await texts(page, ".raw .fault")).join("\n"), /^Expires: expected .*RFC 3261/m);
});

await test("the table sorts, filters, and only rows on the screen exist", hostile, DESK, async (page) => {
  assert.match(await text(page, ".told"), /^400 calls/);
  assert.ok((await shown(page)).length < 60);
  await page.click('[data-key="n"]');
  assert.equal((await shown(page))[0], "400");
  assert.equal(await page.$eval(".head .n", (head) => head.getAttribute("aria-sort")), "descending");
  await page.evaluate(() => scrollTo(0, document.body.scrollHeight));
  await until(page, () => [...document.querySelectorAll(".body .row .n")].some((cell) => cell.innerText === "1"));
});

await test("the search finds what is in any header of any message", hostile, DESK, async (page) => {
  await page.keyboard.press("/");
  await page.keyboard.type("subject: </script><img src=x onerror=\"document.title='owned'\"><!--<script>document.title='owned'</script> needle-123;");
  await until(page, () => document.querySelector(".told").innerText.includes("all messages searched"));
  assert.deepEqual(await shown(page), ["124"]);
  assert.match(await text(page, ".told"), /^1 of 400 calls/);
  await page.keyboard.press("Escape");
  assert.match(await text(page, ".told"), /^400 calls/);
});

await test("filters narrow the calls, and a finding leads to its calls", report(join(captures, "a17-hold-resume-baresip.pcap"), "mixed"), DESK, async (page) => {
  await page.select('select[aria-label="Any kind"]', "registration");
  assert.match(await text(page, ".told"), /^2 of 3 calls/);
  await page.select('select[aria-label="Any outcome"]', "answered");
  assert.match(await text(page, ".told"), /^0 of 3 calls/);
  await page.click(".clear");
  assert.match(await text(page, ".told"), /^3 calls/);
});

await test("a finding leads to its calls, each tells its story", refused, DESK, async (page) => {
  assert.match(await text(page, "#verdict"), /^PROBLEM\s+2 registrations, all with errors: A04/);
  await page.click(".problem");
  assert.match(await text(page, ".told"), /^2 calls/);
  await page.click(".body .row");
  await until(page, () => document.querySelector(".call .arrow"));
  assert.match(await text(page, ".story"), /asked the registrar .* did not accept the credentials/s);
  assert.deepEqual(await texts(page, ".lane b"), ["user agent", "registrar"]);
  await page.click(".finding details summary");
  assert.match(await text(page, ".rule-page"), /What to look at next/i);
  await page.click('.arrow[data-row="2"] .label');
  const raw = await text(page, ".raw");
  assert.match(raw, /^REGISTER sip:/);
  assert.match(raw, /response="\*\*\*"/);
  assert.doesNotMatch(raw, /response="[0-9a-f]/);
});

await test("everything can be done with the keyboard", refused, DESK, async (page) => {
  const call = () => page.evaluate(() => location.hash);
  await page.keyboard.press("j");
  await page.keyboard.press("j");
  await page.keyboard.press("k");
  await page.keyboard.press("j");
  await page.keyboard.press("Enter");
  await until(page, () => document.querySelector(".call .arrow"));
  assert.match(await call(), /^#call=2/);
  await page.keyboard.press("[");
  await until(page, () => document.querySelector(".call h2").innerText.includes("Call 1:"));
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("j");
  assert.match(await text(page, ".message h3"), /^Message 2: SIP\/2\.0 401/);
  assert.equal(await page.evaluate(() => document.activeElement.getAttribute("data-row")), "1");
  assert.match(await page.evaluate(() => document.activeElement.getAttribute("aria-label")), /401 Unauthorized, from registrar .* to user agent .* F2 of bcp75\/2\.5/);
  const outline = await page.$eval(".arrow.chosen .hit", (hit) => getComputedStyle(hit).strokeWidth);
  assert.equal(outline, "2px");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.className), "raw");
  await page.keyboard.press("Escape");
  assert.equal(await page.$(".message.open"), null);
  await page.keyboard.press("Escape");
  await until(page, () => document.querySelector(".grid"));
  await page.keyboard.press("?");
  assert.equal(await page.$eval("dialog", (dialog) => dialog.open), true);
  await page.keyboard.press("Escape");
  assert.equal(await page.$eval("dialog", (dialog) => dialog.open), false);
});

await test("the only call stands on the first page, what is missing is dashed", noAck, DESK, async (page) => {
  await until(page, () => document.querySelector(".call .arrow"));
  const ghosts = await page.$$(".arrow.ghost");
  assert.equal(ghosts.length, 2);
  assert.notEqual(await page.$eval(".arrow.ghost .shaft", (shaft) => getComputedStyle(shaft).strokeDasharray), "none");
  const label = await page.$(".arrow.ghost .label");
  await label.hover();
  assert.match(await text(page, ".tip"), /^F4 of bcp75\/3\.1 .*: ACK from alice to bob$/);
  await label.click();
  assert.match(await text(page, ".message"), /ACK: not in the capture[\s\S]*I01[\s\S]*no ACK/);
  await page.click('.arrow[data-row="2"] .label');
  await page.click(".copies button");
  assert.match(await text(page, ".message"), /retransmission of message 3/);
  await page.keyboard.press("Escape");
  await page.click(".finding .link");
  assert.match(await text(page, ".message h3"), /^ACK/);
});

await test("a healthy capture says so in a line and hides what is empty", healthy, DESK, async (page) => {
  assert.match(await text(page, "#verdict"), /^OK/);
  assert.match(await text(page, ".fine"), /sound/);
  assert.equal(await page.$(".home > section > h2#problems"), null);
  assert.equal(await page.$(".remarks"), null);
});

await test("nothing is wider than a phone, and a message covers half of it", refused, PHONE, async (page) => {
  const width = () => page.evaluate(() => document.documentElement.scrollWidth);
  assert.equal(await width(), PHONE.width);
  await page.tap(".body .row");
  await until(page, () => document.querySelector(".call .arrow"));
  assert.equal(await width(), PHONE.width);
  await page.click('.arrow[data-row="1"] .label');
  const box = await page.$eval(".message", (node) => node.getBoundingClientRect().toJSON());
  assert.ok(box.bottom === PHONE.height && box.height <= PHONE.height * 0.56, JSON.stringify(box));
});

await test("all rows go to paper", hostile, DESK, async (page) => {
  await page.emulateMediaType("print");
  await page.evaluate(() => dispatchEvent(new Event("beforeprint")));
  assert.equal((await shown(page)).length, 400);
});

await browser.close();
if (failed > 0) process.exit(1);
