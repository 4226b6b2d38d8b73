// Tells the server the zone in which the reader wants to see times; offload_project/staff/zones.py reads it.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (zone) {
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `offload_zone=${zone}; Path=/admin/; Max-Age=31536000; SameSite=Lax${secure}`;
}
