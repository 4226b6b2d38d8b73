// Questions and drafts by keyboard. Everything here can be done with Tab, Enter and the pointer, too.
// data-key: what a key opens or presses; data-focus: what it only goes to; data-row: a line of the queue.
(() => {
  const KEEP_SECONDS = 120; // a claim ends 15 minutes after the last sign of life
  const isTyping = (target) => Boolean(target.closest("input, textarea, select, [contenteditable], dialog"));
  const isSeen = (element) => element.getClientRects().length > 0;
  const rows = () => [...document.querySelectorAll("a[data-row]")];
  const rowOf = (element) => element.closest("li");

  const move = (step) => {
    const all = rows();
    if (all.length === 0) return false;
    const at = all.indexOf(document.activeElement);
    const to = at < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(Math.max(at + step, 0), all.length - 1);
    all[to].focus();
    return true;
  };

  const openChoice = (details) => {
    details.open = true;
    const field = details.querySelector("textarea, select, input:not([type=hidden])");
    (field || details.querySelector("summary")).focus();
  };

  const press = (key) => {
    const goal = document.querySelector(`[data-focus="${CSS.escape(key)}"]`);
    if (goal && isSeen(goal)) {
      goal.focus();
      return true;
    }
    const row = document.activeElement.matches("a[data-row]") ? rowOf(document.activeElement) : null;
    const found = [...(row || document).querySelectorAll(`[data-key="${CSS.escape(key)}"]`)].filter(isSeen);
    if (found.length === 0 || (rows().length > 0 && key === "c" && !row)) return false;
    if (found[0].tagName === "DETAILS") openChoice(found[0]);
    else found[0].click();
    return true;
  };

  const send = (field) => {
    const form = field.closest("form");
    if (!form || form.method !== "post") return;
    const buttons = [...form.querySelectorAll("button:not([type=button])")].filter(isSeen);
    form.requestSubmit(buttons.find((button) => button.matches(".primary")) || buttons[0]);
  };

  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented) return;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && isTyping(event.target)) {
      event.preventDefault();
      send(event.target);
      return;
    }
    if (event.key === "Escape" && isTyping(event.target) && !event.target.closest("dialog")) {
      event.target.blur();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    const isInList = document.activeElement.matches("a[data-row]");
    const steps = { j: 1, k: -1, ...(isInList ? { ArrowDown: 1, ArrowUp: -1 } : {}) };
    const done = event.key in steps ? move(steps[event.key]) : event.key.length === 1 && press(event.key);
    if (done) event.preventDefault();
  });

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-opens]");
    if (button) document.getElementById(button.dataset.opens).showModal();
  });

  // Whoever begins to type has taken it.
  document.addEventListener("input", (event) => {
    const claim = document.querySelector("#claim[data-claim=free]");
    if (claim && window.htmx && event.target.closest("#decide")) {
      claim.dataset.claim = "asked";
      window.htmx.trigger(claim, "begin");
    }
  });

  const keep = () => {
    const claim = document.querySelector("#claim[data-claim=mine]");
    if (claim && window.htmx && document.visibilityState === "visible") window.htmx.trigger(claim, "keep");
  };
  setInterval(keep, KEEP_SECONDS * 1000);
  document.addEventListener("visibilitychange", keep);

  // The queue renews itself: whoever stands on a line stays there.
  let standsOn = "";
  document.addEventListener("htmx:beforeSwap", () => {
    standsOn = document.activeElement.matches("a[data-row]") ? document.activeElement.id : "";
  });
  document.addEventListener("htmx:afterSettle", () => {
    const line = standsOn && document.getElementById(standsOn);
    if (line && document.activeElement === document.body) line.focus();
  });

  // A row that was just added, or what is to be put right, is where one goes on.
  const first = document.querySelector("[data-newest] :is(input, select, textarea), #decide details[open] [aria-invalid]");
  if (first) first.focus();
})();
