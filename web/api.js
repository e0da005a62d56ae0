/* The proxy's HTTP interface: one request, an answer or an ApiError with words for people. */

const TIMEOUT_MS = 8000; /* contents are read from stores that may be slow */
const TOKEN = "convproxy.token";

export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status; /* 0: no answer */
    this.token = token.get(); /* that was refused, when it was */
  }

  get away() {
    return this.status === 0;
  }

  get login() {
    return this.status === 401;
  }
}

/* For this tab only: gone when it is closed. */
export const token = {
  get: () => sessionStorage.getItem(TOKEN) ?? "",
  set: (text) => sessionStorage.setItem(TOKEN, text),
};

function headersFor(body) {
  const headers = { Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (token.get() !== "") headers.Authorization = `Bearer ${token.get()}`;
  return headers;
}

async function answered(path, timeout, options) {
  try {
    return await fetch(path, { ...options, cache: "no-store", redirect: "error", signal: AbortSignal.timeout(timeout) });
  } catch (problem) {
    const why = problem.name === "TimeoutError" ? `no answer within ${timeout / 1000} s` : "the connection failed";
    throw new ApiError(0, `${why}: ${path}`);
  }
}

async function documentOf(response) {
  try {
    return await response.json();
  } catch (problem) {
    if (problem.name === "TimeoutError" || problem.name === "TypeError") throw new ApiError(0, "the answer broke off");
    throw new ApiError(response.status, `the proxy answered ${response.status} without JSON`);
  }
}

async function call(method, path, body, timeout = TIMEOUT_MS) {
  const text = body === undefined ? undefined : JSON.stringify(body);
  const response = await answered(path, timeout, { method, headers: headersFor(body), body: text });
  const doc = await documentOf(response);
  if (!response.ok) throw new ApiError(response.status, doc.error ?? `the proxy answered ${response.status}`);
  return doc;
}

export const get = (path, timeout) => call("GET", path, undefined, timeout);
export const post = (path, body) => call("POST", path, body);
export const remove = (path) => call("DELETE", path);

/** "/api/v1/keys" and {match: "conv:*"} as one address. */
export function address(path, query) {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== "");
  return given.length === 0 ? path : `${path}?${given.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join("&")}`;
}
