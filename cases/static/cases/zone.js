// Tells the server the zone in which the reader wants to see times; offload_project/staff/zones.py reads it.
(function () {
  "use strict";
  var zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  var secure = location.protocol === "https:" ? "; Secure" : "";
  if (zone) { document.cookie = "offload_zone=" + zone + "; Path=/admin/; Max-Age=31536000; SameSite=Lax" + secure; }
})();
