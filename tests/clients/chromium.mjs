// People at Debian's Chromium, and what every page of ours has to be. A story is played by keyboard alone and without
// JavaScript unless the test says otherwise; each page that it looks at is shown once more in windows of our own, wide
// and narrow, light and dark, zoomed and with large text, and told to the test, which knows them all. With
// CONSENTRY_PICTURES set there is a picture of each in tests/output.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';
import { done, hear, tell } from './lines.mjs';

const axe = createRequire(import.meta.url)('axe-core');
/** All of WCAG 2.2 AA, and what of it colours can break. */
const ALL = { type: 'tag', values: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] };
const COLOURS = { type: 'rule', values: ['color-contrast', 'link-in-text-block'] };
const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const PATIENCE = 30_000;

/**
 * How each page is shown. A window of 640 px at two device pixels to one is one of 1280 px at 200 % zoom (WCAG 1.4.4,
 * 1.4.10).
 */
const WAYS = [
  { way: 'light', width: 1280, rules: ALL, tabs: true },
  { way: 'dark', width: 1280, dark: true, rules: COLOURS },
  { way: 'narrow', width: 320, rules: ALL, tabs: true },
  { way: 'large-text', width: 1280, text: '200%' },
  { way: 'zoomed', width: 640, zoomed: true },
];

/** Plays the story that the test names. What it returns is told, and so is its failure. */
export async function play(stories) {
  const facts = await hear();
  const stage = await open(facts);
  try {
    const end = await stories[facts.story](facts, stage);
    await stage.lens?.end();
    tell({ step: 'end', ...end });
  } catch (error) {
    tell({ error: error.stack });
  }
  await stage.close();
  done();
}

/** Tells what has been done, and waits to be told to go on. */
export async function step(name, more = {}) {
  tell({ step: name, ...more });
  await hear();
}

/**
 * A browser, and the application to which people are sent back. The addresses of applications have fixed ports, so
 * the browser is told to find them at a free one.
 */
async function open(facts) {
  const application = createServer((_, answer) => {
    answer.setHeader('content-type', 'text/html');
    answer.end('<!doctype html><html lang="en"><title>Back</title>Back at the application');
  });
  await new Promise((listening) => application.listen(0, '127.0.0.1', listening));
  const here = `127.0.0.1:${application.address().port}`;
  const rules = (facts.redirect_uris ?? []).map((uri) => `MAP ${new URL(uri).host} ${here}`);
  const args = ['--no-sandbox', '--disable-dev-shm-usage', '--no-proxy-server'];
  if (rules.length > 0) args.push(`--host-resolver-rules=${rules.join(',')}`);
  const browser = await chromium.launch({ executablePath: CHROMIUM, args });
  const lens = facts.quick ? undefined : new Lens(browser, facts);
  const person = async (who, more = {}) => {
    const manner = { javascript: false, keyboard: true, width: 1280, ...facts, ...more };
    const context = await browser.newContext({
      javaScriptEnabled: manner.javascript,
      viewport: { width: manner.width, height: 900 },
      reducedMotion: 'reduce',
    });
    context.setDefaultTimeout(PATIENCE);
    return new Person(context, await context.newPage(), manner, lens, facts.people?.[who] ?? {});
  };
  const close = async () => {
    await browser.close();
    application.close();
  };
  return { person, close, lens };
}

/** What the browser complains of. A page that answers 403 is reported as well, and is as it should be. */
function complaints(page) {
  const heard = [];
  page.on('console', (line) => {
    if (line.type() === 'error' && !line.text().startsWith('Failed to load resource')) heard.push(line.text());
  });
  page.on('pageerror', (error) => heard.push(String(error)));
  return heard;
}

/** Windows of our own, in which what a person was answered is shown again: with JavaScript, for who examines it. */
class Lens {
  constructor(browser, facts) {
    Object.assign(this, { browser, facts, windows: new Map(), answer: undefined, faults: [], examined: Promise.resolve() });
  }

  /** Examines an answer after the others, while the story goes on. */
  take(name, url, answer) {
    this.examined = this.examined.then(() => this.examine(name, url, answer)).catch((fault) => this.faults.push(fault));
  }

