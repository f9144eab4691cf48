// People at Debian's Chromium: by pointer or by keyboard alone, with JavaScript or without. Each page is looked at
// (picture, no sideways scrolling, axe-core) as it comes.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

const axe = createRequire(import.meta.url)('axe-core');
const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];
const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';

/**
 * A browser, and the application to which people are sent back. The addresses of applications have fixed ports, so
 * the browser is told to find them at a free one.
 */
export async function open(facts) {
  const application = createServer((_, answer) => {
    answer.setHeader('content-type', 'text/html');
    answer.end('<!doctype html><html lang="en"><title>Back</title>Back at the application');
  });
  await new Promise((listening) => application.listen(0, '127.0.0.1', listening));
  const here = `127.0.0.1:${application.address().port}`;
  const rules = facts.redirect_uris.map((uri) => `MAP ${new URL(uri).host} ${here}`);
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: ['--no-sandbox', '--disable-dev-shm-usage', '--no-proxy-server', `--host-resolver-rules=${rules.join(',')}`],
  });
  const person = async (who) => {
    const context = await browser.newContext({
      javaScriptEnabled: facts.javascript,
      viewport: { width: facts.width, height: 900 },
      deviceScaleFactor: facts.zoom ?? 1,
      colorScheme: facts.dark ? 'dark' : 'light',
      reducedMotion: 'reduce',
    });
    context.setDefaultTimeout(30_000);
    return new Person(await context.newPage(), facts, facts.people[who]);
  };
  const close = async () => {
    await browser.close();
    application.close();
  };
  return { person, close };
}

class Person {
  constructor(page, facts, { login, password }) {
    Object.assign(this, { page, facts, login, password, complaints: [] });
    page.on('console', (line) => {
      // A page that answers 403 is reported as well, and is as it should be.
      if (line.type() === 'error' && !line.text().startsWith('Failed to load resource')) this.complaints.push(line.text());
    });
    page.on('pageerror', (error) => this.complaints.push(String(error)));
  }

  /** Opens an address, and logs in if that is what is asked. */
  async visit(address) {
    await this.page.goto(address);
    if ((await this.page.locator('[name=password]').count()) === 0) return;
    await this.fill('[name=login]', this.login);
    await this.fill('[name=password]', this.password);
    await Promise.all([this.page.waitForNavigation(), this.page.keyboard.press('Enter')]);
  }

  /** Moves to the element with Tab alone, and sees that the focus can be seen. */
  async reach(target) {
    const wanted = await target.elementHandle();
    for (let presses = 0; presses < 150; presses += 1) {
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

  async fill(selector, text) {
    const field = this.page.locator(selector).first();
    if (this.facts.keyboard) {
      await this.reach(field);
      await this.page.keyboard.press('Control+A');
      await this.page.keyboard.type(text);
    } else {
      await field.fill(text);
      await field.focus();
    }
  }

  async tick(selector) {
    const box = this.page.locator(selector).first();
    if (!this.facts.keyboard) return box.check();
    await this.reach(box);
    await this.page.keyboard.press('Space');
    assert.ok(await box.isChecked());
  }

  /** Presses a button or follows a link, and waits for the page that it leads to. */
  async press(target) {
    const element = typeof target === 'string' ? this.page.locator(target).first() : target;
    await element.waitFor();
    if (this.facts.keyboard) await this.reach(element);
    const act = this.facts.keyboard ? () => this.page.keyboard.press('Enter') : () => element.click();
    await Promise.all([this.page.waitForNavigation(), act()]);
  }

  button(text) {
    return this.page.locator('button, a.button, main a').filter({ hasText: text }).first();
  }

  text() {
    return this.page.innerText('body');
  }

  /** Looks at the page: what any page of ours has to be. */
  async look(name) {
    const { page, facts } = this;
    await page.screenshot({ path: `${facts.output}/${facts.name}-${name}.png`, fullPage: true });
    const { wide, language, title, current } = await page.evaluate(() => ({
      wide: document.documentElement.scrollWidth - window.innerWidth,
      language: document.documentElement.lang,
      title: document.title,
      current: document.querySelectorAll('.ways [aria-current=page]').length,
    }));
    assert.ok(wide <= 0, `${name}: ${wide} px wider than the window`);
    assert.ok(language && title, `${name}: a page has a language and a title`);
    assert.ok(current <= 1, `${name}: at one page at most`);
    assert.deepEqual(this.complaints, [], `${name}: the browser complains`);
    if (!facts.javascript) return;
    await page.evaluate(axe.source);
    const found = await page.evaluate((rules) => window.axe.run(document, { runOnly: rules }), RULES);
    const told = found.violations.map((rule) => `${rule.id}: ${rule.help}: ${rule.nodes.map((node) => node.html).join(' ')}`);
    assert.deepEqual(told, [], `${name}: not accessible`);
  }

  /** Waits until the browser is back at the application; gives the address. */
  async back(redirect) {
    await this.page.waitForURL(`${redirect}**`);
    assert.match(await this.text(), /Back at the application/);
    return this.page.url();
  }
}
