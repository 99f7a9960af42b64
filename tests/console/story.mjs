// From the first boot's link to a token in use and a failed request explained, then every page in every way.
import { readFileSync } from "node:fs";
import { accessible, base, check, command, end, fail, fits, launch, open, picture, shoot, signIn } from "./browser.mjs";

const USER = "urn:ietf:params:scim:schemas:core:2.0:User";
const scim = (token, method, path, body) =>
  fetch(`${process.env.SCIMD_URL}/scim/v2${path}`, {
    method,
    headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/scim+json" },
    body: body && JSON.stringify(body),
  });
const person = (userName) => ({ schemas: [USER], userName, name: { givenName: "Ada", familyName: "Lovelace" } });

const browser = await launch();
const page = await open(browser);
const heading = () => page.textContent("h1");

// The link of the first boot.
const printed = readFileSync(`${process.env.SCIMD_FOLDER}/stdout`, "utf8");
const link = printed.match(/^Console +(\S+)$/m)[1];
await page.goto(base + new URL(link).pathname);
await accessible(page, "link");
await signIn(page, link);
check((await heading()) === "Overview", "the link of the first boot leads to the overview");
await page.goto(base + new URL(link).pathname);
check((await heading()) === "This link is not valid", "it works once");

// A connection, by the keyboard where it can be.
await page.goto(`${base}/connections`);
await page.click("text=Add a connection");
const generate = page.locator("button", { hasText: "Generate SCIM token" });
check(await generate.isDisabled(), "no token before the settings are complete");
await page.fill("#name", "staff");
await page.check("input[value=custom]");
check(await generate.isDisabled(), "a custom client needs a service origin");
await page.fill("#service_origin", "app.example.com");
check(await generate.isEnabled(), "then the token can be generated");
await page.fill("#service_origin", "");
await page.check("input[value=okta-custom]");
check(await generate.isEnabled(), "Okta needs none");
await accessible(page, "new connection");
await page.fill("#name", "staff");
await page.check("input[value=okta-custom]");
await shoot(page, "connection-new");
await picture(page, "console-new-connection");
await generate.focus();
await page.keyboard.press("Enter");
await page.waitForSelector("text=The token is shown only once");
check(!(await page.locator("#token").isVisible()), "the token is masked");
await page.locator("summary", { hasText: "Show" }).first().click();
const token = (await page.textContent("#token")).trim();
check(/^scimd_[0-9A-Za-z]{49}$/.test(token), "the token is shown");
await page.locator("summary", { hasText: "Hide" }).or(page.locator("details.secret summary")).first().click();
await shoot(page, "connection-token");
await picture(page, "console-token");
check((await page.textContent("#waiting")).includes("Waiting for the first request..."), "it waits for the first request");

// A real client uses the token, and the page shows it without being loaded again.
check((await scim(token, "GET", "/Users?count=1")).status === 200, "the token works");
await page.waitForSelector("#waiting:has-text('Requests arrive')", { timeout: 20000 });
console.log("ok the page shows the first request by itself");
const created = await scim(token, "POST", "/Users", person("ada@example.com"));
check(created.status === 201, "a user is created");
check((await scim(token, "POST", "/Users", person("ada@example.com"))).status === 409, "another one is refused");
const { id } = await created.json();
const off = { schemas: ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], Operations: [{ op: "replace", path: "active", value: false }] };
check((await scim(token, "PATCH", `/Users/${id}`, off)).status === 200, "the user is deactivated");
await page.waitForSelector(".ticks .good:has-text('Deactivate a user')", { timeout: 30000 });
console.log("ok the page ticks off that users are deactivated");
check((await scim(`${token.slice(0, -1)}x`, "GET", "/Users")).status === 401, "a wrong token is refused");

// Why did the request fail?
await page.goto(`${base}/requests`);
await page.click("text=Failed");
await page.locator("tr", { hasText: "already exists" }).locator("a").click();
const text = await page.textContent("main");
check(text.includes("Why it failed") && text.includes("uniqueness") && text.includes("What to do"), "the failed request is explained");
await accessible(page, "request");
await shoot(page, "request");
await picture(page, "console-request");

// Every page that the navigation leads to, and those of the story.
await page.goto(base);
await shoot(page, "overview");
await picture(page, "console-overview");
await page.emulateMedia({ colorScheme: "dark" });
await picture(page, "console-overview-dark");
await page.emulateMedia({ colorScheme: "light" });
const sections = await page.$$eval("nav a", (links) => links.map((link) => new URL(link.href).pathname));
const paths = [...new Set([...sections, "/add-connection", "/connections/staff", "/connections/okta", "/requests?failed=1", "/sign-in/again"])];
for (const path of paths) {
  let bytes = 0;
  const count = async (response) => { bytes += (await response.body().catch(() => "")).length; };
  page.on("response", count);
  const answer = await page.goto(base + path, { waitUntil: "networkidle" });
  page.off("response", count);
  check(answer.status() === 200, `${path} is there`);
  check(bytes < 100 * 1024, `${path} has ${bytes} bytes with all that it loads`);
  await fits(page, path);
  const name = path.slice(1).replaceAll(/[^a-z]+/g, "-") || "overview";
  await shoot(page, `page-${name}`);
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    await accessible(page, `${path} (${colorScheme})`);
  }
}

// The keyboard reaches the content first, and what has the focus can be seen.
await page.goto(base);
await page.keyboard.press("Tab");
check((await page.evaluate(() => document.activeElement.className)) === "skip", "the first stop skips the navigation");
await page.keyboard.press("Enter");
check((await page.evaluate(() => document.activeElement.id)) === "main", "it leads to the content");

// Without script.
const plain = await open(browser, { javaScriptEnabled: false });
await signIn(plain);
for (const path of paths) {
  const answer = await plain.goto(base + path);
  const seen = await plain.locator("h1").first().textContent();
  check(answer.status() === 200 && seen.trim() !== "", `${path} without script`);
}
await plain.goto(`${base}/add-connection`);
await plain.fill("#name", "plain");
await plain.check("input[value=entra]");
await plain.click("text=Save without a token");
await plain.locator("button", { hasText: "Generate SCIM token" }).click();
await plain.locator("details.secret summary").click();
check((await plain.textContent("#token")).trim().startsWith("scimd_"), "a connection and its token without script");
await plain.goto(`${base}/connections/plain`);
check((await plain.textContent("#waiting")).includes("Waiting for the first request..."), "it waits");
await plain.goto(base);
await plain.click("text=Sign out");
check((await plain.textContent("h1")) === "Sign in", "signing out without script");
await accessible(await open(browser).then(async (fresh) => (await fresh.goto(`${base}/sign-in`), fresh)), "sign-in");

// A session that has ended leads to the sign-in, also a page that keeps itself up to date.
if (!command("console", "link").includes("/link/")) fail("no link");
await browser.close();
end();
