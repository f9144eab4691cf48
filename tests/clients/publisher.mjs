// A publisher at Debian's Chromium, by keyboard alone; and the pages of use, each looked at as it comes: picture, no
// sideways scrolling, axe-core.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';
import { done, hear, tell } from './lines.mjs';

const axe = createRequire(import.meta.url)('axe-core');
const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];
const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';

const facts = await hear();
const browser = await chromium.launch({
  executablePath: CHROMIUM,
  args: ['--no-sandbox', '--disable-dev-shm-usage', '--no-proxy-server'],
});
const context = await browser.newContext({
  javaScriptEnabled: facts.javascript,
  viewport: { width: facts.width, height: 900 },
  colorScheme: facts.dark ? 'dark' : 'light',
  reducedMotion: 'reduce',
});
context.setDefaultTimeout(30_000);
const page = await context.newPage();
const complaints = [];
page.on('console', (line) => {
  if (line.type() === 'error' && !line.text().startsWith('Failed to load resource')) complaints.push(line.text());
});
const pages = [];

/** Looks at a page: what any page of ours has to be. */
async function look(name) {
  pages.push(name);
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

/** Presses Tab until the element that has the focus fits, and sees that the focus can be seen. */
async function tabTo(selector) {
  for (let presses = 0; presses < 150; presses += 1) {
    await page.keyboard.press('Tab');
    const here = await page.evaluate((wanted) => {
      const at = document.activeElement;
      const style = getComputedStyle(at);
      const seen = (style.outlineStyle !== 'none' && style.outlineWidth !== '0px') || style.boxShadow !== 'none';
      return { fits: at.matches(wanted), seen };
    }, selector);
    if (here.fits) {
      assert.ok(here.seen, `the focus on ${selector} can be seen`);
      return;
    }
  }
  throw new Error(`no number of Tabs leads to ${selector}`);
}

/** Presses Enter and waits for the page that comes of it. */
const enter = () => Promise.all([page.waitForNavigation(), page.keyboard.press('Enter')]);

async function type(selector, text) {
  await tabTo(selector);
  await page.keyboard.press('Control+A');
  await page.keyboard.type(text);
}

async function logIn(who) {
  const { login, password } = facts.people[who];
  await page.fill('[name=login]', login);
  await page.fill('[name=password]', password);
  await Promise.all([page.waitForNavigation(), page.press('[name=password]', 'Enter')]);
}

const stories = {
  async publisher() {
    await page.goto(`${facts.issuer}/publisher`);
    await logIn('admin');
    await look('list-empty');
    await tabTo('a[href="/publisher/new"]');
    await enter();
    await type('#name', 'intranet');
    await type('#display_name', 'Intranet');
    await type('#redirect_uris', 'http://evil.example/callback');
    await tabTo('select[name="scope:/acs/oss:read"]');
    await page.keyboard.type('required');
    await tabTo('button.main');
    await enter();
    assert.match(await page.innerText('[role=alert]'), /Nothing was registered/);
    await look('refused');
    await type('#redirect_uris', 'http://127.0.0.1:9300/callback');
    await tabTo('button.main');
    await enter();
    const first = await page.innerText('#client-secret');
    assert.match(await page.innerText('h1'), /registered/);
    await look('registered');
    await tabTo('a.button.main');
    await enter();
    const client_id = new URL(page.url()).pathname.split('/').pop();
    assert.ok(!(await page.content()).includes(first), 'a secret is shown once');
    await look('application');
    await type('#display_name', 'Intranet 2');
    await tabTo('button.main');
    await enter();
    assert.match(await page.innerText('h1'), /Intranet 2/);
    await tabTo('form[action$="/secrets"] button');
    await enter();
    const second = await page.innerText('#client-secret');
    await look('secret');
    await tabTo('a.button.main');
    await enter();
    await tabTo('a[href$="/delete"]');
    await enter();
    await look('delete-secret');
    await tabTo('button.danger');
    await enter();
    assert.equal(await page.locator('a[href$="/delete"]').count(), 1, 'one secret is left');
    await look('done');
    return { pages, client_id, first, second };
  },

  async pages() {
    await page.goto(`${facts.issuer}/console/use`);
    await logIn('admin');
    await look('overview');
    await page.goto(`${facts.issuer}/console/report`);
    for (const summary of await page.locator('summary').all()) await summary.click();
    await look('report');
    await page.goto(`${facts.issuer}/console/applications/${facts.client_id}/expiry`);
    await look('expiry');
    await page.fill('#days', 'soon');
    await page.check('#lasts-days');
    await Promise.all([page.waitForNavigation(), page.click('button.main')]);
    await look('expiry-refused');
    await page.goto(`${facts.issuer}/me`);
    await look('mine');
    await page.goto(`${facts.issuer}/publisher/new`);
    await look('new');
    await page.fill('#name', 'a-tool');
    await page.fill('#redirect_uris', 'https://tool.example/callback');
    await Promise.all([page.waitForNavigation(), page.click('button.main')]);
    await page.click('a.button.main');
    await look('published');
    await page.goto(`${facts.issuer}/publisher`);
    await look('list');
    return { pages };
  },
};

try {
  tell(await stories[facts.story]());
} catch (error) {
  tell({ error: error.stack });
}
await browser.close();
done();
