// People at a real control plane in Debian's Chromium: a first account, its users, their passkeys and codes. Each page
// is looked at as it comes: wide and narrow, in the light and in the dark, by axe-core.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';
import { done, hear, tell } from './lines.mjs';

const axe = createRequire(import.meta.url)('axe-core');
const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'];
const PASSWORD = 'correct horse battery';

const facts = await hear();
const at = (path) => `${facts.issuer}${path}`;
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-dev-shm-usage', '--no-proxy-server'],
});

async function person(javaScriptEnabled = true) {
  const context = await browser.newContext({ javaScriptEnabled, viewport: { width: 1280, height: 900 }, reducedMotion: 'reduce' });
  context.setDefaultTimeout(15_000);
  const page = await context.newPage();
  const complaints = [];
  page.on('console', (line) => {
    if (line.type() === 'error' && !line.text().startsWith('Failed to load resource')) complaints.push(line.text());
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  return { context, page, complaints };
}

const pages = [];

async function look(name, { page, complaints }) {
  pages.push(name);
  for (const [how, width, colorScheme] of [['wide', 1280, 'light'], ['narrow', 320, 'light'], ['dark', 1280, 'dark']]) {
    await page.setViewportSize({ width, height: 900 });
    await page.emulateMedia({ colorScheme });
    await page.screenshot({ path: `${facts.output}/people-${name}-${how}.png`, fullPage: true });
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    assert.ok(wide <= 0, `${name}: ${wide} px wider than ${width}`);
    await page.evaluate(axe.source);
    const found = await page.evaluate((rules) => window.axe.run(document, { runOnly: rules }), RULES);
    const told = found.violations.map((rule) => `${rule.id}: ${rule.help}: ${rule.nodes.map((node) => node.html).join(' ')}`);
    assert.deepEqual(told, [], `${name}, ${how}: not accessible`);
  }
  assert.deepEqual(complaints, [], `${name}: the browser complains`);
  await page.emulateMedia({ colorScheme: 'light' });
  await page.setViewportSize({ width: 1280, height: 900 });
}

/** Presses a button or a link and waits for the page after it. */
async function press({ page }, name) {
  const it = page.getByRole('button', { name }).or(page.getByRole('link', { name })).first();
  await Promise.all([page.waitForNavigation(), it.click()]);
}

async function logIn(someone, login, onward = '/me/security') {
  const { page } = someone;
  await page.goto(at(`/login?continue=${onward}`));
  await page.fill('[name=login]', login);
  await page.fill('[name=password]', PASSWORD);
  await press(someone, 'Sign in');
}

async function setPassword(someone, link) {
  const { page } = someone;
  await page.goto(link);
  await page.fill('[name=password]', PASSWORD);
  await page.fill('[name=again]', PASSWORD);
  await press(someone, 'Set the password');
  assert.match(await page.innerText('body'), /Your password is set/);
}

/** RFC 6238 at so many seconds from now. */
function code(key, later = 0) {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
  const bits = [...key.replaceAll(' ', '')].map((c) => alphabet.indexOf(c).toString(2).padStart(5, '0')).join('');
  const secret = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor((Date.now() / 1000 + later) / 30)));
  const mac = createHmac('sha1', secret).update(counter).digest();
  const number = (mac.readUInt32BE(mac[19] & 15) & 0x7fffffff) % 1_000_000;
  return String(number).padStart(6, '0');
}

