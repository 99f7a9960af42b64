// Chromium, and what every page holds to in it.
import { createRequire } from "node:module";
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { chromium } from "playwright-core";

export const base = process.env.SCIMD_CONSOLE;
const axe = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const failures = [];

export const fail = (what) => {
  failures.push(what);
  console.log(`FAILED ${what}`);
};
export const check = (holds, what) => (holds ? console.log(`ok ${what}`) : fail(what));

export const launch = () =>
  chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-dev-shm-usage"] });

// A window of its own, whose errors and violations of the content security policy are failures.
export async function open(browser, options = {}) {
  const context = await browser.newContext({
    ignoreHTTPSErrors: true,
    viewport: { width: 1180, height: 800 },
    reducedMotion: "reduce",
    ...options,
  });
  context.setDefaultTimeout(30000);
  const page = await context.newPage();
  page.on("console", (message) => {
    const text = message.text();
    if (/Content Security Policy|Trusted Type|violates/i.test(text)) fail(`policy at ${page.url()}: ${text}`);
  });
  page.on("pageerror", (error) => fail(`script at ${page.url()}: ${error}`));
  page.on("dialog", (dialog) => {
    // Only leaving a page with a secret that was not copied asks anything.
    if (dialog.type() !== "beforeunload") fail(`script at ${page.url()}: ${dialog.type()} ${dialog.message()}`);
    return dialog.accept();
  });
  return page;
}

export const command = (...words) =>
  execFileSync(process.env.SCIMD_BINARY, [...words, "--config", `${process.env.SCIMD_FOLDER}/config.toml`], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  }).trim();

// Signs in with a one-time link.
export async function signIn(page, link = command("console", "link")) {
  await page.goto(base + new URL(link).pathname);
  await page.click("button.primary");
  await page.waitForURL(`${base}/**`);
}

// axe-core without any finding. It is run outside of the page's world, which its policy allows no script of others.
export async function accessible(page, what) {
  const session = await page.context().newCDPSession(page);
  await session.send("Page.setBypassCSP", { enabled: true });
  await page.reload();
  await page.addScriptTag({ path: axe });
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  for (const { id, nodes } of violations) fail(`axe ${what}: ${id}: ${nodes.map((node) => node.html).slice(0, 3).join(" ")}`);
  if (violations.length === 0) console.log(`ok axe ${what}`);
  await session.send("Page.setBypassCSP", { enabled: false });
  await session.detach();
}

// No part of a page is wider than a window of 320 pixels, which is one of 1280 at 400 % zoom.
export async function fits(page, what) {
  const size = page.viewportSize();
  await page.setViewportSize({ width: 320, height: 640 });
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  check(wide <= 320, `${what} at 400 % zoom is ${wide} pixels wide`);
  await page.setViewportSize(size);
}

export async function shoot(page, name) {
  const shots = process.env.SCIMD_SHOTS;
  for (const [suffix, colorScheme, width] of [["light", "light", 1180], ["dark", "dark", 1180], ["phone", "light", 390]]) {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize({ width, height: 800 });
    await page.screenshot({ path: `${shots}/${name}-${suffix}.png`, fullPage: true });
  }
  await page.emulateMedia({ colorScheme: "light" });
  await page.setViewportSize({ width: 1180, height: 800 });
}

// A picture for the documents.
export async function picture(page, name, options = {}) {
  const folder = process.env.SCIMD_PICTURES;
  if (!folder) return;
  mkdirSync(folder, { recursive: true });
  await page.screenshot({ path: `${folder}/${name}.png`, ...options });
}

export function end() {
  if (failures.length > 0) {
    console.log(`${failures.length} failed`);
    process.exit(1);
  }
  console.log("all passed");
}