  /** Waits until all has been examined, and says all that was found. */
  async end() {
    await this.examined;
    assert.deepEqual(this.faults.map((fault) => fault.message), [], 'faults of pages');
  }

  async window(zoomed) {
    if (!this.windows.has(zoomed)) {
      const size = { viewport: { width: 1280, height: 900 }, deviceScaleFactor: zoomed ? 2 : 1 };
      const context = await this.browser.newContext({ ...size, reducedMotion: 'reduce' });
      context.setDefaultTimeout(PATIENCE);
      const page = await context.newPage();
      await page.route('**/*', (route) =>
        route.request().isNavigationRequest() ? route.fulfill(this.answer) : route.continue());
      this.windows.set(zoomed, { page, heard: complaints(page) });
    }
    return this.windows.get(zoomed);
  }

  /** Shows an answer in every way, and examines it. */
  async examine(name, url, answer) {
    this.answer = answer;
    const shown = [false, true].map(async (zoomed) => {
      const { page, heard } = await this.window(zoomed);
      const ways = WAYS.filter((one) => Boolean(one.zoomed) === zoomed);
      await page.setViewportSize({ width: ways[0].width, height: zoomed ? 450 : 900 });
      await page.emulateMedia({ colorScheme: 'light' });
      await page.goto(url);
      await this.through(page, name, ways);
      assert.deepEqual(heard, [], `${name}: the browser complains`);
    });
    await Promise.all(shown);
  }

  /** The same for a page that stands in a window already. */
  async through(page, name, ways = WAYS.filter((one) => !one.zoomed)) {
    if (ways.some((one) => one.rules)) await page.evaluate(axe.source);
    for (const one of ways) await this.look(page, `${name}, ${one.way}`, one, `${this.facts.name}-${name}-${one.way}.png`);
  }

  async look(page, name, one, picture) {
    await page.setViewportSize({ width: one.width, height: one.zoomed ? 450 : 900 });
    await page.emulateMedia({ colorScheme: one.dark ? 'dark' : 'light' });
    const { wide, language, title, current } = await page.evaluate((text) => {
      document.documentElement.style.fontSize = text;
      return {
        wide: document.documentElement.scrollWidth - window.innerWidth,
        language: document.documentElement.lang,
        title: document.title,
        current: [...document.querySelectorAll('.ways [aria-current=page]')].filter((link) => link.checkVisibility()).length,
      };
    }, one.text ?? '');
    if (process.env.CONSENTRY_PICTURES) await page.screenshot({ path: `${this.facts.output}/${picture}`, fullPage: true });
    assert.ok(wide <= 0, `${name}: ${wide} px wider than the window`);
    assert.ok(language && title, `${name}: a page has a language and a title`);
    assert.ok(current <= 1, `${name}: at one page at most`);
    if (one.tabs) await tabThrough(page, name);
    if (!one.rules) return;
    const found = await page.evaluate((rules) => window.axe.run(document, { runOnly: rules, resultTypes: ['violations'] }), one.rules);
    const told = found.violations.map((rule) => `${rule.id}: ${rule.help}: ${rule.nodes.map((node) => node.html).join(' ')}`);
    assert.deepEqual(told, [], `${name}: not accessible`);
  }
}

/**
 * Presses Tab from the beginning of a page to its end: it stops at every control once, in the order of the text, never
 * up and back, and shows where it is.
 */
