/* Mail pages: "All on this page" ticks the other boxes, "Copy" takes a command, and chosen files are named in it.
   Without this file one ticks each, marks the text, and names the files oneself. */
(function () {
  "use strict";

  document.querySelectorAll("[data-check-all]").forEach(function (all) {
    var boxes = all.form.querySelectorAll('input[type="checkbox"][name="' + all.dataset.checkAll + '"]');
    all.closest("label").hidden = false;
    all.addEventListener("change", function () {
      boxes.forEach(function (box) { box.checked = all.checked; });
    });
    boxes.forEach(function (box) {
      box.addEventListener("change", function () {
        all.checked = Array.prototype.every.call(boxes, function (one) { return one.checked; });
      });
    });
  });

  function showCopyButtons() {
    document.querySelectorAll("button[data-copy][hidden]").forEach(function (button) { button.hidden = false; });
  }

  function mark(element) {
    var range = document.createRange();
    range.selectNodeContents(element);
    window.getSelection().removeAllRanges();
    window.getSelection().addRange(range);
  }

  /* The clipboard is there over HTTPS and at localhost only; elsewhere the text is marked, and the old command is tried. */
  function copy(element) {
    if (navigator.clipboard) { return navigator.clipboard.writeText(element.textContent); }
    mark(element);
    return document.execCommand("copy") ? Promise.resolve() : Promise.reject(new Error("refused"));
  }

  document.addEventListener("click", function (event) {
    var button = event.target.closest("button[data-copy]");
    if (!button) { return; }
    var label = button.firstChild;
    copy(document.getElementById(button.dataset.copy)).then(
      function () { label.textContent = "Copied"; },
      function () { label.textContent = "Marked: press Ctrl+C"; mark(document.getElementById(button.dataset.copy)); }
    ).then(function () { window.setTimeout(function () { label.textContent = "Copy"; }, 2000); });
  });

  document.addEventListener("change", function (event) {
    if (event.target.type !== "file") { return; }
    var names = event.target.form.querySelector('input[name="file_names"]');
    if (!names) { return; }
    names.value = Array.prototype.map.call(event.target.files, function (file) { return file.name; }).join("/");
    event.target.form.dispatchEvent(new Event("input", { bubbles: true }));
  });

  document.addEventListener("htmx:afterSwap", showCopyButtons);
  showCopyButtons();
})();
