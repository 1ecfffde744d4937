"use strict";

// Elements. Text of captures comes in as text nodes and attribute values only; nothing is ever parsed as HTML.

const SVG = "http://www.w3.org/2000/svg";

/** Sets attributes, listeners (functions) and children of a node; null and false are left out. */
function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

const html = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

/** "1 call", "2 calls". */
const count = (n, noun) => `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;

const MARKS = { error: "✗", warning: "!", open: "?", info: "i", quiet: "i", good: "✓", plain: "–" };
const LEVELS = { error: "error", warning: "warning", open: "not proved", info: "note", quiet: "note", good: "no fault", plain: "no success" };

/** The sign of a level; its word is there for who cannot see it. */
function mark(level) {
  return html("span", { class: `mark ${level}`, title: LEVELS[level] },
    html("span", { "aria-hidden": "true" }, MARKS[level]), html("span", { class: "hidden" }, LEVELS[level]));
}

/** Runs `work` when calls to it have ceased for `delay` milliseconds. */
function debounce(delay, work) {
  let timer = 0;
  return (...args) => {
    clearTimeout(timer);
    timer = setTimeout(() => work(...args), delay);
  };
}

/** A page of a rule: headings, paragraphs, lists and code of Markdown; the title is left out. */
function markdown(text) {
  const blocks = text.trim().split(/\n{2,}/).filter((block) => !block.startsWith("# "));
  return blocks.map((block) => {
    if (block.startsWith("#")) return html("h5", {}, block.replace(/^#+ */, ""));
    if (/^[-*] /.test(block)) return html("ul", {}, ...block.split(/\n(?=[-*] )/).map((item) => html("li", {}, ...inline(item.slice(2)))));
    if (/^ {4}/.test(block)) return html("pre", {}, block.replace(/^ {4}/gm, ""));
    return html("p", {}, ...inline(block));
  });
}

function inline(text) {
  const parts = text.replace(/\s*\n\s*/g, " ").split("`");
  return parts.map((part, at) => (at % 2 ? html("code", {}, part) : part.replace(/\[([^\]]*)\]\([^)]*\)/g, "$1").replace(/\*\*/g, "")));
}
