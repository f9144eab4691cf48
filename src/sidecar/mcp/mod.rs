//! The Model Context Protocol, as far as a sidecar must understand it: what one message asks for, whose a session is,
//! and which entries of a list its caller may see.
//!
//! Comes in: a client's JSON-RPC message and its headers; an upstream's answer. Goes out: the method and what it is
//! about, for the adapter; the answer with its lists narrowed. It decides nothing itself, and what it cannot read with
//! certainty is refused. Both eras of the streamable HTTP transport are read alike: the body decides, and headers that
//! say the same must say the same.

mod answer;
mod json;
mod list;
pub(super) mod message;
mod mirrored;
mod refusal;
mod resource;
mod session;
mod sieve;

pub(super) use answer::Tended;
pub(super) use message::Message;
use message::Target;
pub(super) use mirrored::{agree, once, plain_json};
pub(super) use refusal::{challenge, tell};

use crate::model::call::{Action, Call, Resource};
use crate::model::id::AccountId;
use crate::sidecar::adapter::NotUnderstood;

/// How a server's methods, tools, prompts and resources are named as actions and resources.
#[derive(Debug, Clone)]
pub(super) struct Naming {
    /// The service that the actions belong to.
    product: String,
    /// Which of its servers, if the route tells them apart.
    server: Option<String>,
}

impl Naming {
    pub(super) fn new(product: &str, server: Option<String>) -> Self {
        Self { product: product.to_owned(), server }
    }

    fn server(&self) -> Option<&str> {
        self.server.as_deref()
    }

    /// What is done, and to what, by the method of a message.
    pub(super) fn method(&self, method: &str, target: Option<&Target>) -> (Action, String) {
        match (method, target) {
            (_, Some(Target::Tool(tool))) => {
                (self.action(&format!("{CALL_TOOL}/{tool}")), self.about(target))
            }
            (method, target) => match operation(method) {
                Some(operation) => (self.action(operation), self.about(target)),
                None => (self.action(&format!("Method/{method}")), self.about(target)),
            },
        }
    }

    /// What is done by an HTTP method of its own, or by what is no request.
    pub(super) fn plain(&self, operation: &str) -> (Action, String) {
        (self.action(operation), self.about(None))
    }

    /// What else must be permitted: other names of the same, or what else is acted upon; and with which action, where it is
    /// another.
    pub(super) fn others(&self, target: Option<&Target>) -> (Vec<String>, Option<Action>) {
        match target {
            None | Some(Target::Tool(_) | Target::Prompt(_)) => (Vec::new(), None),
            Some(Target::Resource(uri)) => {
                (uri.others().iter().map(|name| self.inside(&format!("resources/{name}"))).collect(), None)
            }
            Some(Target::Watched(uris)) => {
                let names = uris.iter().flat_map(|uri| {
                    std::iter::once(uri.as_str()).chain(uri.others().iter().map(String::as_str))
                });
                let names = names.map(|name| self.inside(&format!("resources/{name}")));
                (names.collect(), Some(self.action(SUBSCRIBE)))
            }
        }
    }

    /// The calls that an entry of a list stands for: it is listed if all would be permitted.
    fn listed(&self, target: &Target, account: &AccountId) -> Vec<Call> {
        let method = match target {
            Target::Tool(_) => "tools/call",
            Target::Prompt(_) => "prompts/get",
            Target::Resource(_) | Target::Watched(_) => "resources/read",
        };
        let (action, name) = self.method(method, Some(target));
        let names = std::iter::once(name).chain(self.others(Some(target)).0);
        let resource = |name| Resource { account: account.clone(), region: None, name };
        names.map(|name| Call { action: action.clone(), resource: resource(name) }).collect()
    }

    fn action(&self, operation: &str) -> Action {
        Action::new(format!("{}:{operation}", self.product))
    }

    fn about(&self, target: Option<&Target>) -> String {
        let part = match target {
            None | Some(Target::Watched(_)) => {
                return self.server.clone().unwrap_or_else(|| WHOLE.to_owned());
            }
            Some(Target::Tool(name)) => format!("tools/{name}"),
            Some(Target::Prompt(name)) => format!("prompts/{name}"),
            Some(Target::Resource(uri)) => format!("resources/{}", uri.as_str()),
        };
        self.inside(&part)
    }

    fn inside(&self, part: &str) -> String {
        match &self.server {
            Some(server) => format!("{server}/{part}"),
            None => part.to_owned(),
        }
    }
}

/// The operation of a method that the protocol itself has; none for any other, which has an action of its own.
fn operation(method: &str) -> Option<&'static str> {
    OPERATIONS.iter().find(|(known, _)| *known == method).map(|(_, operation)| *operation)
}

/// Whether the answer to a call with this action lists what can be called.
fn lists(call: &Call) -> bool {
    LISTS.contains(&done(call))
}

/// Whether a call with this action opens the stream of what the server says by itself.
fn opens(call: &Call) -> bool {
    done(call) == OPEN_STREAM
}

/// What is done: what stands behind the service in the action.
fn done(call: &Call) -> &str {
    call.action.as_str().split_once(':').map_or("", |(_, operation)| operation)
}

/// Refuses a query that names a session: that of the transport before this one, whose sessions are bound to nobody. Names
/// count however they are spelled.
pub(super) fn no_session(query: Option<&str>) -> Result<(), NotUnderstood> {
    let named = |piece: &str| {
        url::form_urlencoded::parse(piece.as_bytes()).next().is_some_and(|(name, _)| {
            let letters = name.chars().filter(char::is_ascii_alphanumeric);
            letters.collect::<String>().to_ascii_lowercase().ends_with("sessionid")
        })
    };
    if query.unwrap_or_default().split(['&', ';']).any(named) {
        return Err(NotUnderstood::Malformed { what: "a session in the query", expected: "taken here" });
    }
    Ok(())
}

/// What opens the stream of what the server says by itself.
pub(super) const OPEN_STREAM: &str = "OpenStream";
/// What ends a session.
pub(super) const CLOSE_SESSION: &str = "CloseSession";
/// What a client tells without asking.
pub(super) const NOTIFY: &str = "Notify";
/// A client's answer to what the server has asked.
pub(super) const RESPOND: &str = "Respond";

const CALL_TOOL: &str = "CallTool";
const SUBSCRIBE: &str = "Subscribe";
const LISTS: [&str; 4] = ["ListTools", "ListPrompts", "ListResources", "ListResourceTemplates"];
const WHOLE: &str = "*";

/// The protocol's own requests, of every version.
const OPERATIONS: [(&str, &str); 19] = [
    ("initialize", "Initialize"),
    ("server/discover", "Discover"),
    ("ping", "Ping"),
    ("tools/list", "ListTools"),
    ("prompts/list", "ListPrompts"),
    ("prompts/get", "GetPrompt"),
    ("resources/list", "ListResources"),
    ("resources/templates/list", "ListResourceTemplates"),
    ("resources/read", "ReadResource"),
    ("resources/subscribe", SUBSCRIBE),
    ("resources/unsubscribe", "Unsubscribe"),
    ("subscriptions/listen", "Listen"),
    ("completion/complete", "Complete"),
    ("logging/setLevel", "SetLevel"),
    ("tasks/get", "GetTask"),
    ("tasks/list", "ListTasks"),
    ("tasks/result", "GetTaskResult"),
    ("tasks/update", "UpdateTask"),
    ("tasks/cancel", "CancelTask"),
];

#[cfg(test)]
mod tests;
