// One feed: fields as a tree that can be edited, diagram, versions, lineage, statements.

import { get, post, put, text } from "./api.js";
import { agreed, labelled, make, say, table, tabs } from "./dom.js";
import { fieldTable } from "./fields.js";
import { review } from "./review.js";

export async function feedPage(name, path, refresh) {
  const feed = await get(`feeds/${name}`);
  const facts = [
    `Owner: ${feed.owner}`, `Topic: ${feed.topic}`, `Table: ${feed.table}`, `Version: ${feed.version || "not registered"}`,
    `Compatibility: ${feed.level}`, `Keys: ${feed.business_keys.join(", ")}`,
  ];
  const parts = tabs(`${feed.title} in parts`, [
    { title: `Fields (${feed.fields.filter((one) => one.leaf).length})`, show: async () => fields(feed, path, refresh) },
    { title: "Diagram", show: () => diagram(feed) },
    { title: "Versions", show: () => versions(feed, refresh) },
    { title: "Lineage", show: () => lineage(feed) },
    { title: "Statements", show: () => statements(feed) },
    { title: "Schema", show: async () => make("pre", { tabindex: "0" }, JSON.stringify(feed.schema, null, 2)) },
  ]);
  return [make("h2", {}, feed.title), make("p", { class: "soft" }, feed.description),
    make("ul", { class: "facts" }, facts.map((fact) => make("li", {}, fact))), ...parts];
}

function fields(feed, path, refresh) {
  const pending = make("p", { class: "soft", role: "status" }, "No changes yet.");
  const results = make("div");
  const changed = () => {
    const n = edits.size + words.size;
    pending.textContent = n ? `${edits.size} changes of the schema, ${words.size} of words.` : "No changes yet.";
    reviewButton.disabled = !edits.size;
    saveButton.disabled = !words.size;
  };
  const { node, filter, edits, words, show } = fieldTable(`Fields of ${feed.title}`, feed.fields, { changed });
  const reviewButton = make("button", { type: "button", class: "main", disabled: true, onclick: async () => {
    results.replaceChildren(await review(feed, { edits: [...edits.values()], base: feed.version }, refresh));
    results.querySelector("h3").focus();
  } }, "Review changes");
  const saveButton = make("button", { type: "button", disabled: true, onclick: () => save(feed, words, refresh) }, "Save words");
  if (path) show(path);
  return make("div", {},
    make("div", { class: "row" }, labelled("Filter", filter), saveButton, reviewButton), pending, node, adder(edits, changed), results);
}

function adder(edits, count) {
  const name = make("input", { type: "text", required: true, pattern: "[A-Za-z_][A-Za-z0-9_]*" });
  const type = make("input", { type: "text", value: "string", list: "types" });
  const parent = make("input", { type: "text", placeholder: "top level" });
  const doc = make("input", { type: "text" });
  const types = make("datalist", { id: "types" }, ["string", "long", "int", "boolean", "decimal(24,2)", "date", "timestamp-micros", "A | B"].map((each) => make("option", { value: each })));
  const add = (event) => {
    event.preventDefault();
    edits.set(`+${parent.value}.${name.value}`, { path: parent.value.trim(), add: name.value.trim(), type: type.value, doc: doc.value });
    say(`${name.value} will be added as an optional field: review the changes`);
    name.value = doc.value = "";
    count();
  };
  return make("form", { class: "panel", onsubmit: add }, make("h3", {}, "Add a field"), types,
    make("div", { class: "row" }, labelled("Name of the new field", name), labelled("Its type", type), labelled("Below the record", parent), labelled("What it is", doc), make("button", {}, "Add")));
}

async function save(feed, words, refresh) {
  const model = await get(`feeds/${feed.name}/ldm`);
  for (const entity of model.entities)
    for (const one of entity.attributes) {
      const word = words.get(one.path);
      if (!word) continue;
      if (word.business_name !== undefined) one.name = word.business_name;
      if (word.classification !== undefined) one.classification = word.classification;
      if (word.description !== undefined) one.description = word.description;
    }
  await put(`feeds/${feed.name}/ldm`, { model });
  await refresh();
  say("Saved.");
}

async function diagram(feed) {
  const drawn = await text(`feeds/${feed.name}/diagram`);
  const address = URL.createObjectURL(new Blob([drawn], { type: "image/svg+xml" }));
  const words = await text(`feeds/${feed.name}/diagram?form=mermaid`);
  return make("div", {}, make("div", { class: "diagram", tabindex: "0", role: "region", "aria-label": "Diagram" },
    make("img", { src: address, alt: `Entities of ${feed.title} and how they relate; the same as text is below` })),
    make("details", {}, make("summary", {}, "As text (Mermaid)"), make("pre", { tabindex: "0" }, words)));
}

async function versions(feed, refresh) {
  const found = await get(`feeds/${feed.name}/versions`);
  const back = (one) => make("button", { type: "button", "aria-label": `Roll back to version ${one.version}`, onclick: async () => {
    if (!await agreed(`Make version ${one.version} the latest again? Nothing is deleted.`, "Make it the latest")) return;
    const made = await post(`feeds/${feed.name}/rollback`, { to: one.version, base: feed.version });
    await refresh();
    say(`Version ${made.version} is version ${one.version} again.`);
  } }, "Roll back");
  return table(`Versions of ${feed.title}`, ["Version", "Schema id", "By", "When", "Why", "What changed", "Again"],
    found.map((one) => [String(one.version), String(one.id), one.by || "unknown", one.at, one.what,
      make("ul", {}, one.changes.slice(0, 12).map((each) => make("li", {}, each))), one.version === feed.version ? "latest" : back(one)]));
}

async function lineage(feed) {
  const found = await get(`feeds/${feed.name}/lineage`);
  return table(`From field to column: ${found.length} values`, ["Field", "Topic", "Table", "Column", "View", "Classification"],
    found.map((one) => [one.field, one.topic, one.table, one.column, one.view, one.classification]));
}

async function statements(feed) {
  const found = await get(`feeds/${feed.name}/ddl`);
  return make("pre", { tabindex: "0" }, found.map((one) => `${one};`).join("\n\n"));
}
