// The line table: which line of the author's files each line of the bundle was made from. It is
// esbuild's source map without columns and names of the source; src/runtime/lines.js reads it.

const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/** Makes the table's `sources` and `lines` from a source map. */
export function makeTable(map) {
  let source = 0;
  let line = 0;
  let lastSource = 0;
  let lastLine = 0;
  const rows = map.mappings.split(";").map((row) => {
    let column = 0;
    let lastColumn = 0;
    let shown;
    let text = "";
    for (const segment of row === "" ? [] : row.split(",")) {
      const [columns, sources, lines] = decode(segment);
      column += columns;
      source += sources ?? 0;
      line += lines ?? 0;
      const place = `${source}:${line}`;
      if (sources === undefined || place === shown) continue;
      text += encode(column - lastColumn) + encode(source - lastSource) + encode(line + 1 - lastLine);
      [lastColumn, lastSource, lastLine, shown] = [column, source, line + 1, place];
    }
    return text;
  });
  return { sources: map.sources, lines: rows.join(";").replace(/;+$/, "") };
}

function decode(text) {
  const numbers = [];
  let value = 0;
  let shift = 0;
  for (const character of text) {
    const digit = DIGITS.indexOf(character);
    value += (digit & 31) << shift;
    shift += 5;
    if (digit & 32) continue;
    numbers.push(value & 1 ? -(value >> 1) : value >> 1);
    value = 0;
    shift = 0;
  }
  return numbers;
}

function encode(number) {
  let value = number < 0 ? (-number << 1) | 1 : number << 1;
  let text = "";
  do {
    const digit = value & 31;
    value >>>= 5;
    text += DIGITS[value > 0 ? digit | 32 : digit];
  } while (value > 0);
  return text;
}
