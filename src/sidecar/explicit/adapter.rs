//! What such requests mean: as the protocol's own adapter reads them, with the role that is asked for as the resource.

use bytes::Bytes;
use http::Request;

use super::{Operation, Parameters, Wanted};
use crate::config::route::{Answers, Dialect};
use crate::net::body::Inbound;
use crate::sidecar::adapter::{Adapter, Asked, Head, NotUnderstood, Permitted, Reading, Shaped};
use crate::sidecar::aws::{Names, check_form};
use crate::sidecar::mcp::Tended;
use crate::sidecar::refuse::Told;
use crate::sidecar::signed::Schemes;
use crate::token::random::Secret;

/// The adapter of a route that answers.
pub(in crate::sidecar) struct Explicit {
    inner: Box<dyn Adapter>,
    dialect: Dialect,
    answers: Answers,
    names: Names,
}

impl Explicit {
    /// `inner` is the protocol's own; `names` knows the numbers that accounts have at the cloud.
    pub(in crate::sidecar) fn new(
        inner: Box<dyn Adapter>,
        (dialect, answers): (Dialect, Answers),
        names: Names,
    ) -> Self {
        Self { inner, dialect, answers, names }
    }

    fn wanted(&self, operation: Operation, head: &Head<'_>, body: &Bytes) -> Result<Wanted, NotUnderstood> {
        // What stands in a body that is none would count for nothing, and may have been meant to say less.
        if !body.is_empty() {
            check_form(head.headers)?;
        }
        Wanted::read((self.dialect, self.answers), operation, &Parameters::read(head.query, body)?)
    }

    fn about(&self, asked: Asked, head: &Head<'_>, body: &Bytes) -> Result<Asked, NotUnderstood> {
        let Some(operation) = Operation::of(self.dialect, &asked.action) else { return Ok(asked) };
        let wanted = self.wanted(operation, head, body)?;
        match (self.dialect, wanted.role) {
            // Its own adapter has read the ARN.
            (Dialect::Aws, _) | (Dialect::Acs, None) => Ok(asked),
            (Dialect::Acs, Some(role)) => {
                let account = self.names.account(&role.account)?;
                Ok(Asked { resource: format!("role/{}", role.name), account: Some(account), ..asked })
            }
        }
    }
}

impl Adapter for Explicit {
    fn read(&self, head: &Head<'_>) -> Result<Reading, NotUnderstood> {
        match self.inner.read(head)? {
            Reading::Asked(asked) if Operation::of(self.dialect, &asked.action).is_none() => {
                Ok(Reading::Asked(asked))
            }
            Reading::Asked(asked) if !head.has_body => {
                self.about(asked, head, &Bytes::new()).map(Reading::Asked)
            }
            // Which role it is may be said there.
            Reading::Asked(_) | Reading::NeedsBody => Ok(Reading::NeedsBody),
        }
    }

    fn read_with_body(&self, head: &Head<'_>, body: &Bytes) -> Result<Asked, NotUnderstood> {
        let asked = match self.inner.read(head)? {
            Reading::Asked(asked) => asked,
            Reading::NeedsBody => self.inner.read_with_body(head, body)?,
        };
        self.about(asked, head, body)
    }

    fn takes_acs_bearer(&self) -> bool {
        self.inner.takes_acs_bearer()
    }

    fn signatures(&self) -> Option<Schemes> {
        self.inner.signatures()
    }

    fn takes_token_among_parameters(&self) -> bool {
        true
    }

    fn token_among_parameters(&self, head: &Head<'_>, body: &Bytes) -> Result<Option<Secret>, NotUnderstood> {
        let asked = self.read_with_body(head, body)?;
        let Some(operation) = Operation::of(self.dialect, &asked.action) else { return Ok(None) };
        Ok(self.wanted(operation, head, body)?.token)
    }

    fn tell(&self, told: &Told<'_>, request: Option<&Request<Inbound>>) -> Option<Shaped> {
        self.inner.tell(told, request)
    }

    fn reads_before_refusing(&self) -> usize {
        self.inner.reads_before_refusing()
    }

    fn challenge(&self, told: &Told<'_>, own: Option<String>) -> Option<String> {
        self.inner.challenge(told, own)
    }

    fn tend(&self, permitted: &mut Permitted<'_>) -> Result<Option<Box<Tended>>, NotUnderstood> {
        self.inner.tend(permitted)
    }
}
