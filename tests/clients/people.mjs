// People at a real control plane: a first account, its users, their passkeys and codes. All of it by keyboard alone, and
// without JavaScript but for passkeys, which browsers give to scripts only.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { play } from './chromium.mjs';

const PASSWORD = 'correct horse battery';
const ANOTHER = 'staple battery horse';

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

const signOut = (someone) => someone.press('form[action="/logout"] button');
const key = async ({ page }) => (await page.locator('.qr + p code').innerText()).trim();

async function setPassword(someone, link, look) {
  await someone.page.goto(link);
  if (look) await someone.look(look);
  await someone.fill('[name=password]', PASSWORD);
  await someone.fill('[name=again]', PASSWORD);
  await someone.press('main form button.main');
  await someone.reads(/Your password is set/);
}

await play({
  async people({ issuer, link }, { person }) {
    const at = (path) => `${issuer}${path}`;
    const signIn = async (someone, login, password = PASSWORD, onward = '/me/security') => {
      await someone.page.goto(at(`/login?continue=${onward}`));
      await someone.logIn(login, password);
    };

    const root = await person();
    await setPassword(root, link, 'set-password');
    await root.page.goto(link);
    await root.reads(/sets no password/);
    await root.look('spent-link');
    await signIn(root, 'root@acme', 'not the password', '/console/people');
    await root.look('wrong-password');
    await signIn(root, 'root@acme', PASSWORD, '/console/people');
    await root.look('list');
    await root.press(root.button('Groups'));
    await root.fill('[name=name]', 'ops');
    await root.fill('[name=description]', 'On call');
    await root.press(root.button('Add the group'));
    await root.look('group');
    await root.press(root.button('Groups'));
    await root.look('groups');
    await root.press(root.button('Roles'));
    await root.fill('[name=name]', 'deploy');
    await root.press(root.button('Add the role'));
    await root.look('roles');
    await root.press(root.button('Users'));
    await root.press(root.button('Add a user'));
    await root.look('new');
    await root.fill('[name=name]', 'carol');
    await root.fill('[name=groups]', 'nowhere');
    await root.press(root.button('Add the user'));
    await root.look('new-refused');
    await root.fill('[name=groups]', 'ops');
    await root.fill('[name=display_name]', 'Carol');
    await root.press(root.button('Add the user'));
    await root.look('person');
    const handed = await root.page.innerText('.notice .address');

    // A passkey, in an authenticator that Chromium plays.
    const carol = await person('carol', { javascript: true });
    const { page, context } = carol;
    await setPassword(carol, handed);
    await signIn(carol, 'carol@acme');
    await carol.look('security');
    const devtools = await context.newCDPSession(page);
    await devtools.send('WebAuthn.enable');
    const { authenticatorId } = await devtools.send('WebAuthn.addVirtualAuthenticator', {
      options: {
        protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true,
        isUserVerified: true, automaticPresenceSimulation: true,
      },
    });
    const verified = (isUserVerified) => devtools.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified });
    await carol.fill('[name=name]', 'Laptop');
    await carol.press(carol.button('Add a passkey'));
    await carol.look('new-passkey');
    await Promise.all([page.waitForURL(at('/me/security')), carol.act(carol.button('Make it'))]);
    await carol.reads(/Laptop/);
    await carol.look('security-passkey');
    const { credentials } = await devtools.send('WebAuthn.getCredentials', { authenticatorId });
    assert.ok(credentials[0].isResidentCredential, 'it is found without a login');
    for (const login of ['', 'carol@acme']) {
      await signOut(carol);
      await page.goto(at('/login?continue=/me/security'));
      await carol.fill('[name=login]', login);
      await carol.act(carol.button('Use a passkey'));
      await page.waitForURL(at('/me/security'));
      assert.match(await page.innerText('.who'), /carol@acme/);
    }
    // Without finger or PIN the browser gives nothing, and nobody is logged in.
    await signOut(carol);
    await verified(false);
    await page.goto(at('/login?continue=/me/security'));
    await carol.act(carol.button('Use a passkey'));
    await page.getByText('The browser gave no passkey').waitFor();
    await carol.look('ask-passkey', { inPlace: true });
    await verified(true);
    await Promise.all([page.waitForURL(at('/me/security')), carol.act(carol.button('Use a passkey'))]);
    // Removed here, the authenticator's key opens nothing any more.
    await carol.press(carol.button('Remove'));
    assert.equal(await page.locator('main table').count(), 0, 'the list is empty');
    await signOut(carol);
    await page.goto(at('/login?continue=/me/security'));
    await carol.act(carol.button('Use a passkey'));
    await page.getByText('does not prove who you are').waitFor();
    await carol.look('passkey-refused');

    // Codes, and another password.
    const plain = await person('carol');
    await signIn(plain, 'carol@acme');
    await plain.press(plain.button('Set up an authenticator'));
    await plain.look('set-up');
    const kept = await key(plain);
    await plain.fill('[name=code]', '000000');
    await plain.press(plain.button('Turn it on'));
    await plain.look('set-up-refused');
    await plain.reads(/The code is not right/);
    assert.equal(await key(plain), kept, 'the same key, asked for again');
    await plain.fill('[name=code]', code(kept));
    await plain.press(plain.button('Turn it on'));
    await plain.look('codes');
    const recovery = await plain.page.locator('.lines code').first().innerText();
    await plain.press(plain.button('I have kept them'));
    await plain.look('security-on');
    await plain.fill('#current', PASSWORD);
    await plain.fill('#password', ANOTHER);
    await plain.fill('#again', ANOTHER);
    await plain.press(plain.button('Change the password'));
    await signOut(plain);
    await signIn(plain, 'carol@acme', ANOTHER);
    await plain.look('code');
    await plain.fill('[name=code]', '000000');
    await plain.enter();
    await plain.look('code-refused');
    await plain.fill('[name=code]', code(kept, 30));
    await plain.press(plain.button('Sign in'));
    assert.equal(plain.page.url(), at('/me/security'));
    await signOut(plain);
    await signIn(plain, 'carol@acme', ANOTHER);
    await plain.fill('[name=code]', recovery);
    await plain.press(plain.button('Sign in'));
    assert.equal(plain.page.url(), at('/me/security'));
    const stranger = await person('carol');
    await stranger.page.goto(at('/login'));
    await stranger.press(stranger.button('Use a passkey'));
    await stranger.reads(/pages with JavaScript only/);

    // Who lost it all is reset by the root identity.
    await root.visit(at('/console/people/users/carol@acme'));
    await root.look('person-with-passkeys');
    await root.press(root.button('Reset passkeys and authenticator'));
    await plain.page.goto(at('/me/security'));
    assert.match(plain.page.url(), /\/login/, 'signed out by the reset');
    await signIn(plain, 'carol@acme', ANOTHER);
    assert.equal(plain.page.url(), at('/me/security'));

    // From now on administrators need more than a password, and set it up when they sign in.
    await root.visit(at('/console/people'));
    await root.press(root.button('Demand a second factor'));
    await signIn(root, 'root@acme', PASSWORD, '/console/people');
    await root.reads(/demands more than a password/);
    await root.look('demanded');
    await root.fill('[name=code]', code(await key(root)));
    await root.press(root.button('Turn it on'));
    await root.press('a.button.main');
    assert.equal(root.page.url(), at('/console/people'));
  },
});
