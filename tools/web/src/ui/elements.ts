// Elements of the page: found by id once, made without markup strings, so that no name or message can become markup.

/** The element `id`, which the page is known to have. */
export function byId<T extends HTMLElement>(id: string): T {
  const element = document.getElementById(id);
  if (!element) throw new Error(`the page has no #${id}`);
  return element as T;
}

type Child = Node | string;

export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K, className = "", ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

/** A dot in an owner's colour. */
export function dot(colour: string): HTMLElement {
  const element = make("span", "dot");
  element.style.setProperty("--owner", colour);
  return element;
}

/** A thin bar, `part` of it filled. */
export function bar(part: number, colour?: string): HTMLElement {
  const fill = make("i");
  fill.style.width = `${Math.round(Math.min(Math.max(part, 0), 1) * 100)}%`;
  const element = make("div", "bar", fill);
  if (colour) element.style.setProperty("--owner", colour);
  return element;
}

const KINDS = ["#e0a458", "#6fb1e3", "#a9c25d", "#d9799b", "#c08bd8", "#4fb6a8"];

/** An item, in its kind's colour; undefined: a kind that is not known. */
export function gem(kind: number | undefined): HTMLElement {
  const element = make("i");
  element.style.setProperty("--kind", kind === undefined ? "#9aa8a8" : KINDS[kind % KINDS.length]!);
  return element;
}

/** Milliseconds, as exactly as they are looked at. */
export const ms = (value: number): string => (value < 10 ? value.toFixed(2) : value.toFixed(1));
/** A whole number, in groups of three digits. */
export const count = (value: number): string => value.toLocaleString("en");
