//! The protocols of AWS: S3, Lambda, DynamoDB, SQS, EC2 and STS, on one route or each on its own.

use bytes::Bytes;
use http::Request;

use super::{Adapter, Asked, Head, NotUnderstood, Reading, Shaped};
use crate::config::route::Service;
use crate::net::body::Inbound;
use crate::sidecar::aws::{
    Names, Places, Requests, Shape, agreed, check_form, function, in_form, in_json, object, signed_for,
    target, tell,
};
use crate::sidecar::refuse::Told;
use crate::sidecar::signed::Schemes;

/// A route to AWS.
pub(super) struct Aws {
    only: Option<Service>,
    names: Names,
    objects: Requests,
    functions: Requests,
    places: Places,
}

impl Aws {
    pub(super) fn new(only: Option<Service>, names: &Names) -> Self {
        let (objects, functions) = (Requests::of(Service::S3), Requests::of(Service::Lambda));
        Self { only, names: names.clone(), objects, functions, places: Places::all() }
    }

    /// What all but the body says of the service.
    fn service(&self, head: &Head<'_>) -> Result<Option<Service>, NotUnderstood> {
        let in_target = target(head.headers)?.map(|(service, _)| service);
        agreed([self.only, signed_for(head.headers)?, in_target])
    }

    /// `body` is none where it has not been read.
    fn reading(&self, head: &Head<'_>, body: Option<&Bytes>) -> Result<Reading, NotUnderstood> {
        let service = self.service(head)?;
        let (names, places) = (&self.names, &self.places);
        let asked = match (service, target(head.headers)?) {
            (Some(Service::S3), None) => return object(names, (&self.objects, places), head, body),
            // All other requests are short, name something in their bodies, or are signed for the upstream with them.
            (..) if head.has_body && body.is_none() => return Ok(Reading::NeedsBody),
            (_, Some(target)) => {
                let body = body.ok_or(NotUnderstood::Unknown("a request without a body"))?;
                in_json((names, places), target, head, body)
            }
            (Some(Service::Lambda), None) => function(names, (&self.functions, places), head, body),
            (Some(Service::DynamoDb), None) => Err(NotUnderstood::Unknown("a request without x-amz-target")),
            (Some(Service::Sts | Service::Ec2 | Service::Sqs) | None, None) => {
                if body.is_some() {
                    check_form(head.headers)?;
                }
                in_form((names, places), service, head, body)
            }
        };
        asked.map(Reading::Asked)
    }
}

impl Adapter for Aws {
    fn read(&self, head: &Head<'_>) -> Result<Reading, NotUnderstood> {
        self.reading(head, None)
    }

    fn read_with_body(&self, head: &Head<'_>, body: &Bytes) -> Result<Asked, NotUnderstood> {
        match self.reading(head, Some(body).filter(|_| head.has_body))? {
            Reading::Asked(asked) => Ok(asked),
            Reading::NeedsBody => Err(NotUnderstood::Unknown("a request without a body")),
        }
    }

    fn signatures(&self) -> Option<Schemes> {
        Some(Schemes::Aws)
    }

    fn tell(&self, told: &Told<'_>, request: Option<&Request<Inbound>>) -> Option<Shaped> {
        Some(tell(Shape::of(self.only, request), told))
    }
}
