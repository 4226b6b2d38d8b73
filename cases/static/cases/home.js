/* The home page: its upper part is asked for anew every few seconds, as long as somebody can see it. */
(function () {
  "use strict";
  var now = document.getElementById("home-now");
  var said = document.getElementById("home-said");
  if (!now || !window.htmx) { return; }

  function refresh() { window.htmx.trigger(now, "refresh"); }

  /* Today is today where the reader is, which the server has only now been told; see zone.js. */
  if (document.documentElement.dataset.zone === "new") { refresh(); }

  document.addEventListener("visibilitychange", function () { if (!document.hidden) { refresh(); } });

  now.addEventListener("htmx:beforeRequest", function (event) { if (document.hidden) { event.preventDefault(); } });

  /* Whoever is not logged in any more is sent to the login: the whole page, not a part of it. */
  now.addEventListener("htmx:beforeSwap", function (event) {
    if (new URL(event.detail.xhr.responseURL).pathname !== now.getAttribute("hx-get")) {
      event.preventDefault();
      location.reload();
    }
  });

  /* Read out what waits, when that has changed; not every minute that passes. */
  now.addEventListener("htmx:afterSwap", function () {
    var summary = now.querySelector("[data-summary]");
    var words = summary ? summary.textContent.trim() : "";
    if (said.textContent !== words) { said.textContent = words; }
  });
})();
