// People on the way to an application: asking for it, and signing in at their organization's own provider.
import assert from 'node:assert/strict';
import { play, step } from './chromium.mjs';

await play({
  /** Asked for, approved, used, narrowed, blocked, unblocked, deleted, asked for again and denied, and then refused. */
  async approval(facts, { person }) {
    const [alice, admin] = [await person('alice'), await person('admin')];
    const { page } = admin;
    const at = (path) => new URL(path, facts.console).href;
    const ask = async (someone, shots) => {
      await someone.visit(facts.authorize);
      if (shots) await someone.look('ask');
      await someone.fill('#reason', 'Cost reports for the board, each month.');
      await someone.press(someone.button('Ask for approval'));
      if (shots) await someone.look('asked');
      await someone.reads(/You have asked/);
    };
    await ask(alice, true);
    await admin.visit(at('/console/requests'));
    await admin.look('requests');
    await admin.press(`main a[href$="/${facts.client_id}"]`);
    await admin.reads(/Cost reports for the board/);
    await admin.look('request');
    await admin.press(admin.button('Approve'));
    await admin.look('consent-requested');
    await admin.tick('input[name=scope]:not(:disabled)');
    await admin.press('[name=decision][value=authorize]');
    await admin.look('installed');
    await alice.page.goto(facts.authorize);
    await step('approved', { back: await alice.back(facts.redirect_uri) });

    await admin.visit(at(`/console/applications/${facts.client_id}`));
    await admin.press(page.getByRole('link', { name: 'Change the scopes' }));
    await admin.look('scope');
    await admin.tick(page.locator('input[name=scope]:checked').first(), false);
    await admin.press(admin.button('Look at the difference'));
    await admin.reads(/Removed/);
    await admin.look('scope-review');
    await admin.press(admin.button('Change it'));
    await step('narrowed');

    await admin.visit(at(`/console/policy/${facts.client_id}`));
    await admin.look('rule');
    await admin.fill('#word', 'It sells what it reads.');
    await admin.press('#block ~ form button');
    await admin.look('rule-blocked');
    for (const someone of [alice, admin]) {
      await someone.visit(facts.authorize);
      await someone.reads(/It sells what it reads/);
      await someone.look(someone === admin ? 'blocked-administrator' : 'blocked');
    }
    await step('blocked');
    await admin.visit(at(`/console/policy/${facts.client_id}`));
    await admin.press(admin.button('Unblock it'));
    await admin.visit(at(`/console/applications/${facts.client_id}/delete`));
    await admin.press('button.danger');

    const bob = await person('bob');
    await ask(bob);
    await admin.visit(at(`/console/requests/${facts.client_id}`));
    await admin.fill('#deny-word', 'Use the reports in the shared folder.');
    await admin.press('#deny ~ form button');
    await admin.visit(at('/console/requests?state=denied'));
    await admin.look('requests-denied');
    await bob.visit(facts.authorize);
    await bob.reads(/Use the reports in the shared folder/);
    await bob.look('denied');

    // Asked for again, and blocked where it is asked for.
    await ask(alice);
    await admin.visit(at(`/console/requests/${facts.client_id}`));
    await admin.fill('#block-word', 'Nobody needs it.');
    await admin.press('#block ~ form button');
    await bob.visit(facts.authorize);
    await bob.reads(/Nobody needs it/);
    await admin.visit(at(`/console/policy/${facts.client_id}`));
    await admin.press(admin.button('Unblock it'));

    await admin.visit(at('/console/policy'));
    await admin.pick('#unknown-refuse');
    await admin.fill('#message', 'Ask the platform team first.');
    await admin.press('form:has(#message) button');
    await admin.look('policy');
    await alice.visit(facts.authorize);
    await alice.reads(/Ask the platform team first/);
    await alice.look('refused');

    // Approved beforehand, it is there for who comes first.
    await admin.visit(at(`/console/policy/${facts.client_id}`));
    await admin.press('#approve ~ form button');
    await alice.page.goto(facts.authorize);
    await step('beforehand', { back: await alice.back(facts.redirect_uri) });
  },

  /** Signs in at the organization's own provider, looks at the sessions, and signs out. */
  async elsewhere(facts, { person }) {
    const carol = await person('carol');
    const { page } = carol;
    await page.goto(`${facts.console}/sessions`);
    await carol.look('sign-in-elsewhere');
    await carol.press(page.locator('a.button', { hasText: 'Acme staff' }));
    // The provider's own page is not ours to look at.
    await page.fill('[name=who]', carol.login);
    await Promise.all([page.waitForURL(`${facts.console}/sessions`), page.click('[value=go]')]);
    await carol.look('sessions');
    await page.goto(facts.me);
    await carol.look('my-sessions');
    await carol.press('form[action="/logout"] button');
    await carol.look('signed-out');
    await carol.press(page.locator('a.button', { hasText: 'too' }));
    await Promise.all([page.waitForURL('**/login/signed-out'), page.click('[name=logout]')]);
    await carol.look('signed-out-there');
    await page.goto(`${facts.me}?x`);
    await carol.fill('#account', 'nobody');
    await carol.enter();
    await carol.look('no-provider');
    await page.goto(`${new URL(facts.me).origin}/login/provider/acme-id/callback?state=old&code=old`);
    await carol.look('refused');
    assert.match(await carol.text(), /Code for support/);
  },
});
