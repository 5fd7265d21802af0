// What a change would do, before it is made: changes, verdict, what to do instead, statements.

import { Problem, post } from "./api.js";
import { labelled, make, say, table } from "./dom.js";

export async function review(feed, proposal, refresh) {
  const plan = await post(`feeds/${feed.name}/proposals`, proposal);
  const what = make("input", { type: "text", maxlength: "500" });
  const register = make("button", { type: "button", class: "main", disabled: !plan.compatible || !plan.changes.length, onclick: async () => {
    register.disabled = true;
    try {
      const made = await post(`feeds/${feed.name}/versions`, { ...proposal, what: what.value });
      await refresh();
      say(`Registered as version ${made.version}; the tables are ready for it.`);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      register.disabled = false;
      say(error.message, true);
    }
  } }, "Register");
  const findings = plan.findings.map((one) => make("li", { class: one.severity },
    make("strong", {}, `${one.severity}${one.path ? `, ${one.path}` : ""}: `), `${one.what}. ${one.why} `, one.instead ? make("em", {}, `Instead: ${one.instead}`) : null));
  return make("section", { class: "panel", "aria-label": "Review" },
    make("h3", { tabindex: "-1", class: plan.compatible ? "good" : "bad" }, plan.summary),
    make("ul", {}, findings),
    table("Changes", ["Field", "Change"], plan.changes.map((one) => [one.path || "the schema", one.text])),
    make("h4", {}, plan.ddl.length ? "What changes in the warehouse" : "Nothing changes in the warehouse"),
    plan.ddl.length ? make("pre", { tabindex: "0" }, plan.ddl.map((one) => `${one};`).join("\n\n")) : null,
    make("div", { class: "row" }, labelled("Why (for the history)", what), register));
}
