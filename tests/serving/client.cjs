// The documents' browser client against a running service: axios with their defaults and interceptors, their upload
// hook and their WebSocket hook. `node client.cjs` reads its orders from VUR_CLIENT (JSON: api, socket, documents, file,
// database, admin) and prints one JSON line: {"calls": [...], "heard": [...], "redirects": n}.
const fs = require("fs");
const axios = require("axios");
const WebSocketClient = require("ws");
const FormData = require("form-data"); // this axios does not know the one of node

const orders = JSON.parse(process.env.VUR_CLIENT);
const stored = new Map();
const localStorage = {
  getItem: (key) => (stored.has(key) ? stored.get(key) : null),
  setItem: (key, value) => stored.set(key, value),
  removeItem: (key) => stored.delete(key),
};
const window = { location: { href: "/" } };

const api = axios.create({
  baseURL: orders.api,
  timeout: 30000,
  headers: { "Content-Type": "application/json" },
});
api.interceptors.request.use((config) => {
  const token = localStorage.getItem("auth_token");
  if (token) {
    config.headers.Authorization = `Bearer ${token}`;
  }
  return config;
});
api.interceptors.response.use(
  (response) => {
    last.status = response.status;
    return response.data;
  },
  (error) => {
    last.status = error.response?.status ?? String(error);
    last.body = error.response?.data;
    if (error.response?.status === 401) {
      localStorage.removeItem("auth_token");
      window.location.href = "/login";
    }
    return Promise.reject(error);
  },
);

const last = {};
const calls = [];
const ids = {};
const documents = JSON.parse(fs.readFileSync(orders.documents, "utf-8"));

/** The documented request of an endpoint, with ids of this service in place of "uuid". */
function documented(method, path) {
  const found = documents.find((one) => one.method === method && one.path === path);
  if (!found) throw new Error(`${method} ${path} is not documented`);
  const body = found.body && structuredClone(found.body);
  for (const [key, value] of Object.entries(body ?? {})) if (value === "uuid") body[key] = ids[key];
  return { body, query: found.query };
}

/** Send a documented request; `given` is the body where the documents have none. Returns the answer's data. */
async function send(method, path, given, options = {}) {
  const { body, query } = documented(method, path);
  const filled = path.replace(/\{(\w+)\}/g, (_, name) => options[name] ?? ids[name]);
  last.body = undefined;
  const answer = await api
    .request({ method, url: filled, data: given ?? body, params: query ?? options.params, ...options.config })
    .catch(() => last.body);
  calls.push({ method, path, status: last.status, verbatim: body !== undefined && given === undefined, answer });
  return answer;
}

async function wait(question, seconds) {
  for (const end = Date.now() + seconds * 1000; Date.now() < end; ) {
    if (await question()) return;
    await new Promise((done) => setTimeout(done, 500));
  }
  throw new Error(`not within ${seconds} s: ${question}`);
}

function listen(token) {
  const heard = [];
  const socket = new WebSocketClient(orders.socket);
  socket.on("open", () => socket.send(JSON.stringify({ type: "auth", token })));
  socket.on("message", (text) => heard.push(JSON.parse(text)));
  return { socket, heard };
}

async function account() {
  localStorage.setItem("auth_token", "expired");
  await api.get("/auth/me").catch(() => null);
  const redirected = { href: window.location.href, token: localStorage.getItem("auth_token") };
  const person = { email: "bia@x.br", username: "bia", password: orders.password, full_name: "Bia Souza" };
  await send("POST", "/auth/register", person);
  const entered = await send("POST", "/auth/login", { username: "bia", password: orders.password });
  localStorage.setItem("auth_token", entered.access_token);
  await send("GET", "/auth/me");
  await send("PUT", "/auth/profile", { full_name: "Bia de Souza" });
  return redirected;
}

const MULTIPART = { headers: { "Content-Type": "multipart/form-data" } };

function file() {
  const formData = new FormData();
  formData.append("file", fs.readFileSync(orders.file), { filename: "sales_data.csv", contentType: "text/csv" });
  return formData;
}

