/* Numbers, sizes and times as people read them. */

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

export const NONE = "–";

function known(value) {
  return typeof value === "number" && Number.isFinite(value);
}

export function count(value) {
  return known(value) ? whole.format(value) : NONE;
}

/** 12 · 1.2k · 3.4M */
export function short(value) {
  if (!known(value)) return NONE;
  for (const [size, unit] of [[1e9, "G"], [1e6, "M"], [1e4, "k"]])
    if (Math.abs(value) >= size) return `${Number((value / (unit === "k" ? 1e3 : size)).toPrecision(3))}${unit}`;
  return whole.format(value);
}

export function rate(value) {
  if (!known(value)) return NONE;
  return `${value > 0 && value < 10 ? value.toFixed(1) : short(value)}/s`;
}

export function bytes(value) {
  if (!known(value)) return NONE;
  let size = value;
  for (const unit of ["B", "KiB", "MiB", "GiB"]) {
    if (size < 1024) return `${unit === "B" || size >= 100 ? Math.round(size) : size.toFixed(1)} ${unit}`;
    size /= 1024;
  }
  return `${size.toFixed(1)} TiB`;
}

/** Milliseconds. */
export function ms(value) {
  if (!known(value)) return NONE;
  if (value >= 10000) return `${(value / 1000).toFixed(1)} s`;
  return `${value >= 100 ? Math.round(value) : Number(value.toPrecision(3))} ms`;
}

/** Seconds: 4 s · 3 min 20 s · 2 h 5 min · 30 d */
export function seconds(value) {
  if (!known(value)) return NONE;
  const s = Math.max(0, Math.round(value));
  if (s < 60) return `${s} s`;
  if (s < 3600) return s % 60 ? `${Math.floor(s / 60)} min ${s % 60} s` : `${s / 60} min`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  const hours = Math.floor((s % 86400) / 3600);
  return hours ? `${Math.floor(s / 86400)} d ${hours} h` : `${Math.floor(s / 86400)} d`;
}

/** 22:41:07, of an ISO text, a Date, or milliseconds since 1970. */
export function clock(when) {
  const date = new Date(when);
  return Number.isNaN(date.getTime()) ? NONE : date.toLocaleTimeString("en-GB");
}

/** With the day, when that is not today. */
export function moment(when) {
  const date = new Date(when);
  if (when === undefined || when === null || Number.isNaN(date.getTime())) return NONE;
  const today = new Date().toDateString() === date.toDateString();
  return today ? clock(date) : `${date.toLocaleDateString("en-CA")} ${clock(date)}`;
}

/** "1 key", "2 keys". */
export function things(n, one, many = `${one}s`) {
  return `${count(n)} ${n === 1 ? one : many}`;
}

/** "a, b and c". */
export function listed(words) {
  if (words.length < 2) return words.join("");
  return `${words.slice(0, -1).join(", ")} and ${words[words.length - 1]}`;
}

const storeNames = { redis: "Redis", archive: "the archive" };

export function storeName(store) {
  return storeNames[store] ?? store;
}

export function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
