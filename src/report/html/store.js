
// The data of the report. The index is there from the start; what is told of calls and the text of their messages
// are unpacked when asked for.

const index = JSON.parse(document.getElementById("index").textContent);

/** The calls, one object each; `at` is its position. */
const calls = index.calls.n.map((_, at) => {
  const call = { at };
  for (const [name, column] of Object.entries(index.calls)) call[name] = column[at];
  const worst = index.problems[call.problems[0]];
  call.level = worst && worst.level !== "quiet" ? worst.level : call.good ? "good" : "plain";
  call.rules = call.problems.map((problem) => index.problems[problem]).filter((problem) => problem.level !== "quiet").map((problem) => problem.rule);
  return call;
});

const store = (() => {
  const packed = { told: document.querySelectorAll("script.told"), texts: document.querySelectorAll("script.texts") };
  const starts = [];
  index.blocks.reduce((start, held) => (starts.push(start), start + held), 0);
  /** Texts in lower case, by block, to search in. */
  const lower = [];
  /** The block that was opened last: neighbours are in it, too. */
  const last = {};

  async function unpack(kind, block) {
    const bytes = Uint8Array.from(atob(packed[kind][block].textContent), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Response(stream).text();
  }

  async function part(kind, at, split) {
    let block = starts.findIndex((start, n) => at >= start && at < start + index.blocks[n]);
    if (last[kind]?.block !== block) last[kind] = { block, parts: unpack(kind, block).then(split) };
    return (await last[kind].parts)[at - starts[block]];
  }

  return {
    /** What is told of a call. */
    told: (at) => part("told", at, JSON.parse),
    /** The messages of a call as text. */
    texts: async (at) => (await part("texts", at, (text) => text.split("\u001d"))).split("\u001e").slice(1),
    /** Finds the calls with `wanted` (in lower case) in a message; tells of each block what it held and how far it is. */
    async search(wanted, isWanted, tell) {
      for (let block = 0; block < index.blocks.length; block++) {
        const known = lower[block] ?? (await unpack("texts", block)).toLowerCase();
        if (!isWanted()) return;
        lower[block] = known;
        const hits = [];
        if (known.includes(wanted)) {
          known.split("\u001d").forEach((text, n) => text.includes(wanted) && hits.push(starts[block] + n));
        }
        tell(hits, (block + 1) / index.blocks.length);
      }
    },
  };
})();
