//! The Model Context Protocol over streamable HTTP: the method of a JSON-RPC message says what is done, and a tool's
//! name is part of the action (`mcp-server:CallTool/list_instances`), so that a scope file says which scope gives it.
//!
//! The body decides; headers that mirror it must agree. What is no single, plainly written message is refused, and so
//! is the older transport of two endpoints, whose answers come on another request's stream.

use bytes::Bytes;
use http::{Method, Request};

use super::rest::{Template, account};
use super::{Adapter, Asked, Head, NotUnderstood, Parameters, Permitted, Reading, Shaped, Told};
use crate::model::call::Action;
use crate::net::body::Inbound;
use crate::sidecar::mcp::message::{Said, Target};
use crate::sidecar::mcp::{self, CLOSE_SESSION, Message, NOTIFY, Naming, OPEN_STREAM, RESPOND, Tended};

/// A route to one MCP server, or to several that the path tells apart.
pub(super) struct Mcp {
    product: String,
    server: Option<Template>,
    account: Option<Template>,
}

impl Mcp {
    pub(super) fn new(product: &str, server: Option<&str>, account: Option<&str>) -> Self {
        Self {
            product: product.to_owned(),
            server: server.map(Template::new),
            account: account.map(Template::new),
        }
    }

    /// How the server is named that the path means.
    fn naming(&self, parameters: &Parameters<'_>) -> Naming {
        Naming::new(&self.product, self.server.as_ref().map(|server| server.fill(parameters)))
    }

    fn asked(
        &self,
        head: &Head<'_>,
        target: Option<&Target>,
        named: impl FnOnce(&Naming) -> (Action, String),
    ) -> Result<Asked, NotUnderstood> {
        let owner = self.account.as_ref().map(|template| account(&template.fill(head.parameters)));
        let naming = self.naming(head.parameters);
        let (action, resource) = named(&naming);
        let (also, under) = naming.others(target);
        Ok(Asked { action, resource, also, under, copied: None, region: None, account: owner.transpose()? })
    }
}

impl Adapter for Mcp {
    fn read(&self, head: &Head<'_>) -> Result<Reading, NotUnderstood> {
        mcp::once(head.headers)?;
        mcp::no_session(head.query)?;
        let operation = match *head.method {
            Method::POST => {
                mcp::plain_json(head.headers)?;
                return Ok(Reading::NeedsBody);
            }
            Method::GET => OPEN_STREAM,
            Method::DELETE => CLOSE_SESSION,
            _ => {
                return Err(NotUnderstood::Method {
                    method: head.method.to_string(),
                    allowed: "DELETE, GET, POST".to_owned(),
                });
            }
        };
        if head.has_body {
            return Err(NotUnderstood::Malformed { what: "a body", expected: "taken with this method" });
        }
        self.asked(head, None, |naming| naming.plain(operation)).map(Reading::Asked)
    }

    fn read_with_body(&self, head: &Head<'_>, body: &Bytes) -> Result<Asked, NotUnderstood> {
        let message = Message::parse(body)?;
        mcp::agree(head.headers, &message)?;
        self.asked(head, message.target(), |naming| match &message.said {
            Said::Request(method, target) => naming.method(method, target.as_ref()),
            Said::Notification(_) => naming.plain(NOTIFY),
            Said::Response => naming.plain(RESPOND),
        })
    }

    fn tend(&self, permitted: &mut Permitted<'_>) -> Result<Option<Box<Tended>>, NotUnderstood> {
        let parameters = permitted.route.parameters(permitted.around.path);
        let parameters = parameters.map_err(|_| NotUnderstood::Unknown("the path"))?;
        Tended::begin(permitted, self.naming(&parameters)).map(|tended| Some(Box::new(tended)))
    }

    fn tell(&self, told: &Told<'_>, request: Option<&Request<Inbound>>) -> Option<Shaped> {
        Some(mcp::tell(told, request))
    }

    fn reads_before_refusing(&self) -> usize {
        16 * 1024
    }

    fn challenge(&self, told: &Told<'_>, own: Option<String>) -> Option<String> {
        mcp::challenge(told, own)
    }
}
