// The meter wall. The server sends codes and integers; how they look is decided here, once.
// What is filtered, searched and sorted stands in the address, so that a wall can be linked to.
import { clockText, isTyping } from "./shell.js";

const OLD_MS = 20_000; // a reading older than this is hatched and shown with its age
const URGENT = ["lost", "arrears", "alarm_2"]; // shown in the tree
const ORDER = ["ok", "alarm_1", "alarm_2", "arrears", "not_opened", "lost"];
const UNDER_WAY = new Set(["closing", "opening", "sending"]);
const KEPT = "wl_columns";

export function startWall() {
  const root = document.getElementById("wall");
  if (root) new Wall(root).start();
}

class Wall {
  constructor(root) {
    this.root = root;
    this.words = JSON.parse(root.dataset.words);
    this.offsetMin = Number(root.dataset.offsetMin);
    this.rows = new Map(); // id → what the server said
    this.drawn = new Map(); // id → {tr, signs}
    this.order = [];
    this.clock = { server: Date.now(), here: performance.now() };
    this.heads = [...root.querySelectorAll("th[data-key]")];
    this.keys = this.heads.map((head) => head.dataset.key);
    this.at = (id) => root.querySelector("#" + id);
    this.wanted = this.readAddress();
  }

  start() {
    this.listen();
    this.bindControls();
    this.offerColumns();
    this.showWanted();
    setInterval(() => this.age(), 1000);
  }

  now() {
    return this.clock.server + performance.now() - this.clock.here;
  }

  // --- the stream ---------------------------------------------------------------------------

  listen() {
    const source = new EventSource("/wall/live");
    source.onmessage = (event) => this.take(JSON.parse(event.data));
    source.onerror = () => {
      this.broken = this.now();
      this.say();
      if (source.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 5000);
    };
  }

  take(said) {
    this.clock = { server: said.now_ms, here: performance.now() };
    this.broken = null;
    if (said.full) {
      const named = (values) => Object.fromEntries(said.names.map((name, n) => [name, values[n]]));
      said.rows = said.rows.map(named);
      this.rows = new Map(said.rows.map((row) => [row.id, row]));
    }
    if (!said.full) for (const part of said.rows) this.rows.set(part.id, { ...this.rows.get(part.id), ...part });
    const same = this.rows.size === this.drawn.size && said.rows.every((row) => this.drawn.has(row.id));
    if (!same) this.drawAll();
    for (const part of said.rows) this.draw(part.id);
    this.sift();
  }

  // --- rows ---------------------------------------------------------------------------------

  drawAll() {
    this.drawn.clear();
    const body = this.at("rows");
    body.textContent = "";
    this.sort();
    for (const id of this.order) {
      const tr = document.createElement("tr");
      for (const key of this.keys) tr.appendChild(document.createElement("td")).className = "c-" + key;
      this.drawn.set(id, { tr, signs: [] });
      body.appendChild(tr);
    }
    for (const id of this.order) this.draw(id);
  }

  draw(id) {
    const known = this.drawn.get(id);
    if (!known) return;
    const row = this.rows.get(id);
    const { tr, signs } = known;
    tr.className = this.isOld(row) ? "old" : "";
    this.keys.forEach((key, n) => {
      const [html, look] = this.cell(key, row);
      const sign = look + "|" + html;
      if (signs[n] === sign) return;
      signs[n] = sign;
      const td = tr.cells[n];
      td.className = `c-${key} ${look}`;
      td.innerHTML = html;
    });
  }

  cell(key, row) {
    const lost = row.state === "lost";
    switch (key) {
      case "meter":
      case "profile":
        return [escape(row[key]), ""];
      case "room":
        return [`<a href="/rooms/${encodeURIComponent(row.room_id)}">${escape(row.room)}</a>`, ""];
      case "account":
      case "holder":
        return row[key] ? [escape(row[key]), ""] : ["—", "muted"];
      case "state":
        return [`<span class="st st-${row.state}">${icon(row.state)}${this.words[row.state]}</span>`, ""];
      case "relay":
        return this.relayCell(row, lost);
      case "control":
        return this.controlCell(row);
      case "wh":
        return figure(row.wh, (wh) => kwh(wh, 2));
      case "left_wh":
        return figure(row.left_wh, (wh) => kwh(wh, 1));
      case "left_fen":
        return figure(row.left_fen, money, row.left_fen < 0 ? "neg" : "");
      case "used_fen":
      case "alarm_1_fen":
      case "alarm_2_fen":
        return figure(row[key], money);
      case "price_e4":
        return figure(row.price_e4, (price) => (price / 10000).toFixed(4));
      case "read_ms":
        return this.readCell(row);
      default:
        return figure(row[key], (number) => grouped(String(number)));
    }
  }

