// Files dropped on a page, as a person drops them.

/** Drops a file on an element. */
export async function dropFile(page, selector, { name, body, type = "application/wasm" }) {
  const transfer = await page.evaluateHandle(
    ({ name, text, type }) => {
      const bytes = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
      const transfer = new DataTransfer();
      transfer.items.add(new File([bytes], name, { type }));
      return transfer;
    },
    { name, text: body.toString("base64"), type },
  );
  await page.dispatchEvent(selector, "dragover", { dataTransfer: transfer });
  await page.dispatchEvent(selector, "drop", { dataTransfer: transfer });
}
