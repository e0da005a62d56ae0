/* What is in a conversation: chat messages in JSON as people read them, anything else as it is. */
import { h } from "./dom.js";
import { bytes, moment } from "./format.js";

/* LangChain's types, and others' roles, in one set of words. */
const roles = { human: "user", ai: "assistant", AIMessageChunk: "assistant", HumanMessageChunk: "user", developer: "system", function: "tool", model: "assistant" };

function roleOf(name) {
  return roles[name] ?? name;
}

/* Parts as several interfaces have them: a text, or objects with a text. */
function contentText(content) {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return content === undefined || content === null ? null : JSON.stringify(content, null, 2);
  return content.map((part) => (typeof part === "string" ? part : (part?.text ?? JSON.stringify(part)))).join("\n");
}

function callsText(data) {
  const calls = data.tool_calls ?? data.additional_kwargs?.tool_calls;
  return Array.isArray(calls) && calls.length > 0 ? calls.map((call) => `calls ${call.function?.name ?? call.name ?? "a tool"}`).join(", ") : null;
}

function messageOf(role, data) {
  const text = contentText(data.content);
  const calls = callsText(data);
  if (text === null && calls === null) return null;
  return { role: roleOf(role), name: data.name ?? null, text: [text, calls].filter(Boolean).join("\n"), at: data.timestamp ?? data.created_at ?? null };
}

/** {role, name, text, at} of a document that is a chat message, else null. */
function chatMessage(doc) {
  if (doc === null || typeof doc !== "object" || Array.isArray(doc)) return null;
  if (typeof doc.role === "string") return messageOf(doc.role, doc);
  if (typeof doc.type === "string" && doc.data !== null && typeof doc.data === "object") return messageOf(doc.type, doc.data);
  if (typeof doc.type === "string" && typeof doc.content === "string") return messageOf(doc.type, doc);
  return null;
}

function parsed(text) {
  if (!/^\s*[[{]/.test(text)) return undefined;
  try {
    return JSON.parse(text);
  } catch (notJson) {
    return undefined;
  }
}

/** The text of bytes as the API tells them: a text, {"base64": …}, or {"cut": either, "bytes": the full size}. */
export function plain(value) {
  if (typeof value === "string") return value;
  if (value?.cut !== undefined) return plain(value.cut);
  if (value?.base64 !== undefined) return `base64:${value.base64}`;
  return String(value ?? "");
}

function cutNote(value) {
  return value?.cut !== undefined ? h("span", { class: "at" }, `the beginning; ${bytes(value.bytes)} in all`) : null;
}

function bubble(message) {
  const when = typeof message.at === "number" ? moment(message.at < 1e12 ? message.at * 1000 : message.at) : message.at ? moment(message.at) : null;
  return h("div", { class: "message", "data-role": message.role },
    h("div", { class: "who" }, h("span", {}, message.role), message.name ? h("span", {}, message.name) : null, when ? h("span", { class: "at" }, when) : null),
    h("pre", {}, message.text));
}

function rawItem(label, text, note) {
  return h("div", { class: "message raw" }, label || note ? h("div", { class: "who" }, h("span", {}, label), note) : null, h("pre", {}, text));
}

/** Elements for one item; a JSON array of messages gives several. label: its field, member or id, when it has one. */
export function itemElements(value, label = "") {
  const text = plain(value);
  const note = cutNote(value);
  const doc = note === null ? parsed(text) : undefined;
  const list = Array.isArray(doc) ? doc.map(chatMessage) : [chatMessage(doc ?? null)];
  if (list.length > 0 && list.every((message) => message !== null)) return list.map(bubble);
  return [rawItem(label, text === "" ? "(empty)" : text, note)];
}