async function story() {
  const root = await person();
  await root.page.goto(facts.link);
  await look('set-password', root);
  await setPassword(root, facts.link);
  await root.page.goto(facts.link);
  assert.match(await root.page.innerText('body'), /sets no password/);

  await root.page.goto(at('/login?continue=/console/people'));
  await look('login', root);
  await logIn(root, 'root@acme', '/console/people');
  await look('list', root);
  await root.page.goto(at('/console/people/groups'));
  await root.page.fill('[name=name]', 'ops');
  await root.page.fill('[name=description]', 'On call');
  await press(root, 'Add the group');
  await look('group', root);
  await root.page.goto(at('/console/people/groups'));
  await look('groups', root);
  await root.page.goto(at('/console/people/roles'));
  await root.page.fill('[name=name]', 'deploy');
  await press(root, 'Add the role');
  await look('roles', root);
  await root.page.goto(at('/console/people/new'));
  await root.page.fill('[name=name]', 'carol');
  await root.page.fill('[name=groups]', 'nowhere');
  await press(root, 'Add the user');
  await look('new', root);
  await root.page.fill('[name=groups]', 'ops');
  await root.page.fill('[name=display_name]', 'Carol');
  await press(root, 'Add the user');
  await look('person', root);
  const link = await root.page.innerText('.notice .address');

  const carol = await person();
  const { page, context } = carol;
  await setPassword(carol, link);
  await logIn(carol, 'carol@acme');
  await look('security', carol);

  // A passkey, in an authenticator that Chromium plays.
  const devtools = await context.newCDPSession(page);
  await devtools.send('WebAuthn.enable');
  const { authenticatorId } = await devtools.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true,
      isUserVerified: true, automaticPresenceSimulation: true,
    },
  });
  const verified = (isUserVerified) => devtools.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified });
  await page.fill('[name=name]', 'Laptop');
  await press(carol, 'Add a passkey');
  await look('new-passkey', carol);
  await Promise.all([page.waitForURL(at('/me/security')), page.getByRole('button', { name: 'Make it' }).click()]);
  assert.match(await page.innerText('body'), /Laptop/);
  await look('security-passkey', carol);
  const { credentials } = await devtools.send('WebAuthn.getCredentials', { authenticatorId });
  assert.ok(credentials[0].isResidentCredential, 'it is found without a login');

  const signOut = async () => press(carol, 'Sign out');
  for (const login of ['', 'carol@acme']) {
    await signOut();
    await page.goto(at('/login?continue=/me/security'));
    await page.fill('[name=login]', login);
    await page.getByRole('button', { name: 'Use a passkey' }).click();
    await page.waitForURL(at('/me/security'));
    assert.match(await page.innerText('.who'), /carol@acme/);
  }
  // Without finger or PIN the browser gives nothing, and nobody is logged in.
  await signOut();
  await verified(false);
  await page.goto(at('/login?continue=/me/security'));
  await page.getByRole('button', { name: 'Use a passkey' }).click();
  await page.getByText('The browser gave no passkey').waitFor();
  await look('ask-passkey', carol);
  await verified(true);
  await Promise.all([page.waitForURL(at('/me/security')), page.getByRole('button', { name: 'Use a passkey' }).click()]);

  // Removed here, the authenticator's key opens nothing any more.
  await press(carol, 'Remove Laptop');
  assert.equal(await page.locator('main table').count(), 0, 'the list is empty');
  await signOut();
  await page.goto(at('/login?continue=/me/security'));
  await page.getByRole('button', { name: 'Use a passkey' }).click();
  await page.getByText('does not prove who you are').waitFor();
  await look('passkey-refused', carol);

  // Codes.
  await logIn(carol, 'carol@acme');
  await press(carol, 'Set up an authenticator');
  await look('set-up', carol);
  const key = (await page.locator('.qr + p code').innerText()).trim();
  await page.fill('[name=code]', '000000');
  await press(carol, 'Turn it on');
  assert.match(await page.innerText('body'), /The code is not right/);
  await page.fill('[name=code]', code(await page.locator('.qr + p code').innerText()));
  assert.equal((await page.locator('.qr + p code').innerText()).trim(), key, 'the same key, asked for again');
  await press(carol, 'Turn it on');
  await look('codes', carol);
  const recovery = await page.locator('.lines code').first().innerText();
  await press(carol, 'I have kept them');
  await look('security-on', carol);
  await signOut();
  await logIn(carol, 'carol@acme');
  await look('code', carol);
  await page.fill('[name=code]', code(key, 30));
  await press(carol, 'Sign in');
  await page.waitForURL(at('/me/security'));

  // Without JavaScript: password and a recovery code; a passkey says what it needs.
  const plain = await person(false);
  await logIn(plain, 'carol@acme');
  await plain.page.fill('[name=code]', recovery);
  await press(plain, 'Sign in');
  await plain.page.waitForURL(at('/me/security'));
  await plain.page.goto(at('/login'));
  await plain.page.getByRole('button', { name: 'Use a passkey' }).click();
  await plain.page.getByText('pages with JavaScript only').waitFor();

  // Who lost it all is reset by the root identity.
  await root.page.goto(at('/console/people/users/carol@acme'));
  await press(root, 'Reset passkeys and authenticator');
  await page.goto(at('/me/security'));
  assert.match(page.url(), /\/login/, 'signed out by the reset');
  await logIn(carol, 'carol@acme');
  await page.waitForURL(at('/me/security'));
  return { pages };
}

try {
  tell(await story());
} catch (error) {
  tell({ error: error.stack, pages });
}
await browser.close();
done();
