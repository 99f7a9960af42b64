// Signing in at an OpenID provider: roles by groups, a user without a role, and signing in again.
import { accessible, base, check, end, launch, open, shoot } from "./browser.mjs";

const issuer = process.env.SCIMD_PROVIDER;
const browser = await launch();

// Goes through the pages of the provider: name and password, then consent where it was not given yet.
async function atProvider(page, name) {
  await page.waitForURL(`${issuer}/**`);
  await page.fill("input[name=login]", name);
  await page.fill("input[name=password]", "any");
  await page.click("button[type=submit]");
  const consent = page.locator("button", { hasText: "Continue" });
  await consent.or(page.locator("#main")).first().waitFor();
  if (await consent.isVisible()) await consent.click();
  await page.waitForURL(`${base}/**`);
}

async function signIn(name) {
  const page = await open(browser);
  await page.goto(`${base}/operators`);
  await page.click("text=Sign in at 127.0.0.1");
  await atProvider(page, name);
  return page;
}
const alert = (page) => page.textContent("[role=alert]");
const heading = (page) => page.textContent("h1");

// An administrator.
const admin = await signIn("ada");
await admin.waitForURL(`${base}/operators`);
check((await heading(admin)) === "Operators", "the provider's administrator goes on where they wanted to");
const who = await admin.textContent(".who");
check(who.includes("ada@example.com (sub ada)") && who.includes("admin"), "a group gives the role admin");

// What needs a recent sign-in is asked for again, with max_age: the provider's own session is enough while it is young.
async function add(page, name) {
  await page.goto(`${base}/operators`);
  await page.fill("#name", name);
  await page.locator("form[action='/operators'] button").click();
}
await add(admin, "bob");
check((await heading(admin)) === "Sign in again", "to add an operator, sign in again");
await accessible(admin, "sign in again at the provider");
await shoot(admin, "oidc-again");
await admin.click("text=Sign in at 127.0.0.1");
await admin.waitForURL((url) => url.href.startsWith(`${base}/operators`));
check(true, "a young session of the provider is enough");
await add(admin, "bob");
check((await heading(admin)).includes("bob"), "then an operator is added");

// An old one is not: the provider asks for the password again.
const later = await signIn("ada");
await later.waitForURL(`${base}/operators`);
await fetch(`${issuer}/age`);
await add(later, "carol");
await later.click("text=Sign in at 127.0.0.1");
await atProvider(later, "ada");
check(!(await later.textContent("main")).includes("carol"), "nothing was done before");
await add(later, "carol");
check((await heading(later)).includes("carol"), "after the password the operator is added");

// Another user of the provider does not take the session over.
const taken = await signIn("ada");
await taken.waitForURL(`${base}/operators`);
await taken.context().clearCookies({ domain: "127.0.0.1" });
await add(taken, "dan");
await taken.click("text=Sign in at 127.0.0.1");
await atProvider(taken, "vera");
check((await alert(taken)).includes("another user"), "another user is refused when signing in again");
await taken.goto(`${base}/operators`);
check((await taken.textContent(".who")).includes("ada@example.com"), "the session stays that of the one who had it");
check(!(await taken.textContent("main")).includes("dan"), "and nothing was done");

// A viewer, and a user whose groups give no role.
const viewer = await signIn("vera");
check((await viewer.textContent("main")).includes("needs the role admin"), "a viewer may not manage operators");
await viewer.goto(base);
check((await viewer.textContent(".who")).includes("viewer"), "another group gives the role viewer");
const stranger = await signIn("mallory");
check((await alert(stranger)).includes("no role here"), "a user without such a group is refused");
await shoot(stranger, "oidc-refused");
await stranger.goto(`${base}/users`);
check((await heading(stranger)) === "Sign in", "and has no session");

// Someone goes back at the provider.
const undecided = await open(browser);
await undecided.goto(`${base}/sign-in/oidc`);
await undecided.click("text=Cancel");
await undecided.waitForURL(`${base}/**`);
check((await alert(undecided)).includes("access_denied"), "a cancelled sign-in is explained");

// Without script.
const plain = await open(browser, { javaScriptEnabled: false });
await plain.goto(`${base}/sign-in/oidc`);
await atProvider(plain, "vera");
await plain.goto(base);
check((await heading(plain)) === "Overview", "signing in at the provider without script");
await browser.close();
end();
