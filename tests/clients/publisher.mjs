// A publisher: registers an application, changes it, and replaces its secret.
import assert from 'node:assert/strict';
import { play } from './chromium.mjs';

await play({
  async publisher({ issuer }, { person }) {
    const admin = await person('admin');
    const { page } = admin;
    await admin.visit(`${issuer}/publisher`);
    await admin.look('list-empty');
    await admin.press('a[href="/publisher/new"]');
    await admin.look('new');
    await admin.fill('#name', 'intranet');
    await admin.fill('#display_name', 'Intranet');
    await admin.fill('#redirect_uris', 'http://evil.example/callback');
    await admin.choose('select[name="scope:/acs/oss:read"]', 'required');
    await admin.press('main button.main');
    assert.match(await page.innerText('[role=alert]'), /Nothing was registered/);
    await admin.look('refused');
    await admin.fill('#redirect_uris', 'http://127.0.0.1:9300/callback');
    await admin.press('main button.main');
    const first = await page.innerText('#client-secret');
    assert.match(await page.innerText('h1'), /registered/);
    await admin.look('registered');
    await admin.press('a.button.main');
    const client_id = new URL(page.url()).pathname.split('/').pop();
    assert.ok(!(await page.content()).includes(first), 'a secret is shown once');
    await admin.look('application');
    await admin.fill('#display_name', 'Intranet 2');
    await admin.press('main button.main');
    assert.match(await page.innerText('h1'), /Intranet 2/);
    await admin.press('form[action$="/secrets"] button');
    const second = await page.innerText('#client-secret');
    await admin.look('secret');
    await admin.press('a.button.main');
    await admin.press('a[href$="/delete"]');
    await admin.look('delete-secret');
    await admin.press('button.danger');
    assert.equal(await page.locator('a[href$="/delete"]').count(), 1, 'one secret is left');
    await admin.visit(`${issuer}/publisher`);
    await admin.look('list');
    return { client_id, first, second };
  },
});
