// The till: keys, quick amounts, and a form that is sent once. Amounts are never computed here:
// what is typed goes to the server, and what the server says is shown.
import { isTyping } from "./shell.js";

export function startTill() {
  startHits();
  startForm();
  startSlips();
}

// ↑ ↓ choose among the rooms found, Enter opens the chosen one. With none chosen Enter sends what
// is typed, and the server opens the only room that fits: so a scanner needs no waiting.
function startHits() {
  const seek = document.getElementById("seek");
  if (!seek) return;
  const links = () => Array.from(document.querySelectorAll("#hits-list a"));
  const choose = (link) => {
    for (const other of links()) other.toggleAttribute("data-chosen", other === link);
    if (link) link.scrollIntoView({ block: "nearest" });
  };
  seek.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    const found = links();
    const at = found.findIndex((link) => link.hasAttribute("data-chosen"));
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      const step = event.key === "ArrowDown" ? 1 : -1;
      choose(found[(at + step + found.length + (at < 0 && step < 0 ? 1 : 0)) % found.length]);
    } else if (event.key === "Enter" && at >= 0) {
      event.preventDefault();
      found[at].click();
    } else if (event.key === "Escape") {
      choose(null);
    }
  });
  if (document.activeElement === seek) seek.select();
}

function startForm() {
  const form = document.getElementById("take");
  if (!form) return;
  const amount = form.elements.amount;
  const preview = () => {
    const go = document.getElementById("go");
    go.disabled = false; // the old word no longer stands; the server has the last one
    const words = go.querySelector("[data-plain]");
    words.textContent = words.dataset.plain;
    form.dispatchEvent(new Event("preview"));
  };
  const showQuick = () => {
    const typed = amount.value.trim().replace(/\.0{0,2}$/, "");
    for (const quick of form.querySelectorAll("[data-yuan]")) {
      quick.setAttribute("aria-pressed", String(quick.dataset.yuan === typed));
    }
  };
  const box = amount.closest(".amt");
  const showWrong = () => {
    const wrong = document.querySelector("#said .wrong, #said-amount .wrong") !== null;
    box.toggleAttribute("data-wrong", wrong);
    amount.setAttribute("aria-invalid", String(wrong));
  };
  document.body.addEventListener("htmx:afterSettle", showWrong);
  amount.addEventListener("input", () => {
    showQuick();
    preview();
  });
  amount.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.isComposing) return;
    event.preventDefault(); // money is taken by F9 or the button, never by a stray Enter
    form.querySelector("[name=method]:checked, [name=method]").focus();
  });
  form.addEventListener("click", (event) => {
    const quick = event.target.closest("[data-yuan]");
    if (!quick) return;
    amount.value = quick.dataset.yuan + ".00";
    showQuick();
    preview();
  });
  form.addEventListener("input", (event) => {
    if (event.target.name === "old_amount") preview();
  });
  form.addEventListener("change", (event) => {
    if (event.target.name === "method") preview();
  });
  form.addEventListener("submit", (event) => {
    const missing = form.querySelector("[data-needed]:placeholder-shown");
    if (form.dataset.sent || missing) {
      event.preventDefault();
      if (missing) missing.focus();
      return;
    }
    form.dataset.sent = "1";
    document.getElementById("go").setAttribute("aria-busy", "true");
  });
  window.addEventListener("pageshow", () => delete form.dataset.sent);
  document.addEventListener("keydown", (event) => {
    if (event.isComposing || event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key === "F9") {
      event.preventDefault();
      const go = document.getElementById("go");
      if (go.disabled) amount.focus();
      else form.requestSubmit(go);
      return;
    }
    // by the key's place, not its sign: an input method may hold the sign back
    const digit = /^(?:Digit|Numpad)([1-9])$/.exec(event.code);
    if (!digit || event.shiftKey || isTyping(event.target)) return;
    const method = form.querySelector(`[data-key="${digit[1]}"]`);
    if (!method) return;
    event.preventDefault();
    method.checked = true;
    method.focus();
    preview();
  });
  // what is left goes down while somebody types; not under a hand that is about to press
  document.body.addEventListener("htmx:afterSwap", (event) => {
    const go = document.getElementById("go");
    if (event.detail.target.id === "room" && go && !go.matches(":hover, :focus")) {
      form.dispatchEvent(new Event("preview"));
    }
  });
  showQuick();
  showWrong();
}

// F8 prints the slip; a page that says so prints by itself, once.
function startSlips() {
  const slip = document.querySelector(".slip");
  if (!slip) return;
  document.addEventListener("keydown", (event) => {
    const print = document.querySelector("[data-print], [data-reprint]");
    if (event.key !== "F8" || !print) return;
    event.preventDefault();
    print.click();
  });
  if (slip.hasAttribute("data-print-now")) window.print();
}
