// What operators do: why a user has its access, a deactivation, and an undo that is confirmed by typing.
import { accessible, base, check, command, end, fits, launch, open, shoot, signIn } from "./browser.mjs";

const USER = "urn:ietf:params:scim:schemas:core:2.0:User";
const token = command("token", "generate", "--connection", "okta");
const scim = (method, path, body) =>
  fetch(`${process.env.SCIMD_URL}/scim/v2${path}`, {
    method,
    headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/scim+json" },
    body: body && JSON.stringify(body),
  });
const evil = "<img src=x onerror=alert(1)>";
const created = await scim("POST", "/Users", { schemas: [USER], userName: "grace@example.com", displayName: evil });
const { id } = await created.json();

const browser = await launch();
const page = await open(browser);
await signIn(page);

await page.goto(`${base}/users?q=grace`);
check((await page.textContent("tbody")).includes(evil), "what a client sets is text");
await page.click("text=grace@example.com");
await accessible(page, "user");
await shoot(page, "user");
await page.click("text=Why does this user have its access?");
check((await page.textContent("#why ~ div")).includes("the user itself"), "the access of a user is explained");
await page.fill("#grant", "company:admin");
await page.keyboard.press("Enter");
check((await page.textContent("main div[role=status]")).includes("gained"), "what a grant would change is shown");
await accessible(page, "access of a user");
await fits(page, "access of a user");
await shoot(page, "user-access");

// What clients send is text in the request log as well.
for (const path of [`/Users/${encodeURIComponent(evil)}`, `/Users?filter=${encodeURIComponent(evil)}`]) {
  const headers = { Authorization: `Bearer ${token}`, "User-Agent": evil };
  check((await fetch(`${process.env.SCIMD_URL}/scim/v2${path}`, { headers })).status >= 400, "a hostile request is refused");
}
await page.goto(`${base}/requests?failed=1`);
const hostile = page.locator("tbody tr", { hasText: "img" }).or(page.locator("tbody tr", { hasText: "/Users" })).locator("a");
const links = await hostile.evaluateAll((all) => all.map((link) => link.href));
check(links.length >= 2, "the log has them");
for (const link of ["/", "/requests", "/connections/okta", ...links.slice(0, 3)]) {
  await page.goto(new URL(link, base).href);
  check((await page.locator("img, main script").count()) === 0, `${new URL(link, base).pathname} shows them as text`);
}

await page.goto(`${base}/users/${id}`);
await page.fill("#reason", "laptop stolen");
await page.click("text=Deactivate this user");
check((await page.textContent(".notice")).includes("is deactivated"), "a user is deactivated");
check((await page.textContent(".timeline")).includes("laptop stolen"), "the history has the reason");
await page.click("text=Activate this user");
check((await page.textContent("h1")).includes("active"), "and activated again");

// The identity provider deletes it; an undo brings it back. It goes back to a whole second.
await new Promise((resolve) => setTimeout(resolve, 1100));
const since = new Date().toISOString().replace(/\.\d+Z$/, "Z");
check((await scim("DELETE", `/Users/${id}`)).status === 204, "the user is deleted");
await page.goto(`${base}/undo`);
await page.fill("#since", since);
await page.fill("#connection", "okta");
await page.click("text=Show the plan");
check((await page.textContent("#plan ~ p")).includes("restore"), "the plan is shown");
await accessible(page, "plan of an undo");
await fits(page, "plan of an undo");
await shoot(page, "undo");
const plan = await page.textContent("main");
check(plan.includes("grace@example.com"), "the plan names the user");
await page.fill("#confirmation", "undo");
await page.click("text=Undo these changes");
check((await page.textContent("main")).includes("Undone:"), "the undo is done");

// Without script.
const plain = await open(browser, { javaScriptEnabled: false });
await signIn(plain);
await plain.goto(`${base}/audit`);
await plain.fill("#event", "directory.undone");
await plain.click("button.primary");
check((await plain.textContent(".timeline")).includes("directory.undone"), "the audit log has the undo");
await plain.click("text=Verify chain");
check((await plain.textContent("h1")) === "Hash chain intact", "the chain is verified");
check((await plain.textContent("main")).includes("What was checked"), "and the page says what was checked");

// The page of the check, and the form of a connection with all that it has.
await page.goto(`${base}/audit/verified`);
await accessible(page, "check of the chain");
await fits(page, "check of the chain");
await shoot(page, "audit-verified");
await page.goto(`${base}/add-connection`);
await page.evaluate(() => document.querySelectorAll("main details").forEach((part) => { part.open = true; }));
await fits(page, "form with all settings");
await shoot(page, "connection-form");
await page.goto(`${base}/brake?connection=okta`);
await shoot(page, "brake");
await browser.close();
end();
