// Creates a case, reads it and ends it: npx tsc --outDir build && node build/example.js <base URL> <API key>
import { Offload, OffloadError, type Schemas } from "./client.js";

const [baseUrl = "", apiKey = ""] = process.argv.slice(2);
const offload = new Offload(baseUrl, apiKey);

const body: Schemas["NewCase"] = {
  channel: "EMAIL",
  goal: { objective: "Get the invoice for order 4711." },
  counterparty: { address: "ann@supplier.example", name: "Ann Supplier" },
  senderPersona: { name: "Bob Buyer" },
};
const { caseId } = await offload.call("post", "/cases", { body, idempotencyKey: "example" });
const again = await offload.call("post", "/cases", { body, idempotencyKey: "example" });
const { cases } = await offload.call("get", "/cases", { query: { limit: 1 } });
const found = await offload.call("get", "/cases/{case_id}", { path: { case_id: caseId } });
const question: string | undefined = found.inputRequest?.question;
const ended = await offload.call("post", "/cases/{case_id}/cancel", { path: { case_id: caseId } });

// What the API does not take, the compiler does not take.
// @ts-expect-error: there is no such channel
const wrongChannel: Schemas["NewCase"] = { ...body, channel: "FAX" };
// @ts-expect-error: an objective is missing
const wrongGoal: Schemas["NewCase"] = { ...body, goal: {} };
// @ts-expect-error: there is no such route
const wrongRoute = () => offload.call("post", "/cases/{case_id}/attachments/{attachment_id}");

const wrong = { ...wrongChannel, goal: wrongGoal.goal };
const refused = await offload.call("post", "/cases", { body: wrong }).catch((error) => error);
if (!(refused instanceof OffloadError)) throw new Error("a case that is none was taken");

console.log(
  JSON.stringify({
    caseId,
    again: again.caseId,
    listed: cases.map((one) => one.caseId),
    found: found.counterparty.name,
    question,
    ended: ended.resultStatus,
    refused: refused.code,
    details: refused.details.map((detail) => detail.path).sort(),
    wrongRoute: typeof wrongRoute,
  }),
);