async function tabThrough(page, name) {
  const { count, presses } = await page.evaluate(() => {
    // From the beginning, wherever the focus was.
    const start = document.createElement('span');
    start.tabIndex = -1;
    document.body.prepend(start);
    start.focus();
    start.remove();
    const all = [...document.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex]')];
    const open = all.filter((one) => !one.disabled && one.type !== 'hidden' && one.tabIndex >= 0 && one.checkVisibility());
    // Of radio buttons with one name the chosen one is a stop, or the first when none is.
    const group = (one) => open.filter((other) => other.type === 'radio' && other.name === one.name && other.form === one.form);
    const stop = (one) => one.type !== 'radio' || one === (group(one).find((other) => other.checked) ?? group(one)[0]);
    const stops = open.filter(stop);
    window.tabbed = [];
    const note = ({ target }) => {
      const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(target);
      const { top, bottom, left, right } = target.getBoundingClientRect();
      window.tabbed.push({
        index: stops.indexOf(target),
        what: target.outerHTML.slice(0, 160),
        shown: (outlineStyle !== 'none' && outlineWidth !== '0px') || boxShadow !== 'none',
        box: { top: top + window.scrollY, bottom: bottom + window.scrollY, left, right },
      });
    };
    if (window.noteTab) document.removeEventListener('focusin', window.noteTab);
    window.noteTab = note;
    document.addEventListener('focusin', note);
    // A field for a date is one control at which Tab stops up to four times. One more leads out, or to the beginning.
    return { count: stops.length, presses: stops.length + 3 * stops.filter((one) => one.type === 'date').length + 1 };
  });
  for (let press = 0; press < presses; press += 1) await page.keyboard.press('Tab');
  const tabbed = await page.evaluate(() => window.tabbed);
  let last = { index: -1, what: 'the beginning' };
  for (const at of tabbed.slice(0, count)) {
    assert.equal(at.index, last.index + 1, `${name}: Tab leads from ${last.what} to ${at.what}`);
    assert.ok(at.shown && at.box.bottom > 0 && at.box.right > 0, `${name}: the focus on ${at.what} can be seen`);
    const back = last.box && at.box.bottom <= last.box.top && at.box.right <= last.box.left;
    assert.ok(!back, `${name}: Tab goes up and back from ${last.what} to ${at.what}`);
    last = at;
  }
  assert.equal(last.index + 1, count, `${name}: Tab does not come beyond ${last.what}`);
  const beyond = tabbed[count];
  assert.ok(!beyond || beyond.index === 0, `${name}: Tab leads from the last control to ${beyond?.what}`);
}

class Person {
  constructor(context, page, manner, lens, { login, password }) {
    Object.assign(this, { context, page, manner, lens, login, password, heard: complaints(page), answer: undefined });
    page.on('response', (response) => {
      const moved = response.status() >= 300 && response.status() < 400;
      if (!moved && response.request().isNavigationRequest() && response.frame() === page.mainFrame()) this.answer = response;
    });
  }

  /** Opens an address, and logs in if that is what is asked. */
  async visit(address) {
    await this.page.goto(address);
    if ((await this.page.locator('[name=password]').count()) > 0 && this.login) await this.logIn();
  }

  /** Fills in the log-in form, and waits for what comes of it. */
  async logIn(login = this.login, password = this.password) {
    await this.fill('[name=login]', login);
    await this.fill('[name=password]', password);
    await this.enter();
  }

  /** Presses Enter in a field, and waits for the page that comes of it. */
  async enter() {
    await Promise.all([this.page.waitForNavigation(), this.page.keyboard.press('Enter')]);
  }

  /** Moves to the element with Tab alone, and sees that the focus can be seen. */
  async reach(target) {
    const wanted = await target.elementHandle();
    for (let presses = 0; presses < 200; presses += 1) {
      const here = await wanted.evaluate((element) => {
        const style = getComputedStyle(element);
        const seen = (style.outlineStyle !== 'none' && style.outlineWidth !== '0px') || style.boxShadow !== 'none';
        return element === document.activeElement && { seen };
      });
      if (here) {
        assert.ok(here.seen, `the focus on ${target} can be seen`);
        return;
      }
      await this.page.keyboard.press('Tab');
    }
    throw new Error(`no number of Tabs leads to ${target}`);
  }

  at(target) {
    return typeof target === 'string' ? this.page.locator(target).first() : target;
  }

  async fill(target, text) {
    const field = this.at(target);
    if (this.manner.keyboard) {
      await this.reach(field);
      await this.page.keyboard.press('Control+A');
      if (text === '') await this.page.keyboard.press('Delete');
      await this.page.keyboard.type(text);
    } else {
      await field.fill(text);
      await field.focus();
    }
  }

