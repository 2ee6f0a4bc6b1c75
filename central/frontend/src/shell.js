// The top bar: a clock that runs, menus of which one is open, and the keys "/" and Escape.

const TYPING = "input:not([type=radio]):not([type=checkbox]), select, textarea";

export function isTyping(target) {
  return target instanceof Element && target.matches(TYPING);
}

export function startShell() {
  startClock();
  startMenus();
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !isTyping(event.target) && !event.ctrlKey && !event.metaKey) {
      const find = document.getElementById("find");
      if (find) {
        event.preventDefault();
        find.focus();
        find.select();
      }
    }
    if (event.key === "F2") {
      const seek = document.querySelector("#seek, #sift");
      if (seek) {
        event.preventDefault();
        seek.focus();
        seek.select();
      }
    }
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-print]")) window.print();
  });
}

// Every clock on the page counts on from the server's own time, so a till's wrong clock shows nowhere.
function startClock() {
  let known = null;
  setInterval(() => {
    const clock = document.querySelector("[data-clock]");
    if (!clock) return;
    const said = Number(clock.dataset.clock);
    if (!known || known.said !== said) known = { said, at: performance.now() };
    const now = said + performance.now() - known.at;
    clock.textContent = clockText(now, Number(clock.dataset.offsetMin), true);
  }, 1000);
}

export function clockText(ms, offsetMin, seconds) {
  const local = new Date(ms + offsetMin * 60000).toISOString();
  return seconds ? local.slice(11, 19) : local.slice(11, 16);
}

function startMenus() {
  const menus = () => document.querySelectorAll("details.menu[open]:not([data-listed])");
  document.addEventListener("click", (event) => {
    for (const menu of menus()) if (!menu.contains(event.target)) menu.open = false;
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const menu of menus()) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });
  for (const menu of document.querySelectorAll(".bar nav .menu")) {
    menu.addEventListener("toggle", () => {
      if (menu.open) for (const other of menus()) if (other !== menu) other.open = false;
    });
  }
  const burger = document.querySelector(".burger");
  if (!burger) return;
  const list = document.getElementById("menu");
  const wide = window.matchMedia("(min-width: 961px)");
  const show = (open) => {
    list.toggleAttribute("data-open", open);
    burger.setAttribute("aria-expanded", String(open));
    for (const menu of list.querySelectorAll(".menu")) {
      menu.toggleAttribute("data-listed", open); // all open at once, until the list closes
      menu.open = open;
    }
  };
  burger.addEventListener("click", () => show(!list.hasAttribute("data-open")));
  wide.addEventListener("change", () => show(false));
}
