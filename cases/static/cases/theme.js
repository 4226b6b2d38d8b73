/* Colours before the first paint: what the person has chosen, else what the system says. Blocking on purpose. */
(function () {
  "use strict";
  var root = document.documentElement;
  var system = window.matchMedia("(prefers-color-scheme: dark)");
  function chosen() { try { return localStorage.getItem("offload-theme") || "auto"; } catch (error) { return "auto"; } }
  function apply() { root.classList.toggle("dark", chosen() === "dark" || (chosen() === "auto" && system.matches)); }
  root.classList.add("js");
  system.addEventListener("change", apply);
  window.offloadTheme = {
    chosen: chosen,
    choose: function (name) { try { localStorage.setItem("offload-theme", name); } catch (error) { /* for this page only */ } apply(); },
  };
  apply();
})();
