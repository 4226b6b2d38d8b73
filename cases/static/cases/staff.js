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

  // What was typed into a form that was not stored, since the session had ended, is put there again after the login.
  var KEPT = "offload-sent";
  function areaOf(path) { return path.replace(/[^/]+\/$/, ""); }
  function kept() { try { return JSON.parse(sessionStorage.getItem(KEPT)); } catch (error) { return null; } }
  function keep(sent) { try { sessionStorage.setItem(KEPT, JSON.stringify(sent)); } catch (error) { /* no room, or not allowed */ } }
  function typedInto(form) { return Array.from(form.querySelectorAll("#main textarea[name], #main input[type=text][name]")); }

  document.addEventListener("submit", function (event) {
    var form = event.target, fields = typedInto(form).filter(function (field) { return field.value.trim(); });
    if (form.method !== "post" || !fields.length) { return; }
    keep({ path: location.pathname, action: form.getAttribute("action"), fields: fields.map(function (field) { return [field.name, field.value]; }) });
  });

  function putBack(sent) {
    var form = Array.from(document.querySelectorAll("#main form")).find(function (one) { return one.getAttribute("action") === sent.action; });
    if (!form) { return; }
    var values = new Map(sent.fields);
    typedInto(form).forEach(function (field) { if (values.has(field.name)) { field.value = values.get(field.name); } });
    for (var part = form.parentElement; part; part = part.parentElement) { if (part.tagName === "DETAILS") { part.open = true; } }
    var note = document.createElement("p");
    note.className = "notice warn";
    note.setAttribute("role", "status");
    note.textContent = "This was not stored. Look at it, and send it once more.";
    form.prepend(note);
  }

  var sent = kept();
  if (sent && document.querySelector("[data-not-stored]")) {
    keep(Object.assign(sent, { isLost: true }));
    var back = document.querySelector("[data-leads-back]");
    if (back) { back.href = /\/[0-9a-f-]{36}\/|\/\d+\//.test(sent.path) ? areaOf(sent.path) + "change/" : sent.path; }
  } else if (sent && !(sent.isLost && areaOf(sent.path) !== areaOf(location.pathname))) {
    sessionStorage.removeItem(KEPT);
    if (sent.isLost) { putBack(sent); }
  }

  // A part that renews itself finds out that the session has ended; the page stays, with what is typed on it.
  document.addEventListener("htmx:responseError", function (event) {
    if (event.detail.xhr.status !== 401 || document.getElementById("logged-out")) { return; }
    var note = document.createElement("p"), link = document.createElement("a");
    note.id = "logged-out";
    note.className = "notice warn";
    note.setAttribute("role", "alert");
    link.href = location.href;
    link.textContent = "Log in again";
    note.append("You have been logged out. ", link);
    document.getElementById("content").prepend(note);
  });

  document.addEventListener("keydown", function (event) {
    if (event.key === "Escape" && root.classList.contains("nav-open")) { root.classList.remove("nav-open"); }
    if (isTyping(event) || event.ctrlKey || event.metaKey || event.altKey) { return; }
    var target = document.querySelector('[data-shortcut="' + CSS.escape(event.key) + '"]');
    if (target) { event.preventDefault(); if (/^(a|button)$/i.test(target.tagName)) { target.click(); } else { target.focus(); target.select(); } }
  });
})();
