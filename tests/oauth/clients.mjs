// openid-client as an OAuth client of scimd. Prints `ok NAME` or `failed NAME: why` for each way to sign in.

import fs from "node:fs";
import * as oauth from "openid-client";

const url = new URL(process.env.SCIMD_URL);
const client = JSON.parse(fs.readFileSync(process.env.SCIMD_CLIENT));
const withKey = JSON.parse(fs.readFileSync(process.env.SCIMD_CLIENT_WITH_KEY));
const pem = fs.readFileSync(process.env.SCIMD_PRIVATE_KEY, "utf8");
const der = Buffer.from(pem.replace(/-----[A-Z ]+-----|\n/g, ""), "base64");
const algorithm = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };
const privateKey = await crypto.subtle.importKey("pkcs8", der, algorithm, false, ["sign"]);
const assertion = fs.readFileSync(process.env.SCIMD_ASSERTION, "utf8");

// The assertion of an issuer takes the place of a secret.
const federation = (server, metadata, body) => {
  body.set("client_id", metadata.client_id);
  body.set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
  body.set("client_assertion", assertion);
};

const ways = {
  client_secret_basic: [client.client_id, oauth.ClientSecretBasic(client.client_secret)],
  client_secret_post: [client.client_id, oauth.ClientSecretPost(client.client_secret)],
  private_key_jwt: [withKey.client_id, oauth.PrivateKeyJwt(privateKey)],
  federation: ["clients", federation],
};

for (const [name, [id, authentication]] of Object.entries(ways)) {
  try {
    const config = await oauth.discovery(url, id, undefined, authentication, { algorithm: "oauth2" });
    const token = await oauth.clientCredentialsGrant(config, { scope: "scim" });
    const users = new URL("/scim/v2/Users?count=1", url);
    const answer = await oauth.fetchProtectedResource(config, token.access_token, users, "GET");
    if (answer.status !== 200) throw new Error(await answer.text());
    console.log("ok openid-client", name);
  } catch (error) {
    console.log("failed openid-client", name, String(error), String(error.cause ?? ""));
  }
}
