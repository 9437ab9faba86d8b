/* A table as CSV, as spreadsheets read it: UTF-8 with a byte order mark, lines that end in CR LF. */
const UNSEEN = "[\\s\\p{Cc}\\p{Cf}]*";
const FORMULA = new RegExp(`^${UNSEEN}[=+\\-@\\uff0b\\uff0d\\uff1d\\uff20]|^[\\t\\r\\n]`, "u");
const INNER = new RegExp(`(?<=[^])([;\\t\\r\\n|]${UNSEEN})(?=[=+\\-@\\uff0b\\uff0d\\uff1d\\uff20])`, "gu");

/* A cell. A text that a spreadsheet would take for a formula gets an apostrophe before it, so that it stays text; also
   what follows a character that separates cells where the spreadsheet is set to another one than the comma. */
function csvCell(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return String(value);
  const text = `${FORMULA.test(String(value)) ? "'" : ""}${String(value).replace(INNER, "$1'")}`;
  return /[",;\r\n\t]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function csvOf(columns, rows, names) {
  const kept = columns.map((column, at) => [column, at]).filter(([column]) => !["picture", "play", "flag"].includes(column.kind));
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
