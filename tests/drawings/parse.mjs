// Reads every .mmd file below a folder with Mermaid's own parser; names those that it refuses.
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { JSDOM } from "jsdom";

// Mermaid cleans labels with the DOM of a browser.
const { window } = new JSDOM("");
globalThis.window = window;
globalThis.document = window.document;
const { default: mermaid } = await import("mermaid");

let read = 0;
const refused = [];
for (const entry of readdirSync(process.argv[2], { recursive: true }).sort()) {
  if (!entry.endsWith(".mmd")) continue;
  const text = readFileSync(join(process.argv[2], entry), "utf8");
  read += 1;
  try {
    const { diagramType } = await mermaid.parse(text);
    if (diagramType !== "sequence") throw new Error(`read as ${diagramType}`);
    if (text.length > 50_000) throw new Error(`${text.length} characters: viewers refuse more than 50,000`);
  } catch (error) {
    refused.push(`${entry}: ${error.message}`);
  }
}
console.log(`Mermaid reads ${read - refused.length} of ${read} diagrams`);
for (const line of refused) console.error(line);
process.exit(read === 0 || refused.length > 0 ? 1 : 0);
