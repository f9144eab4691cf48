//! `GET /login/provider/{name}/callback`: somebody comes back from a provider (OpenID Connect Core section 3.1.2.5).
//!
//! In the order of the checks: the attempt is this browser's and is used up; the answer is from the provider that it
//! was sent to (RFC 9207); the code is redeemed; the ID token is proven; the claims mean something here; the store lets
//! the person in. Then there is a session.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::HeaderMap;
use axum::http::HeaderValue;
use axum::http::header::{REFERRER_POLICY, SET_COOKIE};
use axum::response::Response;
use jiff::{SignedDuration, Timestamp};

use super::attempt::Attempt;
use super::claims::{self, Said};
use super::exchange;
use super::fault::{Distrust, Fault};
use super::id_token::{self, Claims};
use super::provider::{Metadata, Provider};
use crate::control::browser::session::{Cookie, Opening, cookie, enter, set_cookie};
use crate::control::form::Parameters;
use crate::control::peer::Address;
use crate::control::{Control, Problem};
use crate::model::account::{Account, Principal, PrincipalKind};
use crate::store::{Arrival, Arrived, AuditEvent, Factor, Grounds, Newcomer, Vouched};
use crate::token::random::{fill, identifier};

/// Takes what the provider answers.
pub(super) async fn callback(
    State(control): State<Arc<Control>>,
    Path(name): Path<String>,
    Address(address): Address,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let parameters = Parameters::parse(query.unwrap_or_default().as_bytes());
    let Some(provider) = control.federation.named(&name) else {
        return Fault::NoProvider.page(&control, None);
    };
    let grounds = (vec![Factor::Provider], Grounds::Provider);
    let opening = Opening::new(&control, grounds, &headers, address);
    let taken = take(&control, provider, &headers, &parameters, opening).await;
    let mut response = taken.unwrap_or_else(|fault| fault.page(&control, Some(provider)));
    // The address holds a code and a state, used up by now, but nobody's business.
    response.headers_mut().insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

async fn take(
    control: &Control,
    provider: &Provider,
    headers: &HeaderMap,
    parameters: &Parameters,
    opening: Opening,
) -> Result<Response, Fault> {
    let attempt = attempt(control, provider, headers, parameters).await?;
    let now = control.clock().seconds();
    let metadata = provider.metadata(now).await?;
    let code = code(provider, &metadata, parameters)?;
    let redirect_uri = control.callback_of(provider);
    let claims = exchange::claims(provider, &metadata, &attempt, code, &redirect_uri, now).await?;
    let authenticated_at = authenticated_at(control, provider, &attempt, &claims)?;
    let vouched = Vouched {
        provider: provider.settings.name.clone(),
        issuer: provider.settings.issuer.clone(),
        subject: id_token::subject(&claims).unwrap_or_default().to_owned(),
        session: id_token::session(&claims).map(str::to_owned),
    };
    let found = meant(control, provider, &claims, &vouched).await;
    // In what role they came in before is over, unless the claims still say it.
    let stays = found.as_ref().ok().map(|principal| &principal.key);
    control.store().end_roles(&vouched, stays, control.clock().now()).await?;
    let principal = found?;
    let mut opening = opening;
    if principal.key.kind == PrincipalKind::Role {
        opening.event = Some(came_in_as(control, &principal, &vouched));
        opening.at_most_seconds = Some(ROLE_SECONDS);
    }
    (opening.authenticated_at, opening.vouched) = (Some(authenticated_at), Some(vouched));
    let mut response = enter(control, &principal, opening, &attempt.onward).await?;
    response.headers_mut().append(SET_COOKIE, set_cookie(control, Cookie::Provider, None)?);
    Ok(response)
}

/// The attempt of this browser that the answer belongs to. It is used up by being looked at.
async fn attempt(
    control: &Control,
    provider: &Provider,
    headers: &HeaderMap,
    parameters: &Parameters,
) -> Result<Attempt, Fault> {
    let cookie = cookie(headers, Cookie::Provider.name(control)).ok_or(Fault::Lost)?;
    let state = parameters.one("state").ok().flatten().ok_or(Fault::Lost)?;
    let attempt = Attempt::take(control, state, &cookie).await?.ok_or(Fault::Lost)?;
    // An answer to one provider's attempt at another's address is how one is made to speak for another.
    if attempt.provider == provider.settings.name { Ok(attempt) } else { Err(Fault::Lost) }
}

/// The code, if the answer is from this provider and is no error.
fn code<'p>(provider: &Provider, metadata: &Metadata, parameters: &'p Parameters) -> Result<&'p str, Fault> {
    match parameters.one("iss").map_err(|_| Fault::Distrusted(Distrust::Issuer))? {
        Some(issuer) if issuer == provider.settings.issuer => {}
        None if !metadata.names_itself => {}
        Some(_) | None => return Err(Fault::Distrusted(Distrust::Issuer)),
    }
    match parameters.one("error").map_err(|_| Fault::Refused(String::new()))? {
        None => {}
        Some("access_denied") => return Err(Fault::Declined),
        Some(other) => return Err(Fault::Refused(other.to_owned())),
    }
    parameters.one("code").ok().flatten().ok_or_else(|| Fault::Refused("no code".to_owned()))
}

