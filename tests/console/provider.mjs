// The OpenID provider of the suite: oidc-provider with users who have groups, over TLS. A user signs in with any password.
import { readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:https";
import Provider from "oidc-provider";

const [port, callback, folder] = process.argv.slice(2);
const issuer = `https://127.0.0.1:${port}`;
const groups = { ada: ["everyone", "scimd-admins"], vera: ["everyone", "it-staff"], mallory: ["everyone"] };

// Everything is in memory. A test ages the sign-ins: then `max_age` has the provider ask for the password again.
const stored = new Map();
class Memory {
  constructor(kind) {
    this.kind = kind;
  }
  key(id) {
    return `${this.kind} ${id}`;
  }
  async upsert(id, payload) {
    stored.set(this.key(id), payload);
  }
  async find(id) {
    return stored.get(this.key(id));
  }
  async findByUid(uid) {
    return [...stored.entries()].find(([key, { uid: own }]) => key.startsWith("Session ") && own === uid)?.[1];
  }
  async consume(id) {
    stored.get(this.key(id)).consumed = Math.floor(Date.now() / 1000);
  }
  async destroy(id) {
    stored.delete(this.key(id));
  }
  async revokeByGrantId(grant) {
    for (const [key, { grantId }] of stored) if (grantId === grant) stored.delete(key);
  }
}

const provider = new Provider(issuer, {
  adapter: Memory,
  clients: [
    {
      client_id: "scimd",
      client_secret: "secret of the suite",
      redirect_uris: [callback],
      response_types: ["code"],
      grant_types: ["authorization_code"],
    },
  ],
  claims: { openid: ["sub", "groups"], profile: ["preferred_username"], email: ["email"] },
  conformIdTokenClaims: false,
  cookies: { keys: ["of the suite"] },
  findAccount: (_, sub) => ({
    accountId: sub,
    claims: () => ({ sub, preferred_username: `${sub}@example.com`, groups: groups[sub] ?? [] }),
  }),
});

const key = readFileSync(`${folder}/provider-key.pem`);
const cert = readFileSync(`${folder}/provider.pem`);
const answer = provider.callback();
createServer({ key, cert }, (request, response) => {
  if (request.url !== "/age") return answer(request, response);
  for (const payload of stored.values()) if (payload.loginTs) payload.loginTs -= 3600;
  response.end();
}).listen(Number(port), "127.0.0.1", () => writeFileSync(`${folder}/provider-ready`, ""));
