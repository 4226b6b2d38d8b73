/* What every staff page needs: the menu on narrow screens, the choice of colours, "/" for the search. */
(function () {
  "use strict";
  var root = document.documentElement;

  function isTyping(event) {
    var target = event.target;
    return target.isContentEditable || /^(input|textarea|select)$/i.test(target.tagName);
  }

  document.querySelectorAll("[data-toggles]").forEach(function (button) {
    button.addEventListener("click", function () {
      var isOpen = root.classList.toggle(button.dataset.toggles);
      document.querySelectorAll(".icon-button.nav-open").forEach(function (opener) { opener.setAttribute("aria-expanded", String(isOpen)); });
      var first = document.querySelector(isOpen ? "#nav-sidebar a" : ".icon-button.nav-open");
      if (first) { first.focus(); }
    });
  });

  function markTheme() {
    document.querySelectorAll("button[data-theme]").forEach(function (button) {
      button.setAttribute("aria-pressed", String(button.dataset.theme === window.offloadTheme.chosen()));
    });
  }
  document.querySelectorAll("button[data-theme]").forEach(function (button) {
    button.addEventListener("click", function () { window.offloadTheme.choose(button.dataset.theme); markTheme(); });
  });
  markTheme();

  // In a menu that is longer than the window the page that one is on is in sight.
  var here = document.querySelector(".nav-groups .active");
  if (here) { here.scrollIntoView({ block: "nearest" }); }

  // The cards that rows are on a telephone: names begin with a capital, and cells in which nothing stands take no room.
  document.querySelectorAll("#result_list [data-label]").forEach(function (cell) {
    var label = cell.dataset.label || "";
    cell.dataset.label = label.charAt(0).toUpperCase() + label.slice(1);
    cell.classList.toggle("says-nothing", /^[\s\u2013-]*$/.test(cell.textContent) && !cell.querySelector("input, img, svg, span"));
  });

  document.addEventListener("keydown", function (event) {
    if (event.key === "Escape" && root.classList.contains("nav-open")) { root.classList.remove("nav-open"); }
    if (isTyping(event) || event.ctrlKey || event.metaKey || event.altKey) { return; }
    var target = document.querySelector('[data-shortcut="' + CSS.escape(event.key) + '"]');
    if (target) { event.preventDefault(); if (/^(a|button)$/i.test(target.tagName)) { target.click(); } else { target.focus(); target.select(); } }
  });
})();
