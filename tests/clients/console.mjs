// Administrators and users at the console, from the login on. After each step the test that started this calls the
// sidecar, and says to go on.
import assert from 'node:assert/strict';
import { open } from './chromium.mjs';
import { done, hear, tell } from './lines.mjs';

const facts = await hear();
const { person, close } = await open(facts);

/** Tells what has been done, and waits to be told to go on. */
async function step(name, more = {}) {
  tell({ step: name, ...more });
  await hear();
}

const stories = {
  /** Seed behaviour 8: provisioned, assigned, agreed to in person, and each of these undone. */
  async official() {
    const { official } = facts;
    const admin = await person('admin');
    await admin.visit(`${facts.console}/official`);
    await admin.look('official');
    await admin.press(admin.button('Provision'));
    await admin.look('offer');
    await admin.press('main form button.main');
    await admin.look('assignments-none');

    const alice = await person('alice');
    await alice.visit(official.authorize);
    await alice.look('not-assigned');
    assert.match(await alice.text(), /Ask an administrator to assign it/);
    await step('provisioned');

    await admin.fill('#find', 'ali');
    await admin.press('form:has(#find) button');
    await admin.look('assignments-found');
    await admin.tick('[name=name]');
    await admin.press(admin.button('Add users'));
    assert.match(await admin.text(), /Saved, and every sidecar knows it/);
    await admin.fill('#names', 'nobody@acme');
    await admin.press(admin.button('Add users'));
    await admin.look('assignments-refused');
    assert.match(await admin.text(), /Nothing was changed/);

    await alice.visit(official.authorize);
    await alice.look('personal');
    await step('asked');
    await alice.press('[name=decision][value=authorize]');
    await step('agreed', { back: await alice.back(official.redirect_uri) });

    await admin.visit(facts.console);
    await admin.fill('#search', 'mcp');
    await admin.press('form:has(#search) button');
    await admin.look('applications');
    await admin.press(`a[href$="/${official.client_id}"]`);
    await admin.look('details');
    assert.match(await admin.text(), /1 given/);
    await admin.press('a[href$="/consents"]');
    await admin.look('consents');
    await admin.press(admin.button('Withdraw'));
    assert.match(await admin.text(), /The consent is withdrawn/);
    await step('withdrawn');

    await alice.visit(official.authorize);
    await alice.press('[name=decision][value=authorize]');
    await step('agreed', { back: await alice.back(official.redirect_uri) });
    await admin.visit(`${facts.console}/applications/${official.client_id}`);
    await admin.press(admin.button('Suspend'));
    await admin.look('suspended');
    await step('suspended');
    await admin.press(admin.button('Resume'));
    await step('resumed');
    await admin.visit(`${facts.console}/applications/${official.client_id}/assignments`);
    await admin.tick('[name=remove]');
    await admin.press(admin.button('Take the chosen off the list'));
    await step('unassigned');
  },

  /** Seed behaviours 5 to 7: the details, deleting with its receipt, and other scopes by accessing again. */
  async rescope() {
    const { hub } = facts;
    const admin = await person('admin');
    await admin.visit(hub.authorize);
    await admin.press('[name=decision][value=authorize]');
    await step('authorized', { back: await admin.back(hub.redirect_uri) });

    await admin.visit(`${facts.console}/applications/${hub.client_id}`);
    const details = await admin.text();
    for (const word of [hub.name, hub.client_id, admin.login, '/acs/oss:read', 'Offered and declined']) {
      assert.ok(details.includes(word), word);
    }
    await admin.look('hub');
    await admin.press(admin.button('Delete Application'));
    await admin.look('confirm');
    await admin.press('form[method=post] button.danger');
    await admin.page.getByText('is deleted, everywhere').waitFor();
    await admin.look('receipt');
    assert.match(await admin.text(), /confirmed/);
    await step('deleted');

    await admin.visit(hub.again);
    await admin.tick('input[name=scope][value="/acs/ecs:read"]');
    await admin.press('[name=decision][value=authorize]');
    await step('authorized', { back: await admin.back(hub.redirect_uri) });
  },
};

try {
  await stories[facts.story]();
  tell({ step: 'end' });
} catch (error) {
  tell({ error: error.stack });
}
await close();
done();