/// When the person proved who they are. A provider that does not say is never taken to mean just now: such a session
/// is as old as one can be.
fn authenticated_at(
    control: &Control,
    provider: &Provider,
    attempt: &Attempt,
    claims: &Claims,
) -> Result<Timestamp, Fault> {
    let (now, skew) = (control.clock().now(), i64::from(provider.settings.skew_seconds));
    let said = id_token::time(claims, "auth_time");
    let wanted = if attempt.fresh {
        Some(attempt.began_at.saturating_sub(skew))
    } else {
        attempt.max_age.map(|age| now.as_second().saturating_sub(age).saturating_sub(skew))
    };
    if wanted.is_some_and(|wanted| said.is_none_or(|said| said < wanted)) {
        return Err(Fault::Distrusted(Distrust::Stale));
    }
    let oldest = now
        .saturating_sub(SignedDuration::from_secs(control.settings().session_seconds))
        .unwrap_or(Timestamp::UNIX_EPOCH);
    let said = said.and_then(|said| Timestamp::from_second(said).ok());
    Ok(said.unwrap_or(oldest).clamp(Timestamp::UNIX_EPOCH, now))
}

/// Whom the claims mean, if they may come in.
async fn meant(
    control: &Control,
    provider: &Provider,
    claims: &Claims,
    vouched: &Vouched,
) -> Result<Principal, Fault> {
    let said = claims::read(&provider.settings, claims)?;
    let account = control.store().account_named(&said.account).await?;
    let account = account.ok_or_else(|| Fault::NotThere(format!("account {}", said.account)))?;
    let admitted = admitted(control, provider, &account, said, vouched).await;
    admitted.map_err(|fault| audited(control, &account, vouched, fault))
}

/// Who they are here.
async fn admitted(
    control: &Control,
    provider: &Provider,
    account: &Account,
    said: Said,
    vouched: &Vouched,
) -> Result<Principal, Fault> {
    if let Some(role) = &said.role {
        return if said.member { as_role(control, account, role).await } else { Err(Fault::NoMember) };
    }
    let creates = provider.settings.users == crate::config::provider::Users::Create;
    let newcomer = match &said.login {
        Some(name) if creates => Some(newcomer(account, name)?),
        Some(_) | None => None,
    };
    let nameless = creates && newcomer.is_none();
    let arrival = Arrival {
        provider: vouched.provider.clone(),
        issuer: vouched.issuer.clone(),
        subject: vouched.subject.clone(),
        account: account.id.clone(),
        newcomer,
        display_name: said.display_name,
        groups: said.groups,
        full_access: said.full_access,
        member: said.member,
    };
    let subject = || vouched.subject.clone();
    match control.store().arrive(&arrival, control.clock().now()).await? {
        Arrived::In { principal, changed } => {
            // What they lost must be lost everywhere before they go on.
            if changed {
                control.heard_everywhere().await?;
            }
            Ok(principal)
        }
        Arrived::NoMember { changed } => {
            if changed {
                control.heard_everywhere().await?;
            }
            Err(Fault::NoMember)
        }
        Arrived::Unknown if nameless => Err(Fault::Nameless),
        Arrived::Unknown => Err(Fault::Unknown { subject: subject() }),
        Arrived::Taken { login } => Err(Fault::Taken { login, subject: subject() }),
        Arrived::Disabled { .. } => Err(Fault::Disabled),
    }
}

