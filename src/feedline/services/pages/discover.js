// A schema from a sample, with every decision and its reason; then compared with a feed that there is.

import { upload } from "./api.js";
import { labelled, make, say, table } from "./dom.js";
import { review } from "./review.js";

export function discoverPage(feeds) {
  const file = make("input", { type: "file", accept: ".json,.jsonl,.ndjson,.gz", required: true });
  const results = make("div");
  const run = async (event) => {
    event.preventDefault();
    if (!file.files.length) return;
    say("Reading the sample…");
    try {
      const found = await upload(`discovery?name=${encodeURIComponent(file.files[0].name)}`, file.files[0]);
      results.replaceChildren(...shown(found, feeds));
      results.querySelector("h3").focus();
      say(`${found.decisions.length} decisions`);
    } catch (error) {
      say(error.message, true);
    }
  };
  return [make("h2", {}, "Discover from a sample"),
    make("p", {}, "JSON, JSON Lines or an array of records, gzip too. Nothing is registered by this."),
    make("form", { class: "panel", onsubmit: run }, make("div", { class: "row" }, labelled("Sample file", file), make("button", { class: "main" }, "Discover"))), results];
}

function shown(found, feeds) {
  const columns = found.decisions.length ? Object.keys(found.decisions[0]) : [];
  const words = (value) => (value === null ? "" : typeof value === "object" ? JSON.stringify(value) : String(value));
  const choice = make("select", {}, feeds.map((feed) => make("option", { value: feed.name }, feed.title)));
  const compared = make("div");
  const compare = async () => {
    const feed = feeds.find((one) => one.name === choice.value);
    try {
      compared.replaceChildren(await review(feed, { record: found.avro, base: feed.version }, async () => { location.hash = `#/feeds/${feed.name}`; }));
      compared.querySelector("h3").focus();
    } catch (error) {
      say(error.message, true);
    }
  };
  return [make("h3", { tabindex: "-1" }, "The schema that the sample gives"),
    table("Decisions", columns.map((name) => name.replaceAll("_", " ")), found.decisions.map((one) => columns.map((name) => words(one[name])))),
    make("details", { open: true }, make("summary", {}, "Avro schema"), make("pre", { tabindex: "0" }, JSON.stringify(found.avro, null, 2))),
    make("div", { class: "row panel" }, labelled("Compare with a feed", choice), make("button", { type: "button", onclick: compare }, "Compare")), compared];
}
