// Browsers give passkeys to scripts only, so this is the one that there is. It asks the browser for what the form's
// data-options say, puts the answer into the form's field, and sends the form. Nothing else on any page needs it.
'use strict';

const bytes = (text) =>
  Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0));
const text = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
const named = (credential) => ({ ...credential, id: bytes(credential.id) });

async function make({ publicKey }) {
  const made = await navigator.credentials.create({
    publicKey: {
      ...publicKey,
      challenge: bytes(publicKey.challenge),
      user: { ...publicKey.user, id: bytes(publicKey.user.id) },
      excludeCredentials: (publicKey.excludeCredentials ?? []).map(named),
    },
  });
  const { attestationObject, clientDataJSON } = made.response;
  return { made, response: { attestationObject: text(attestationObject), clientDataJSON: text(clientDataJSON) } };
}

async function get({ publicKey }) {
  const made = await navigator.credentials.get({
    publicKey: {
      ...publicKey,
      challenge: bytes(publicKey.challenge),
      allowCredentials: (publicKey.allowCredentials ?? []).map(named),
    },
  });
  const { authenticatorData, clientDataJSON, signature, userHandle } = made.response;
  const response = {
    authenticatorData: text(authenticatorData),
    clientDataJSON: text(clientDataJSON),
    signature: text(signature),
    userHandle: userHandle && userHandle.byteLength > 0 ? text(userHandle) : null,
  };
  return { made, response };
}

for (const form of document.querySelectorAll('form[data-passkey]')) {
  const status = form.querySelector('[role=status]');
  let asking = false;
  status.textContent = ''; // what is said to those without a script
  const ask = async () => {
    if (asking) return;
    asking = true;
    status.textContent = 'Your browser asks you now.';
    try {
      const options = JSON.parse(form.dataset.options);
      const { made, response } = await (form.dataset.passkey === 'make' ? make : get)(options);
      form.elements.answer.value = JSON.stringify({
        id: made.id,
        rawId: text(made.rawId),
        type: made.type,
        response,
      });
      form.submit();
    } catch (error) {
      status.textContent =
        error.name === 'InvalidStateError'
          ? 'This device has a passkey for you already.'
          : 'The browser gave no passkey. Press the button to try again.';
      asking = false;
    }
  };
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    ask();
  });
  if (form.dataset.passkey === 'get') ask();
}
