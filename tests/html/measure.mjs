// Loads a report three times and prints how long things take: node measure.mjs REPORT (docs/performance.md).

import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import puppeteer from "puppeteer-core";

const browser = await puppeteer.launch({ executablePath: process.env.BROWSER, args: ["--no-sandbox"] });
for (let run = 0; run < 3; run++) {
  const page = await browser.newPage();
  await page.setViewport({ width: 1400, height: 900 });
  await page.goto(pathToFileURL(resolve(process.argv[2])).href, { timeout: 120_000 });
  console.log(JSON.stringify(await page.evaluate(measure), null, 1));
  await page.close();
}
await browser.close();

/** Runs in the page. Pairs are milliseconds of work, and milliseconds until the next frame is done. */
async function measure() {
  const times = {};
  const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  const soon = () => new Promise((done) => setTimeout(done, 1));
  async function time(name, work) {
    await frame();
    const start = performance.now();
    work();
    const worked = performance.now() - start;
    await frame();
    times[name] = [worked, performance.now() - start].map(Math.round);
  }
  const change = (node, value, event) => {
    node.value = value;
    node.dispatchEvent(new Event(event));
  };
  times.painted = Math.round(performance.getEntriesByName("first-contentful-paint")[0].startTime);
  times.loaded = Math.round(performance.getEntriesByType("navigation")[0].loadEventEnd);
  for (const select of document.querySelectorAll("select")) {
    await time(select.getAttribute("aria-label"), () => change(select, select.options[1].value, "change"));
    change(select, "", "change");
  }
  for (const key of ["from", "seconds", "rules"]) await time(`sort by ${key}`, () => document.querySelector(`[data-key=${key}]`).click());
  const [search, told] = [document.getElementById("search"), document.querySelector(".told")];
  for (const wanted of ["cseq: 2 bye", "max-forwards: 69"]) {
    const start = performance.now();
    change(search, wanted, "input");
    await new Promise((done) => setTimeout(done, 90));
    while (!told.textContent.includes("all messages searched")) await soon();
    times[`search ${wanted}`] = [Math.round(performance.now() - start), told.textContent];
  }
  const start = performance.now();
  location.hash = "call=2";
  while (!document.querySelector(".call .arrow")) await soon();
  times.open = Math.round(performance.now() - start);
  times.megabytes = Math.round(performance.memory.usedJSHeapSize / 1e6);
  return times;
}