  relayCell(row, lost) {
    if (lost || row.relay === "unknown") return [this.words.unknown, "muted"];
    const look = row.relay === "closed" ? "on" : row.account ? "off" : "muted";
    return [`${icon(row.relay)} ${this.words[row.relay]}`, look];
  }

  controlCell(row) {
    if (!row.control) return ["—", "muted"];
    const word = this.words[row.control];
    if (UNDER_WAY.has(row.control)) return [`${icon("spin", "spin")} ${word}`, "under-way"];
    if (row.control === "hold_on") return [`${icon("shield")} ${word}`, "held"];
    if (row.control === "force_off") return [`${icon("lock")} ${word}`, "off"];
    return [word, ""];
  }

  readCell(row) {
    if (row.read_ms === null) return [this.words.never, "num"];
    if (this.isOld(row)) return [`${icon("clock")} ${this.ago(this.now() - row.read_ms)}`, "num"];
    return [clockText(row.read_ms, this.offsetMin, true), "num"];
  }

  isOld(row) {
    return row.read_ms === null || this.now() - row.read_ms > OLD_MS;
  }

  ago(ms) {
    const s = Math.floor(ms / 1000);
    const fill = (text, n, m) => text.replace("{n}", n).replace("{m}", m);
    if (s < 60) return fill(this.words.ago_s, s);
    if (s < 3600) return fill(this.words.ago_min, Math.floor(s / 60));
    if (s < 86400) return fill(this.words.ago_h, Math.floor(s / 3600), Math.floor((s % 3600) / 60));
    return fill(this.words.ago_d, Math.floor(s / 86400), Math.floor((s % 86400) / 3600));
  }

  age() {
    const read = this.keys.indexOf("read_ms");
    for (const [id, { tr, signs }] of this.drawn) {
      const row = this.rows.get(id);
      if (!this.isOld(row)) continue;
      if (tr.className !== "old") tr.className = "old";
      const [html, look] = this.readCell(row);
      if (signs[read] === look + "|" + html) continue;
      signs[read] = look + "|" + html;
      tr.cells[read].innerHTML = html;
      tr.cells[read].className = `c-read_ms ${look}`;
    }
    this.say();
  }

  // --- what is wanted: filter, place, search, order -------------------------------------------

  readAddress() {
    const query = new URLSearchParams(location.search);
    const wanted = {};
    for (const name of ["state", "building", "floor", "q", "sort", "dir"]) wanted[name] = query.get(name) || "";
    if (!this.keys.includes(wanted.sort)) wanted.sort = "";
    return wanted;
  }

