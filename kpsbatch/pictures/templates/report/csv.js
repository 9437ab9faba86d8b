/* A table as CSV, as spreadsheets read it: UTF-8 with a byte order mark, lines that end in CR LF. */
const FORMULA = /^[\s\u0000-\u001f]*[=+\-@\uff0b\uff0d\uff1d\uff20]|^[\t\r\n]/;

/* A cell. A text that a spreadsheet would take for a formula gets an apostrophe before it, so that it stays text. */
function csvCell(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return String(value);
  const text = FORMULA.test(String(value)) ? `'${value}` : String(value);
  return /[",;\r\n\t]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function csvOf(columns, rows, names) {
  const kept = columns.map((column, at) => [column, at]).filter(([column]) => column.kind !== "picture");
  const named = Object.keys(names).length > 0;
  const heads = kept.flatMap(([{ label, kind }]) => {
    if (kind === "percent" || kind === "share") return [`${label} (%)`];
    return kind === "sign" && named ? [label, "Name", "Arabic name"] : [label];
  });
  const lines = rows.map((row) => kept.flatMap(([{ kind }, at]) => (
    kind === "sign" && named ? [row[at], ...(names[row[at]] ?? ["", ""])] : [row[at]])));
  return `\ufeff${[heads, ...lines].map((cells) => `${cells.map(csvCell).join(",")}\r\n`).join("")}`;
}

function saveCsv(name, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
  link.download = `${name}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
