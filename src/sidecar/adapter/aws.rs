//! The protocols of AWS: S3, Lambda, DynamoDB, SQS, EC2 and STS, on one route or each on its own.

use bytes::Bytes;
use http::Request;

use super::{Adapter, Asked, Head, NotUnderstood, Reading, Shaped};
use crate::config::route::Service;
use crate::net::body::Inbound;
use crate::sidecar::aws::{
    Names, Requests, Shape, agreed, check_form, function, in_form, in_json, object, signed_for, target, tell,
};
use crate::sidecar::refuse::Told;
use crate::sidecar::signed::Schemes;

/// A route to AWS.
pub(super) struct Aws {
    only: Option<Service>,
    names: Names,
    objects: Requests,
    functions: Requests,
}

impl Aws {
    pub(super) fn new(only: Option<Service>, names: &Names) -> Self {
        let (objects, functions) = (Requests::of(Service::S3), Requests::of(Service::Lambda));
        Self { only, names: names.clone(), objects, functions }
    }

    /// What all but the body says of the service.
    fn service(&self, head: &Head<'_>) -> Result<Option<Service>, NotUnderstood> {
        let in_target = target(head.headers)?.map(|(service, _)| service);
        agreed([self.only, signed_for(head.headers)?, in_target])
    }

    fn asked(&self, head: &Head<'_>, body: Option<&Bytes>) -> Result<Asked, NotUnderstood> {
        let service = self.service(head)?;
        let named = target(head.headers)?;
        match (service, named) {
            (_, Some(target)) => in_json(
                &self.names,
                target,
                head,
                body.ok_or(NotUnderstood::Unknown("a request without a body"))?,
            ),
            (Some(Service::S3), None) => object(&self.names, &self.objects, head),
            (Some(Service::Lambda), None) => function(&self.names, &self.functions, head, body),
            (Some(Service::DynamoDb), None) => Err(NotUnderstood::Unknown("a request without x-amz-target")),
            (Some(Service::Sts | Service::Ec2 | Service::Sqs) | None, None) => {
                if body.is_some() {
                    check_form(head.headers)?;
                }
                in_form(&self.names, service, head, body)
            }
        }
    }
}

impl Adapter for Aws {
    fn read(&self, head: &Head<'_>) -> Result<Reading, NotUnderstood> {
        // Objects are large, and are named without their body. All others are short, name something in it, or are
        // signed for the upstream with it.
        if head.has_body && self.service(head)? != Some(Service::S3) {
            return Ok(Reading::NeedsBody);
        }
        self.asked(head, None).map(Reading::Asked)
    }

    fn read_with_body(&self, head: &Head<'_>, body: &Bytes) -> Result<Asked, NotUnderstood> {
        self.asked(head, Some(body).filter(|_| head.has_body))
    }

    fn signatures(&self) -> Option<Schemes> {
        Some(Schemes::Aws)
    }

    fn tell(&self, told: &Told<'_>, request: Option<&Request<Inbound>>) -> Option<Shaped> {
        Some(tell(Shape::of(self.only, request), told))
    }
}
