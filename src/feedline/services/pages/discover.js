// A feed from a sample: the schema with every decision and its reason, edited before anything is registered; then added
// as a new feed, or compared with one that there is.

import { upload } from "./api.js";
import { labelled, make, say } from "./dom.js";
import { draftPage } from "./draft.js";

export function discoverPage(feeds, refresh) {
  const file = make("input", { type: "file", accept: ".json,.jsonl,.ndjson,.gz", required: true });
  const order = make("select", {}, [["", "not known: keep as text"], ["DMY", "day first"], ["MDY", "month first"]].map(([value, title]) => make("option", { value }, title)));
  const results = make("div");
  const run = async (event) => {
    event.preventDefault();
    if (!file.files.length) return;
    say("Reading the sample…");
    try {
      const asked = new URLSearchParams({ name: file.files[0].name });
      if (order.value) asked.set("day_order", order.value);
      const found = await upload(`discovery?${asked}`, file.files[0]);
      results.replaceChildren(...await draftPage(found, feeds, refresh));
      results.querySelector("h3").focus();
      const odd = found.decisions.filter((one) => one.conflicts.length).length;
      say(`${found.samples} samples, ${found.decisions.length} decisions, ${odd} to look at`);
    } catch (error) {
      say(error.message, true);
    }
  };
  return [make("h2", {}, "Add a feed from a sample"),
    make("p", {}, "JSON, JSON Lines or an array of records, gzip too. Nothing is registered until you say so."),
    make("form", { class: "panel", onsubmit: run }, make("div", { class: "row" }, labelled("Sample file", file), labelled("Dates such as 03/04/2026", order), make("button", { class: "main" }, "Discover"))), results];
}
