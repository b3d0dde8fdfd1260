// Text that tries to become more than text.

const ESC = "\u001b";

/** One string of each kind. */
export const STRINGS = {
  markup: `<img src=x onerror=alert(1)><script>alert(2)</script><b id=injected>bold</b>`,
  attribute: `" autofocus onfocus=alert(3) x="`,
  entity: `&lt;b&gt;&#60;script&#62;`,
  template: "{{constructor.constructor('alert(4)')()}}${alert(5)}",
  url: "javascript:alert(6) https://example.com/steal?x=1 data:text/html,<script>alert(7)</script>",
  ansi: `${ESC}[31mred${ESC}[0m ${ESC}[2J${ESC}[H ${ESC}]0;title\u0007 ${ESC}[8mhidden${ESC}[0m`,
  osc8: `${ESC}]8;;https://example.com${ESC}\\link${ESC}]8;;${ESC}\\`,
  bidi: "user\u202e\u2066gnp.exe\u2069\u2066 safe\u2069 \u200f\u061c",
  control: "a\u0000b\u0008c\u007fd\u0085e\u2028f\u2029g",
  lone: "\ufffd\ufffe\uffff zero\u200bwidth\u2060joiner\ufeff",
  combining: `z${"\u0300".repeat(300)}`,
  prototype: "__proto__ constructor toString",
};

/** A line as long as an event may be, and one of the largest output. */
export const LONG_LINE = "long".repeat(1 << 18);

/** Elements and attributes that no text may make. Returns what was found. */
export function injected(page) {
  return page.evaluate(() => {
    const found = [];
    for (const element of document.querySelectorAll("*")) {
      if (["SCRIPT", "IFRAME", "OBJECT", "EMBED", "IMG"].includes(element.tagName)) {
        const ours = element instanceof HTMLScriptElement && element.src.startsWith(`${location.origin}/assets/`);
        if (!ours) found.push(element.outerHTML.slice(0, 200));
      }
      if (element.id === "injected") found.push("the bold element");
      for (const { name, value } of element.attributes) {
        if (name.startsWith("on")) found.push(`${name}=${value}`);
        if (["href", "src", "action", "formaction"].includes(name)) {
          const url = new URL(value, location.href);
          const ours = url.origin === location.origin || url.protocol === "blob:";
          if (!ours) found.push(`${name}=${value}`);
        }
      }
    }
    return found;
  });
}

/** Characters that must be shown as escapes: found where a reader would see their effect. */
export function unescaped(page) {
  return page.evaluate(() => {
    // eslint-disable-next-line no-control-regex
    const dangerous = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]/u;
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const found = [];
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const match = dangerous.exec(node.data);
      if (match) found.push(`U+${match[0].codePointAt(0).toString(16)} in ${JSON.stringify(node.data.slice(0, 80))}`);
    }
    return found;
  });
}
