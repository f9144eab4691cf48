// A person at Debian's Chromium. Each page is looked at (picture, no sideways scrolling, axe-core) as it comes.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';
import { done, hear, tell } from './lines.mjs';

const axe = createRequire(import.meta.url)('axe-core');
const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];
const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';

const facts = await hear();
// The application to which people are sent back. Its address has a fixed port, so the browser is told to find it
// at a free one.
const application = createServer((_, answer) => {
  answer.setHeader('content-type', 'text/html');
  answer.end('<!doctype html><html lang="en"><title>Back</title>Back at the application');
});
await new Promise((listening) => application.listen(0, '127.0.0.1', listening));
const browser = await chromium.launch({
  executablePath: CHROMIUM,
  args: [
    '--no-sandbox',
    '--disable-dev-shm-usage',
    '--no-proxy-server',
    `--host-resolver-rules=MAP ${new URL(facts.redirect_uri).host} 127.0.0.1:${application.address().port}`,
  ],
});

/** A person with a browser window of their own. */
async function person(who) {
  const context = await browser.newContext({
    javaScriptEnabled: facts.javascript,
    viewport: { width: facts.width, height: 900 },
    colorScheme: facts.dark ? 'dark' : 'light',
    reducedMotion: 'reduce',
  });
  context.setDefaultTimeout(15_000);
  const page = await context.newPage();
  const complaints = [];
  page.on('console', (line) => {
    // A page that answers 403 is reported as well, and is as it should be.
    if (line.type() === 'error' && !line.text().startsWith('Failed to load resource')) complaints.push(line.text());
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  return { page, complaints, ...facts.people[who] };
}

const pages = [];

/** Looks at a page: what any page of ours has to be. */
async function look(name, { page, complaints }) {
  if (!pages.includes(name)) pages.push(name);
  await page.screenshot({ path: `${facts.output}/${facts.name}-${name}.png`, fullPage: true });
  const { wide, language, title } = await page.evaluate(() => ({
    wide: document.documentElement.scrollWidth - window.innerWidth,
    language: document.documentElement.lang,
    title: document.title,
  }));
  assert.ok(wide <= 0, `${name}: ${wide} px wider than the window`);
  assert.ok(language && title, `${name}: a page has a language and a title`);
  assert.deepEqual(complaints, [], `${name}: the browser complains`);
  if (!facts.javascript) return;
  await page.evaluate(axe.source);
  const found = await page.evaluate((rules) => window.axe.run(document, { runOnly: rules }), RULES);
  const told = found.violations.map((rule) => `${rule.id}: ${rule.help}: ${rule.nodes.map((node) => node.html).join(' ')}`);
  assert.deepEqual(told, [], `${name}: not accessible`);
}

async function logIn(someone) {
  const { page } = someone;
  await page.fill('[name=login]', someone.login);
  await page.fill('[name=password]', someone.password);
  await Promise.all([page.waitForNavigation(), page.press('[name=password]', 'Enter')]);
}

/** Waits until the browser is back at the application; gives the address. */
async function back({ page }) {
  await page.waitForURL(`${facts.redirect_uri}**`);
  assert.match(await page.innerText('body'), /Back at the application/);
  return page.url();
}

const decide = ({ page }, decision) => page.click(`[name=decision][value=${decision}]`);

const stories = {
  async journey() {
    const alice = await person('alice');
    await alice.page.goto(facts.authorize);
    await look('login', alice);
    await logIn(alice);
    await look('not-administrator', alice);
    assert.match(await alice.page.innerText('body'), /administrator/i);

    const admin = await person('admin');
    const { page } = admin;
    await page.goto(facts.authorize);
    await logIn(admin);
    await look('consent', admin);
    const locked = page.locator('input[type=checkbox][name=scope]:disabled, input[type=checkbox]:disabled');
    assert.ok((await locked.count()) > 0, 'required scopes are locked');
    for (const box of await locked.all()) assert.ok(await box.isChecked(), 'and checked');
    const free = page.locator('input[type=checkbox][name=scope]:not(:disabled)');
    assert.ok((await free.count()) > 0, 'optional scopes are free');
    for (const box of await free.all()) assert.ok(!(await box.isChecked()), 'and not checked');
    await free.first().check();
    await decide(admin, 'authorize');
    const authorized = await back(admin);

    await page.goto(facts.console);
    assert.match(await page.innerText('body'), new RegExp(facts.application));
    await look('console', admin);
    const entry = page.locator(`a[href$="/${facts.client_id}"]`);
    await entry.click();
    await look('details', admin);
    await page.locator('a, button, summary').filter({ hasText: 'Delete Application' }).first().click();
    // The confirmation: another page, or a part of this one that was hidden.
    const confirm = page.locator('form[method=post i] button:visible').filter({ hasText: 'Delete Application' });
    await confirm.waitFor();
    await look('confirm', admin);
    await Promise.all([page.waitForNavigation(), confirm.click()]);
    await look('deleted', admin);
    await page.goto(facts.console);
    assert.equal(await entry.count(), 0, 'it is gone from the list');

    await page.goto(facts.authorize);
    await decide(admin, 'reject');
    return { pages, authorized, rejected: await back(admin) };
  },

  /** Asked for, approved, used, narrowed, blocked, unblocked, deleted, asked for again and denied, and then refused. */
  async approval() {
    const alice = await person('alice');
    const admin = await person('admin');
    const { page } = admin;
    const at = (path) => new URL(path, facts.console).href;
    const press = (someone, name) => Promise.all([someone.page.waitForNavigation(), someone.page.getByRole('button', { name }).click()]);
    const follow = (name) => Promise.all([page.waitForNavigation(), page.getByRole('link', { name }).first().click()]);
    const ask = async (someone, shots) => {
      await someone.page.goto(facts.authorize);
      if (await someone.page.locator('[name=password]').count()) await logIn(someone);
      if (shots) await look('ask', someone);
      await someone.page.getByLabel('What you need it for').fill('Cost reports for the board, each month.');
      await press(someone, 'Ask for approval');
      if (shots) await look('asked', someone);
      assert.match(await someone.page.innerText('main'), /You have asked/);
    };
    await ask(alice, true);
    await page.goto(at('/console/requests'));
    await logIn(admin);
    await look('requests', admin);
    await page.locator(`main a[href$="/${facts.client_id}"]`).click();
    assert.match(await page.innerText('main'), /Cost reports for the board/);
    await look('request', admin);
    await follow(/Approve/);
    await look('consent-requested', admin);
    await page.locator('input[name=scope]:not(:disabled)').first().check();
    await press(admin, 'Authorize');
    await look('installed', admin);
    await alice.page.goto(facts.authorize);
    tell({ authorized: await back(alice) });
    await hear();

    await page.goto(at(`/console/applications/${facts.client_id}`));
    await follow('Change the scopes');
    await look('scope', admin);
    await page.locator('input[name=scope]:checked').first().uncheck();
    await press(admin, 'Look at the difference');
    assert.match(await page.innerText('main'), /Removed/);
    await look('scope-review', admin);
    await press(admin, 'Change it');
    tell({ narrowed: page.url() });
    await hear();

    await page.goto(at(`/console/policy/${facts.client_id}`));
    await look('rule', admin);
    await page.getByLabel('Why').fill('It sells what it reads.');
    await press(admin, /^Block/);
    await look('rule-blocked', admin);
    for (const someone of [alice, admin]) {
      await someone.page.goto(facts.authorize);
      assert.match(await someone.page.innerText('main'), /It sells what it reads/);
      await look(someone === admin ? 'blocked-administrator' : 'blocked', someone);
    }
    tell({ blocked: page.url() });
    await hear();
    await page.goto(at(`/console/policy/${facts.client_id}`));
    await press(admin, 'Unblock it');
    await page.goto(at(`/console/applications/${facts.client_id}/delete`));
    await press(admin, 'Delete Application');

    const bob = await person('bob');
    await ask(bob);
    await page.goto(at(`/console/requests/${facts.client_id}`));
    await page.locator('form[action$="/deny"] textarea').fill('Use the reports in the shared folder.');
    await press(admin, 'Deny');
    await page.goto(at('/console/requests?state=denied'));
    await look('requests-denied', admin);
    await bob.page.goto(facts.authorize);
    assert.match(await bob.page.innerText('main'), /Use the reports in the shared folder/);
    await look('denied', bob);

    await page.goto(at('/console/policy'));
    await page.getByLabel('They are refused').check();
    await page.getByLabel('Message to those who are refused').fill('Ask the platform team first.');
    await press(admin, 'Save');
    await look('policy', admin);
    await alice.page.goto(facts.authorize);
    assert.match(await alice.page.innerText('main'), /Ask the platform team first/);
    await look('refused', alice);
    return { pages };
  },

  async keyboard() {
    const admin = await person('admin');
    const { page } = admin;
    await page.goto(facts.authorize);
    /** Presses Tab until the element that has the focus fits, and sees that the focus can be seen. */
    const tabTo = async (selector) => {
      for (let presses = 0; presses < 40; presses += 1) {
        await page.keyboard.press('Tab');
        const here = await page.evaluate((wanted) => {
          const at = document.activeElement;
          const style = getComputedStyle(at);
          const seen = (style.outlineStyle !== 'none' && style.outlineWidth !== '0px') || style.boxShadow !== 'none';
          return { fits: at.matches(wanted), seen, value: at.value };
        }, selector);
        if (here.fits) {
          assert.ok(here.seen, `the focus on ${selector} can be seen`);
          return here.value;
        }
      }
      throw new Error(`no number of Tabs leads to ${selector}`);
    };
    // A field that has the focus already needs no Tab.
    const ready = await page.evaluate(() => document.activeElement.matches('[name=login]'));
    if (!ready) await tabTo('[name=login]');
    await page.keyboard.type(admin.login);
    await tabTo('[name=password]');
    await page.keyboard.type(admin.password);
    await Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')]);
    const chosen = await tabTo('input[type=checkbox][name=scope]:not(:disabled)');
    await page.keyboard.press('Space');
    await look('consent', admin);
    await tabTo('[name=decision][value=authorize]');
    await page.keyboard.press('Enter');
    return { chosen, returned: await back(admin) };
  },
};

try {
  tell(await stories[facts.story]());
} catch (error) {
  tell({ error: error.stack });
}
await browser.close();
application.close();
done();
