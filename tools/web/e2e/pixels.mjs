// What the eye would see: mean colours of a screenshot at given places, decoded by the browser itself.

/** Edge of the square that is averaged, in pixels. */
const PATCH = 24;

/** Owner → mean [red, green, blue] of its shards' middles on the screen. */
export async function meanColours(page, shards) {
  const png = (await page.screenshot()).toString("base64");
  const means = await page.evaluate(async ({ png, shards, patch }) => {
    // Not fetched: the page's policy allows no `data:`.
    const bytes = Uint8Array.from(atob(png), (letter) => letter.charCodeAt(0));
    const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
    const pen = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
    pen.drawImage(bitmap, 0, 0);
    return shards.map(({ screenX, screenY }) => {
      const { data } = pen.getImageData(screenX - patch / 2, screenY - patch / 2, patch, patch);
      const channel = (offset) => {
        const values = [];
        for (let i = offset; i < data.length; i += 4) values.push(data[i]);
        return values.sort((a, b) => a - b)[values.length >> 1]; // the middle one: points on the land don't count
      };
      return [channel(0), channel(1), channel(2)];
    });
  }, { png, shards, patch: PATCH });
  const owners = new Map();
  shards.forEach((shard, i) => owners.set(shard.owner, [...(owners.get(shard.owner) ?? []), means[i]]));
  return new Map([...owners].map(([owner, list]) => [owner, [0, 1, 2].map((c) => list.reduce((sum, rgb) => sum + rgb[c], 0) / list.length)]));
}