  want(changes, { quiet = false } = {}) {
    Object.assign(this.wanted, changes);
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(this.wanted)) if (value) query.set(name, value);
    const address = location.pathname + (query.toString() ? "?" + query : "");
    history[quiet ? "replaceState" : "pushState"](null, "", address);
    this.showWanted();
  }

  showWanted() {
    const { state, q } = this.wanted;
    for (const chip of this.root.querySelectorAll(".chip")) {
      chip.setAttribute("aria-pressed", String(chip.dataset.state === state));
    }
    const sift = this.at("sift");
    if (sift.value !== q) sift.value = q;
    for (const head of this.heads) {
      const sorted = (this.wanted.sort || "room") === head.dataset.key;
      if (sorted) head.setAttribute("aria-sort", this.wanted.dir === "desc" ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
    if (this.rows.size) {
      this.sort();
      const body = this.at("rows");
      for (const id of this.order) body.appendChild(this.drawn.get(id).tr);
    }
    this.sift();
  }

  inPlace(row) {
    const { building, floor } = this.wanted;
    return (!building || row.building === building) && (!floor || String(row.floor) === floor);
  }

  isMeant(row) {
    const words = this.wanted.q.trim().toLowerCase().split(/\s+/).filter(Boolean);
    if (!words.length) return true;
    const text = `${row.house} ${row.room} ${row.holder || ""} ${row.meter} ${row.account || ""}`.toLowerCase();
    return words.every((word) => text.includes(word));
  }

  sort() {
    const ids = [...this.rows.keys()]; // as the server walks past them
    const { sort, dir } = this.wanted;
    if (sort && sort !== "room") {
      const value = (id) => {
        const row = this.rows.get(id);
        return sort === "state" ? ORDER.indexOf(row.state) : row[sort];
      };
      ids.sort((one, other) => compare(value(one), value(other)));
    }
    if (dir === "desc") ids.reverse();
    if (sort && sort !== "room") {
      const unknown = (id) => this.rows.get(id)[sort] === null;
      this.order = [...ids.filter((id) => !unknown(id)), ...ids.filter(unknown)]; // what is not known comes last
    } else this.order = ids;
  }

  sift() {
    const counts = { "": 0 };
    for (const state of ORDER) counts[state] = 0;
    let shown = 0;
    for (const [id, row] of this.rows) {
      const near = this.inPlace(row) && this.isMeant(row);
      if (near) {
        counts[""] += 1;
        counts[row.state] += 1;
      }
      const show = near && (!this.wanted.state || row.state === this.wanted.state);
      const { tr } = this.drawn.get(id);
      if (tr.hidden === show) tr.hidden = !show;
      if (show) shown += 1;
    }
    if (this.broken !== undefined) {
      for (const chip of this.root.querySelectorAll(".chip")) {
        put(chip.querySelector("b"), String(counts[chip.dataset.state]));
      }
    }
    this.drawTree();
    this.sayNone(shown);
    put(this.at("shown"), this.words.sum.replace("{n}", shown).replace("{all}", this.rows.size));
    this.say();
  }

  sayNone(shown) {
    const none = this.at("none");
    const empty = this.broken !== undefined && shown === 0;
    none.hidden = !empty;
    if (!empty) return;
    const { state, building, floor, q } = this.wanted;
    const house = [...this.rows.values()].find((row) => row.building === building);
    const what = [state && this.words[state], house && house.house, floor && this.floorName(floor), q];
    const text = this.rows.size ? this.words.none.replace("{what}", what.filter(Boolean).join(" · ")) : this.words.nothing;
    put(none.querySelector("span"), text);
    this.at("unsift").hidden = !this.rows.size;
  }

  say() {
    const pulse = this.at("pulse");
    if (this.broken === undefined) return;
    pulse.toggleAttribute("data-broken", Boolean(this.broken));
    if (this.broken) {
      const time = clockText(this.clock.server, this.offsetMin, true);
      put(pulse, this.words.broken.replace("{time}", time));
      return;
    }
    let oldest = 0;
    for (const row of this.rows.values()) {
      if (row.state !== "lost" && row.read_ms !== null) oldest = Math.max(oldest, this.now() - row.read_ms);
    }
    put(pulse, this.words.live.replace("{s}", Math.round(oldest / 1000)));
  }

  // --- the tree of buildings and floors --------------------------------------------------------

  drawTree() {
    const houses = new Map();
    const count = (node, row) => {
      node.total += 1;
      node[row.state] = (node[row.state] || 0) + 1;
    };
    const all = { total: 0 };
    for (const row of this.rows.values()) {
      if (!houses.has(row.building)) houses.set(row.building, { name: row.house, total: 0, floors: new Map() });
      const house = houses.get(row.building);
      if (!house.floors.has(row.floor)) house.floors.set(row.floor, { total: 0 });
      for (const node of [all, house, house.floors.get(row.floor)]) count(node, row);
    }
    const { building, floor } = this.wanted;
    const line = (node, name, look, place, here) => {
      const flags = URGENT.filter((state) => node[state])
        .slice(0, 2) // the most urgent two leave room for the name
        .map((state) => `<span class="fl f-${state}" title="${this.words[state]} ${node[state]}">${icon(state)}${node[state]}</span>`)
        .join("");
      const [b, f] = place;
      const address = "/wall" + (b ? `?building=${encodeURIComponent(b)}${f ? `&floor=${f}` : ""}` : "");
      return (
        `<a href="${address}" class="${look}" data-building="${escape(b)}" data-floor="${escape(f)}"` +
        `${here ? ' aria-current="true"' : ""}><span>${escape(name)}</span>${look === "root" ? "" : flags}<em>${node.total}</em></a>`
      );
    };
    const html = [`<li>${line(all, this.words.everything, "root", ["", ""], !building)}</li>`];
    const places = [option("", this.words.everything, !building)];
    for (const [id, house] of houses) {
      const open = id === building || houses.size <= 2;
      places.push(option(id + "/", house.name, id === building && !floor));
      const floors = [...house.floors].map(([number, node]) => {
        const here = id === building && String(number) === floor;
        places.push(option(`${id}/${number}`, `${house.name} ${this.floorName(number)}`, here));
        return `<li>${line(node, this.floorName(number), "", [id, String(number)], here)}</li>`;
      });
      const inside = open ? `<ul>${floors.join("")}</ul>` : "";
      const look = open ? "house open" : "house";
      html.push(`<li>${line(house, house.name, look, [id, ""], id === building && !floor)}${inside}</li>`);
    }
    this.keepFocus("tree", html.join(""));
    const where = this.at("where");
    if (where.innerHTML !== places.join("") && document.activeElement !== where) where.innerHTML = places.join("");
  }

  keepFocus(id, html) {
    const list = this.at(id);
    if (this.treeHtml === html) return;
    this.treeHtml = html;
    const focused = list.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    list.innerHTML = html;
    if (focused) {
      const again = [...list.querySelectorAll("a")].find((link) => link.getAttribute("href") === focused);
      if (again) again.focus();
    }
  }

  floorName(number) {
    return this.words.floor.replace("{n}", number);
  }

  // --- controls -------------------------------------------------------------------------------

  bindControls() {
    this.root.addEventListener("click", (event) => {
      const chip = event.target.closest(".chip");
      if (chip) {
        const state = chip.dataset.state;
        this.want({ state: this.wanted.state === state ? "" : state });
      }
      const place = event.target.closest(".tree a");
      if (place && !event.ctrlKey && !event.metaKey) {
        event.preventDefault();
        this.want({ building: place.dataset.building, floor: place.dataset.floor });
      }
      const head = event.target.closest("th[data-key]");
      if (head) this.turn(head.dataset.key);
      if (event.target.closest("#unsift")) this.want({ state: "", building: "", floor: "", q: "" });
    });
    this.at("sift").addEventListener("input", (event) => this.want({ q: event.target.value }, { quiet: true }));
    this.at("where").addEventListener("change", (event) => {
      const [building, floor] = event.target.value.split("/");
      this.want({ building, floor: floor || "" });
    });
    window.addEventListener("popstate", () => {
      this.wanted = this.readAddress();
      this.showWanted();
    });
    this.root.addEventListener("keydown", (event) => this.walk(event));
  }

  turn(key) {
    const sorted = (this.wanted.sort || "room") === key;
    const dir = sorted && this.wanted.dir !== "desc" ? "desc" : "";
    this.want({ sort: key === "room" ? "" : key, dir });
  }

  walk(event) {
    const steps = { ArrowDown: 1, ArrowUp: -1 };
    const step = steps[event.key];
    if (!step || isTyping(event.target)) return;
    const links = [...this.at("rows").querySelectorAll("tr:not([hidden]) .c-room a")];
    const at = links.indexOf(document.activeElement);
    if (at < 0 && document.activeElement !== this.at("grid")) return;
    const next = links[at + step];
    if (next) {
      event.preventDefault();
      next.focus();
    }
  }

  offerColumns() {
    const spare = this.heads.filter((head) => "spare" in head.dataset).map((head) => head.dataset.key);
    let hidden;
    try {
      hidden = new Set(JSON.parse(localStorage.getItem(KEPT)) || spare);
    } catch {
      hidden = new Set(spare);
    }
    const list = this.at("picks");
    const show = () => {
      for (const key of this.keys) this.root.classList.toggle("hide-" + key, hidden.has(key));
    };
    this.heads.forEach((head) => {
      const key = head.dataset.key;
      if (key === "room") return;
      const item = document.createElement("li");
      const label = item.appendChild(document.createElement("label"));
      const box = label.appendChild(document.createElement("input"));
      box.type = "checkbox";
      box.checked = !hidden.has(key);
      label.append(head.textContent.trim());
      box.addEventListener("change", () => {
        if (box.checked) hidden.delete(key);
        else hidden.add(key);
        localStorage.setItem(KEPT, JSON.stringify([...hidden]));
        show();
      });
      list.appendChild(item);
    });
    hideByClass(this.keys);
    show();
  }
}

// --- how figures are written -------------------------------------------------------------------

function hideByClass(keys) {
  const sheet = document.querySelector('link[rel="stylesheet"]').sheet;
  for (const key of keys) sheet.insertRule(`.wall.hide-${key} .c-${key} { display: none; }`, sheet.cssRules.length);
}

function escape(text) {
  const signs = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
  return String(text).replace(/[&<>"']/g, (sign) => signs[sign]);
}

function icon(name, more) {
  return `<svg class="i${more ? " " + more : ""}" aria-hidden="true"><use href="#i-${name}"/></svg>`;
}

function option(value, name, selected) {
  return `<option value="${escape(value)}"${selected ? " selected" : ""}>${escape(name)}</option>`;
}

function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function figure(value, write, look = "") {
  return value === null || value === undefined ? ["—", "num muted"] : [write(value), "num" + (look ? " " + look : "")];
}

function grouped(digits) {
  return digits.replace("-", "−").replace(/\B(?=(\d{3})+(?!\d))/g, ",");
}

function money(fen) {
  const sign = fen < 0 ? "−" : "";
  const digits = String(Math.abs(fen)).padStart(3, "0");
  return sign + grouped(digits.slice(0, -2)) + "." + digits.slice(-2);
}

// Wh as kWh, cut and not rounded up.
function kwh(wh, places) {
  const cut = Math.floor(Math.abs(wh) / 10 ** (3 - places));
  const digits = String(cut).padStart(places + 1, "0");
  return (wh < 0 && cut ? "−" : "") + grouped(digits.slice(0, -places)) + "." + digits.slice(-places);
}

function compare(one, other) {
  if (one === null || other === null) return 0;
  if (typeof one === "number") return one - other;
  return String(one).localeCompare(String(other), "zh-CN", { numeric: true });
}
