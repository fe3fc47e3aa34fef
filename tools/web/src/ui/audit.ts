// Who changed what: a section that asks the cluster while it is open.
import type { AuditEntry } from "../admin/audit.js";
import { fetchAudit } from "../admin/audit.js";
import { make } from "./elements.js";
import { clock } from "./timeline.js";

const ASK_EVERY_MS = 2_000;
const ENTRIES_SHOWN = 40;

export class AuditCard {
  readonly section = make("section", "audit");
  readonly #more = make("details");
  readonly #list = make("ol");

  constructor() {
    this.#more.append(make("summary", "", "Audit log"), this.#list);
    this.section.append(this.#more);
    // It is at the end of the panel, and opens beyond it.
    this.#more.ontoggle = () => void this.#look().then(() => this.#more.open && this.section.scrollIntoView({ block: "end", behavior: "smooth" }));
    setInterval(() => void this.#look(), ASK_EVERY_MS);
  }

  async #look(): Promise<void> {
    if (!this.#more.open || document.hidden) return;
    try {
      const entries = await fetchAudit(ENTRIES_SHOWN);
      const lines = entries.map(lineOf);
      this.#list.replaceChildren(...(lines.length > 0 ? lines : [make("li", "", "Nothing was changed yet.")]));
    } catch (error) {
      this.#list.replaceChildren(make("li", "", error instanceof Error ? error.message : String(error)));
    }
  }
}

function lineOf(entry: AuditEntry): HTMLElement {
  const result = entry.dryRun ? `asked: ${entry.result}` : entry.result || "not known";
  const line = make("li", "", make("time", "", clock(entry.atMs)), make("strong", "", entry.who), make("span", "", entry.what), make("em", "", result));
  line.dataset["result"] = entry.result;
  line.title = entry.words || entry.what;
  return line;
}
