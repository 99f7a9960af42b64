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
await browser.close();
end();
