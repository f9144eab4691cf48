// Administrators and users at the console, from the login on. After each step the test that started this calls the
// sidecar, and says to go on.
import assert from 'node:assert/strict';
import { play, step } from './chromium.mjs';

await play({
  /** Seed behaviour 8: provisioned, assigned, agreed to in person, and each of these undone. */
  async official({ console: home, official }, { person }) {
    const admin = await person('admin');
    await admin.visit(home);
    await admin.look('applications-none');
    await admin.go('Official applications');
    await admin.look('official');
    await admin.press(admin.button('Provision'));
    await admin.look('offer');
    await admin.press('main form button.main');
    await admin.look('assignments-none');

    const alice = await person('alice');
    await alice.visit(official.authorize);
    await alice.look('not-assigned');
    await alice.reads(/Ask an administrator to assign it/);
    await step('provisioned');

    await admin.fill('#find', 'ali');
    await admin.press('form:has(#find) button');
    await admin.tick('[name=name]');
    await admin.press(admin.button('Add users'));
    await admin.reads(/Saved, and every sidecar knows it/);
    await admin.fill('#names', 'nobody@acme');
    await admin.press(admin.button('Add users'));
    await admin.look('assignments-refused');
    await admin.reads(/Nothing was changed/);

    await alice.visit(official.authorize);
    await alice.look('personal');
    await alice.press('[name=decision][value=reject]');
    const refused = await alice.back(official.redirect_uri);
    assert.match(refused, /error=access_denied/);
    await alice.visit(official.authorize);
    await step('asked');
    await alice.press('[name=decision][value=authorize]');
    await step('agreed', { back: await alice.back(official.redirect_uri) });

    await admin.visit(home);
    await admin.fill('#search', 'mcp');
    await admin.press('form:has(#search) button');
    await admin.look('applications');
    await admin.press(`a[href$="/${official.client_id}"]`);
    await admin.reads(/1 given/);
    await admin.press('a[href$="/consents"]');
    await admin.look('consents');
    await admin.press(admin.button('Withdraw'));
    await admin.reads(/The consent is withdrawn/);
    await step('withdrawn');

    // Agreed to once more, and withdrawn by herself.
    await alice.visit(official.authorize);
    await alice.press('[name=decision][value=authorize]');
    await step('agreed', { back: await alice.back(official.redirect_uri) });
    await alice.visit(new URL('/me', home).href);
    await alice.look('mine');
    await alice.press(alice.button('Withdraw my consent'));
    await alice.reads(/you have not agreed/);
    await step('withdrawn');

    await alice.visit(official.authorize);
    await alice.press('[name=decision][value=authorize]');
    await step('agreed', { back: await alice.back(official.redirect_uri) });
    await admin.visit(`${home}/applications/${official.client_id}`);
    await admin.press(admin.button('Suspend'));
    await admin.look('suspended');
    await step('suspended');
    await alice.visit(official.authorize);
    await alice.look('stopped-suspended');
    await admin.press(admin.button('Resume'));
    await step('resumed');
    await admin.visit(`${home}/applications/${official.client_id}/assignments`);
    await admin.tick('[name=remove]');
    await admin.press(admin.button('Take the chosen off the list'));
    await step('unassigned');
    await admin.pick('#mode-all');
    await admin.press(admin.button('Save'));
    await step('assigned to all');
  },

  /**
   * Seed behaviours 1, 2 and 5 to 7: nobody but an administrator is asked, who rejects and then authorizes; the
   * details; deleting with its receipt; and other scopes by accessing again.
   */
  async rescope({ console: home, hub }, { person }) {
    const alice = await person('alice');
    await alice.visit(hub.authorize);
    await alice.reads(/administrator must authorize/i);

    const admin = await person('admin');
    await admin.page.goto(hub.authorize);
    await admin.look('login');
    await admin.logIn();
    await admin.look('consent');
    const { page } = admin;
    const locked = page.locator('input[type=checkbox][name=scope]:disabled');
    assert.ok((await locked.count()) > 0, 'required scopes are locked');
    for (const box of await locked.all()) assert.ok(await box.isChecked(), 'and checked');
    const free = page.locator('input[type=checkbox][name=scope]:not(:disabled)');
    assert.ok((await free.count()) > 0, 'optional scopes are free');
    for (const box of await free.all()) assert.ok(!(await box.isChecked()), 'and not checked');
    await admin.press('[name=decision][value=reject]');
    assert.match(await admin.back(hub.redirect_uri), /error=access_denied/);
    await step('rejected');
    await admin.visit(hub.authorize);
    await admin.press('[name=decision][value=authorize]');
    await step('authorized', { back: await admin.back(hub.redirect_uri) });

    await admin.visit(home);
    await admin.press(`a[href$="/${hub.client_id}"]`);
    const details = await admin.text();
    for (const word of [hub.name, hub.client_id, admin.login, '/acs/oss:read', 'Offered and declined']) {
      assert.ok(details.includes(word), word);
    }
    const authorized = page.locator('dt', { hasText: /^Authorized$/ }).locator('xpath=following-sibling::dd').locator('time');
    const ago = Date.now() - Date.parse(await authorized.getAttribute('datetime'));
    assert.ok(ago >= 0 && ago < 600_000, 'the time of the authorization');
    await admin.look('hub');
    await admin.press(admin.button('Delete Application'));
    await admin.look('confirm');
    await admin.press('form[method=post] button.danger');
    await page.getByText('is deleted, everywhere').waitFor();
    await admin.look('receipt');
    await admin.reads(/confirmed/);
    await step('deleted');

    await admin.visit(hub.again);
    await admin.tick('input[name=scope][value="/acs/ecs:read"]');
    await admin.press('[name=decision][value=authorize]');
    await step('authorized', { back: await admin.back(hub.redirect_uri) });
  },

  /** From the audit to the event, to a call that it decided, and back. */
  async audit({ console: home }, { person }) {
    const admin = await person('admin');
    const { page } = admin;
    await admin.visit(home);
    await admin.go('Audit');
    await admin.look('audit');
    await admin.choose('#event', 'Authoriz');
    await admin.fill('[name=principal]', admin.login);
    await admin.enter();
    await admin.look('audit-chosen');
    await admin.press('tbody th a');
    await admin.look('audit-event');
    const event = page.url();
    await admin.press('a[href*="/console/audit/calls/"]');
    await admin.look('audit-call');
    await admin.press('#event ~ p a[href*="/console/audit/"]');
    assert.equal(page.url(), event, 'a call leads back to the event behind it');
    await admin.visit(`${home}/audit?since=yesterday`);
    await admin.look('audit-refused');
    await admin.visit(`${home}/applications/nothing-here`);
    await admin.look('not-there');
    await admin.reads(/open it from the list/);
    const alice = await person('alice');
    await alice.visit(`${home}/audit`);
    await alice.look('administrators-only');
  },

  /** What is not used is taken away, an end is set, the report is read, and sessions are ended. */
  async use({ console: home, client_id }, { person }) {
    const admin = await person('admin');
    await admin.visit(home);
    await admin.go('Use');
    await admin.look('overview');
    await admin.press(admin.button('Take away what is not used'));
    assert.equal(await admin.page.locator('form[action$="/narrow"]').count(), 0, 'nothing is left to take');
    await step('narrowed');
    await admin.go('Report');
    for (const summary of await admin.page.locator('main summary').all()) {
      await admin.reach(summary);
      await admin.page.keyboard.press('Enter');
    }
    await admin.look('report');

    await admin.visit(`${home}/applications/${client_id}`);
    await admin.press('a[href$="/expiry"]');
    await admin.look('expiry');
    await admin.pick('#lasts-days');
    await admin.fill('#days', 'soon');
    await admin.enter();
    await admin.look('expiry-refused');
    await admin.fill('#days', '30');
    await admin.enter();
    assert.equal(new URL(admin.page.url()).pathname, `/console/applications/${client_id}`);
    await step('ends');

    const [alice, again] = [await person('alice'), await person('alice')];
    for (const one of [alice, again]) await one.visit(new URL('/me/sessions', home).href);
    await again.look('own-sessions');
    await again.press(again.button('End all others'));
    await alice.page.reload();
    await alice.look('signed-out-elsewhere');
    await again.visit(new URL('/me', home).href);
    await again.press(again.button('Sign it out'));
    await step('signed out');
    await admin.go('Sessions');
    await admin.fill('#login', alice.login);
    await admin.enter();
    await admin.look('sessions');
    await admin.press(admin.button('End all sessions of'));
    await again.page.reload();
    assert.equal(await again.page.locator('[name=password]').count(), 1, 'nobody is signed in any more');
  },
});
