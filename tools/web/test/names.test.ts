// Names as people read them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { friendlyName } from "../src/world/names.js";

test("a guest's name is the wish and a short number", () => {
  assert.equal(friendlyName("Walker~65549"), "Walker 13");
  assert.equal(friendlyName("Guest~18446744073709551615"), "Guest 65535");
});

test("names of accounts and creatures stay as they are", () => {
  for (const name of ["Linnea", "Berry bush", "", "Odd~name", "~7"]) assert.equal(friendlyName(name), name);
});
