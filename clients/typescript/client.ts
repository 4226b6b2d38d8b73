// A client of a few lines over fetch: paths, bodies and answers are those of the OpenAPI document.
import type { components, paths } from "./offload.js";

export type Schemas = components["schemas"];
export type Method = "get" | "post" | "patch" | "put" | "delete";
export type PathsWith<M extends Method> = {
  [P in keyof paths]: paths[P][M & keyof paths[P]] extends { responses: unknown } ? P : never;
}[keyof paths];

type Operation<P extends keyof paths, M extends Method> = paths[P][M & keyof paths[P]];
type Successes<R> = R[keyof R & (200 | 201 | 202)];
export type Data<O> = O extends { responses: infer R }
  ? Successes<R> extends { content: { "application/json": { data: infer D } } }
    ? D
    : never
  : never;
type Parameters<O, Where extends string> = O extends { parameters: { [W in Where]?: infer Given } } ? Given : never;
type Body<O> = O extends { requestBody?: { content: { "application/json": infer B } } } ? B : never;

export interface Options<O> {
  path?: Parameters<O, "path">;
  query?: Parameters<O, "query">;
  body?: Body<O>;
  /** The same key makes the same case for 24 hours, so that a request can be repeated. */
  idempotencyKey?: string;
}

/** The service has refused the request: `code` is the API's, `details` says where a body is wrong. */
export class OffloadError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly details: { path: string; message: string }[] = [],
  ) {
    super(`${code} (${status}): ${message}`);
  }
}

export class Offload {
  constructor(
    private readonly baseUrl: string,
    private readonly apiKey: string,
  ) {}

  /** The data of the answer. Throws OffloadError, or what fetch throws. */
  async call<M extends Method, P extends PathsWith<M>>(
    method: M,
    path: P,
    options: Options<Operation<P, M>> = {},
  ): Promise<Data<Operation<P, M>>> {
    const { idempotencyKey, body } = options;
    const response = await fetch(this.address(path, options.path ?? {}, options.query ?? {}), {
      method: method.toUpperCase(),
      headers: {
        "x-api-key": this.apiKey,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...(idempotencyKey === undefined ? {} : { "idempotency-key": idempotencyKey }),
      },
      body: body === undefined ? null : JSON.stringify(body),
      redirect: "error",
    });
    const envelope = (await response.json()) as { ok: true; data: Data<Operation<P, M>> } | Schemas["Error"];
    if (envelope.ok === true) return envelope.data;
    throw new OffloadError(response.status, envelope.error.code, envelope.error.message, envelope.error.details);
  }

  private address(path: string, parameters: object, query: object): URL {
    const values = new Map(Object.entries(parameters));
    const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(String(values.get(name))));
    const url = new URL(this.baseUrl.replace(/\/$/, "") + filled);
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined) url.searchParams.set(name, String(value));
    }
    return url;
  }
}
