// The draft of a feed: its fields with the decisions, what a person makes of them, and what would follow.

import { post } from "./api.js";
import { labelled, make, say, table, tabs } from "./dom.js";
import { fieldTable } from "./fields.js";
import { review } from "./review.js";

export async function draftPage(found, feeds, refresh) {
  const first = await post("drafts", { name: found.feed, avro: found.avro, rows: found.samples || 1, size: found.bytes });
  const head = heading(found, feeds);
  const fields = fieldTable("Fields of the sample", first.fields, {
    extras: decisionColumns(found.decisions), removable: false, described: (one) => one.leaf,
  });
  const outcome = make("div"), compared = make("div");
  const body = () => ({ ...head.values(), avro: { ...found.avro, name: recordName(found, head) },
    edits: [...fields.edits.values()], words: Object.fromEntries([...fields.words].map(([path, one]) =>
      [path, { name: one.business_name, classification: one.classification, description: one.description }])),
    rows: found.samples || 1, size: found.bytes });
  const look = make("button", { type: "button", onclick: attempt(async () => {
    outcome.replaceChildren(...consequences(await post("drafts", body())));
    outcome.querySelector("h3").focus();
  }) }, "See what follows");
  const add = make("button", { type: "button", class: "main", onclick: attempt(async () => {
    add.disabled = true;
    try {
      say("Adding the feed…");
      const made = await post("feeds", { ...body(), what: head.why.value });
      location.hash = `#/feeds/${made.feed}`;
      await refresh();
      say(`Added ${made.feed}, version ${made.version}: its tables are ready, and the Dags take it up when they are read next.`);
    } finally {
      add.disabled = false;
    }
  }) }, "Add as a new feed");
  return [make("h3", { tabindex: "-1" }, "The schema that the sample gives"), refused(found),
    make("div", { class: "row" }, labelled("Filter", fields.filter)), fields.node,
    make("section", { class: "panel", "aria-label": "The new feed" }, make("h3", {}, "The new feed"), ...head.nodes,
      make("div", { class: "row" }, look, add)),
    outcome, comparison(found, feeds, compared), compared].filter(Boolean);
}

const attempt = (work) => async () => {
  say("");
  try { await work(); } catch (error) { say(error.message, true); }
};

function heading(found, feeds) {
  const text = (value, more = {}) => make("input", { type: "text", value: value ?? "", autocomplete: "off", ...more });
  const topics = [...new Set(feeds.map((feed) => feed.topic))];
  const name = text(found.feed, { required: true, pattern: "[a-z][a-z0-9_]{1,62}" }), title = text(found.catalog?.title);
  const owner = text(""), description = text(""), totals = text("", { placeholder: "balance, interest.due" }), fund = text("");
  const topic = make("select", {}, topics.map((each) => make("option", { value: each }, each)));
  const why = text("", { maxlength: "500" });
  const list = (input) => input.value.split(",").map((each) => each.trim()).filter(Boolean);
  return {
    name, why,
    values: () => ({ name: name.value.trim(), title: title.value, owner: owner.value, description: description.value, topic: topic.value,
      control_totals: list(totals), fund_field: fund.value.trim() || null }),
    nodes: [
      make("div", { class: "row" }, labelled("Name of the feed", name), labelled("Title", title), labelled("Owner", owner), labelled("Topic", topic)),
      make("div", { class: "row" }, labelled("What a record is", description), labelled("Control totals", totals), labelled("Field of the fund", fund), labelled("Why (for the history)", why)),
    ],
  };
}

// The record is called after the feed while nobody has called it otherwise.
function recordName(found, head) {
  const called = head.name.value.trim();
  return called === found.feed ? found.avro.name : called.split("_").map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join("");
}

function decisionColumns(decisions) {
  const of = new Map();
  for (const one of decisions) {
    const path = one.path.replace(/\[\]$/, "");
    const before = of.get(path);
    of.set(path, before ? { ...before, conflicts: [...before.conflicts, ...one.conflicts] } : one);
  }
  const seen = (one) => of.get(one.path);
  return [
    { title: "Seen", cell: (one) => String(seen(one)?.samples ?? "") },
    { title: "Null", cell: (one) => share(seen(one)?.null_share ?? 0) },
    { title: "Why", cell: (one, edit) => {
      const decision = seen(one);
      if (!decision) return "";
      return make("div", {}, decision.reason, decision.conflicts.map((each) => make("div", { class: "note" }, each)),
        edit ? decision.offers.map((offer) => offered(one, offer, edit)) : null);
    } },
  ];
}

function offered(one, offer, edit) {
  const type = offer.replace(/^enum of /, "").split(", ").join(" | ");
  return make("div", {}, make("button", { type: "button", class: "small", "aria-label": `Make ${one.path} an ${offer}`, onclick: () => edit(one, { type }) }, `Make it an ${offer}`));
}

function share(part) {
  if (part === 0) return "";
  return part === 1 ? "100 %" : `${Math.min(Math.max(part * 100, 0.01), 99.99).toPrecision(3)} %`;
}

function refused(found) {
  if (!found.refusedCount) return null;
  return table(`${found.refusedCount} samples could not be read`, ["Line", "Reason"], found.refused.map((one) => [String(one.line), one.reason]));
}

function consequences(draft) {
  const pre = (text) => make("pre", { tabindex: "0" }, text);
  const parts = tabs("What follows, in parts", [
    { title: "DDL", show: async () => pre(draft.ddl.map((one) => `${one};`).join("\n\n") || "none yet") },
    { title: "Avro", show: async () => pre(JSON.stringify(draft.avro, null, 2)) },
    { title: "JSON Schema", show: async () => pre(JSON.stringify(draft.jsonSchema, null, 2)) },
    { title: "Logical model", show: async () => pre(draft.ldmFile || "none yet") },
    { title: "Catalogue entry", show: async () => pre(draft.entryFile || "none yet") },
  ]);
  return [make("section", { class: "panel", "aria-label": "What follows" },
    make("h3", { tabindex: "-1", class: draft.problem ? "bad" : "good" }, draft.problem ? `Not yet: ${draft.problem}` : "It can be added"),
    draft.converted.length ? make("p", { class: "note" }, `The documents have ${draft.converted.join(", ")} otherwise than the feed's files: "feedline schema conform" rewrites files.`) : null,
    ...parts)];
}

function comparison(found, feeds, compared) {
  const choice = make("select", {}, feeds.map((feed) => make("option", { value: feed.name }, feed.title)));
  const compare = attempt(async () => {
    const feed = feeds.find((one) => one.name === choice.value);
    compared.replaceChildren(await review(feed, { record: found.avro, base: feed.version ?? 0 }, async () => { location.hash = `#/feeds/${feed.name}`; }));
    compared.querySelector("h3").focus();
  });
  return make("details", {}, make("summary", {}, "Or compare it with a feed that there is"),
    make("div", { class: "row panel" }, labelled("Compare with a feed", choice), make("button", { type: "button", onclick: compare }, "Compare")));
}