/// The role that they come in as. It is made by nobody but an administrator.
async fn as_role(control: &Control, account: &Account, role: &str) -> Result<Principal, Fault> {
    let login = format!("{role}@{}", account.alias);
    let found = control.store().credential(&login).await?.map(|found| found.principal);
    let found = found.filter(|one| one.key.account == account.id && one.key.kind == PrincipalKind::Role);
    let found = found.ok_or_else(|| Fault::NotThere(format!("role {login}")))?;
    if found.enabled { Ok(found) } else { Err(Fault::Disabled) }
}

/// A role is nobody in particular, so that the audit says who has come in as it.
fn came_in_as(control: &Control, role: &Principal, vouched: &Vouched) -> AuditEvent {
    AuditEvent {
        at: control.clock().now(),
        account: role.key.account.clone(),
        actor: role.login.clone(),
        event: "login.succeeded".to_owned(),
        subject: role.login.clone(),
        detail: serde_json::json!({ "provider": vouched.provider, "subject": vouched.subject, "role": role.key.id })
            .to_string(),
    }
}

fn newcomer(account: &Account, name: &str) -> Result<Newcomer, Problem> {
    let failed = |why: &dyn std::fmt::Display| Problem::internal("a user's id", why);
    let mut bytes = [0_u8; 8];
    fill(&mut bytes).map_err(|why| failed(&why))?;
    // Of 18 digits, like the other users'.
    let number = 200_000_000_000_000_000 + u64::from_be_bytes(bytes) % 100_000_000_000_000_000;
    Ok(Newcomer {
        id: number.to_string().parse().map_err(|why| failed(&why))?,
        login: format!("{name}@{}", account.alias),
        identity: identifier().map_err(|why| failed(&why))?,
    })
}

/// Writes into the account's audit that somebody was not let in.
fn audited(control: &Control, account: &Account, vouched: &Vouched, fault: Fault) -> Fault {
    let why = match &fault {
        Fault::NoMember => "not_a_member",
        Fault::Unknown { .. } => "unknown_person",
        Fault::Nameless => "no_login",
        Fault::Taken { .. } => "login_taken",
        Fault::Disabled => "disabled",
        Fault::NotThere(_) => "not_for_this_account",
        // Not about a person, or the store's own trouble.
        Fault::NoProvider
        | Fault::Lost
        | Fault::Declined
        | Fault::Refused(_)
        | Fault::Unanswered(_)
        | Fault::Distrusted(_)
        | Fault::Meaningless(_)
        | Fault::Own(_) => return fault,
    };
    let event = AuditEvent {
        at: control.clock().now(),
        account: account.id.clone(),
        actor: vouched.provider.clone(),
        event: "login.failed".to_owned(),
        subject: vouched.subject.clone(),
        detail: serde_json::json!({ "provider": vouched.provider, "why": why }).to_string(),
    };
    let store = Arc::clone(control.store());
    tokio::spawn(async move {
        if let Err(error) = store.keep_audit(&event).await {
            tracing::error!(%error, "a failed login could not be audited");
        }
    });
    fault
}

/// For so long a claim that names a role is taken at its word; then it is read again.
const ROLE_SECONDS: i64 = 3600;