async function dataset() {
  last.body = undefined;
  await api.post("/datasets/upload", file()).catch(() => null);
  const hook = { status: last.status, body: last.body };
  ids.dataset_id = (await send("POST", "/datasets/upload", file(), { config: MULTIPART })).dataset_id;
  await send("GET", "/datasets");
  await send("GET", "/datasets/{dataset_id}");
  await send("GET", "/datasets/{dataset_id}/preview");
  await send("GET", "/datasets/{dataset_id}/statistics");
  await send("PUT", "/datasets/{dataset_id}/config");
  await send("POST", "/datasets/{dataset_id}/validate");
  await send("POST", "/datasets/{dataset_id}/preprocess");
  await send("POST", "/datasets/{dataset_id}/split");
  await send("GET", "/datasets/{dataset_id}/download");
  return hook;
}

async function pipeline() {
  const made = await send("POST", "/pipelines", { name: "Vendas", dataset_id: ids.dataset_id });
  ids.pipeline_id = made.pipeline_id;
  await send("GET", "/pipelines");
  await send("GET", "/pipelines/{pipeline_id}");
  await send("PUT", "/pipelines/{pipeline_id}", { name: "Vendas diárias" });
  const exported = await send("GET", "/pipelines/{pipeline_id}/export");
  const imported = await send("POST", "/pipelines/import", exported);
  await send("DELETE", "/pipelines/{pipeline_id}", undefined, { pipeline_id: imported.pipeline_id });
}

async function trained(model_id) {
  await wait(async () => {
    const status = await send("GET", "/models/{model_id}/training/status", undefined, { model_id });
    if (status.status === "failed") throw new Error(JSON.stringify(status.error));
    return status.status === "trained";
  }, 240);
}

async function models() {
  await send("GET", "/models/algorithms");
  const own = await send("POST", "/models/custom");
  await send("POST", "/models/{model_id}/optimize", undefined, { model_id: own.model_id });
  await api.post(`/models/${own.model_id}/training/cancel`).catch(() => null);
  const now = await send("POST", "/models/train", { dataset_id: ids.dataset_id, algorithm: "naive", horizon: 7 });
  await trained(now.model_id);
  await send("DELETE", "/models/{model_id}", undefined, { model_id: now.model_id });
  ids.model_id = (await send("POST", "/models/configure")).model_id;
  await send("POST", "/models/{model_id}/train", {});
  await trained(ids.model_id);
  await send("GET", "/models/{model_id}/results");
  await send("GET", "/models");
  await send("GET", "/models/{model_id}");
  await send("GET", "/models/{model_id}/metrics");
  await send("POST", "/models/{model_id}/predict", { horizon: 7 });
  const saved = await send("POST", "/models/{model_id}/save", { name: "vendas" });
  await send("POST", "/models/load", { model_id: saved.model_id });
}

async function predictions() {
  await send("POST", "/predictions/predict", { model_id: ids.model_id, horizon: 7 });
  await send("POST", "/predictions/real-time", { model_id: ids.model_id, horizon: 7 });
  await send("POST", "/predictions/batch", { model_id: ids.model_id, horizon: 7 });
  await send("GET", "/predictions");
  await send("GET", "/predictions/history");
  await send("GET", "/predictions/stats");
}

async function monitoring(admin) {
  ids.database_id = (await api.post("/monitoring/databases", orders.database)).id;
  await send("GET", "/monitoring/databases");
  const started = await send("POST", "/monitoring/predictions/start");
  await send("POST", "/monitoring/predictions/stop", { monitor_id: started.monitor_id });
  await send("GET", "/monitoring/pipelines");
  await send("GET", "/monitoring/models");
  await send("GET", "/monitoring/system");
  await send("GET", "/monitoring/health");
  localStorage.setItem("auth_token", admin);
  await send("GET", "/monitoring/logs");
}

async function main() {
  const redirected = await account();
  const { socket, heard } = listen(localStorage.getItem("auth_token"));
  const token = localStorage.getItem("auth_token");
  const hook = await dataset();
  await pipeline();
  await models();
  await predictions();
  await send("GET", "/dashboard/stats");
  await send("GET", "/dashboard/activity");
  await send("GET", "/dashboard/tasks");
  await monitoring(orders.admin);
  localStorage.setItem("auth_token", token);
  const spare = await send("POST", "/datasets/upload", file(), { config: MULTIPART });
  await send("DELETE", "/datasets/{dataset_id}", undefined, { dataset_id: spare.dataset_id });
  socket.close();
  fs.writeFileSync(orders.answers, JSON.stringify({ calls, heard, redirected, hook }));
}

main().catch((error) => {
  console.error(error.message, JSON.stringify(last), JSON.stringify(calls.at(-1)).slice(0, 2000));
  process.exit(1);
});
