// What runs in the browser. Pages work as documents; this adds what must answer at once.
import htmx from "htmx.org";
import { startShell } from "./shell.js";
import { startTill } from "./till.js";
import { startWall } from "./wall.js";

Object.assign(htmx.config, {
  allowEval: false,
  includeIndicatorStyles: false,
  selfRequestsOnly: true,
  historyCacheSize: 0,
});

document.addEventListener("DOMContentLoaded", () => {
  // What a page asks by itself keeps no session open: only people do.
  document.body.addEventListener("htmx:configRequest", (event) => {
    if (!event.detail.triggeringEvent) event.detail.headers["X-Background"] = "1";
  });
  startShell();
  startTill();
  startWall();
});