  /** Chooses an option by the words that it begins with. */
  async choose(target, words) {
    const list = this.at(target);
    if (this.manner.keyboard) {
      await this.reach(list);
      await this.page.keyboard.type(words);
    } else {
      const options = await list.locator('option').allInnerTexts();
      await list.selectOption({ label: options.find((one) => one.startsWith(words)) });
    }
    const chosen = await list.evaluate((element) => element.selectedOptions[0].text);
    assert.ok(chosen.startsWith(words), `${words} is chosen, not ${chosen}`);
  }

  /** Ticks a box, or clears it. */
  async tick(target, wanted = true) {
    // The same box, though what it was found by holds no more once it is ticked.
    const box = await this.at(target).elementHandle();
    if (!this.manner.keyboard) return box.setChecked(wanted);
    await this.reach(this.at(target));
    await this.page.keyboard.press('Space');
    assert.equal(await box.isChecked(), wanted);
  }

  /** Chooses a radio button: the arrows lead from the one that Tab stops at to the others. */
  async pick(target) {
    const wanted = this.at(target);
    if (!this.manner.keyboard) return wanted.check();
    const name = await wanted.getAttribute('name');
    const form = wanted.locator('xpath=ancestor::form');
    const group = form.locator(`input[type=radio][name="${name}"]`);
    const count = await group.count();
    let first = group.first();
    for (const one of await group.all()) if (await one.isChecked()) first = one;
    await this.reach(first);
    for (let presses = 0; presses < count && !(await wanted.isChecked()); presses += 1) await this.page.keyboard.press('ArrowDown');
    assert.ok(await wanted.isChecked());
  }

  /** Presses a button or follows a link, and waits for the page that it leads to. */
  async press(target) {
    const element = this.at(target);
    await element.waitFor();
    if (this.manner.keyboard) await this.reach(element);
    await Promise.all([this.page.waitForNavigation(), this.act(element)]);
  }

  /** Presses a button, whatever comes of it. */
  async act(target) {
    const element = this.at(target);
    if (!this.manner.keyboard) return element.click();
    await this.reach(element);
    await this.page.keyboard.press('Enter');
  }

  /** Follows a link at the head of the page, out of the menu where they stand in one. */
  async go(label) {
    const menu = this.page.locator('.menu summary');
    if (await menu.isVisible()) await this.act(menu);
    const link = new RegExp(`^${label}$`);
    await this.press(this.page.locator('.ways a:visible').filter({ hasText: link }).first());
  }

  /** The button or the link with these words. */
  button(text) {
    return this.page.locator('button, a.button, main a').filter({ hasText: text }).first();
  }

  text() {
    return this.page.innerText('body');
  }

  /** Sees that the page says something. */
  async reads(words) {
    assert.match(await this.text(), words);
  }

  /** Looks at the page: what any page of ours has to be. What only JavaScript says is examined in the place itself. */
  async look(name, { inPlace = false } = {}) {
    const answer = this.answer;
    const [html, headers] = [await answer.text(), await answer.allHeaders()];
    const { pathname } = new URL(answer.url());
    tell({ look: name, method: answer.request().method(), path: pathname, status: answer.status(), html });
    assert.deepEqual(this.heard, [], `${name}: the browser complains`);
    const policy = headers['content-security-policy'] ?? '';
    assert.ok(policy.startsWith("default-src 'none'; "), `${name}: ${policy}`);
    // Nothing can differ without JavaScript where none may run.
    if (!policy.includes('script-src')) assert.ok(!/<script/i.test(html), `${name}: a script that may not run`);
    if (!this.lens) return;
    if (inPlace) return this.lens.through(this.page, name).then(() => this.page.setViewportSize({ width: this.manner.width, height: 900 }));
    for (const header of ['set-cookie', 'content-length', 'content-encoding', 'transfer-encoding']) delete headers[header];
    this.lens.take(name, answer.url(), { status: answer.status(), headers, body: html });
  }

  /** Waits until the browser is back at the application; gives the address. */
  async back(redirect) {
    await this.page.waitForURL(`${redirect}**`);
    await this.reads(/Back at the application/);
    return this.page.url();
  }
}
