// Tells the staff's pages in which zone to write times; see cases/moments.py.
(() => {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const known = document.cookie.split("; ").includes(`zone=${zone}`);
  if (!zone || known) return;
  const secure = location.protocol === "https:" ? "; secure" : "";
  document.cookie = `zone=${zone}; path=/admin/; max-age=31536000; samesite=lax${secure}`;
})();
