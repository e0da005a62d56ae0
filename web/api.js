/* The proxy's HTTP interface: one request, an answer or an ApiError with words for people. */

const TIMEOUT_MS = 5000;
const TOKEN = "convproxy.token";

export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status; /* 0: no answer */
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

async function answered(path, options) {
  try {
    return await fetch(path, { ...options, cache: "no-store", redirect: "error", signal: AbortSignal.timeout(TIMEOUT_MS) });
  } catch (problem) {
    const why = problem.name === "TimeoutError" ? `no answer within ${TIMEOUT_MS / 1000} s` : "the connection failed";
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

async function call(method, path, body) {
  const text = body === undefined ? undefined : JSON.stringify(body);
  const response = await answered(path, { method, headers: headersFor(body), body: text });
  const doc = await documentOf(response);
  if (!response.ok) throw new ApiError(response.status, doc.error ?? `the proxy answered ${response.status}`);
  return doc;
}

export const get = (path) => call("GET", path);
export const post = (path, body) => call("POST", path, body);
export const remove = (path) => call("DELETE", path);

/** "/api/v1/keys" and {match: "conv:*"} as one address. */
export function address(path, query) {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== "");
  return given.length === 0 ? path : `${path}?${new URLSearchParams(given)}`;
}
